//! Forms of OpenAI's chat completions that a single provider has.

use bytes::Bytes;
use domain::model_configuration::ModelSettings;
use providers::chat::WireFormat;
use providers::protocol;
use providers::target::{HttpRequest, Target};
use serde_json::{Value, json};

/// What a request of OpenAI's format becomes for a configuration.
fn sent(provider: &str, model: &str, parameters: &Value, members: &Value) -> (HttpRequest, Value) {
    let settings = ModelSettings {
        name: "test".to_owned(),
        description: None,
        provider: provider.to_owned(),
        model: model.to_owned(),
        temperature: None,
        max_tokens: None,
        timeout_seconds: None,
        max_retries: None,
        additional_params: parameters.as_object().cloned(),
        agent_harness_version_string: None,
        is_computer_use_model: false,
        is_archived: false,
    };
    let target = Target::new(&settings).unwrap();
    let mut body = json!({"model": "test", "messages": [{"role": "user", "content": "Hi."}]});
    let object = body.as_object_mut().unwrap();
    object.extend(members.as_object().unwrap().clone());
    let body = Bytes::from(body.to_string());
    let call = protocol::parse(WireFormat::OpenAiChat, &body).unwrap();
    let request = protocol::encode(&call, &target).unwrap().request;
    let body = serde_json::from_slice(&request.body).unwrap();
    (request, body)
}

fn azure() -> Value {
    json!({"azure_endpoint": "https://acme.openai.azure.com/", "api_version": "2024-10-21"})
}

#[test]
fn ibm_gets_the_stop_of_a_request_as_stop_sequences() {
    let parameters = json!({"project_id": "p"});
    let (_, body) = sent("ibm", "ibm/granite", &parameters, &json!({"stop": ["x"]}));
    assert_eq!(body["stop_sequences"], json!(["x"]));
    assert_eq!(body["stop"], Value::Null);
}

#[test]
fn azure_gets_the_bound_under_the_name_that_the_model_takes() {
    let (_, body) = sent(
        "azure_openai",
        "gpt-4o",
        &azure(),
        &json!({"max_tokens": 7}),
    );
    assert_eq!(body["max_tokens"], 7);
    let newer = json!({"max_completion_tokens": 7});
    for (model, members) in [("gpt-4o", newer), ("o3-mini", json!({"max_tokens": 7}))] {
        let (_, body) = sent("azure_openai", model, &azure(), &members);
        assert_eq!(body["max_completion_tokens"], 7, "{model}");
        assert_eq!(body["max_tokens"], Value::Null, "{model}");
    }
}

#[test]
fn a_tool_of_anthropics_is_a_function_of_its_name() {
    let tools = json!({"tools": [{"type": "bash_20250124", "name": "bash"}]});
    let (request, body) = sent("azure_openai", "gpt-4o", &azure(), &tools);
    assert!(request.uri.path().ends_with("/chat/completions"));
    let function = json!({"type": "function", "function": {"name": "bash"}});
    assert_eq!(body["tools"], json!([function]));
}
