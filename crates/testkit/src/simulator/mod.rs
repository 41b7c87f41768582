//! A scripted stand-in for providers.
//!
//! It speaks OpenAI's chat completions and Responses API, Anthropic's messages, Google's
//! generateContent, and Amazon Bedrock's Converse and InvokeModel, whole and as a stream.
//! Its answers follow from the request alone, so that a test can predict
//! them (see [`answer`]); how it misbehaves is said by the model's name or by the
//! header `x-simulate` (see [`behaviour`]). What it received is in its [`Ledger`].
//!
//! ```text
//! model                        what happens
//! simulated-chat               an ordinary answer
//! simulated-chat:words=200:pace=0.02   200 words, 20 ms between them
//! fault:429:retry-after=2      429 with `Retry-After: 2`
//! fault:500:times=2            500 twice, then an ordinary answer
//! fault:reset=3                the connection is reset after 3 pieces of the stream
//! ```

pub mod answer;
pub mod anthropic_messages;
pub mod bedrock_converse;
pub mod bedrock_invoke;
pub mod behaviour;
pub mod event_stream;
pub mod gemini_generate;
pub mod ledger;
pub mod openai_chat;
pub mod openai_responses;
pub mod play;
pub mod question;
pub mod schema;
pub mod serve;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use answer::Answer;
use behaviour::{Behaviour, Fault};
use ledger::{Ledger, Recording};
use play::{Reset, Step};
use question::{Named, Question};

/// Larger requests are refused with a 413.
const BODY_LIMIT: usize = 128 << 20;

/// The wire formats that the stand-in speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's chat completions.
    OpenAiChat,
    /// OpenAI's Responses API.
    OpenAiResponses,
    /// Anthropic's messages.
    AnthropicMessages,
    /// Amazon Bedrock's Converse.
    BedrockConverse,
    /// Anthropic's messages in Amazon Bedrock's envelope.
    BedrockInvoke,
    /// Google's generateContent.
    GeminiGenerate,
    /// The same of Vertex AI: enumerations by number, and a stream as one JSON array.
    VertexGenerate,
}

impl Dialect {
    const fn is_of_aws(self) -> bool {
        matches!(self, Self::BedrockConverse | Self::BedrockInvoke)
    }
}

/// The stand-in. Cheap to clone; clones share ledger and counters.
#[derive(Clone)]
pub struct Simulator {
    ledger: Ledger,
    /// How often each dialect and directive with `times=` has been asked for already.
    failures: Arc<Mutex<HashMap<String, u32>>>,
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator {
    /// One that remembers the last 10,000 requests.
    #[must_use]
    pub fn new() -> Self {
        Self::remembering(10_000)
    }

    /// One that remembers the last `requests` requests; 0 remembers only totals.
    #[must_use]
    pub fn remembering(requests: usize) -> Self {
        Self {
            ledger: Ledger::new(requests),
            failures: Arc::default(),
        }
    }

    /// What was received so far.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Answers one request, in process or behind a listener alike.
    ///
    /// # Errors
    /// [`Reset`] where the connection is to be reset before the first byte. A reset
    /// in the middle is an error of the body.
    pub async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Reset> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let named = bedrock_address(path).or_else(|| gemini_generate::address(&parts.uri));
        let dialect = match (&parts.method, path.strip_prefix("/v1").unwrap_or(path)) {
            (&Method::POST, "/chat/completions") => Dialect::OpenAiChat,
            (&Method::POST, "/responses") => Dialect::OpenAiResponses,
            (&Method::POST, "/messages" | "/messages/count_tokens") => Dialect::AnthropicMessages,
            (&Method::POST, _) if named.is_some() => named
                .as_ref()
                .map_or(Dialect::BedrockConverse, |(dialect, _)| *dialect),
            (&Method::GET, "/models") => return Ok(json_response(StatusCode::OK, &models())),
            (&Method::GET, "/simulator/ledger") => {
                return Ok(json_response(StatusCode::OK, &self.ledger.as_json()));
            }
            (&Method::DELETE, "/simulator/ledger") => {
                self.ledger.clear();
                return Ok(json_response(StatusCode::OK, &json!({"cleared": true})));
            }
            (&Method::GET, "/health") => {
                return Ok(json_response(StatusCode::OK, &json!({"ok": true})));
            }
            _ => {
                let message = format!("the stand-in has no {} {path}", parts.method);
                let error = openai_chat::error(404, &message);
                return Ok(json_response(StatusCode::NOT_FOUND, &error));
            }
        };
        let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
            let error = error_body(dialect, 413, "the request is larger than 128 MiB");
            return Ok(json_response(StatusCode::PAYLOAD_TOO_LARGE, &error));
        };
        let recording = self.ledger.begin(&parts, &body);
        if path.ends_with("/messages/count_tokens") {
            return Ok(count_tokens(&parts.headers, &body, recording));
        }
        let question = question::parse(dialect, &body, named.as_ref().map(|(_, named)| named));
        self.answer(dialect, &parts.headers, question, recording)
            .await
    }

    async fn answer(
        &self,
        dialect: Dialect,
        headers: &HeaderMap,
        question: Result<Question, String>,
        recording: Recording,
    ) -> Result<Response<Body>, Reset> {
        let question = match question {
            Ok(question) => question,
            Err(message) => return Ok(refuse(dialect, &message, recording)),
        };
        let behaviour = match Behaviour::of(&question.model, headers) {
            Ok(behaviour) => behaviour,
            Err(message) => return Ok(refuse(dialect, &message, recording)),
        };
        recording.model(&question.model);
        let fault = if self.fails_now(dialect, &behaviour) {
            behaviour.fault.clone()
        } else {
            Fault::default()
        };
        if !fault.delay.is_zero() {
            tokio::time::sleep(fault.delay).await;
        }
        if fault.reset_after == Some(0) {
            recording.finish();
            return Err(Reset);
        }
        if let Some(status) = fault.status() {
            return Ok(failure(dialect, status, &fault, headers, recording));
        }
        let answer = Answer::to(&question, &behaviour.content);
        recording.usage(answer.usage);
        Ok(success(
            dialect, &question, &answer, &behaviour, &fault, recording,
        ))
    }

    /// Counts a request under its dialect and directive, and says whether it is among those to fail.
    fn fails_now(&self, dialect: Dialect, behaviour: &Behaviour) -> bool {
        let (times, odds) = (behaviour.fault.times, behaviour.fault.odds);
        if times.is_none() && odds.is_none() {
            return true;
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{dialect:?} {}", behaviour.directive);
        let asked = failures.entry(key).or_default();
        let number = *asked;
        *asked += 1;
        times.is_none_or(|times| number < times) && odds.is_none_or(|odds| odds.fails(number))
    }
}

