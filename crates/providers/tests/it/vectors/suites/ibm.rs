//! IBM watsonx.ai.

use super::{OPENAI_STYLE, StructuredOutput, Suite, chat};

#[test]
fn ibm() {
    let text = include_str!("../../../vectors/ibm.jsonl");
    let structured_output = StructuredOutput {
        default_method: "function_calling",
        forbids_parallel_calls: false,
        ..OPENAI_STYLE
    };
    Suite {
        structured_output,
        ..chat("ibm", text, 33, &[])
    }
    .run();
}
