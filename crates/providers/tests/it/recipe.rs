//! `docs/adding-a-provider.md` and `docs/providers.md` say what is so.

use domain::secret::Secret;
use jiff::Timestamp;
use providers::auth::{self, Credential};
use providers::catalog::{self, Provider, page};
use providers::chat::WireFormat;
use providers::protocol;
use providers::target::Target;
use serde_json::{Value, json};

use crate::vectors::record::Record;

/// The row that the recipe writes.
fn row() -> &'static Provider {
    let recipe = include_str!("../../../../docs/adding-a-provider.md");
    let (_, rest) = recipe.split_once("```toml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    Box::leak(Box::new(catalog::parse(text).unwrap()))
}

#[test]
fn the_recipes_row_makes_the_request_that_it_promises() {
    let row = row();
    let record: Record = serde_json::from_value(json!({
        "id": "x", "kind": "request",
        "config": {
            "provider": "openai", "model": "example-large", "max_tokens": 9,
            "additional_params": {
                "model_kwargs": {"newer": 1}, "routing": {"zone": "eu"}, "unknown": true,
            },
        },
    }))
    .unwrap();
    let target = Target::at(row, &record.settings()).unwrap();
    let body = json!({"model": "x", "stream": true, "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hello.", "name": "ada"},
    ]});
    let call = protocol::parse(WireFormat::OpenAiChat, body.to_string().as_bytes()).unwrap();
    let mut request = protocol::encode(&call, &target).unwrap().request;
    let key = Credential::parse(row, &Secret::new("key-1".to_owned())).unwrap();
    auth::apply(&target, &key, &mut request, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(request.uri, "https://api.example.com/v1/chat/completions");
    assert_eq!(request.headers["authorization"], "Bearer key-1");
    let written: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        written,
        json!({
            "model": "example-large",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hello."},
            ],
            "temperature": 0.7,
            "max_tokens": 9,
            "newer": 1,
            "unknown": true,
            "provider": {"routing": {"zone": "eu"}},
            "stream": true,
            "stream_options": {"include_usage": true},
        })
    );
}

#[test]
fn the_page_of_providers_is_the_one_that_is_checked_in() {
    let checked_in = include_str!("../../../../docs/providers.md");
    assert!(
        checked_in == page::render(catalog::providers()),
        "docs/providers.md is older than the catalog: run `make generate` and look at the \
         difference"
    );
}
