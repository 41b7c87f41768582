//! Providers that LangChain calls through OpenAI's Responses API by default, or may.

use super::chat;
use crate::vectors::{NO_PYTHON_SIDE_CHECKS, UNKNOWN_PARAMETERS_ARE_SENT};

#[test]
fn meta() {
    chat(
        "meta",
        include_str!("../../../vectors/meta.jsonl"),
        38,
        &[
            ("meta/unknown_param", UNKNOWN_PARAMETERS_ARE_SENT),
            ("meta/model_kwargs", UNKNOWN_PARAMETERS_ARE_SENT),
        ],
    )
    .run();
}

#[test]
fn langsmith() {
    chat(
        "langsmith",
        include_str!("../../../vectors/langsmith.jsonl"),
        5,
        &[],
    )
    .run();
}

#[test]
fn bedrock_mantle_openai() {
    chat(
        "bedrock_mantle_openai",
        include_str!("../../../vectors/bedrock_mantle_openai.jsonl"),
        28,
        &[
            (
                "bedrock_mantle_openai/unknown_param",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            (
                "bedrock_mantle_openai/model_kwargs",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            (
                "bedrock_mantle_openai/tool_bad_json_args",
                NO_PYTHON_SIDE_CHECKS,
            ),
        ],
    )
    .run();
}
