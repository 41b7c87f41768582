//! Requests of OpenAI's family that the first sets do not show.

use super::chat;
use crate::vectors::{OPENAI_STYLE, StructuredOutput, Suite};

const FUNCTION_CALLING: StructuredOutput = StructuredOutput {
    default_method: "function_calling",
    forbids_parallel_calls: false,
    ..OPENAI_STYLE
};
const WITH_TITLE: StructuredOutput = StructuredOutput {
    keeps_title: true,
    ..FUNCTION_CALLING
};

fn run(provider: &'static str, text: &'static str, style: StructuredOutput, at_least: usize) {
    Suite {
        structured_output: style,
        ..chat(provider, text, at_least, &[])
    }
    .run();
}

#[test]
fn azure_openai_more() {
    let text = include_str!("../../../vectors/azure_openai_more.jsonl");
    run("azure_openai_more", text, OPENAI_STYLE, 239);
}

#[test]
fn deepseek_more() {
    let text = include_str!("../../../vectors/deepseek_more.jsonl");
    let style = StructuredOutput {
        default_method: "function_calling",
        always_calls_tool: true,
        ..OPENAI_STYLE
    };
    run("deepseek_more", text, style, 238);
}

#[test]
fn together_more() {
    let text = include_str!("../../../vectors/together_more.jsonl");
    let style = StructuredOutput {
        default_method: "function_calling",
        ..OPENAI_STYLE
    };
    run("together_more", text, style, 234);
}

#[test]
fn fireworks_more() {
    let text = include_str!("../../../vectors/fireworks_more.jsonl");
    run("fireworks_more", text, FUNCTION_CALLING, 207);
}

#[test]
fn groq_more() {
    let text = include_str!("../../../vectors/groq_more.jsonl");
    run("groq_more", text, WITH_TITLE, 214);
}

#[test]
fn openrouter_more() {
    let text = include_str!("../../../vectors/openrouter_more.jsonl");
    run("openrouter_more", text, WITH_TITLE, 140);
}

#[test]
fn perplexity_more() {
    let text = include_str!("../../../vectors/perplexity_more.jsonl");
    run(
        "perplexity_more",
        text,
        StructuredOutput {
            keeps_title: true,
            ..OPENAI_STYLE
        },
        164,
    );
}
