//! What one event of a passed-through stream says that we must know.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;

use super::usage::malformed;
use crate::chat::WireFormat;
use crate::error::ProviderError;
use crate::framing::sse::Event;

/// What one event says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Notice {
    /// It shows something of the answer, or that the answer is whole.
    pub(super) is_content: bool,
    /// The answer has stopped for a reason.
    pub(super) is_finish: bool,
    /// A block of the answer is whole: a text, a thought or a tool call.
    pub(super) ends_block: bool,
    /// What the event adds to, where that alone tells where a block ends.
    pub(super) grows: Option<Growth>,
    /// It is the stream's last event.
    pub(super) is_end: bool,
    /// It belongs to an answer, even if it says nothing of it.
    pub(super) is_of_answer: bool,
    /// It tells usage and nothing else.
    pub(super) is_usage_only: bool,
    /// Its report of tokens.
    pub(super) usage: Option<Value>,
    /// The failure that it reports.
    pub(super) error: Option<Value>,
}

/// What a chunk of OpenAI's adds to the first of its choices. Its blocks have no end of
/// their own: one is whole when the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Growth {
    /// The first block that grows.
    pub(super) first: Block,
    /// The last, which may still grow.
    pub(super) last: Block,
}

/// Which block of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Reasoning,
    Content,
    Refusal,
    /// By its place among the tool calls.
    ToolCall(u64),
}

/// Reads an event as far as it must be known.
///
/// # Errors
/// When its data is not JSON. Data of an unknown shape says nothing.
pub(super) fn read(dialect: WireFormat, event: &Event<'_>) -> Result<Notice, ProviderError> {
    match dialect {
        WireFormat::OpenAiChat => openai_chat(event.data),
        WireFormat::OpenAiResponses => openai_responses(event),
        WireFormat::AnthropicMessages => anthropic_messages(event),
    }
}

fn openai_chat(data: &str) -> Result<Notice, ProviderError> {
    let data = data.trim_ascii();
    if data.is_empty() {
        return Ok(Notice::default());
    }
    if data == "[DONE]" {
        return Ok(Notice {
            is_content: true,
            is_end: true,
            ..Notice::default()
        });
    }
    let chunk: Chunk = parse(data)?;
    let choices = chunk.choices.unwrap_or_default();
    let usage = chunk.usage.or_else(|| chunk.x_groq?.usage);
    Ok(Notice {
        is_content: choices.has_content || choices.has_finish,
        is_finish: choices.has_finish,
        ends_block: choices.has_finish,
        grows: choices.grows,
        is_end: false,
        is_of_answer: choices.has_any,
        is_usage_only: choices.is_empty_list && usage.is_some(),
        usage,
        error: chunk.error,
    })
}

fn anthropic_messages(event: &Event<'_>) -> Result<Notice, ProviderError> {
    let mut notice = Notice::default();
    let kind = match event.name {
        "" => Cow::Owned(parse::<Typed>(event.data)?.kind),
        name => Cow::Borrowed(name),
    };
    match &*kind {
        "content_block_delta" => notice.is_content = true,
        "content_block_stop" => notice.ends_block = true,
        "content_block_start" => {
            let start: BlockStart = parse(event.data)?;
            notice.is_content = start
                .content_block
                .is_some_and(|block| block.shows_something());
        }
        "message_start" => {
            notice.is_of_answer = true;
            notice.usage = parse::<MessageStart>(event.data)?.message.usage;
        }
        "message_delta" => {
            notice.usage = parse::<Reported>(event.data)?.usage;
            notice.is_content = true;
            notice.is_finish = true;
            notice.ends_block = true;
        }
        "message_stop" => {
            notice.is_content = true;
            notice.is_end = true;
            notice.is_of_answer = true;
        }
        "error" => {
            let failed: Failed = parse(event.data)?;
            notice.error = Some(failed.error.unwrap_or(Value::Null));
        }
        _ => {}
    }
    Ok(notice)
}

fn openai_responses(event: &Event<'_>) -> Result<Notice, ProviderError> {
    let mut notice = Notice::default();
    if event.data.trim_ascii() == "[DONE]" {
        return Ok(notice);
    }
    let kind = match event.name {
        "" => Cow::Owned(parse::<Typed>(event.data)?.kind),
        name => Cow::Borrowed(name),
    };
    match &*kind {
        "response.created" => notice.is_of_answer = true,
        "response.output_item.added" => {
            let added: ItemAdded = parse(event.data)?;
            let begins_empty = matches!(&*added.item.kind, "message" | "reasoning" | "");
            notice.is_content = !begins_empty;
            notice.is_of_answer = true;
        }
        "response.content_part.done" => notice.ends_block = true,
        "response.output_item.done" => {
            notice.is_content = true;
            notice.ends_block = true;
        }
        "response.completed" | "response.incomplete" => {
            notice.usage = parse::<Responded>(event.data)?.response.usage;
            notice.is_content = true;
            notice.is_finish = true;
            notice.is_end = true;
            notice.is_of_answer = true;
        }
        "response.failed" | "response.cancelled" => {
            let failed: FailedResponse = parse(event.data)?;
            notice.error = Some(failed.response.error.unwrap_or(Value::Null));
        }
        "error" => notice.error = Some(parse(event.data)?),
        kind if kind.ends_with(".delta") => {
            parse::<IgnoredAny>(event.data)?;
            notice.is_content = true;
        }
        _ => {}
    }
    Ok(notice)
}

