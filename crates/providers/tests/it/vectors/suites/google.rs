//! Google's Gemini, through AI Studio and through Vertex AI.

use crate::vectors::record::Record;
use crate::vectors::{
    ANSWERS_KEEP_MORE, DIALECT, NO_PYTHON_SIDE_CHECKS, NOTHING_IS_LOST, OPENAI_STYLE, OWN_FIELDS,
    REFUSED, REPAIRED, Rule, StructuredOutput, Suite, UNKNOWN_PARAMETERS_ARE_SENT,
};

/// As `ChatGoogleGenerativeAI` does it.
const GENAI_STYLE: StructuredOutput = StructuredOutput {
    keeps_title: true,
    json_mode_is_schema: true,
    forbids_parallel_calls: false,
    ..OPENAI_STYLE
};

/// As `ChatVertexAI` does it.
const VERTEX_STYLE: StructuredOutput = StructuredOutput {
    default_method: "function_calling",
    always_calls_tool: true,
    ..GENAI_STYLE
};

const fn suite(
    provider: &'static str,
    text: &'static str,
    structured_output: StructuredOutput,
    at_least: usize,
    differences: &'static [(&'static str, Rule)],
) -> Suite {
    Suite {
        provider,
        text,
        structured_output,
        is_pending: |_: &Record| false,
        differences,
        at_least,
    }
}

#[test]
fn google_genai() {
    suite(
        "google_genai",
        include_str!("../../../vectors/google_genai.jsonl"),
        GENAI_STYLE,
        80,
        &[("google_genai/resp/prompt_blocked", ANSWERS_KEEP_MORE)],
    )
    .run();
}

