//! Requests as providers get them: a canonical call into what LangChain's `ChatOpenAI`
//! would send, or the provider's own form of it.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::types::{Foreign, part_json, tool_call_json, tool_json};
use crate::chat::WireFormat;
use crate::chat::call::{ChatCall, Message, ResponseFormat, Role, Tool, ToolChoice, ToolKind};
use crate::chat::part::{Part, PartContent, ToolCallKind, ToolResult};
use crate::error::{InvalidCall, Loss};
use crate::json::invalid;
use crate::pass_through::MessageWords;
use crate::protocol::Encoded;
use crate::target::{
    HttpRequest, Patch, Patches, Present, ResponsesTools, Rewrite, Target, responses_unavailable,
};

/// Names under which a request may bound its output; the first given counts.
const BOUNDS: &[&str] = &["max_completion_tokens", "max_tokens"];

/// How the top level is changed; see [`Target::top_level`].
pub(crate) fn top_level<'a>(
    target: &'a Target,
    present: Present<'_, 'a>,
) -> Result<Patches<'a>, InvalidCall> {
    let rules = &target.provider.openai_chat;
    let mut rewrite = Rewrite::new(present);
    if target.responses_tools == ResponsesTools::All {
        let tools = rewrite.present("tools");
        if tools.is_some_and(|tools| tools.trim() != "[]") {
            return Err(responses_unavailable());
        }
    }
    rewrite.configure(target);
    if let Some(name) = chosen_tool_that_is_missing(&rewrite) {
        rewrite.set("tool_choice", name);
    }
    rewrite.bound_output(
        BOUNDS,
        &rules.max_tokens_member,
        target.max_tokens.as_deref(),
    );
    let client_wants_stream = rewrite.present("stream").as_deref() == Some("true");
    if target.wants_stream(client_wants_stream) {
        rewrite.set("stream", "true");
        if target.asks_stream_usage {
            rewrite.set_default("stream_options", r#"{"include_usage":true}"#);
        }
    } else {
        rewrite.remove("stream_options");
        if rules.says_stream_false {
            rewrite.set("stream", "false");
        } else {
            rewrite.remove("stream");
        }
    }
    Ok(rewrite.into_patches())
}

/// Names and texts in messages that [`encode`] writes differently: those that only
/// LangChain and some providers know.
pub(crate) const REWRITTEN: &[&str] = &[
    "status",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "additional_kwargs",
    "artifact",
    "response_metadata",
    "usage_metadata",
    "tool_use",
    "thinking",
    "input_text",
    "input_image",
];

/// Whether messages of this format hold something that [`encode`] writes differently:
/// one of those words, or an empty content, which becomes null.
pub(crate) const fn rewrites(messages: &MessageWords) -> bool {
    messages.has_empty_content() || messages.has_any()
}

/// LangChain sends the bare name of a chosen tool that is not among the tools.
fn chosen_tool_that_is_missing(rewrite: &Rewrite<'_, '_>) -> Option<String> {
    let choice = rewrite.present("tool_choice")?;
    if !choice.starts_with('{') {
        return None;
    }
    let choice: Value = serde_json::from_str(&choice).ok()?;
    let name = &choice["function"]["name"];
    let written = name.as_str().map(|_| name.to_string())?;
    let tools = rewrite.present("tools").unwrap_or_default();
    (!tools.contains(&written)).then_some(written)
}

/// Canonical call → provider request.
pub(crate) fn encode(call: &ChatCall, target: &Target) -> Result<Encoded, InvalidCall> {
    let mut losses = Losses::default();
    let mut body = Map::new();
    body.insert("model".to_owned(), Value::Null);
    let messages = messages_json(call, target, &mut losses);
    body.insert("messages".to_owned(), messages.into());
    write_tools(call, target, &mut body, &mut losses)?;
    write_sampling(call, &mut body, &mut losses);
    write_rest(call, &mut body, &mut losses);
    let present = |name: &str| body.get(name).map(|value| Cow::Owned(value.to_string()));
    let patches = target.top_level(&present)?;
    apply(&mut body, patches)?;
    let body = serde_json::to_vec(&body)
        .map_err(|error| invalid("", &format!("cannot be written as JSON: {error}")))?;
    Ok(Encoded {
        request: HttpRequest {
            method: http::Method::POST,
            uri: target.uri.clone(),
            headers: target.headers.clone(),
            body: body.into(),
        },
        losses: losses.0,
    })
}