/// Reads JSON. JSON of another shape is the default, since a provider's novelty must
/// not break an answer that its client may well understand.
fn parse<'de, T: Deserialize<'de> + Default>(data: &'de str) -> Result<T, ProviderError> {
    match serde_json::from_str(data) {
        Ok(value) => Ok(value),
        Err(error) if error.is_data() => Ok(T::default()),
        Err(error) => Err(malformed(&format!(
            "an event of the stream is not JSON: {error}"
        ))),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Chunk {
    choices: Option<Choices>,
    usage: Option<Value>,
    /// Where Groq reports usage, in the last chunk of the answer.
    x_groq: Option<Reported>,
    error: Option<Value>,
}

/// What all choices of a chunk say together.
#[derive(Default)]
struct Choices {
    is_empty_list: bool,
    has_any: bool,
    has_content: bool,
    has_finish: bool,
    grows: Option<Growth>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice {
    index: Option<Value>,
    delta: Option<Delta>,
    finish_reason: Filled,
}

/// Whether a delta holds anything besides its role.
#[derive(Default)]
struct Delta {
    has_content: bool,
    grows: Option<Growth>,
}

/// Whether a value is anything but null, an empty text, an empty list or an empty object.
#[derive(Clone, Copy, Default)]
struct Filled(bool);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MessageStart {
    message: Reported,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reported {
    usage: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Failed {
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ItemAdded<'a> {
    #[serde(borrow)]
    item: Item<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Responded {
    response: Reported,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FailedResponse {
    response: Failed,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BlockStart<'a> {
    #[serde(borrow)]
    content_block: Option<Beginning<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Beginning<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    text: Filled,
    thinking: Filled,
}

impl Beginning<'_> {
    /// Texts and thoughts begin empty; every other block says something by being there.
    fn shows_something(&self) -> bool {
        let begins_empty = matches!(&*self.kind, "text" | "thinking");
        !begins_empty || self.text.0 || self.thinking.0
    }
}

impl<'de> Deserialize<'de> for Choices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ChoicesVisitor)
    }
}

struct ChoicesVisitor;

impl<'de> Visitor<'de> for ChoicesVisitor {
    type Value = Choices;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of choices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Choices, A::Error> {
        let mut choices = Choices {
            is_empty_list: true,
            ..Choices::default()
        };
        while let Some(choice) = items.next_element::<Choice>()? {
            choices.is_empty_list = false;
            choices.has_any = true;
            let is_first = choice.index.is_none_or(|index| index == 0);
            let delta = choice.delta.unwrap_or_default();
            choices.has_content |= delta.has_content;
            if is_first {
                choices.grows = delta.grows;
            }
            choices.has_finish |= choice.finish_reason.0;
        }
        Ok(choices)
    }
}

impl<'de> Deserialize<'de> for Delta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DeltaVisitor)
    }
}

struct DeltaVisitor;

impl<'de> Visitor<'de> for DeltaVisitor {
    type Value = Delta;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a delta")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Delta, A::Error> {
        let mut delta = Delta::default();
        while let Some(member) = members.next_key::<Member>()? {
            let (first, last) = match member {
                Member::Role => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
                Member::ToolCalls => {
                    let calls: Value = members.next_value()?;
                    let calls = calls.as_array().map(Vec::as_slice).unwrap_or_default();
                    delta.has_content |= !calls.is_empty();
                    (calls.first().map(tool_call), calls.last().map(tool_call))
                }
                Member::Block(block) => {
                    let is_filled = members.next_value::<Filled>()?.0;
                    delta.has_content |= is_filled;
                    let block = is_filled.then_some(block);
                    (block, block)
                }
                Member::Other => {
                    delta.has_content |= members.next_value::<Filled>()?.0;
                    continue;
                }
            };
            if let (Some(first), Some(last)) = (first, last) {
                let first = delta.grows.map_or(first, |before| before.first);
                delta.grows = Some(Growth { first, last });
            }
        }
        Ok(delta)
    }
}

fn tool_call(call: &Value) -> Block {
    Block::ToolCall(call["index"].as_u64().unwrap_or_default())
}

/// A member of a delta.
enum Member {
    Role,
    ToolCalls,
    Block(Block),
    Other,
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Member;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Member, E> {
                Ok(match name {
                    "role" => Member::Role,
                    "content" => Member::Block(Block::Content),
                    "refusal" => Member::Block(Block::Refusal),
                    "tool_calls" => Member::ToolCalls,
                    "function_call" => Member::Block(Block::ToolCall(0)),
                    // Providers call it `reasoning`, `reasoning_content`, `reasoning_details`.
                    name if name.starts_with("reasoning") => Member::Block(Block::Reasoning),
                    _ => Member::Other,
                })
            }
        }
        deserializer.deserialize_identifier(NameVisitor)
    }
}

impl<'de> Deserialize<'de> for Filled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FilledVisitor)
    }
}

struct FilledVisitor;

impl<'de> Visitor<'de> for FilledVisitor {
    type Value = Filled;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Filled, E> {
        Ok(Filled(false))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Filled, E> {
        Ok(Filled(true))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Filled, E> {
        Ok(Filled(true))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Filled, E> {
        Ok(Filled(true))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Filled, E> {
        Ok(Filled(true))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Filled, E> {
        Ok(Filled(!text.is_empty()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Filled, A::Error> {
        let mut is_filled = false;
        while items.next_element::<IgnoredAny>()?.is_some() {
            is_filled = true;
        }
        Ok(Filled(is_filled))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Filled, A::Error> {
        let mut is_filled = false;
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            is_filled = true;
        }
        Ok(Filled(is_filled))
    }
}
