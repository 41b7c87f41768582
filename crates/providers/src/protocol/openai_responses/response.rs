//! Whole answers, in both directions.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::error::{decode_embedded, malformed, unreadable};
use super::items::parse_output;
use super::output::{Items, request_members};
use super::usage::{usage_from, usage_json};
use crate::chat::Extra;
use crate::chat::part::{Part, PartContent, ToolCallKind};
use crate::chat::reply::{ChatReply, Choice, FinishReason};
use crate::chat::usage::Usage;
use crate::error::{InvalidCall, ProviderError};
use crate::json::Members;

/// Provider answer of status 2xx → canonical reply.
pub(crate) fn decode(body: &[u8]) -> Result<ChatReply, ProviderError> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| malformed(format!("the provider's answer is not JSON: {error}")))?;
    if !value["error"].is_null() {
        return Err(decode_embedded(&value["error"]));
    }
    if value["status"] == "failed" {
        return Err(decode_embedded(&json!({"message": "the provider failed"})));
    }
    reply_from(value).map_err(|problem| unreadable(&problem))
}

fn reply_from(value: Value) -> Result<ChatReply, InvalidCall> {
    let mut members = Members::of(value, "")?;
    let items = members
        .take_array("output")?
        .ok_or_else(|| members.error("output", "is missing"))?;
    let mut parts = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        parts.extend(parse_output(without_nulls(item), &format!("output[{index}]"))?.parts);
    }
    let ending = Ending::take(&mut members, Said::of(&parts));
    Ok(ChatReply {
        id: members.take_loose_text("id"),
        model: members.take_loose_text("model"),
        created: created(&mut members),
        usage: members.take("usage").as_ref().and_then(usage_from),
        choices: vec![Choice {
            index: 0,
            parts,
            finish_reason: Some(ending.reason),
            native_finish_reason: Some(ending.native),
            ..Choice::default()
        }],
        extra: answer_extra(members),
    })
}

/// Members that are null say nothing.
pub(super) fn without_nulls(mut item: Value) -> Value {
    if let Value::Object(members) = &mut item {
        members.retain(|name, value| !value.is_null() && name != "role");
    }
    item
}

/// When an answer was made; the API writes whole seconds, at times as `1.0`.
pub(super) fn created(members: &mut Members) -> Option<i64> {
    members.take_integer("created_at").unwrap_or_default()
}

/// What is left of an answer once the types have what they name.
pub(super) fn answer_extra(mut members: Members) -> Extra {
    for implied in ["object", "output_text", "completed_at"] {
        members.take(implied);
    }
    members.rest()
}

/// What an answer holds that tells why it ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// A call that the client must answer.
    pub(super) has_call: bool,
    /// A refusal.
    pub(super) has_refusal: bool,
}

impl Said {
    fn of(parts: &[Part]) -> Self {
        let mut said = Self::default();
        for part in parts {
            said.note(part);
        }
        said
    }

    pub(super) fn note(&mut self, part: &Part) {
        match &part.content {
            PartContent::ToolCall(call) => self.has_call |= call.kind != ToolCallKind::Server,
            PartContent::Refusal { .. } => self.has_refusal = true,
            _ => {}
        }
    }
}

/// Why an answer ended.
pub(super) struct Ending {
    pub(super) reason: FinishReason,
    pub(super) native: String,
}

impl Ending {
    /// Takes `status` and `incomplete_details`.
    pub(super) fn take(members: &mut Members, said: Said) -> Self {
        let status = members.take_loose_text("status");
        let details = members.take("incomplete_details").unwrap_or_default();
        let status = status.unwrap_or_else(|| "completed".to_owned());
        let why = details["reason"].as_str();
        let reason = match (status.as_str(), why) {
            ("incomplete", Some("content_filter")) => FinishReason::ContentFilter,
            ("incomplete", _) => FinishReason::Length,
            ("failed" | "cancelled", _) => FinishReason::Error,
            _ if said.has_call => FinishReason::ToolCalls,
            _ if said.has_refusal => FinishReason::Refusal,
            _ => FinishReason::Stop,
        };
        Self {
            reason,
            native: why.map_or(status, str::to_owned),
        }
    }
}

/// Canonical reply → client answer. `model` stands in where the provider named none. Of
/// several answers, this format can say the first only.
pub(crate) fn render(reply: &ChatReply, model: &str) -> Bytes {
    let head = Head {
        id: response_id(reply.id.as_deref()),
        model: reply.model.as_deref().unwrap_or(model).to_owned(),
        created: reply.created.unwrap_or_default(),
        extra: reply.extra.clone(),
    };
    let choice = reply.choices.first();
    let mut items = Items::of(&head.id);
    if let Some(choice) = choice {
        items.add(&choice.parts);
        add_logprobs(&mut items.items, choice.logprobs.as_ref());
    }
    let reason = choice.and_then(|choice| choice.finish_reason);
    let answer = head.answer(
        status_of(reason),
        reason,
        &items.items,
        reply.usage.as_ref(),
    );
    Value::Object(answer).to_string().into()
}

/// Log probabilities in the shape of chat completions stand beside the text here.
fn add_logprobs(items: &mut [Value], logprobs: Option<&Value>) {
    let Some(content) = logprobs.map(|logprobs| &logprobs["content"]) else {
        return;
    };
    let texts = items
        .iter_mut()
        .filter_map(|item| item["content"].as_array_mut());
    if let (Some(text), true) = (texts.flatten().next(), content.is_array()) {
        text["logprobs"] = content.clone();
    }
}

/// The id of an answer, in this format's form.
pub(super) fn response_id(id: Option<&str>) -> String {
    match id {
        Some(id) if id.starts_with("resp_") => id.to_owned(),
        Some(id) => format!("resp_{id}"),
        None => "resp_0".to_owned(),
    }
}

/// How far an answer has come.
pub(super) const fn status_of(reason: Option<FinishReason>) -> &'static str {
    match reason {
        Some(FinishReason::Length | FinishReason::ContentFilter) => "incomplete",
        Some(FinishReason::Error) => "failed",
        _ => "completed",
    }
}

/// What is said of an answer as a whole.
pub(super) struct Head {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) created: i64,
    pub(super) extra: Extra,
}

impl Head {
    /// The object of the whole answer as far as it has come.
    pub(super) fn answer(
        &self,
        status: &str,
        reason: Option<FinishReason>,
        output: &[Value],
        usage: Option<&Usage>,
    ) -> Map<String, Value> {
        let details = match reason {
            Some(FinishReason::ContentFilter) => json!({"reason": "content_filter"}),
            Some(FinishReason::Length) => json!({"reason": "max_output_tokens"}),
            _ => Value::Null,
        };
        let failure = match status {
            "failed" => json!({"code": "server_error", "message": "The provider broke off."}),
            _ => Value::Null,
        };
        let mut answer = Map::new();
        let mut set = |name: &str, value: Value| {
            answer.insert(name.to_owned(), value);
        };
        set("id", self.id.as_str().into());
        set("object", "response".into());
        set("created_at", self.created.into());
        set("status", status.into());
        set("error", failure);
        set("incomplete_details", details);
        set("model", self.model.as_str().into());
        set("output", output.into());
        for (name, standing_in) in request_members() {
            let given = self.extra.get(&name).cloned();
            set(&name, given.unwrap_or(standing_in));
        }
        if let Some(tier) = self.extra.get("service_tier") {
            set("service_tier", tier.clone());
        }
        set("usage", usage.map_or(Value::Null, usage_json));
        answer
    }
}
