//! Mistral, Ollama, Cohere, and the routers.

use super::{OPENAI_STYLE, StructuredOutput, Suite, chat};
use crate::vectors::{
    ANSWERS_KEEP_MORE, Force, NO_PYTHON_SIDE_CHECKS, NOTHING_IS_LOST, OWN_FIELDS, REFUSED,
    REPAIRED, Rule,
};

/// LangChain sends the choice on as a word that the provider has no meaning for.
const NONE_MEANS_NONE: Rule = "`tool_choice: none` means no tool call";
/// LiteLLM has a form of its own for each provider's requests.
const OWN_INTEGRATION: Rule =
    "a model of another provider is called as that provider's own integration calls it";

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

#[test]
fn ollama() {
    let suite = chat(
        "ollama",
        include_str!("../../../vectors/ollama.jsonl"),
        64,
        &[
            ("ollama/max_tokens_only", OWN_FIELDS),
            ("ollama/timeout_retries", OWN_FIELDS),
            ("ollama/stream_temp_max", OWN_FIELDS),
            ("ollama/tools_long_conversation", OWN_FIELDS),
            ("ollama/image_b64_detail_first", OWN_FIELDS),
            ("ollama/max_tokens_and_num_predict", OWN_FIELDS),
            ("ollama/tools_none", NONE_MEANS_NONE),
            ("ollama/base_url_path_auth", REFUSED),
            ("ollama/stop_config_and_bound", NO_PYTHON_SIDE_CHECKS),
        ],
    );
    let structured_output = StructuredOutput {
        keeps_title: true,
        forbids_parallel_calls: false,
        force: Force::Not,
        ..OPENAI_STYLE
    };
    Suite {
        structured_output,
        ..suite
    }
    .run();
}

#[test]
fn cohere() {
    let suite = chat(
        "cohere",
        include_str!("../../../vectors/cohere.jsonl"),
        43,
        &[
            ("cohere/temp_max_tokens", OWN_FIELDS),
            ("cohere/tools_long_conversation", OWN_FIELDS),
            ("cohere/image_b64_detail_first", OWN_FIELDS),
            ("cohere/api_key_kwarg", OWN_FIELDS),
            ("cohere/tools_none", NONE_MEANS_NONE),
            // Cohere refuses every choice but `REQUIRED` and `NONE`, and OpenAI's word for
            // a schema.
            ("cohere/tools_named", REPAIRED),
            ("cohere/response_format_json_schema", REPAIRED),
            // The capture's tools are of a kind that LangChain does not read there.
            ("cohere/resp/tool_call", NO_PYTHON_SIDE_CHECKS),
            ("cohere/resp/parallel", NO_PYTHON_SIDE_CHECKS),
        ],
    );
    let structured_output = StructuredOutput {
        keeps_title: true,
        forbids_parallel_calls: false,
        force: Force::Not,
        ..OPENAI_STYLE
    };
    Suite {
        structured_output,
        ..suite
    }
    .run();
}

#[test]
fn huggingface() {
    let suite = chat(
        "huggingface",
        include_str!("../../../vectors/huggingface.jsonl"),
        32,
        &[
            ("huggingface/timeout_retries", OWN_FIELDS),
            ("huggingface/model_kwargs", NO_PYTHON_SIDE_CHECKS),
            ("huggingface/tools_required", NO_PYTHON_SIDE_CHECKS),
            ("huggingface/tools_named", NO_PYTHON_SIDE_CHECKS),
            ("huggingface/tool_bad_json_args", NO_PYTHON_SIDE_CHECKS),
            ("huggingface/structured_json_schema", NOTHING_IS_LOST),
        ],
    );
    let structured_output = StructuredOutput {
        keeps_title: true,
        forbids_parallel_calls: false,
        ..OPENAI_STYLE
    };
    Suite {
        structured_output,
        ..suite
    }
    .run();
}

#[test]
fn litellm() {
    let suite = chat(
        "litellm",
        include_str!("../../../vectors/litellm.jsonl"),
        39,
        &[
            // The same request in the form that the provider's own integration gives it.
            ("litellm/anthropic_model", OWN_INTEGRATION),
            ("litellm/anthropic_tools", OWN_INTEGRATION),
            ("litellm/gemini_model", OWN_INTEGRATION),
        ],
    );
    suite.run();
}
