//! Anthropic's messages as a dialect: what clients send, and calls that cross formats.

use http::HeaderMap;
use proptest::prelude::*;
use providers::catalog::Protocol;
use providers::chat::WireFormat;
use providers::chat::part::{PartContent, ToolCallKind};
use providers::error::{ErrorKind, InvalidCall};
use providers::protocol::{self, ClientError, Decoder, Encoded, Renderer};
use providers::target::{HttpRequest, Target};
use serde_json::{Value, json};

use crate::anthropic::{gather, settings};
use crate::anthropic_streams::check_order;

fn target(provider: &str, model: &str, parameters: &Value) -> Target {
    let config = json!({"provider": provider, "model": model, "additional_params": parameters});
    Target::new(&settings(&config)).unwrap()
}

fn anthropic() -> Target {
    target("anthropic", "claude-opus-4-6", &json!({}))
}

fn encode(dialect: WireFormat, body: &Value, target: &Target) -> Result<Encoded, InvalidCall> {
    let call = protocol::parse(dialect, body.to_string().as_bytes())?;
    protocol::encode(&call, target)
}

fn body(request: &HttpRequest) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn losses(encoded: &Encoded) -> Vec<&str> {
    encoded
        .losses
        .iter()
        .map(|loss| loss.what.as_str())
        .collect()
}

/// A request with everything that the format can say.
fn rich_request() -> Value {
    json!({
        "model": "claude-opus-4-6",
        "max_tokens": 900,
        "system": [
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ],
        "messages": [
            {"role": "user", "content": "  Hi \n"},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": [
                {"type": "text", "text": ""},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                    "data": "aGk="}, "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}},
                {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain",
                    "data": "D"}, "title": "T", "context": "C", "citations": {"enabled": true}},
                {"type": "document", "source": {"type": "content", "content": [
                    {"type": "text", "text": "chunk"}]}},
                {"type": "search_result", "source": "https://e.com", "title": "S",
                    "content": [{"type": "text", "text": "r"}]},
                {"type": "container_upload", "file_id": "file_2"},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "hidden"},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search",
                    "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
                    {"type": "web_search_result", "url": "https://e.com", "title": "E",
                        "encrypted_content": "EE", "page_age": null}]},
                {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "m", "server_name": "s",
                    "input": {}},
                {"type": "text", "text": "So:", "citations": [
                    {"type": "char_location", "cited_text": "D", "document_index": 0}]},
                {"type": "tool_use", "id": "toolu_1", "name": "left_click",
                    "toolset_name": "computer", "input": {"coordinate": [1, 2]}},
                {"type": "tool_use", "id": "toolu_2", "name": "get", "input": {},
                    "caller": {"type": "direct"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "toolset_name": "computer",
                    "content": [{"type": "text", "text": "Clicked."}, {"type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "failed",
                    "is_error": true, "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "Go on."},
            ]},
            {"role": "system", "content": "From now on in French."},
        ],
        "tools": [
            {"name": "get", "description": "Gets.", "strict": true, "defer_loading": true,
                "input_schema": {"type": "object", "properties": {}},
                "cache_control": {"type": "ephemeral", "ttl": "5m"}},
            {"type": "custom", "name": "put", "input_schema": {"type": "object"}},
            {"type": "computer_toolset_20260801", "configs": {"zoom": {"enabled": false}}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        ],
        "tool_choice": {"type": "tool", "name": "get", "disable_parallel_tool_use": true},
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "stop_sequences": ["END"],
        "stream": true,
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "low", "task_budget": {"type": "tokens", "total": 9},
            "format": {"type": "json_schema", "schema": {"type": "object", "minProperties": 1}}},
        "metadata": {"user_id": "u"},
        "service_tier": "standard_only",
        "context_management": {"edits": []},
        "mcp_servers": [{"type": "url", "url": "https://e.com", "name": "s"}],
        "container": {"id": "c"},
        "cache_control": {"type": "ephemeral"},
        "newest_member": {"a": [1.5, null]},
    })
}