#[test]
fn google_vertexai() {
    suite(
        "google_vertexai",
        include_str!("../../../vectors/google_vertexai.jsonl"),
        VERTEX_STYLE,
        40,
        &[
            ("google_vertexai/tool_result_image", NO_PYTHON_SIDE_CHECKS),
            (
                "google_vertexai/response_format_json_object",
                NOTHING_IS_LOST,
            ),
            (
                "google_vertexai/response_format_json_schema",
                NOTHING_IS_LOST,
            ),
            ("google_vertexai/safety", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai/api_key_mode", OWN_FIELDS),
        ],
    )
    .run();
}

#[test]
fn google_genai_more() {
    suite(
        "google_genai_more",
        include_str!("../../../vectors/google_genai_more.jsonl"),
        GENAI_STYLE,
        300,
        &[
            ("google_genai_more/parallel_disabled", NO_PYTHON_SIDE_CHECKS),
            (
                "google_genai_more/parallel_enabled_required",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_genai_more/streaming_true", REFUSED),
            ("google_genai_more/sys_late", NOTHING_IS_LOST),
            ("google_genai_more/sys_late_asst", NOTHING_IS_LOST),
            ("google_genai_more/asst_refusal", NOTHING_IS_LOST),
            ("google_genai_more/asst_reasoning_summary", REPAIRED),
            ("google_genai_more/asst_reasoning_content", NOTHING_IS_LOST),
            ("google_genai_more/tool_sys_between", NOTHING_IS_LOST),
            ("google_genai_more/tool_dup_ids", REPAIRED),
            ("google_genai_more/tool_args_empty", NO_PYTHON_SIDE_CHECKS),
            ("google_genai_more/img_bad_b64", REPAIRED),
            (
                "google_genai_more/img_std_b64_nomime",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_genai_more/img_anthropic", NO_PYTHON_SIDE_CHECKS),
            ("google_genai_more/img_input_image", NO_PYTHON_SIDE_CHECKS),
            ("google_genai_more/file_txt", NOTHING_IS_LOST),
            ("google_genai_more/part_typeless", REPAIRED),
            ("google_genai_more/tool_gsr", NO_PYTHON_SIDE_CHECKS),
            ("google_genai_more/tool_gs_time", REPAIRED),
            ("google_genai_more/tool_native_camel", NO_PYTHON_SIDE_CHECKS),
            ("google_genai_more/tool_web_search", REPAIRED),
            ("google_genai_more/tool_web_search_anthropic", REPAIRED),
            ("google_genai_more/parallel_off", NO_PYTHON_SIDE_CHECKS),
            ("google_genai_more/p_stop_str", NO_PYTHON_SIDE_CHECKS),
            ("google_genai_more/p_modalities_int", NO_PYTHON_SIDE_CHECKS),
            ("google_genai_more/p_labels_bad", NO_PYTHON_SIDE_CHECKS),
            ("google_genai_more/p_api_endpoint", REFUSED),
            (
                "google_genai_more/p_mk_generation_config",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            ("google_genai_more/p_vertexai_loc", NO_PYTHON_SIDE_CHECKS),
            ("google_genai_more/k_max_tokens", NO_PYTHON_SIDE_CHECKS),
            ("google_genai_more/k_logprobs", DIALECT),
            ("google_genai_more/k_n", NO_PYTHON_SIDE_CHECKS),
            ("google_genai_more/k_audio_timestamp", NO_PYTHON_SIDE_CHECKS),
            ("google_genai_more/k_reasoning_effort", REPAIRED),
            (
                "google_genai_more/k_response_modalities",
                NO_PYTHON_SIDE_CHECKS,
            ),
        ],
    )
    .run();
}

#[test]
fn google_vertexai_more() {
    suite(
        "google_vertexai_more",
        include_str!("../../../vectors/google_vertexai_more.jsonl"),
        VERTEX_STYLE,
        260,
        &[
            ("google_vertexai_more/streaming_true", REFUSED),
            ("google_vertexai_more/sys_empty", REPAIRED),
            ("google_vertexai_more/empty_user_mid", REPAIRED),
            ("google_vertexai_more/user_empty_list", REPAIRED),
            ("google_vertexai_more/asst_empty", REPAIRED),
            ("google_vertexai_more/asst_null", REPAIRED),
            ("google_vertexai_more/asst_empty_list", REPAIRED),
            ("google_vertexai_more/asst_parts_empty_text", REPAIRED),
            ("google_vertexai_more/asst_refusal", NOTHING_IS_LOST),
            ("google_vertexai_more/asst_reasoning", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/asst_text_sig", NOTHING_IS_LOST),
            (
                "google_vertexai_more/asst_reasoning_summary",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_vertexai_more/asst_redacted", NO_PYTHON_SIDE_CHECKS),
            (
                "google_vertexai_more/asst_reasoning_content",
                NOTHING_IS_LOST,
            ),
            (
                "google_vertexai_more/asst_tool_use_block_only",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_vertexai_more/function_role", NOTHING_IS_LOST),
            ("google_vertexai_more/tool_unmatched", REPAIRED),
            (
                "google_vertexai_more/tool_unmatched_after_calls",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_vertexai_more/tool_list_text", NOTHING_IS_LOST),
            ("google_vertexai_more/tool_list_one_text", NOTHING_IS_LOST),
            ("google_vertexai_more/tool_image_only", NOTHING_IS_LOST),
            ("google_vertexai_more/tool_image_std", NOTHING_IS_LOST),
            ("google_vertexai_more/tool_sys_between", REPAIRED),
            ("google_vertexai_more/tool_user_between", REPAIRED),
            (
                "google_vertexai_more/tool_args_empty",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_vertexai_more/g3_tool_nosig", REPAIRED),
            ("google_vertexai_more/g3_tool_loops", REPAIRED),
            ("google_vertexai_more/g3_vertexlike", REPAIRED),
            ("google_vertexai_more/g4", REPAIRED),
            (
                "google_vertexai_more/g3_image_tool_result",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_vertexai_more/img_svg", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/img_txt", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/img_charset", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/img_bad_b64", REPAIRED),
            ("google_vertexai_more/img_std_b64", NOTHING_IS_LOST),
            (
                "google_vertexai_more/img_std_b64_nomime",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_vertexai_more/img_std_v0", NOTHING_IS_LOST),
            ("google_vertexai_more/img_anthropic", NO_PYTHON_SIDE_CHECKS),
            (
                "google_vertexai_more/img_input_image",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_vertexai_more/img_extra", NOTHING_IS_LOST),
            ("google_vertexai_more/file_id", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/file_id_std", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/file_txt", NOTHING_IS_LOST),
            ("google_vertexai_more/media_inline", NO_PYTHON_SIDE_CHECKS),
            (
                "google_vertexai_more/media_uri_nomime",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_vertexai_more/part_typeless", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/schema_arr_arr", NOTHING_IS_LOST),
            ("google_vertexai_more/schema_arr_nullable", REPAIRED),
            ("google_vertexai_more/tool_maps", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/tool_gsr", REPAIRED),
            ("google_vertexai_more/tool_gs_time", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/tool_cu_excl", NO_PYTHON_SIDE_CHECKS),
            (
                "google_vertexai_more/tool_native_camel",
                NO_PYTHON_SIDE_CHECKS,
            ),
            (
                "google_vertexai_more/tool_web_search",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_vertexai_more/tool_web_search_anthropic", REPAIRED),
            ("google_vertexai_more/rf_basic", NOTHING_IS_LOST),
            ("google_vertexai_more/rf_strict", NOTHING_IS_LOST),
            ("google_vertexai_more/rf_desc", NOTHING_IS_LOST),
            ("google_vertexai_more/rf_refs", NOTHING_IS_LOST),
            ("google_vertexai_more/rf_noschema", NOTHING_IS_LOST),
            ("google_vertexai_more/rf_empty", NOTHING_IS_LOST),
            ("google_vertexai_more/rf_tools", NOTHING_IS_LOST),
            ("google_vertexai_more/p_stop_str", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/p_mime_schema", NO_PYTHON_SIDE_CHECKS),
            (
                "google_vertexai_more/p_mime_schema_refs",
                NO_PYTHON_SIDE_CHECKS,
            ),
            (
                "google_vertexai_more/p_modalities_lower",
                NO_PYTHON_SIDE_CHECKS,
            ),
            (
                "google_vertexai_more/p_modalities_audio",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_vertexai_more/p_safety_bad", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/p_safety_lower", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/p_labels_bad", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/p_labels_empty", REPAIRED),
            ("google_vertexai_more/p_client_options", REFUSED),
            (
                "google_vertexai_more/p_mk_generation_config",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            ("google_vertexai_more/p_tts_mod", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/p_tuned_model", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/p_model_llama", NO_PYTHON_SIDE_CHECKS),
            ("google_vertexai_more/p_timeout2", REFUSED),
            (
                "google_vertexai_more/k_max_tokens",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            (
                "google_vertexai_more/k_thinking_level",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            (
                "google_vertexai_more/k_generation_config",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            (
                "google_vertexai_more/k_response_schema",
                NO_PYTHON_SIDE_CHECKS,
            ),
            (
                "google_vertexai_more/k_response_json_schema",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            (
                "google_vertexai_more/k_image_config",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            ("google_vertexai_more/k_logprobs", DIALECT),
            ("google_vertexai_more/k_speech", UNKNOWN_PARAMETERS_ARE_SENT),
            (
                "google_vertexai_more/k_stop_sequences",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            ("google_vertexai_more/k_n", UNKNOWN_PARAMETERS_ARE_SENT),
            (
                "google_vertexai_more/k_code_execution",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            (
                "google_vertexai_more/k_thinking_config",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            (
                "google_vertexai_more/k_reasoning_effort",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            ("google_vertexai_more/x_only_system", REPAIRED),
            ("google_vertexai_more/x_tuned_model", NO_PYTHON_SIDE_CHECKS),
            (
                "google_vertexai_more/x_safety_settings_str",
                NO_PYTHON_SIDE_CHECKS,
            ),
            (
                "google_vertexai_more/x_safety_settings_two",
                NO_PYTHON_SIDE_CHECKS,
            ),
            (
                "google_vertexai_more/x_response_modalities",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_vertexai_more/x_base_url_slash", REPAIRED),
            ("google_vertexai_more/x_client_options_endpoint", REFUSED),
            ("google_vertexai_more/x_google_api_key_alias", OWN_FIELDS),
            ("google_vertexai_more/x_retries_alias", REFUSED),
            (
                "google_vertexai_more/x_url_context_tool",
                NO_PYTHON_SIDE_CHECKS,
            ),
            (
                "google_vertexai_more/x_computer_use_tool",
                NO_PYTHON_SIDE_CHECKS,
            ),
            ("google_vertexai_more/x_empty_user", REPAIRED),
            (
                "google_vertexai_more/x_image_string_form",
                NO_PYTHON_SIDE_CHECKS,
            ),
        ],
    )
    .run();
}
