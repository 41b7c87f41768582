//! Amazon Bedrock: Converse, and Anthropic's models through InvokeModel.

use crate::vectors::{
    ANTHROPIC_STYLE, NO_PYTHON_SIDE_CHECKS, OPENAI_STYLE, OWN_FIELDS, PROMPT_ONLY, Rule,
    StructuredOutput, Suite,
};

/// LangChain forces a tool named "none".
const NONE_MEANS_NONE: Rule = "`tool_choice: none` means no tool call";

const CONVERSE_STYLE: StructuredOutput = StructuredOutput {
    default_method: "function_calling",
    keeps_title: true,
    repeats_description: true,
    json_mode_calls_tool: true,
    forbids_parallel_calls: false,
    ..OPENAI_STYLE
};

#[test]
fn bedrock_converse() {
    Suite {
        provider: "bedrock_converse",
        text: include_str!("../../../vectors/bedrock_converse.jsonl"),
        structured_output: CONVERSE_STYLE,
        is_pending: |_| false,
        differences: &[
            ("bedrock_converse/timeout_retries", OWN_FIELDS),
            ("bedrock_converse/tools_none", NONE_MEANS_NONE),
        ],
        at_least: 85,
    }
    .run();
}

#[test]
fn bedrock() {
    Suite {
        provider: "bedrock",
        text: include_str!("../../../vectors/bedrock.jsonl"),
        structured_output: StructuredOutput {
            always_calls_tool: true,
            json_mode_is_schema: false,
            json_mode_calls_tool: true,
            ..ANTHROPIC_STYLE
        },
        is_pending: |_| false,
        differences: &[
            ("bedrock/provider_arn", NO_PYTHON_SIDE_CHECKS),
            ("bedrock/llama", PROMPT_ONLY),
            ("bedrock/mistral", PROMPT_ONLY),
        ],
        at_least: 47,
    }
    .run();
}

#[test]
fn anthropic_bedrock() {
    Suite {
        provider: "anthropic_bedrock",
        text: include_str!("../../../vectors/anthropic_bedrock.jsonl"),
        structured_output: ANTHROPIC_STYLE,
        is_pending: |_| false,
        differences: &[
            ("anthropic_bedrock/tools_none", NONE_MEANS_NONE),
            ("anthropic_bedrock/bearer", OWN_FIELDS),
        ],
        at_least: 33,
    }
    .run();
}
