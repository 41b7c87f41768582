//! How long an answer a request asks for, as far as it is its own dialect that says so.

use providers::chat::WireFormat;

use crate::attempt::Call;

/// More answers to one question nobody gives.
const MOST_CHOICES: u64 = 128;

/// The members that bound an answer. Those of other dialects bound nothing: whoever reads
/// the request ignores them.
const fn bounds(dialect: WireFormat) -> &'static [&'static str] {
    match dialect {
        WireFormat::OpenAiChat => &["max_completion_tokens", "max_tokens"],
        WireFormat::OpenAiResponses => &["max_output_tokens"],
        WireFormat::AnthropicMessages => &["max_tokens"],
    }
}

/// The most tokens that one answer to the call may have, where it says so. Of two bounds
/// the larger one holds, since providers differ in which of them they read; none means
/// nothing by a bound of zero.
pub(super) fn tokens(call: &Call) -> Option<u64> {
    if call.envelope().is_none() {
        let bound = call.canonical().ok()?.sampling.max_tokens?;
        return u64::try_from(bound).ok();
    }
    let said = bounds(call.dialect)
        .iter()
        .filter_map(|name| number(call, name));
    said.max().filter(|bound| *bound > 0)
}

/// How many answers the call wants; all of them are paid for.
pub(super) fn choices(call: &Call) -> u64 {
    match call.dialect {
        WireFormat::OpenAiChat => number(call, "n").unwrap_or(1).clamp(1, MOST_CHOICES),
        WireFormat::OpenAiResponses | WireFormat::AnthropicMessages => 1,
    }
}

fn number(call: &Call, name: &str) -> Option<u64> {
    std::str::from_utf8(call.envelope()?.member(name)?)
        .ok()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use providers::pass_through::Envelope;
    use serde_json::{Value, json};

    use super::*;

    fn call(dialect: WireFormat, members: Value) -> Call {
        let mut body = json!({"model": "m", "messages": [], "input": "hi"});
        let (Value::Object(body_members), Value::Object(members)) = (&mut body, members) else {
            unreachable!("both are objects");
        };
        body_members.extend(members);
        let envelope = Envelope::scan(dialect, Bytes::from(body.to_string())).expect("a body");
        Call::of_body(envelope)
    }

    #[test]
    fn only_the_members_of_the_dialect_bound_an_answer_and_the_largest_holds() {
        use WireFormat::{AnthropicMessages, OpenAiChat, OpenAiResponses};
        let table = [
            (
                OpenAiResponses,
                json!({"max_output_tokens": 100_000, "max_tokens": 0}),
                Some(100_000),
                1,
            ),
            (
                OpenAiResponses,
                json!({"max_output_tokens": 7, "max_completion_tokens": 1, "n": 9}),
                Some(7),
                1,
            ),
            (OpenAiResponses, json!({"max_tokens": 1}), None, 1),
            (
                AnthropicMessages,
                json!({"max_tokens": 50, "max_completion_tokens": 1, "n": 9}),
                Some(50),
                1,
            ),
            (
                OpenAiChat,
                json!({"max_completion_tokens": 1, "max_tokens": 60}),
                Some(60),
                1,
            ),
            (
                OpenAiChat,
                json!({"max_completion_tokens": 70, "max_tokens": 0, "n": 3}),
                Some(70),
                3,
            ),
            (OpenAiChat, json!({"max_output_tokens": 1, "n": 0}), None, 1),
            (OpenAiChat, json!({"max_tokens": 0}), None, 1),
            (
                OpenAiChat,
                json!({"max_tokens": -1, "n": 1_000_000}),
                None,
                128,
            ),
        ];
        for (dialect, members, expected, answers) in table {
            let call = call(dialect, members.clone());
            assert_eq!(tokens(&call), expected, "{dialect:?} {members}");
            assert_eq!(choices(&call), answers, "{dialect:?} {members}");
        }
    }
}
