//! Google's generateContent, as AI Studio and Vertex AI have it
//! (<https://ai.google.dev/api/generate-content>). Vertex AI is asked as LangChain asks it:
//! enumerations go by number, and a stream is one JSON array.

use bytes::Bytes;
use http::Uri;
use serde_json::{Value, json};

use super::Dialect;
use super::answer::{Answer, Finish};
use super::question::{Named, Question, Tool, ToolChoice};

/// Names of a schema's types by their numbers.
const TYPES: [&str; 7] = [
    "", "string", "number", "integer", "boolean", "array", "object",
];

/// Reads the address of a call. None where it is none of Google's.
#[must_use]
pub fn address(uri: &Uri) -> Option<(Dialect, Named)> {
    let (place, action) = uri.path().rsplit_once(':')?;
    let is_stream = match action {
        "generateContent" => false,
        "streamGenerateContent" => true,
        _ => return None,
    };
    let (before, model) = place.split_once("/models/")?;
    let is_google = before.starts_with("/v1beta") || before.contains("/publishers/google");
    let says_numbers = uri
        .query()
        .is_some_and(|query| query.contains("enum-encoding"));
    let dialect = if says_numbers {
        Dialect::VertexGenerate
    } else {
        Dialect::GeminiGenerate
    };
    let model = percent_encoding::percent_decode_str(model)
        .decode_utf8()
        .ok()?;
    let named = Named {
        model: model.into_owned(),
        is_stream,
    };
    is_google.then_some((dialect, named))
}

/// Reads a request's body.
///
/// # Errors
/// With a message for the client, when it holds no contents.
pub fn parse(body: &Value) -> Result<Question, String> {
    let contents = body["contents"]
        .as_array()
        .filter(|contents| !contents.is_empty())
        .ok_or("* GenerateContentRequest.contents: contents is not specified")?;
    let of_user = contents
        .iter()
        .rev()
        .find(|content| content["role"] != "model");
    let last_parts = of_user.map(|content| &content["parts"]);
    let ends_with_tool_result = contents.last().is_some_and(|last| {
        let parts = last["parts"].as_array();
        parts.is_some_and(|parts| {
            parts
                .iter()
                .any(|part| part["functionResponse"].is_object())
        })
    });
    let config = &body["generationConfig"];
    let schema = [&config["responseJsonSchema"], &config["responseSchema"]];
    let schema = schema.into_iter().find(|schema| schema.is_object());
    let is_json = config["responseMimeType"] == "application/json";
    let system = texts(&body["systemInstruction"]["parts"]);
    let said = contents.iter().flat_map(|content| texts(&content["parts"]));
    Ok(Question {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        is_stream: body["stream"] == true,
        texts: system.into_iter().chain(said).collect(),
        last_text: last_parts
            .map(texts)
            .unwrap_or_default()
            .pop()
            .unwrap_or_default(),
        ends_with_tool_result,
        tools: tools(body),
        tool_choice: tool_choice(&body["toolConfig"]["functionCallingConfig"]),
        max_tokens: config["maxOutputTokens"].as_u64(),
        response_schema: match schema {
            Some(schema) => Some(json_schema(schema)),
            None => is_json.then(|| json!({"type": "object"})),
        },
        ..Question::default()
    })
}

fn texts(parts: &Value) -> Vec<String> {
    let parts = parts.as_array().map(Vec::as_slice).unwrap_or_default();
    parts
        .iter()
        .filter_map(|part| {
            let response = &part["functionResponse"]["response"];
            let said = ["output", "content"]
                .iter()
                .find_map(|name| response[name].as_str());
            match (part["text"].as_str(), said) {
                (Some(text), _) | (None, Some(text)) => Some(text.to_owned()),
                (None, None) if response.is_object() => Some(response.to_string()),
                (None, None) => None,
            }
        })
        .collect()
}

fn tools(body: &Value) -> Vec<Tool> {
    let tools = body["tools"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let functions = tools
        .iter()
        .filter_map(|tool| tool["functionDeclarations"].as_array());
    functions
        .flatten()
        .filter_map(|function| {
            Some(Tool {
                name: function["name"].as_str()?.to_owned(),
                schema: json_schema(&function["parameters"]),
            })
        })
        .collect()
}

/// A schema in JSON schema's words: types in lower case, by name.
fn json_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let value = match (name.as_str(), value) {
                    ("type", Value::String(kind)) => json!(kind.to_lowercase()),
                    ("type", Value::Number(number)) => {
                        let index = number
                            .as_u64()
                            .and_then(|index| usize::try_from(index).ok());
                        json!(
                            index
                                .and_then(|index| TYPES.get(index))
                                .unwrap_or(&"string")
                        )
                    }
                    _ => json_schema(value),
                };
                (name.clone(), value)
            })
            .collect(),
        Value::Array(items) => items.iter().map(json_schema).collect(),
        other => other.clone(),
    }
}

