//! Anthropic's messages.

use super::{ANTHROPIC_STYLE, NO_PYTHON_SIDE_CHECKS, Rule, Suite, UNKNOWN_PARAMETERS_ARE_SENT};

/// LangChain forces a tool named "none".
const NONE_MEANS_NONE: Rule = "`tool_choice: none` means no tool call";
/// LangChain looks for input tokens in a stream's end only, where they need not be.
const INPUT_TOKENS_COUNT: Rule = "input tokens that a stream reports at its start count";
/// LangChain leaves usage out if told so, but metering needs it.
const USAGE_IS_READ: Rule = "usage is always read";
/// The SDK takes the status of the answer that the stream came in.
const NO_STATUS_INSIDE: Rule = "a failure inside a stream has no status of its own";
/// The configuration's own fields win, here over `extra_body`.
const OWN_FIELDS_WIN: Rule = "the configuration's own fields do what they say";
/// What a model thought must be signed, or the provider refuses the request.
const NO_UNSIGNED_THINKING: Rule = "thinking that Anthropic has not signed is left out";
/// LangChain forgets that the model has declined.
const REFUSALS_ARE_KEPT: Rule = "the words of a refusal are kept";
/// LangChain asks for the beta interface without any beta.
const NO_EMPTY_BETAS: Rule = "an empty list of betas asks for none";
/// A tool in Anthropic's shape keeps what it says of caching, but `strict` is OpenAI's too.
const STRICT_IS_NOT_SENT: Rule = "`strict` of a client's tool is not sent";
/// LangChain looks for a key under its own name only.
const API_KEY_IS_THE_KEY: Rule = "`api_key` is the key of every provider";
/// Signatures of AWS are not made yet.
const NOT_SIGNED_YET: Rule = "AWS access keys are not taken yet";
/// `extra_headers` and `default_headers` are one thing to us.
const BETAS_WIN: Rule = "`betas` win over a header of the configuration";

#[test]
fn anthropic() {
    Suite {
        provider: "anthropic",
        text: include_str!("../../vectors/anthropic.jsonl"),
        structured_output: ANTHROPIC_STYLE,
        is_pending: |_| false,
        differences: &[
            ("anthropic/tools_none", NONE_MEANS_NONE),
            ("anthropic/model_kwargs", UNKNOWN_PARAMETERS_ARE_SENT),
            (
                "anthropic/context_management_nobeta",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            ("anthropic/resp/stream_tool", INPUT_TOKENS_COUNT),
            ("anthropic/resp/stream_tool_no_args", INPUT_TOKENS_COUNT),
            ("anthropic/resp/stream_usage_false", USAGE_IS_READ),
            ("anthropic/resp/stream_error_event", NO_STATUS_INSIDE),
        ],
        at_least: 106,
    }
    .run();
}

#[test]
fn anthropic_more() {
    Suite {
        provider: "anthropic_more",
        text: include_str!("../../vectors/anthropic_more.jsonl"),
        structured_output: ANTHROPIC_STYLE,
        is_pending: |_| false,
        differences: &[
            ("anthropic_more/tc_none", NONE_MEANS_NONE),
            ("anthropic_more/unknown_param", UNKNOWN_PARAMETERS_ARE_SENT),
            ("anthropic_more/asst_refusal", REFUSALS_ARE_KEPT),
            ("anthropic_more/asst_thinking_nosig", NO_UNSIGNED_THINKING),
            ("anthropic_more/tool_native_strict", STRICT_IS_NOT_SENT),
            ("anthropic_more/mk_extra_body", OWN_FIELDS_WIN),
            ("anthropic_more/extra_headers_beta_betas", BETAS_WIN),
            ("anthropic_more/empty_betas", NO_EMPTY_BETAS),
            ("anthropic_more/tool_args_empty", NO_PYTHON_SIDE_CHECKS),
            ("anthropic_more/tool_noparams", NO_PYTHON_SIDE_CHECKS),
            ("anthropic_more/img_str", NO_PYTHON_SIDE_CHECKS),
            ("anthropic_more/native_browser", NO_PYTHON_SIDE_CHECKS),
            ("anthropic_more/rf_typelist", NO_PYTHON_SIDE_CHECKS),
            ("anthropic_more/rf_text", NO_PYTHON_SIDE_CHECKS),
        ],
        at_least: 195,
    }
    .run();
}

#[test]
fn bedrock_mantle_anthropic() {
    Suite {
        provider: "bedrock_mantle_anthropic",
        text: include_str!("../../vectors/bedrock_mantle_anthropic.jsonl"),
        structured_output: ANTHROPIC_STYLE,
        is_pending: |_| false,
        differences: &[
            ("bedrock_mantle_anthropic/tools_none", NONE_MEANS_NONE),
            (
                "bedrock_mantle_anthropic/model_kwargs",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            ("bedrock_mantle_anthropic/api_key_kwarg", API_KEY_IS_THE_KEY),
            ("bedrock_mantle_anthropic/aws_keys", NOT_SIGNED_YET),
        ],
        at_least: 34,
    }
    .run();
}