/// Applies patches to a body that is a tree.
fn apply(body: &mut Map<String, Value>, patches: Patches<'_>) -> Result<(), InvalidCall> {
    for (name, patch) in patches {
        match patch {
            Patch::Set(json) => {
                let value = serde_json::from_str(&json)
                    .map_err(|error| invalid(&name, &format!("is not JSON: {error}")))?;
                body.insert(name.into_owned(), value);
            }
            Patch::Remove => {
                body.shift_remove(name.as_ref());
            }
        }
    }
    Ok(())
}

/// What could not be said, each thing once.
#[derive(Default)]
struct Losses(Vec<Loss>);

impl Losses {
    fn add(&mut self, what: impl Into<String>) {
        let loss = Loss {
            what: what.into(),
            format: WireFormat::OpenAiChat,
        };
        if !self.0.contains(&loss) {
            self.0.push(loss);
        }
    }
}

const fn foreign(call: &ChatCall) -> Foreign {
    match call.dialect {
        WireFormat::OpenAiChat => Foreign::Keep,
        WireFormat::AnthropicMessages => Foreign::Leave,
    }
}

fn messages_json(call: &ChatCall, target: &Target, losses: &mut Losses) -> Vec<Value> {
    let mut writer = MessageWriter {
        foreign: foreign(call),
        uses_developer_role: target.uses_developer_role(),
        losses,
        messages: Vec::with_capacity(call.messages.len()),
    };
    for message in &call.messages {
        writer.write(message);
    }
    writer.messages
}

struct MessageWriter<'l> {
    foreign: Foreign,
    uses_developer_role: bool,
    losses: &'l mut Losses,
    messages: Vec<Value>,
}

impl MessageWriter<'_> {
    fn write(&mut self, message: &Message) {
        if message.role == Role::Assistant {
            return self.write_assistant(message);
        }
        // Elsewhere tool results stand in a user's message; here each is a message of
        // its own, before whatever else the user says.
        let mut moved = Vec::new();
        let mut has_results = false;
        for part in &message.content.parts {
            if let PartContent::ToolResult(result) = &part.content {
                has_results = true;
                self.write_tool_result(result, message, &mut moved);
            }
        }
        let others: Vec<&Part> = message
            .content
            .parts
            .iter()
            .filter(|part| !matches!(part.content, PartContent::ToolResult(_)))
            .collect();
        if !has_results || !others.is_empty() || !moved.is_empty() {
            let is_bare = message.content.is_bare_text && moved.is_empty();
            let mut content = moved;
            content.extend(self.parts_json(others));
            self.push(
                role_name(message.role, self.uses_developer_role),
                content,
                is_bare,
                message,
            );
        }
    }

    fn push(&mut self, role: &str, content: Vec<Value>, is_bare: bool, message: &Message) {
        let mut object = Map::new();
        object.insert("role".to_owned(), role.into());
        if let Some(name) = &message.name {
            object.insert("name".to_owned(), name.as_str().into());
        }
        object.insert("content".to_owned(), self.content_json(content, is_bare));
        self.extend(&mut object, message);
        self.messages.push(Value::Object(object));
    }

    /// A list of parts, or the one text that was or may be written bare.
    fn content_json(&self, parts: Vec<Value>, is_bare: bool) -> Value {
        let may_be_bare = is_bare || self.foreign == Foreign::Leave;
        match &parts[..] {
            [] if is_bare => "".into(),
            [only] if may_be_bare && only["type"] == "text" => only["text"].clone(),
            _ => Value::Array(parts),
        }
    }

    fn extend(&mut self, object: &mut Map<String, Value>, message: &Message) {
        for (name, value) in &message.extra {
            // LangChain's own words, which no provider knows.
            let is_langchains = matches!(
                name.as_str(),
                "additional_kwargs" | "artifact" | "response_metadata" | "usage_metadata"
            );
            if self.foreign == Foreign::Leave {
                self.losses.add(format!("messages.{name}"));
            } else if !is_langchains {
                object.insert(name.clone(), value.clone());
            }
        }
    }

    fn write_tool_result(
        &mut self,
        result: &ToolResult,
        message: &Message,
        moved: &mut Vec<Value>,
    ) {
        if result.is_error && self.foreign == Foreign::Leave {
            self.losses.add("messages.tool_result.is_error");
        }
        let mut content = self.parts_json(result.content.parts.iter().collect());
        if self.foreign == Foreign::Leave {
            // OpenAI takes nothing but text from a tool; pictures follow as the user's.
            let is_text = |part: &Value| part["type"] == "text";
            let (texts, media): (Vec<Value>, Vec<Value>) = content.into_iter().partition(is_text);
            moved.extend(media);
            content = texts;
        }
        let is_bare = result.content.is_bare_text || content.is_empty();
        let mut object = Map::new();
        object.insert("role".to_owned(), "tool".into());
        object.insert("tool_call_id".to_owned(), result.call_id.as_str().into());
        object.insert("content".to_owned(), self.content_json(content, is_bare));
        if message.role == Role::Tool {
            self.extend(&mut object, message);
        }
        self.messages.push(Value::Object(object));
    }

    fn write_assistant(&mut self, message: &Message) {
        let mut calls = Vec::new();
        let mut refusal = String::new();
        let mut others = Vec::new();
        for part in &message.content.parts {
            match &part.content {
                PartContent::ToolCall(call) if call.kind == ToolCallKind::Server => {
                    self.losses.add("messages.server_tool_call");
                }
                PartContent::ToolCall(call) => calls.push(tool_call_json(call)),
                PartContent::ToolResult(_) => self.losses.add("messages.server_tool_result"),
                PartContent::Refusal { text } => refusal.push_str(text),
                _ => others.push(part),
            }
        }
        let content = self.parts_json(others);
        let is_bare = message.content.is_bare_text;
        let is_empty = content
            .iter()
            .all(|part| part["type"] == "text" && part["text"] == "");
        let mut object = Map::new();
        object.insert("role".to_owned(), "assistant".into());
        if let Some(name) = &message.name {
            object.insert("name".to_owned(), name.as_str().into());
        }
        let content = if is_empty && (!calls.is_empty() || !is_bare) {
            Value::Null
        } else {
            self.content_json(content, is_bare)
        };
        object.insert("content".to_owned(), content);
        if !refusal.is_empty() {
            object.insert("refusal".to_owned(), refusal.into());
        }
        if !calls.is_empty() {
            object.insert("tool_calls".to_owned(), calls.into());
        }
        self.extend(&mut object, message);
        self.messages.push(Value::Object(object));
    }

    fn parts_json(&mut self, parts: Vec<&Part>) -> Vec<Value> {
        let mut written = Vec::with_capacity(parts.len());
        for part in parts {
            if part.cache.is_some() && self.foreign == Foreign::Leave {
                self.losses.add("messages.cache_control");
            }
            match part_json(part, self.foreign) {
                Some(value) => written.push(value),
                None => self.losses.add(loss_of(&part.content)),
            }
        }
        written
    }
}