fn tool_choice(config: &Value) -> ToolChoice {
    let is = |name: &str, number: u64| config["mode"] == name || config["mode"] == number;
    let names = config["allowedFunctionNames"].as_array();
    match names.map(Vec::as_slice) {
        _ if is("NONE", 3) => ToolChoice::None,
        Some([only]) if is("ANY", 2) => {
            ToolChoice::Named(only.as_str().unwrap_or_default().to_owned())
        }
        _ if is("ANY", 2) => ToolChoice::Any,
        _ => ToolChoice::Auto,
    }
}

/// The answer as one body.
#[must_use]
pub fn whole(dialect: Dialect, question: &Question, answer: &Answer) -> Value {
    let mut parts = thoughts(answer);
    if answer.tool_calls.is_empty() {
        parts.push(json!({"text": answer.text}));
    }
    parts.extend(calls(answer));
    chunk(dialect, question, answer, &parts, true)
}

/// The answer as the pieces of a stream.
#[must_use]
pub fn stream(dialect: Dialect, question: &Question, answer: &Answer) -> Vec<Bytes> {
    let mut chunks: Vec<Vec<Value>> = thoughts(answer)
        .into_iter()
        .map(|part| vec![part])
        .collect();
    chunks.extend(answer.pieces().map(|piece| vec![json!({"text": piece})]));
    chunks.extend(calls(answer).into_iter().map(|call| vec![call]));
    let last = chunks.len().saturating_sub(1);
    let chunks = chunks.iter().enumerate();
    let chunks =
        chunks.map(|(index, parts)| chunk(dialect, question, answer, parts, index == last));
    match dialect {
        Dialect::VertexGenerate => {
            let begin = |(index, chunk)| {
                let opening = if index == 0 { "[" } else { ",\r\n" };
                Bytes::from(format!("{opening}{chunk}"))
            };
            let pieces = chunks.enumerate().map(begin);
            pieces.chain([Bytes::from_static(b"]")]).collect()
        }
        _ => chunks
            .map(|chunk| Bytes::from(format!("data: {chunk}\r\n\r\n")))
            .collect(),
    }
}

/// An error's body.
#[must_use]
pub fn error(status: u16, message: &str) -> Value {
    let word = match status {
        400 | 413 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        402 | 405..=412 | 414..=421 | 423..=428 => "FAILED_PRECONDITION",
        _ => "INTERNAL",
    };
    json!({"error": {"code": status, "message": message, "status": word}})
}

/// An error inside a stream.
#[must_use]
pub fn error_event(dialect: Dialect) -> Bytes {
    let error = error(503, "The model is overloaded. Please try again later.");
    match dialect {
        Dialect::VertexGenerate => Bytes::from(format!(",\r\n{error}]")),
        _ => Bytes::from(format!("data: {error}\r\n\r\n")),
    }
}

fn thoughts(answer: &Answer) -> Vec<Value> {
    if answer.usage.reasoning == 0 {
        return Vec::new();
    }
    vec![json!({"text": "The stand-in thinks.", "thought": true})]
}

/// Calls have no ids; the first one is signed.
fn calls(answer: &Answer) -> Vec<Value> {
    let calls = answer.tool_calls.iter().enumerate();
    calls
        .map(|(index, call)| {
            let mut part = json!({"functionCall": {"name": call.name, "args": call.arguments}});
            if index == 0 {
                part["thoughtSignature"] = json!(signature(answer));
            }
            part
        })
        .collect()
}

/// What the first call of an answer is signed with; it follows from the request.
#[must_use]
pub fn signature(answer: &Answer) -> String {
    // Sixteen letters are base64 as they are.
    answer.id.clone()
}

fn chunk(
    dialect: Dialect,
    question: &Question,
    answer: &Answer,
    parts: &[Value],
    is_last: bool,
) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    let (name, number) = match answer.finish {
        Finish::Length => ("MAX_TOKENS", 2),
        Finish::Stop | Finish::ToolCalls => ("STOP", 1),
    };
    if is_last {
        candidate["finishReason"] = match dialect {
            Dialect::VertexGenerate => json!(number),
            _ => json!(name),
        };
    }
    let usage = answer.usage;
    let prompt = usage.input + usage.cache_read + usage.cache_write;
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": prompt,
            "cachedContentTokenCount": usage.cache_read,
            "candidatesTokenCount": usage.output - usage.reasoning,
            "thoughtsTokenCount": usage.reasoning,
            "totalTokenCount": prompt + usage.output,
        },
        "modelVersion": question.model,
        "responseId": answer.id,
    })
}