#[test]
fn a_request_in_the_providers_own_format_is_written_as_it_was_read() {
    let request = rich_request();
    let encoded = encode(WireFormat::AnthropicMessages, &request, &anthropic()).unwrap();
    assert_eq!(losses(&encoded), Vec::<&str>::new());
    assert_eq!(body(&encoded.request), request);
    let betas = encoded.request.headers["anthropic-beta"].to_str().unwrap();
    assert_eq!(
        betas,
        "mcp-client-2025-11-20,context-management-2025-06-27,task-budgets-2026-03-13"
    );
    assert_eq!(encoded.request.uri.query(), Some("beta=true"));
}

#[test]
fn betas_of_the_client_are_added() {
    let target = anthropic();
    let request = json!({"messages": []});
    let mut encoded = encode(WireFormat::AnthropicMessages, &request, &target).unwrap();
    assert_eq!(encoded.request.uri.query(), None);
    protocol::add_betas(&target, &mut encoded.request, "b-1, b-2");
    protocol::add_betas(&target, &mut encoded.request, "b-2,b-3");
    assert_eq!(encoded.request.headers["anthropic-beta"], "b-1,b-2,b-3");
    assert_eq!(encoded.request.uri.query(), Some("beta=true"));
}

#[test]
fn a_spliced_request_is_the_encoded_one() {
    use providers::pass_through::{Envelope, splice};
    let parameters = json!({"effort": "high", "top_p": 0.4, "betas": ["b-1"], "stop": ["X"]});
    let target = target("anthropic", "claude-opus-4-7", &parameters);
    let thinking = json!({"type": "disabled"});
    let bodies = [
        rich_request(),
        json!({"messages": [{"role": "user", "content": "Hi"}], "models": ["a"]}),
        json!({"messages": [], "thinking": thinking, "output_config": {"effort": "max"}}),
        json!({"messages": [], "tools": [{"type": "computer_20251124", "name": "computer",
            "display_width_px": 1, "display_height_px": 1}], "tool_choice": {"type": "any"}}),
    ];
    for request in bodies {
        let bytes = bytes::Bytes::from(request.to_string());
        let envelope = Envelope::scan(WireFormat::AnthropicMessages, bytes).unwrap();
        let spliced = splice(&envelope, &target).unwrap().unwrap();
        let encoded = encode(WireFormat::AnthropicMessages, &request, &target).unwrap();
        assert_eq!(body(&spliced), body(&encoded.request));
        assert_eq!(spliced.headers, encoded.request.headers);
        assert_eq!(spliced.uri, encoded.request.uri);
    }
}

#[test]
fn a_region_stands_in_the_host_and_leads_nowhere_else() {
    let mantle = |region: Value| {
        let parameters = json!({"region_name": region});
        let config = json!({"provider": "bedrock_mantle_anthropic",
            "model": "anthropic.claude-opus-4-7", "additional_params": parameters});
        Target::new(&settings(&config))
    };
    let target = mantle(json!("eu-west-1")).unwrap();
    assert_eq!(
        target.origin.as_str(),
        "https://bedrock-mantle.eu-west-1.api.aws"
    );
    assert!(target.is_catalog_origin, "a region is the provider's own");
    assert!(mantle(Value::Null).unwrap().is_catalog_origin);
    for region in ["", "evil.com/", "a.b", "a@b", "A", "-a", "a-", "a\u{e9}"] {
        assert!(mantle(json!(region)).is_err(), "{region}");
    }
    assert!(mantle(json!(7)).is_err());
    let request = json!({"messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5});
    let encoded = encode(WireFormat::AnthropicMessages, &request, &target).unwrap();
    assert_eq!(losses(&encoded), ["temperature"]);
}

#[test]
fn thinking_of_another_provider_is_left_out() {
    use providers::pass_through::{Envelope, splice};
    let with = |signature: &str| {
        json!({"messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": signature},
                {"type": "text", "text": "b"},
            ]},
            {"role": "user", "content": "c"},
        ]})
    };
    let is_spliced = |request: &Value| {
        let bytes = bytes::Bytes::from(request.to_string());
        let envelope = Envelope::scan(WireFormat::AnthropicMessages, bytes).unwrap();
        splice(&envelope, &anthropic()).is_some()
    };
    assert!(is_spliced(&with("c2ln")));
    assert!(!is_spliced(&with("")));
    let encoded = encode(WireFormat::AnthropicMessages, &with(""), &anthropic()).unwrap();
    assert_eq!(losses(&encoded), ["messages.reasoning"]);
    let sent = body(&encoded.request);
    assert_eq!(
        sent["messages"][1]["content"],
        json!([{"type": "text", "text": "b"}])
    );
}

