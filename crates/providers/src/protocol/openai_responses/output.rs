//! What a model answers, as the items of the Responses API.

use serde_json::{Map, Value, json};

use super::items::{reasoning_json, tool_call_json};
use super::types::{Said, object, part_json};
use crate::chat::WireFormat;
use crate::chat::part::{Part, PartContent, Reasoning, ToolCall, ToolCallKind};

/// Items beside messages, thinking and calls that clients of this format know.
pub(crate) const OUTPUT_ITEMS: [&str; 18] = [
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "compaction",
    "computer_call",
    "custom_tool_call",
    "file_search_call",
    "function_call",
    "image_generation_call",
    "local_shell_call",
    "mcp_approval_request",
    "mcp_call",
    "mcp_list_tools",
    "shell_call",
    "shell_call_output",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
];

/// Makes items, and names those that their provider has not named.
pub(super) struct Items {
    /// What tells the answer's items from those of another answer.
    suffix: String,
    /// The items so far.
    pub(super) items: Vec<Value>,
}

impl Items {
    /// Begins the items of an answer.
    pub(super) fn of(response_id: &str) -> Self {
        let suffix = response_id.strip_prefix("resp_").unwrap_or(response_id);
        Self {
            suffix: suffix.to_owned(),
            items: Vec::new(),
        }
    }

    fn own_id(&self, prefix: &str) -> String {
        format!("{prefix}_qm_{}_{}", self.suffix, self.items.len())
    }

    /// A message without content.
    pub(super) fn message(&self, part: &Part) -> Value {
        let id = given_id(part).map_or_else(|| self.own_id("msg"), str::to_owned);
        let mut item = json!({
            "id": id, "type": "message", "status": "in_progress", "role": "assistant",
            "content": [],
        });
        if let Some(phase) = part.extra.get("phase") {
            item["phase"] = phase.clone();
        }
        item
    }

    /// A piece of thinking.
    pub(super) fn reasoning(&self, reasoning: &Reasoning, part: &Part) -> Value {
        // An id of ours says that the proof is another vendor's: see `items.rs`.
        let is_foreign = reasoning.signature.is_some() || reasoning.id.is_none();
        let id = match &reasoning.id {
            Some(id) if !is_foreign => id.clone(),
            _ => self.own_id("rs"),
        };
        reasoning_json(reasoning, &id, &part.extra)
    }

    /// A call. None for a tool that the provider ran itself in a shape of its own.
    pub(super) fn tool_call(&self, call: &ToolCall, part: &Part) -> Option<Value> {
        let prefix = match call.kind {
            ToolCallKind::Server => return None,
            ToolCallKind::Custom => "ctc",
            ToolCallKind::Function | ToolCallKind::ComputerUse => "fc",
        };
        let id = given_id(part).map_or_else(|| self.own_id(prefix), str::to_owned);
        let mut item = object(tool_call_json(call));
        item.shift_insert(0, "id".to_owned(), id.into());
        item.insert("status".to_owned(), "in_progress".into());
        if call.kind == ToolCallKind::ComputerUse {
            item.insert("pending_safety_checks".to_owned(), json!([]));
        }
        for (name, value) in &part.extra {
            let is_said = name == "pending_safety_checks";
            if is_said || !item.contains_key(name) {
                item.insert(name.clone(), value.clone());
            }
        }
        Some(Value::Object(item))
    }

    /// All parts of an answer.
    pub(super) fn add(&mut self, parts: &[Part]) {
        let mut open = None;
        for part in parts {
            match &part.content {
                PartContent::Text { .. } | PartContent::Refusal { .. } => {
                    open = Some(self.add_said(part, open));
                    continue;
                }
                PartContent::Reasoning(reasoning) => self.add_reasoning(reasoning, part),
                PartContent::ToolCall(call) => {
                    let item = self.tool_call(call, part).map(completed);
                    self.items.extend(item);
                }
                PartContent::Native(item) if is_output_item(item) => self.items.push(item.clone()),
                _ => continue,
            }
            open = None;
        }
    }

    fn add_said(&mut self, part: &Part, open: Option<usize>) -> usize {
        let place = open.filter(|place| belongs(part, &self.items[*place]));
        let place = place.unwrap_or_else(|| {
            self.items.push(completed(self.message(part)));
            self.items.len() - 1
        });
        if let Some(content) = self.items[place]["content"].as_array_mut() {
            content.extend(said_json(part));
        }
        place
    }

    fn add_reasoning(&mut self, reasoning: &Reasoning, part: &Part) {
        match self.items.last_mut() {
            Some(last) if is_same_thinking(reasoning, last) => {
                if let Some(encrypted) = &reasoning.encrypted {
                    last["encrypted_content"] = encrypted.as_str().into();
                }
            }
            _ => self.items.push(self.reasoning(reasoning, part)),
        }
    }
}

/// Whether a piece continues a piece of thinking, whose hidden form a stream gives apart.
pub(super) fn is_same_thinking(reasoning: &Reasoning, item: &Value) -> bool {
    let id = reasoning.id.as_deref();
    id.is_some() && item["type"] == "reasoning" && item["id"].as_str() == id
}

/// Whether a piece of text belongs to a message: unless it names another.
pub(super) fn belongs(part: &Part, item: &Value) -> bool {
    given_id(part).is_none_or(|id| item["id"] == id)
}

fn given_id(part: &Part) -> Option<&str> {
    part.extra.get("id")?.as_str()
}

/// A piece of text as it stands in an answer: log probabilities and all.
pub(super) fn said_json(part: &Part) -> Option<Value> {
    let mut said = part_json(part, Said::Out, WireFormat::OpenAiResponses)?;
    if said["type"] == "output_text" && said.get("logprobs").is_none() {
        said["logprobs"] = json!([]);
    }
    Some(said)
}

/// Whether clients of this format know the item.
pub(super) fn is_output_item(item: &Value) -> bool {
    let kind = item["type"].as_str();
    kind.is_some_and(|kind| OUTPUT_ITEMS.contains(&kind))
}

/// An item that is done.
pub(super) fn completed(mut item: Value) -> Value {
    if item
        .get("status")
        .is_some_and(|status| status == "in_progress")
    {
        item["status"] = "completed".into();
    }
    item
}

/// Members of an answer that repeat the request, with what stands in where no provider of
/// this format has repeated it.
pub(super) fn request_members() -> Map<String, Value> {
    object(json!({
        "instructions": null,
        "metadata": {},
        "parallel_tool_calls": true,
        "temperature": null,
        "tool_choice": "auto",
        "tools": [],
        "top_p": null,
        "max_output_tokens": null,
        "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null},
        "store": false,
        "text": {"format": {"type": "text"}},
        "truncation": "disabled",
        "user": null,
    }))
}
