//! Mistral, Ollama, Cohere, and the routers.

use super::{OPENAI_STYLE, StructuredOutput, Suite, chat};
use crate::vectors::{ANSWERS_KEEP_MORE, Force, NO_PYTHON_SIDE_CHECKS, OWN_FIELDS};

#[test]
fn mistralai() {
    let suite = chat(
        "mistralai",
        include_str!("../../../vectors/mistralai.jsonl"),
        65,
        &[
            ("mistralai/timeout_retries", OWN_FIELDS),
            ("mistralai/no_api_key", OWN_FIELDS),
            ("mistralai/tool_bad_json_args", NO_PYTHON_SIDE_CHECKS),
            ("mistralai/resp/stream_text", ANSWERS_KEEP_MORE),
            ("mistralai/resp/stream_tool_call", ANSWERS_KEEP_MORE),
            ("mistralai/resp/stream_parallel", ANSWERS_KEEP_MORE),
            ("mistralai/resp/stream_reasoning", ANSWERS_KEEP_MORE),
        ],
    );
    let structured_output = StructuredOutput {
        default_method: "function_calling",
        forbids_parallel_calls: false,
        force: Force::AnyTool,
        ..OPENAI_STYLE
    };
    Suite {
        structured_output,
        ..suite
    }
    .run();
}