#[test]
fn requests_that_are_not_the_format_are_refused_at_the_place() {
    let cases = [
        (json!([]), None),
        (json!({}), Some("messages")),
        (
            json!({"messages": [{"role": "tool", "content": "x"}]}),
            Some("messages[0].role"),
        ),
        (
            json!({"messages": [{"role": "user"}]}),
            Some("messages[0].content"),
        ),
        (
            json!({"messages": [{"role": "user", "content": 7}]}),
            Some("messages[0].content"),
        ),
        (
            json!({"messages": [{"role": "user", "content": ["x"]}]}),
            Some("messages[0].content"),
        ),
        (json!({"messages": [], "system": 7}), Some("system")),
        (json!({"messages": [], "tools": [7]}), Some("tools[0]")),
        (
            json!({"messages": [], "tools": [{"input_schema": {}}]}),
            Some("tools[0].name"),
        ),
        (
            json!({"messages": [], "max_tokens": "7"}),
            Some("max_tokens"),
        ),
        (
            json!({"messages": [], "stop_sequences": [7]}),
            Some("stop_sequences"),
        ),
        (
            json!({"messages": [], "tool_choice": {}}),
            Some("tool_choice.type"),
        ),
        (json!({"messages": [], "stream": "yes"}), Some("stream")),
    ];
    for (request, parameter) in cases {
        let body = request.to_string();
        let error = protocol::parse(WireFormat::AnthropicMessages, body.as_bytes()).unwrap_err();
        assert_eq!(error.parameter.as_deref(), parameter, "{request}: {error}");
    }
}

#[test]
fn what_openai_can_say_of_a_request_reaches_openai() {
    let mut request = rich_request();
    let openai = target("openai", "gpt-4.1", &json!({}));
    // Another vendor's computer-use tool cannot be said there at all.
    let error = encode(WireFormat::AnthropicMessages, &request, &openai).unwrap_err();
    assert!(error.message.contains("computer-use"), "{error}");
    request["tools"] = json!([request["tools"][0]]);
    let encoded = encode(WireFormat::AnthropicMessages, &request, &openai).unwrap();
    let sent = body(&encoded.request);
    let messages = sent["messages"].as_array().unwrap();
    assert_eq!(messages[0]["role"], "system");
    let image = |message: &&Value| message["content"].to_string().contains("data:image/png");
    assert_eq!(messages.iter().filter(image).count(), 2, "{messages:#?}");
    let results: Vec<&Value> = messages
        .iter()
        .filter(|message| message["role"] == "tool")
        .collect();
    assert_eq!(results[0]["tool_call_id"], "toolu_1");
    assert_eq!(results[1]["content"], "failed");
    assert_eq!(sent["tools"][0]["function"]["name"], "get");
    assert_eq!(sent["tool_choice"]["function"]["name"], "get");
    assert_eq!(sent["parallel_tool_calls"], false);
    assert_eq!(sent["stop"], json!(["END"]));
    assert_eq!(
        sent["response_format"]["json_schema"]["schema"]["minProperties"],
        1
    );
    assert_eq!(sent["stream_options"], json!({"include_usage": true}));
    for lost in [
        "messages.reasoning",
        "top_k",
        "tools.cache_control",
        "mcp_servers",
    ] {
        assert!(
            losses(&encoded).contains(&lost),
            "{lost}: {:?}",
            encoded.losses
        );
    }
}

