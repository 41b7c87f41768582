//! The suites: one for each provider.

mod anthropic_vertex;
mod azure;
mod bedrock;
mod google;
mod ibm;
mod more;
mod others;
mod responses;

use super::{
    ANSWERS_KEEP_MORE, NO_PYTHON_SIDE_CHECKS, NOTHING_IS_LOST, OPENAI_STYLE, OWN_FIELDS, REFUSED,
    REPAIRED, Rule, StructuredOutput, Suite, UNKNOWN_PARAMETERS_ARE_SENT, USAGE_IS_ASKED,
};

/// A suite of a provider of OpenAI's chat completions.
const fn chat(
    provider: &'static str,
    text: &'static str,
    at_least: usize,
    differences: &'static [(&'static str, Rule)],
) -> Suite {
    Suite {
        provider,
        text,
        structured_output: OPENAI_STYLE,
        is_pending: |_| false,
        differences,
        at_least,
    }
}

#[test]
fn openai() {
    chat(
        "openai",
        include_str!("../../vectors/openai.jsonl"),
        113,
        &[
            ("openai/unknown_param", UNKNOWN_PARAMETERS_ARE_SENT),
            ("openai/model_kwargs", UNKNOWN_PARAMETERS_ARE_SENT),
            ("openai/openai_api_base_alias", UNKNOWN_PARAMETERS_ARE_SENT),
            (
                "openai/use_responses_false_with_reasoning",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            ("openai/response_format_tools", NO_PYTHON_SIDE_CHECKS),
        ],
    )
    .run();
}

#[test]
fn xai() {
    let suite = chat(
        "xai",
        include_str!("../../vectors/xai.jsonl"),
        48,
        &[
            ("xai/unknown_param", UNKNOWN_PARAMETERS_ARE_SENT),
            ("xai/model_kwargs", UNKNOWN_PARAMETERS_ARE_SENT),
            ("xai/tool_bad_json_args", NO_PYTHON_SIDE_CHECKS),
            ("xai/resp/usage_cached", ANSWERS_KEEP_MORE),
        ],
    );
    suite.run();
}

#[test]
fn together() {
    let suite = chat(
        "together",
        include_str!("../../vectors/together.jsonl"),
        54,
        &[
            ("together/model_kwargs", UNKNOWN_PARAMETERS_ARE_SENT),
            ("together/tool_bad_json_args", NO_PYTHON_SIDE_CHECKS),
        ],
    );
    let structured_output = StructuredOutput {
        default_method: "function_calling",
        ..OPENAI_STYLE
    };
    Suite {
        structured_output,
        ..suite
    }
    .run();
}

#[test]
fn deepseek() {
    let suite = chat(
        "deepseek",
        include_str!("../../vectors/deepseek.jsonl"),
        52,
        &[
            ("deepseek/unknown_param", UNKNOWN_PARAMETERS_ARE_SENT),
            ("deepseek/tool_bad_json_args", NO_PYTHON_SIDE_CHECKS),
        ],
    );
    let structured_output = StructuredOutput {
        default_method: "function_calling",
        always_calls_tool: true,
        ..OPENAI_STYLE
    };
    Suite {
        structured_output,
        ..suite
    }
    .run();
}

#[test]
fn baseten() {
    let suite = chat(
        "baseten",
        include_str!("../../vectors/baseten.jsonl"),
        39,
        &[("baseten/tool_bad_json_args", NO_PYTHON_SIDE_CHECKS)],
    );
    suite.run();
}

#[test]
fn upstage() {
    let suite = chat(
        "upstage",
        include_str!("../../vectors/upstage.jsonl"),
        42,
        &[("upstage/unknown_param", UNKNOWN_PARAMETERS_ARE_SENT)],
    );
    suite.run();
}

#[test]
fn groq() {
    let suite = chat(
        "groq",
        include_str!("../../vectors/groq.jsonl"),
        59,
        &[
            ("groq/unknown_param", UNKNOWN_PARAMETERS_ARE_SENT),
            ("groq/json_schema_strict", NO_PYTHON_SIDE_CHECKS),
            ("groq/resp/stream_tool_call", ANSWERS_KEEP_MORE),
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
fn fireworks() {
    let suite = chat(
        "fireworks",
        include_str!("../../vectors/fireworks.jsonl"),
        56,
        &[
            ("fireworks/unknown_param", UNKNOWN_PARAMETERS_ARE_SENT),
            ("fireworks/tool_bad_json_args", NO_PYTHON_SIDE_CHECKS),
            ("fireworks/structured_json_schema", NOTHING_IS_LOST),
        ],
    );
    let structured_output = StructuredOutput {
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
fn nvidia() {
    let suite = chat(
        "nvidia",
        include_str!("../../vectors/nvidia.jsonl"),
        34,
        &[
            ("nvidia/tool_result", NOTHING_IS_LOST),
            ("nvidia/tool_result_no_tools_bound", NOTHING_IS_LOST),
            ("nvidia/tool_args_types", NOTHING_IS_LOST),
            ("nvidia/tool_result_named", NOTHING_IS_LOST),
            ("nvidia/tool_result_image", NOTHING_IS_LOST),
            ("nvidia/tool_bad_json_args", NO_PYTHON_SIDE_CHECKS),
            ("nvidia/timeout_retries", OWN_FIELDS),
            ("nvidia/timeout_int", OWN_FIELDS),
            ("nvidia/no_api_key", OWN_FIELDS),
            ("nvidia/parallel_tool_results", NOTHING_IS_LOST),
            ("nvidia/tools_long_conversation", NOTHING_IS_LOST),
            ("nvidia/structured_default", NOTHING_IS_LOST),
            ("nvidia/structured_function_calling", NOTHING_IS_LOST),
            ("nvidia/structured_json_schema", NOTHING_IS_LOST),
        ],
    );
    suite.run();
}

#[test]
fn openrouter() {
    let suite = chat(
        "openrouter",
        include_str!("../../vectors/openrouter.jsonl"),
        67,
        &[
            ("openrouter/timeout_retries", OWN_FIELDS),
            ("openrouter/extra_body", UNKNOWN_PARAMETERS_ARE_SENT),
            ("openrouter/n2", UNKNOWN_PARAMETERS_ARE_SENT),
            ("openrouter/opt_route", UNKNOWN_PARAMETERS_ARE_SENT),
            ("openrouter/opt_transforms", UNKNOWN_PARAMETERS_ARE_SENT),
            ("openrouter/structured_json_mode", NOTHING_IS_LOST),
        ],
    );
    let structured_output = StructuredOutput {
        default_method: "function_calling",
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
fn perplexity() {
    let suite = chat(
        "perplexity",
        include_str!("../../vectors/perplexity.jsonl"),
        50,
        &[
            ("perplexity/unknown_param", UNKNOWN_PARAMETERS_ARE_SENT),
            ("perplexity/model_kwargs", UNKNOWN_PARAMETERS_ARE_SENT),
            ("perplexity/preset", UNKNOWN_PARAMETERS_ARE_SENT),
            ("perplexity/tools_named", NO_PYTHON_SIDE_CHECKS),
            ("perplexity/tools_shapes", NO_PYTHON_SIDE_CHECKS),
            ("perplexity/tool_error_result", NO_PYTHON_SIDE_CHECKS),
            ("perplexity/tool_result_named", NO_PYTHON_SIDE_CHECKS),
            ("perplexity/file_pdf", NO_PYTHON_SIDE_CHECKS),
            ("perplexity/structured_default", NOTHING_IS_LOST),
            ("perplexity/structured_json_schema", NOTHING_IS_LOST),
            ("perplexity/structured_json_mode", NOTHING_IS_LOST),
            (
                "perplexity/resp/parallel_tool_calls_with_text",
                ANSWERS_KEEP_MORE,
            ),
            ("perplexity/resp/bad_json_args", ANSWERS_KEEP_MORE),
        ],
    );
    let structured_output = StructuredOutput {
        keeps_title: true,
        ..OPENAI_STYLE
    };
    Suite {
        structured_output,
        ..suite
    }
    .run();
}

#[test]
fn openai_more() {
    chat(
        "openai_more",
        include_str!("../../vectors/openai_more.jsonl"),
        345,
        &[
            ("openai_more/user_strings_in_list", REPAIRED),
            ("openai_more/asst_absent", NO_PYTHON_SIDE_CHECKS),
            ("openai_more/asst_refusal", NOTHING_IS_LOST),
            ("openai_more/asst_refusal_null_content", NOTHING_IS_LOST),
            ("openai_more/asst_refusal_part", REPAIRED),
            ("openai_more/asst_redacted", REPAIRED),
            ("openai_more/asst_tool_use_block_only", NOTHING_IS_LOST),
            ("openai_more/calls_absent_content", NO_PYTHON_SIDE_CHECKS),
            ("openai_more/calls_empty_args", NO_PYTHON_SIDE_CHECKS),
            ("openai_more/calls_no_type", NOTHING_IS_LOST),
            ("openai_more/calls_array_args", NO_PYTHON_SIDE_CHECKS),
            ("openai_more/calls_null_args", NO_PYTHON_SIDE_CHECKS),
            ("openai_more/calls_bad_args", NO_PYTHON_SIDE_CHECKS),
            ("openai_more/calls_mixed_bad_args", NO_PYTHON_SIDE_CHECKS),
            ("openai_more/calls_custom", NO_PYTHON_SIDE_CHECKS),
            ("openai_more/tool_no_id", NO_PYTHON_SIDE_CHECKS),
            ("openai_more/img_str", REPAIRED),
            ("openai_more/video_std", NO_PYTHON_SIDE_CHECKS),
            ("openai_more/text_plain_block", NO_PYTHON_SIDE_CHECKS),
            ("openai_more/input_text", REPAIRED),
            ("openai_more/tools_empty", REPAIRED),
            ("openai_more/tool_custom", NO_PYTHON_SIDE_CHECKS),
            ("openai_more/rf_json_tools", NO_PYTHON_SIDE_CHECKS),
            ("openai_more/mt_and_mct", OWN_FIELDS),
            ("openai_more/temp_both_mk", OWN_FIELDS),
            (
                r#"openai_more/p_stream_options_{"include_usage": false}"#,
                REPAIRED,
            ),
            ("openai_more/p_cache_false", REFUSED),
            ("openai_more/p_top_k_3", UNKNOWN_PARAMETERS_ARE_SENT),
            (
                r#"openai_more/p_base_url_"https://g.example.com/a b/v1""#,
                REFUSED,
            ),
            (r#"openai_more/p_model_name_"gpt-4.1""#, OWN_FIELDS),
            (
                r#"openai_more/s_stream_options_{"include_usage": false}"#,
                USAGE_IS_ASKED,
            ),
            (
                r#"openai_more/s_model_kwargs_{"stream_options": {"include_usage": fal"#,
                USAGE_IS_ASKED,
            ),
            (
                r#"openai_more/s_extra_body_{"stream_options": {"include_usage": fal"#,
                USAGE_IS_ASKED,
            ),
            ("openai_more/m_gpt5_mk_effort_none", NO_PYTHON_SIDE_CHECKS),
        ],
    )
    .run();
}
