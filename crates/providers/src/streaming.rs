//! Whether answers are fetched piece by piece, whatever the client asks for.

use serde_json::Value;

/// What a configuration's `streaming` and `disable_streaming` say together, as LangChain
/// reads them: `disable_streaming` wins over `streaming`, and both over the client, whose
/// stream then begins once the whole answer is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Streaming {
    /// Always or never, where the configuration says one of the two.
    always: Option<bool>,
    /// Whether a call that offers tools is answered whole.
    whole_with_tools: bool,
}

impl Streaming {
    /// Every answer comes whole.
    pub(crate) const NEVER: Self = Self {
        always: Some(false),
        whole_with_tools: false,
    };

    /// Takes what `streaming` says.
    pub(crate) fn take(&mut self, value: &Value) {
        if *self != Self::NEVER {
            self.always = value.as_bool();
        }
    }

    /// Takes what `disable_streaming` says.
    ///
    /// # Errors
    /// When it is none of the three things that it can be.
    pub(crate) fn take_disabled(&mut self, value: &Value) -> Result<(), &'static str> {
        match value {
            Value::Bool(true) => *self = Self::NEVER,
            Value::Bool(false) => {}
            Value::String(word) if word == "tool_calling" => {
                self.whole_with_tools = *self != Self::NEVER;
            }
            _ => return Err("must be true, false or \"tool_calling\""),
        }
        Ok(())
    }

    /// Whether every answer is fetched piece by piece.
    pub(crate) const fn is_always(self) -> bool {
        matches!(self.always, Some(true))
    }

    /// Whether a call is answered piece by piece, given whether the client asks for that.
    /// What the call offers is not looked at; see [`Streaming::is_whole_with_tools`].
    pub(crate) fn decide(self, client_wants_stream: bool) -> bool {
        self.always.unwrap_or(client_wants_stream)
    }

    /// Whether a call that offers tools is answered whole.
    pub(crate) const fn is_whole_with_tools(self) -> bool {
        self.whole_with_tools
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_configuration_wins_over_the_client_and_disabling_wins_over_both() {
        let decided = |streaming: Value, disabled: Value| {
            let mut read = [Streaming::default(), Streaming::default()];
            // The order in which the two are written does not matter.
            read[0].take(&streaming);
            read[0].take_disabled(&disabled).unwrap();
            read[1].take_disabled(&disabled).unwrap();
            read[1].take(&streaming);
            assert_eq!(read[0], read[1], "{streaming} {disabled}");
            [read[0].decide(false), read[0].decide(true)]
        };
        assert_eq!(decided(json!(null), json!(false)), [false, true]);
        assert_eq!(decided(json!(true), json!(false)), [true, true]);
        assert_eq!(decided(json!(false), json!(false)), [false, false]);
        assert_eq!(decided(json!(true), json!(true)), [false, false]);
        assert_eq!(decided(json!(null), json!("tool_calling")), [false, true]);
        assert!(Streaming::default().take_disabled(&json!("tools")).is_err());
    }
}