#[test]
fn what_anthropic_cannot_say_is_a_named_loss() {
    let request = json!({
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "S",
                "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "name": "alice", "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "https://e.com/a.png", "detail": "high"}},
                {"type": "file", "file": {"filename": "a.txt",
                    "file_data": "data:text/plain;base64,aGk="}},
            ]},
            {"role": "assistant", "content": null, "reasoning_content": "hm", "refusal": "No."},
            {"role": "user", "content": "Why?"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "strict": true}}],
        "seed": 7, "n": 2, "logprobs": true, "top_logprobs": 2, "frequency_penalty": 0.5,
        "presence_penalty": 0, "logit_bias": {"1": 2}, "user": "u-1", "metadata": {"a": "b"},
        "reasoning_effort": "minimal", "stop": "END", "store": false,
        "stream_options": {"include_usage": true},
    });
    let encoded = encode(WireFormat::OpenAiChat, &request, &anthropic()).unwrap();
    let mut lost = losses(&encoded);
    lost.sort_unstable();
    let expected = [
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "messages.document.name",
        "messages.image.detail",
        "messages.name",
        "messages.reasoning",
        "metadata",
        "n",
        "reasoning_effort",
        "seed",
        "tools.strict",
        "top_logprobs",
    ];
    assert_eq!(lost, expected);
    assert!(
        encoded
            .losses
            .iter()
            .all(|loss| loss.format == Protocol::AnthropicMessages)
    );
    let sent = body(&encoded.request);
    assert_eq!(sent["metadata"], json!({"user_id": "u-1"}));
    assert_eq!(sent["stop_sequences"], json!(["END"]));
    assert_eq!(sent["output_config"], json!({"effort": "low"}));
    assert_eq!(
        sent["system"][0]["cache_control"],
        json!({"type": "ephemeral"})
    );
    assert_eq!(sent["messages"][0]["content"][2]["source"]["data"], "hi");
    assert_eq!(
        sent["messages"][1]["content"],
        json!([{"type": "text", "text": "No."}])
    );
    let schema = json!({"type": "object", "properties": {}});
    assert_eq!(
        sent["tools"],
        json!([{"name": "f", "input_schema": schema}])
    );
}

#[test]
fn openais_clients_reach_what_is_anthropics_own() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let allowed = json!({"mode": "required", "tools": [tool("g")]});
    let request = json!({
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [tool("f"), tool("g")],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": allowed},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "betas": ["b-1"], "container": "c", "top_k": 3, "service_tier": "auto",
        "reasoning_effort": "high",
    });
    let encoded = encode(WireFormat::OpenAiChat, &request, &anthropic()).unwrap();
    assert_eq!(losses(&encoded), Vec::<&str>::new());
    let sent = body(&encoded.request);
    assert_eq!(sent["tools"].as_array().unwrap().len(), 1);
    assert_eq!(sent["tools"][0]["name"], "g");
    assert_eq!(sent["tool_choice"], json!({"type": "any"}));
    assert_eq!(sent["thinking"], request["thinking"]);
    assert_eq!(sent["output_config"], json!({"effort": "high"}));
    assert_eq!(
        (&sent["container"], &sent["top_k"]),
        (&json!("c"), &json!(3))
    );
    assert_eq!(sent.get("betas"), None);
    assert_eq!(encoded.request.headers["anthropic-beta"], "b-1");
    // A model that cannot be made to call a tool is left to decide.
    let opus = target("anthropic", "claude-opus-5-5", &json!({}));
    let forced = json!({"messages": [], "tools": [tool("f")], "tool_choice": "required"});
    let encoded = encode(WireFormat::OpenAiChat, &forced, &opus).unwrap();
    assert_eq!(losses(&encoded), ["tool_choice"]);
    assert_eq!(body(&encoded.request).get("tool_choice"), None);
}

#[test]
fn what_anthropic_cannot_be_asked_is_refused_with_advice() {
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let with_tools = |tools: Value| json!({"messages": [], "tools": tools});
    let any_of =
        json!({"type": "function", "function": {"name": "f", "parameters": {"anyOf": []}}});
    let cases = [
        user(json!([{"type": "input_audio", "input_audio": {"format": "wav", "data": "aGk="}}])),
        user(json!([{"type": "image_url", "image_url": {"url": "ftp://e.com/a.png"}}])),
        user(json!([{"type": "image_url", "image_url": {"url": "data:text/plain;base64,aGk="}}])),
        with_tools(json!([{"type": "custom", "custom": {"name": "c"}}])),
        with_tools(json!([{"type": "web_search"}])),
        with_tools(json!([{"type": "computer_use_preview", "display_width": 1}])),
        with_tools(json!([any_of])),
        json!({"messages": [], "response_format": {"type": "json_object"}}),
        json!({"messages": [], "tool_choice": "required"}),
        json!({"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"},
            {"role": "user", "content": "c"}, {"role": "system", "content": "d"}]}),
        json!({"messages": [{"role": "assistant", "content": null, "tool_calls": [{"id": "a",
            "type": "function", "function": {"name": "f", "arguments": "[1]"}}]}]}),
    ];
    for request in cases {
        let error = encode(WireFormat::OpenAiChat, &request, &anthropic()).unwrap_err();
        assert!(error.message.len() > 30, "{request}: {error}");
        assert!(error.parameter.is_some(), "{request}: {error}");
    }
    let kept = json!({"type": "function", "function": {"name": "g"}});
    let encoded = encode(
        WireFormat::OpenAiChat,
        &with_tools(json!([any_of, kept])),
        &anthropic(),
    );
    assert_eq!(losses(&encoded.unwrap()), ["tools.parameters"]);
}

