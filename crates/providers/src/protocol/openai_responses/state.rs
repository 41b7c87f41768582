//! Answers that are kept: Quartermaster keeps none, so that a client cannot refer to one.
//!
//! An answer that the provider keeps belongs to the provider's account, which many
//! organisations may share: only a configuration may have calls continue one.

use std::borrow::Cow;

use crate::error::InvalidCall;

/// Members that name something which a provider's account keeps.
pub(crate) const REFERENCES: [&str; 3] = ["previous_response_id", "conversation", "prompt"];

/// The JSON text of a member of the client's request.
pub(crate) type Member<'m> = &'m dyn Fn(&str) -> Option<Cow<'m, str>>;

/// Refuses a request, of whatever format, that is about an answer, a conversation or a
/// prompt that is kept somewhere. Chat completions are refused too: some of their calls go
/// through the Responses API, with these members.
///
/// # Errors
/// When the request names one, asks to be kept, or is to be answered later.
pub(crate) fn refuse(member: Member<'_>) -> Result<(), InvalidCall> {
    let is_given = |name: &str| member(name).is_some_and(|value| value.trim() != "null");
    let is_true = |name: &str| member(name).is_some_and(|value| value.trim() == "true");
    let refused = if is_given("previous_response_id") {
        Some((
            "previous_response_id",
            "cannot be used: no answers are kept here. Send the whole conversation as `input`, \
             with the items of earlier answers, and `include: \
             [\"reasoning.encrypted_content\"]` to keep the model's reasoning",
        ))
    } else if is_given("conversation") {
        Some((
            "conversation",
            "cannot be used: no conversations are kept here. Send the whole conversation as \
             `input`",
        ))
    } else if is_given("prompt") {
        Some((
            "prompt",
            "cannot be used: no prompts are kept here. Send its text as `instructions` or \
             in a message",
        ))
    } else if is_true("background") {
        Some((
            "background",
            "cannot be true: no answers are kept here that could be asked for later. Leave it \
             out, and read the answer or its stream",
        ))
    } else if is_true("store") {
        Some((
            "store",
            "cannot be true: no answers are kept here that could be asked for later. Leave it \
             out, or send false",
        ))
    } else {
        None
    };
    match refused {
        None => Ok(()),
        Some((name, problem)) => Err(InvalidCall {
            message: format!("`{name}` {problem}"),
            parameter: Some(name.to_owned()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, value: &str) -> Option<String> {
        let member = |asked: &str| (asked == name).then(|| Cow::Owned(value.to_owned()));
        refuse(&member).err().and_then(|error| error.parameter)
    }

    #[test]
    fn only_what_asks_for_kept_answers_is_refused() {
        for (name, value) in [
            ("previous_response_id", "\"resp_1\""),
            ("conversation", "{\"id\":\"conv_1\"}"),
            ("prompt", "{\"id\":\"pmpt_1\"}"),
            ("background", "true"),
            ("store", "true"),
        ] {
            assert_eq!(refused(name, value).as_deref(), Some(name));
            assert_eq!(refused(name, "null"), None);
        }
        assert_eq!(refused("store", "false"), None);
        assert_eq!(refused("background", "false"), None);
    }
}