/// A whole or streamed answer, with whatever is to go wrong in its body.
fn success(
    dialect: Dialect,
    question: &Question,
    answer: &Answer,
    behaviour: &Behaviour,
    fault: &Fault,
    recording: Recording,
) -> Response<Body> {
    let (content_type, pieces) = if question.is_stream {
        let pieces = match dialect {
            Dialect::OpenAiChat => openai_chat::stream(question, answer),
            Dialect::OpenAiResponses => openai_responses::stream(question, answer),
            Dialect::AnthropicMessages => anthropic_messages::stream(question, answer),
            Dialect::BedrockConverse => bedrock_converse::stream(answer),
            Dialect::BedrockInvoke => bedrock_invoke::stream(question, answer),
            Dialect::GeminiGenerate | Dialect::VertexGenerate => {
                gemini_generate::stream(dialect, question, answer)
            }
        };
        let content_type = match dialect {
            Dialect::VertexGenerate => "application/json; charset=UTF-8",
            _ if dialect.is_of_aws() => event_stream::MEDIA_TYPE,
            _ => "text/event-stream; charset=utf-8",
        };
        (content_type, pieces)
    } else {
        let whole = match dialect {
            Dialect::OpenAiChat => openai_chat::whole(question, answer),
            Dialect::OpenAiResponses => openai_responses::whole(question, answer),
            Dialect::AnthropicMessages | Dialect::BedrockInvoke => {
                anthropic_messages::whole(question, answer)
            }
            Dialect::BedrockConverse => bedrock_converse::whole(answer),
            Dialect::GeminiGenerate | Dialect::VertexGenerate => {
                gemini_generate::whole(dialect, question, answer)
            }
        };
        ("application/json", vec![Bytes::from(whole.to_string())])
    };
    let steps = play::script(
        dialect,
        pieces,
        behaviour.content.pace,
        fault,
        question.is_stream,
    );
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, content_type)
        .header("x-request-id", &answer.request_id)
        .header("request-id", &answer.request_id);
    if question.is_stream {
        response = response.header(header::CACHE_CONTROL, "no-cache");
    }
    finish(response, steps, recording)
}