#[test]
fn models_are_not_asked_for_what_their_family_refuses() {
    let with = |model: &str, more: Value| {
        let mut request = json!({"messages": [{"role": "user", "content": "Hi"}]});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        encode(
            WireFormat::AnthropicMessages,
            &request,
            &target("anthropic", model, &json!({})),
        )
    };
    let budget = json!({"thinking": {"type": "enabled", "budget_tokens": 2000}});
    let off = json!({"thinking": {"type": "disabled"}});
    let off_at_max = json!({"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}});
    for (model, more) in [
        ("claude-fable-5-1", json!({"temperature": 0})),
        ("claude-fable-5", json!({"top_k": 3})),
        ("claude-sonnet-5-5", json!({"top_p": 0.5})),
        ("claude-sonnet-5-5", off.clone()),
        ("claude-opus-5-5", budget.clone()),
        ("claude-opus-5", off_at_max),
    ] {
        assert!(with(model, more.clone()).is_err(), "{model} {more}");
    }
    for (model, more) in [
        ("claude-opus-4-6", json!({"temperature": 0, "top_k": 3})),
        ("claude-opus-4-6", budget),
        ("claude-opus-5", off),
        ("claude-sonnet-5-5", json!({"temperature": 1})),
    ] {
        assert!(with(model, more.clone()).is_ok(), "{model} {more}");
    }
    let sent = body(
        &with("claude-fable-5", json!({"temperature": 1}))
            .unwrap()
            .request,
    );
    assert_eq!(sent.get("temperature"), None);
}

#[test]
fn system_messages_stay_in_place_where_the_model_takes_them() {
    let request = json!({"messages": [
        {"role": "system", "content": "one"}, {"role": "user", "content": "a"},
        {"role": "system", "content": "two"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"}, {"role": "system", "content": "three"},
    ]});
    let opus_5 = target("anthropic", "claude-opus-5", &json!({}));
    let sent = body(
        &encode(WireFormat::OpenAiChat, &request, &opus_5)
            .unwrap()
            .request,
    );
    let roles: Vec<&str> = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "system", "assistant", "user", "system"]);
    assert!(encode(WireFormat::OpenAiChat, &request, &anthropic()).is_err());
    // One that is not at the beginning is moved there where none is yet.
    let late = json!({"messages": [{"role": "user", "content": "a"},
        {"role": "system", "content": "two"}, {"role": "user", "content": "b"}]});
    let sent = body(
        &encode(WireFormat::OpenAiChat, &late, &anthropic())
            .unwrap()
            .request,
    );
    assert_eq!(sent["system"], "two");
    assert_eq!(sent["messages"].as_array().unwrap().len(), 2);
}

#[test]
fn identifiers_that_are_refused_are_replaced_alike_in_call_and_result() {
    let request = json!({"messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "functions.f:0",
            "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "functions.f:0", "content": "ok"},
    ]});
    let sent = body(
        &encode(WireFormat::OpenAiChat, &request, &anthropic())
            .unwrap()
            .request,
    );
    let id = &sent["messages"][1]["content"][0]["id"];
    // SHA-256 of the identifier, as LangChain computes it.
    assert_eq!(id, "toolu_d6bdd4de328a22edd610f954");
    assert_eq!(&sent["messages"][2]["content"][0]["tool_use_id"], id);
}

