//! Anthropic's messages on Google's Vertex AI.

use crate::vectors::{
    ANTHROPIC_STYLE, NO_PYTHON_SIDE_CHECKS, REPAIRED, Rule, StructuredOutput, Suite,
    UNKNOWN_PARAMETERS_ARE_SENT,
};

/// LangChain forces a tool named "none".
const NONE_MEANS_NONE: Rule = "`tool_choice: none` means no tool call";
/// LangChain downloads images that are links; Claude on Vertex takes none.
const LINKS_ARE_NOT_FOLLOWED: Rule = "image links are downloaded for nobody";

#[test]
fn google_anthropic_vertex() {
    let structured_output = StructuredOutput {
        always_calls_tool: true,
        json_mode_is_schema: false,
        json_mode_calls_tool: true,
        ..ANTHROPIC_STYLE
    };
    Suite {
        provider: "google_anthropic_vertex",
        text: include_str!("../../../vectors/google_anthropic_vertex.jsonl"),
        structured_output,
        is_pending: |_| false,
        differences: &[
            ("google_anthropic_vertex/tools_none", NONE_MEANS_NONE),
            ("google_anthropic_vertex/image_url", LINKS_ARE_NOT_FOLLOWED),
            ("google_anthropic_vertex/tool_result_image", REPAIRED),
            (
                "google_anthropic_vertex/unknown_param",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            (
                "google_anthropic_vertex/model_kwargs",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            (
                "google_anthropic_vertex/labels",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            (
                "google_anthropic_vertex/json_mime",
                UNKNOWN_PARAMETERS_ARE_SENT,
            ),
            ("google_anthropic_vertex/safety", NO_PYTHON_SIDE_CHECKS),
            (
                "google_anthropic_vertex/tool_result_named",
                NO_PYTHON_SIDE_CHECKS,
            ),
            (
                "google_anthropic_vertex/response_format_json_schema",
                NO_PYTHON_SIDE_CHECKS,
            ),
        ],
        at_least: 37,
    }
    .run();
}
