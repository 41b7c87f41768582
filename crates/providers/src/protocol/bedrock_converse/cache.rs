//! Cache points: marks up to which a prompt is kept.

use serde_json::{Map, Value, json};

use super::models::Model;

/// How many Bedrock takes in a request.
const MAX_POINTS: usize = 4;

/// A mark. A lifetime is said where it is not the usual one.
pub(super) fn point(ttl: Option<&str>) -> Value {
    match ttl.filter(|ttl| !ttl.is_empty() && *ttl != "5m") {
        Some(ttl) => json!({"cachePoint": {"type": "default", "ttl": ttl}}),
        None => json!({"cachePoint": {"type": "default"}}),
    }
}

/// Whether a block, or an entry of the tools, is a mark.
pub(super) fn is_point(block: &Value) -> bool {
    block
        .get("cachePoint")
        .is_some_and(|point| point.get("type").is_some_and(|kind| !kind.is_null()))
}

/// Sets marks where a request asks for a cache by one `cache_control` at its top, as
/// LangChain does: at the end of the system prompt, of the conversation, of the tools,
/// and, for Claude, of the conversation before the last turn.
pub(super) fn apply(
    control: &Value,
    model: &Model<'_>,
    system: &mut Vec<Value>,
    messages: &mut [Value],
    body: &mut Map<String, Value>,
) {
    let is_nova = model.is_nova();
    let ttl = control.get("ttl").and_then(Value::as_str);
    let mark = point(ttl.filter(|_| !is_nova));
    let mut no_tools = Vec::new();
    let tools = match body
        .get_mut("toolConfig")
        .and_then(|config| config.get_mut("tools"))
    {
        Some(Value::Array(tools)) => tools,
        _ => &mut no_tools,
    };
    let written = count(system) + count(tools) + messages.iter().map(count_in).sum::<usize>();
    let mut budget = MAX_POINTS.saturating_sub(written);
    let set = |blocks: &mut Vec<Value>, budget: &mut usize| {
        if *budget > 0 && !blocks.iter().any(is_point) {
            blocks.push(mark.clone());
            *budget -= 1;
        }
    };
    if !system.is_empty() {
        set(system, &mut budget);
    }
    let turns = messages.len();
    if let Some(last) = messages.last_mut().and_then(content)
        && !(is_nova && last.iter().any(is_about_tools))
    {
        set(last, &mut budget);
    }
    if !tools.is_empty() && !is_nova {
        set(tools, &mut budget);
    }
    if model.is_anthropic()
        && !is_nova
        && written == 0
        && turns >= 2
        && let Some(earlier) = messages.get_mut(turns - 2).and_then(content)
        && earlier
            .last()
            .is_none_or(|block| block.get("reasoningContent").is_none())
    {
        set(earlier, &mut budget);
    }
}

fn content(message: &mut Value) -> Option<&mut Vec<Value>> {
    message.get_mut("content")?.as_array_mut()
}

fn count(blocks: &[Value]) -> usize {
    blocks.iter().filter(|block| is_point(block)).count()
}

fn count_in(message: &Value) -> usize {
    message["content"]
        .as_array()
        .map_or(0, |blocks| count(blocks))
}

fn is_about_tools(block: &Value) -> bool {
    block.get("toolUse").is_some() || block.get("toolResult").is_some()
}