const fn role_name(role: Role, uses_developer_role: bool) -> &'static str {
    match role {
        Role::System if uses_developer_role => "developer",
        Role::System => "system",
        Role::Developer => "developer",
        Role::Assistant => "assistant",
        Role::User | Role::Tool => "user",
    }
}

const fn loss_of(content: &PartContent) -> &'static str {
    match content {
        PartContent::Reasoning(_) => "messages.reasoning",
        PartContent::Image { .. } => "messages.image",
        PartContent::Document { .. } => "messages.document",
        PartContent::Audio { .. } => "messages.audio",
        PartContent::Video { .. } => "messages.video",
        _ => "messages.native",
    }
}

fn write_tools(
    call: &ChatCall,
    target: &Target,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) -> Result<(), InvalidCall> {
    let mut tools = Vec::with_capacity(call.tools.len());
    for tool in &call.tools {
        if tool.cache.is_some() && call.dialect != WireFormat::OpenAiChat {
            losses.add("tools.cache_control");
        }
        match tool_json(tool, foreign(call)) {
            Some(value) => tools.push(value),
            None => tools.extend(provider_tool(tool, call, target, losses)?),
        }
    }
    if !tools.is_empty() {
        body.insert("tools".to_owned(), tools.into());
    }
    if let Some(choice) = tool_choice_json(call, losses) {
        body.insert("tool_choice".to_owned(), choice);
    }
    if let Some(parallel) = call.parallel_tool_calls {
        body.insert("parallel_tool_calls".to_owned(), parallel.into());
    }
    Ok(())
}