#[test]
fn a_stream_of_openais_is_read_by_anthropics_clients() {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "chatcmpl-1", "model": "gpt-4.1",
        "created": 1, "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let call = |index: u32, id: Value, arguments: &str| {
        let function = json!({"name": id, "arguments": arguments});
        chunk(
            json!({"tool_calls": [{"index": index, "id": id, "function": function}]}),
            Value::Null,
        )
    };
    let chunks = [
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"content": "Let me see."}), Value::Null),
        call(0, json!("a"), "{\"x\":"),
        call(1, json!("b"), "{}"),
        call(0, Value::Null, "1}"),
        chunk(json!({}), json!("tool_calls")),
        json!({"id": "chatcmpl-1", "model": "gpt-4.1", "choices": [],
            "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}),
    ];
    let mut stream: String = chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    stream.push_str("data: [DONE]\n\n");
    let openai = target("openai", "gpt-4.1", &json!({}));
    let mut decoder = Decoder::new(&openai, jiff::Timestamp::UNIX_EPOCH);
    let mut events = Vec::new();
    decoder.push(stream.as_bytes(), &mut events).unwrap();
    decoder.finish(&mut events).unwrap();
    let mut renderer = Renderer::new(WireFormat::AnthropicMessages, "m", None);
    let mut out = Vec::new();
    for event in &events {
        renderer.push(event, &mut out);
    }
    check_order(&out);
    let reply = gather(&anthropic(), &out).unwrap();
    assert_eq!(reply.usage.unwrap().input_tokens(), 9);
    let calls: Vec<(&str, &str)> = reply.choices[0]
        .parts
        .iter()
        .filter_map(|part| match &part.content {
            PartContent::ToolCall(call) => Some((call.id.as_str(), call.arguments.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(calls, [("a", "{\"x\":1}"), ("b", "{}")]);
    assert_eq!(
        reply.choices[0].native_finish_reason.as_deref(),
        Some("tool_use")
    );
}

#[test]
fn an_answer_of_anthropics_is_read_by_openais_clients() {
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
            {"type": "text", "text": "Hi"},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 5, "output_tokens": 6, "cache_read_input_tokens": 7},
    });
    let now = jiff::Timestamp::UNIX_EPOCH;
    let bytes = answer.to_string();
    let reply =
        protocol::decode(&anthropic(), 200, &HeaderMap::new(), bytes.as_bytes(), now).unwrap();
    let is_server = |part: &providers::chat::part::Part| matches!(&part.content, PartContent::ToolCall(call) if call.kind == ToolCallKind::Server);
    assert!(reply.choices[0].parts.iter().any(is_server));
    let rendered = protocol::render(WireFormat::OpenAiChat, &reply, "m");
    let rendered: Value = serde_json::from_slice(&rendered).unwrap();
    let choice = &rendered["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], "Hi");
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    // A tool that the provider ran is none of the client's.
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0]["function"]["name"], "f");
    assert_eq!(rendered["usage"]["prompt_tokens"], 12);
}

#[test]
fn failures_have_a_kind_of_their_own() {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let credit = "Your credit balance is too low to access the Anthropic API.";
    let cases = [
        (
            400,
            "invalid_request_error",
            "bad",
            ErrorKind::InvalidRequest,
        ),
        (400, "invalid_request_error", credit, ErrorKind::Quota),
        (
            401,
            "authentication_error",
            "invalid x-api-key",
            ErrorKind::Authentication,
        ),
        (402, "billing_error", "pay", ErrorKind::Quota),
        (403, "permission_error", "no", ErrorKind::Authentication),
        (404, "not_found_error", "model: x", ErrorKind::ModelNotFound),
        (413, "request_too_large", "large", ErrorKind::InvalidRequest),
        (429, "rate_limit_error", "slow", ErrorKind::RateLimit),
        (500, "api_error", "oops", ErrorKind::Server),
        (504, "timeout_error", "late", ErrorKind::Timeout),
        (529, "overloaded_error", "busy", ErrorKind::Overloaded),
        (418, "teapot_error", "tea", ErrorKind::InvalidRequest),
    ];
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "3".parse().unwrap());
    for (status, code, message, kind) in cases {
        let body = json!({"type": "error", "error": {"type": code, "message": message}});
        let body = body.to_string();
        let error =
            protocol::decode(&anthropic(), status, &headers, body.as_bytes(), now).unwrap_err();
        assert_eq!(error.kind, kind, "{code}");
        assert_eq!(error.status, Some(status));
        assert_eq!(error.code.as_deref(), Some(code));
        assert_eq!(error.message, message);
        assert_eq!(error.retry_after.unwrap().as_secs(), 3);
    }
    for (body, kind) in [
        ("<html>bad gateway", ErrorKind::Server),
        ("", ErrorKind::Server),
    ] {
        let error =
            protocol::decode(&anthropic(), 502, &headers, body.as_bytes(), now).unwrap_err();
        assert_eq!(error.kind, kind);
    }
    for body in ["", "[]", "{}", "{\"content\": 7}"] {
        let error =
            protocol::decode(&anthropic(), 200, &headers, body.as_bytes(), now).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{body}");
    }
}

