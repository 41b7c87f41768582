//! Azure: OpenAI's models in a customer's resource, and AI Foundry.

use super::chat;
use crate::vectors::{NO_PYTHON_SIDE_CHECKS, OWN_FIELDS, Rule, UNKNOWN_PARAMETERS_ARE_SENT};

/// LangChain fails where Azure's filter has taken the answer, which is a finish reason.
const FILTERED_ANSWERS_ARE_ANSWERS: Rule = "an answer that was filtered says so";

#[test]
fn azure_openai() {
    let text = include_str!("../../../vectors/azure_openai.jsonl");
    let differences = &[
        ("azure_openai/unknown_param", UNKNOWN_PARAMETERS_ARE_SENT),
        ("azure_openai/tool_bad_json_args", NO_PYTHON_SIDE_CHECKS),
        (
            "azure_openai/resp/content_filter",
            FILTERED_ANSWERS_ARE_ANSWERS,
        ),
    ];
    chat("azure_openai", text, 66, differences).run();
}

#[test]
fn azure_ai() {
    let text = include_str!("../../../vectors/azure_ai.jsonl");
    let differences = &[
        ("azure_ai/unknown_param", UNKNOWN_PARAMETERS_ARE_SENT),
        ("azure_ai/model_kwargs", UNKNOWN_PARAMETERS_ARE_SENT),
        ("azure_ai/tool_bad_json_args", NO_PYTHON_SIDE_CHECKS),
        // LangChain sends it only beside a key that is called `credential`.
        ("azure_ai/api_version", OWN_FIELDS),
    ];
    chat("azure_ai", text, 43, differences).run();
}