/// An error of the provider's own.
fn failure(
    dialect: Dialect,
    status: u16,
    fault: &Fault,
    headers: &HeaderMap,
    recording: Recording,
) -> Response<Body> {
    let message = if fault.echoes_key {
        format!("Incorrect API key provided: {}.", presented_key(headers))
    } else {
        format!("simulated failure with status {status}")
    };
    let (content_type, body) = if fault.is_html {
        let page = format!("<html><body><h1>{status} Bad Gateway</h1>{message}</body></html>");
        ("text/html", Bytes::from(page))
    } else if fault.is_malformed {
        (
            "application/json",
            Bytes::from_static(b"{\"error\": {\"message\": "),
        )
    } else {
        let body = error_body(dialect, status, &message).to_string();
        ("application/json", Bytes::from(body))
    };
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type);
    if dialect.is_of_aws() {
        let kind = bedrock_converse::error_type(status);
        response = response.header("x-amzn-errortype", kind);
    }
    if let Some(seconds) = &fault.retry_after {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    let steps = if fault.is_empty {
        Vec::new()
    } else {
        vec![Step::Send(body)]
    };
    finish(response, steps, recording)
}

/// Counts the tokens of a prompt of Anthropic's, as an answer to it would say them.
fn count_tokens(headers: &HeaderMap, body: &[u8], recording: Recording) -> Response<Body> {
    let dialect = Dialect::AnthropicMessages;
    let mut question: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    // A count has no answer to bound, and the real one refuses the member.
    if question.contains_key("max_tokens") {
        let message = "max_tokens: Extra inputs are not permitted";
        return refuse(dialect, message, recording);
    }
    question.insert("max_tokens".to_owned(), 1.into());
    let question = Value::Object(question).to_string();
    let read = question::parse(dialect, question.as_bytes(), None);
    let read = read.and_then(|question| {
        let behaviour = Behaviour::of(&question.model, headers)?;
        Ok((question, behaviour))
    });
    let (question, behaviour) = match read {
        Ok(read) => read,
        Err(message) => return refuse(dialect, &message, recording),
    };
    recording.model(&question.model);
    if let Some(status) = behaviour.fault.status() {
        return failure(dialect, status, &behaviour.fault, headers, recording);
    }
    let tokens: u64 = question.texts.iter().map(|text| answer::words(text)).sum();
    recording.finish();
    json_response(StatusCode::OK, &json!({"input_tokens": tokens}))
}

fn refuse(dialect: Dialect, message: &str, recording: Recording) -> Response<Body> {
    recording.finish();
    let mut response = json_response(StatusCode::BAD_REQUEST, &error_body(dialect, 400, message));
    if dialect.is_of_aws() {
        let kind = http::HeaderValue::from_static(bedrock_converse::error_type(400));
        response.headers_mut().insert("x-amzn-errortype", kind);
    }
    response
}

fn finish(
    response: http::response::Builder,
    steps: Vec<Step>,
    recording: Recording,
) -> Response<Body> {
    response
        .body(play::body(steps, recording))
        .unwrap_or_default()
}

fn error_body(dialect: Dialect, status: u16, message: &str) -> Value {
    match dialect {
        Dialect::OpenAiChat => openai_chat::error(status, message),
        Dialect::OpenAiResponses => openai_responses::error(status, message),
        Dialect::AnthropicMessages => anthropic_messages::error(status, message),
        Dialect::BedrockConverse | Dialect::BedrockInvoke => bedrock_converse::error(message),
        Dialect::GeminiGenerate | Dialect::VertexGenerate => {
            gemini_generate::error(status, message)
        }
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// What `/model/{id}/converse` and its like say.
fn bedrock_address(path: &str) -> Option<(Dialect, Named)> {
    let (model, action) = path.strip_prefix("/model/")?.rsplit_once('/')?;
    let (dialect, is_stream) = match action {
        "converse" => (Dialect::BedrockConverse, false),
        "converse-stream" => (Dialect::BedrockConverse, true),
        "invoke" => (Dialect::BedrockInvoke, false),
        "invoke-with-response-stream" => (Dialect::BedrockInvoke, true),
        _ => return None,
    };
    let model = percent_encoding::percent_decode_str(model)
        .decode_utf8()
        .ok()?;
    let named = Named {
        model: model.into_owned(),
        is_stream,
    };
    Some((dialect, named))
}

fn models() -> Value {
    json!({"object": "list", "data": [
        {"id": "simulated-chat", "object": "model", "created": 0, "owned_by": "simulator"},
    ]})
}

/// The key that came with the request, as providers quote it in their errors.
fn presented_key(headers: &HeaderMap) -> String {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.trim_start_matches("Bearer ").to_owned());
    let own = headers
        .get("x-api-key")
        .or_else(|| headers.get("x-goog-api-key"))
        .and_then(|value| value.to_str().ok());
    bearer
        .or_else(|| own.map(str::to_owned))
        .unwrap_or_else(|| "(none)".to_owned())
}
