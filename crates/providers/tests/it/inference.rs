//! What LangChain infers from a model's name: every captured case.

use providers::catalog::inference;
use serde::Deserialize;

#[derive(Deserialize)]
struct Record {
    id: String,
    input: Input,
    expected: Expected,
}

#[derive(Deserialize)]
struct Input {
    model: String,
    model_provider: Option<String>,
}

#[derive(Deserialize)]
struct Expected {
    model: Option<String>,
    provider: Option<String>,
    supported: Option<bool>,
}

#[test]
fn every_name_means_what_it_means_to_langchain() {
    let mut count = 0;
    for line in include_str!("../vectors/_infer.jsonl").lines() {
        let Record {
            id,
            input,
            expected,
        } = serde_json::from_str(line).unwrap();
        let choice = inference::choose(&input.model, input.model_provider.as_deref());
        let provider = choice.as_ref().map(|choice| choice.provider.to_string());
        let model = choice.as_ref().map(|choice| choice.model.to_owned());
        assert_eq!(
            (&model, &provider),
            (&expected.model, &expected.provider),
            "{id}"
        );
        if let (Some(supported), Some(provider)) = (expected.supported, provider) {
            assert_eq!(inference::is_registered(&provider), supported, "{id}");
        }
        count += 1;
    }
    assert!(count >= 40, "only {count} cases");
}