#[test]
fn errors_have_the_envelope_that_clients_read() {
    let error = ClientError {
        status: 404,
        code: "model_configuration_not_found",
        message: "no such configuration",
        parameter: Some("model"),
        request_id: "req_1",
    };
    let expected = json!({"type": "error", "request_id": "req_1", "error": {
        "type": "not_found_error", "message": "no such configuration",
        "code": "model_configuration_not_found", "param": "model"}});
    let rendered = protocol::render_error(WireFormat::AnthropicMessages, &error);
    assert_eq!(
        serde_json::from_slice::<Value>(&rendered).unwrap(),
        expected
    );
    let event = protocol::render_stream_error(WireFormat::AnthropicMessages, &error);
    let event = std::str::from_utf8(&event).unwrap();
    let data = event
        .strip_prefix("event: error\ndata: ")
        .unwrap()
        .strip_suffix("\n\n")
        .unwrap();
    assert_eq!(serde_json::from_str::<Value>(data).unwrap(), expected);
}

/// Any block that a message may hold, further members and cache markers included.
fn any_block() -> impl Strategy<Value = Value> {
    let text = "[a-zé \\n]{0,6}";
    let source = prop_oneof![
        text.prop_map(|data| json!({"type": "base64", "media_type": "image/png", "data": data})),
        text.prop_map(|url| json!({"type": "url", "url": url})),
        text.prop_map(|id| json!({"type": "file", "file_id": id})),
        text.prop_map(|new| json!({"type": "newest", "where": new})),
    ];
    let leaf = prop_oneof![
        text.prop_map(|text| json!({"type": "text", "text": text})),
        text.prop_map(|data| json!({"type": "redacted_thinking", "data": data})),
        (text, "[a-z]{1,4}").prop_map(|(text, signature)| {
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }),
        (source, any::<bool>()).prop_map(|(source, is_image)| {
            json!({"type": if is_image { "image" } else { "document" }, "source": source})
        }),
        (text, any::<i64>()).prop_map(|(name, number)| {
            json!({"type": "tool_use", "id": name, "name": name, "input": {"n": number}})
        }),
        text.prop_map(|name| {
            json!({"type": "mcp_tool_use", "id": name, "name": name, "server_name": "s",
                "input": {}})
        }),
        text.prop_map(|text| json!({"type": "newest_block", "text": text, "list": [text]})),
    ];
    let result = (
        proptest::collection::vec(leaf.clone(), 1..3),
        any::<bool>(),
        text,
    )
        .prop_map(|(content, is_error, id)| {
            json!({"type": "tool_result", "tool_use_id": id, "content": content,
                "is_error": is_error})
        });
    (prop_oneof![leaf, result], 0..4_u8).prop_map(|(mut block, more)| {
        match more {
            1 => block["cache_control"] = json!({"type": "ephemeral", "ttl": "1h"}),
            2 => block["cache_control"] = json!({"type": "newest", "for": "ever"}),
            3 => block["newest_member"] = json!({"a": [1, null]}),
            _ => {}
        }
        block
    })
}

proptest! {
    #[test]
    fn any_conversation_is_written_as_it_was_read(
        turns in proptest::collection::vec(
            ("user|assistant", proptest::collection::vec(any_block(), 0..4)),
            0..5,
        ),
    ) {
        let messages: Vec<Value> = turns
            .into_iter()
            .map(|(role, content)| json!({"role": role, "content": content}))
            .collect();
        let request = json!({"model": "claude-opus-4-6", "max_tokens": 9, "messages": messages});
        let encoded = encode(WireFormat::AnthropicMessages, &request, &anthropic()).unwrap();
        prop_assert_eq!(body(&encoded.request), request);
        prop_assert!(encoded.losses.is_empty());
    }
}