/// A tool that a provider runs or defines: chat completions of its own dialect may
/// know it, any other loses it. A computer-use tool is never lost in silence.
fn provider_tool(
    tool: &Tool,
    call: &ChatCall,
    target: &Target,
    losses: &mut Losses,
) -> Result<Option<Value>, InvalidCall> {
    let has_responses = target.responses_tools != ResponsesTools::None;
    match &tool.kind {
        _ if has_responses && call.dialect == WireFormat::OpenAiChat => {
            Err(responses_unavailable())
        }
        ToolKind::ComputerUse { .. } => Err(invalid(
            "tools",
            "hold a computer-use tool, which chat completions cannot say",
        )),
        ToolKind::Native { declaration } if call.dialect == WireFormat::OpenAiChat => {
            Ok(Some(Value::Object(declaration.clone())))
        }
        _ => {
            losses.add("tools.native");
            Ok(None)
        }
    }
}

fn tool_choice_json(call: &ChatCall, losses: &mut Losses) -> Option<Value> {
    Some(match call.tool_choice.as_ref()? {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Named(name) => {
            let tool = call.tools.iter().find(|tool| tool.name() == Some(name));
            match tool.map(|tool| &tool.kind) {
                Some(ToolKind::Custom { .. }) => {
                    json!({"type": "custom", "custom": {"name": name}})
                }
                _ => json!({"type": "function", "function": {"name": name}}),
            }
        }
        ToolChoice::Native(value) if call.dialect == WireFormat::OpenAiChat => value.clone(),
        ToolChoice::Native(_) => {
            losses.add("tool_choice");
            return None;
        }
    })
}

fn write_sampling(call: &ChatCall, body: &mut Map<String, Value>, losses: &mut Losses) {
    let sampling = &call.sampling;
    let mut write = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    write("temperature", sampling.temperature.map(Value::from));
    write("top_p", sampling.top_p.map(Value::from));
    write("max_tokens", sampling.max_tokens.map(Value::from));
    write("seed", sampling.seed.map(Value::from));
    write(
        "frequency_penalty",
        sampling.frequency_penalty.map(Value::from),
    );
    write(
        "presence_penalty",
        sampling.presence_penalty.map(Value::from),
    );
    write("n", sampling.candidates.map(Value::from));
    write("logprobs", sampling.logprobs.map(Value::from));
    write("top_logprobs", sampling.top_logprobs.map(Value::from));
    write(
        "stop",
        match &sampling.stop[..] {
            [] => None,
            [only] if sampling.stop_is_bare_text => Some(only.as_str().into()),
            texts => Some(texts.into()),
        },
    );
    if call.dialect == WireFormat::OpenAiChat {
        write("top_k", sampling.top_k.map(Value::from));
    } else if sampling.top_k.is_some() {
        losses.add("top_k");
    }
}

fn write_rest(call: &ChatCall, body: &mut Map<String, Value>, losses: &mut Losses) {
    if call.stream {
        body.insert("stream".to_owned(), true.into());
    }
    if let Some(format) = &call.response_format {
        body.insert("response_format".to_owned(), response_format_json(format));
    }
    if call.dialect != WireFormat::OpenAiChat {
        if call.reasoning.is_some() {
            losses.add("reasoning");
        }
        for name in call.extra.keys() {
            losses.add(name);
        }
        return;
    }
    if let Some(include) = call.stream_usage {
        body.insert(
            "stream_options".to_owned(),
            json!({"include_usage": include}),
        );
    }
    if let Some(reasoning) = &call.reasoning {
        let inner = reasoning
            .native
            .as_ref()
            .and_then(|native| native["effort"].as_str());
        if let Some(effort) = reasoning
            .effort
            .as_deref()
            .filter(|effort| inner != Some(effort))
        {
            body.insert("reasoning_effort".to_owned(), effort.into());
        }
        if let Some(native) = &reasoning.native {
            body.insert("reasoning".to_owned(), native.clone());
        }
    }
    body.extend(call.extra.clone());
}

fn response_format_json(format: &ResponseFormat) -> Value {
    match format {
        ResponseFormat::Text => json!({"type": "text"}),
        ResponseFormat::JsonObject => json!({"type": "json_object"}),
        ResponseFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
        } => {
            let mut inner = Map::new();
            inner.insert("name".to_owned(), name.as_str().into());
            if let Some(description) = description {
                inner.insert("description".to_owned(), description.as_str().into());
            }
            if let Some(strict) = strict {
                inner.insert("strict".to_owned(), (*strict).into());
            }
            inner.insert("schema".to_owned(), schema.clone());
            json!({"type": "json_schema", "json_schema": inner})
        }
    }
}
