//! Answers: what the provider said, and our own headers that say how it came about.

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use providers::chat::WireFormat;
use providers::error::Loss;

use crate::attempt::{Answer, Content, scrubber};
use crate::error::CallError;
use crate::limit::rates::Standing;
use crate::meter::{CallMeter, Outcome};
use crate::scrub::Scrubber;
use crate::snapshot::{Entry, KeySource};

const MODEL_CONFIGURATION: HeaderName =
    HeaderName::from_static("x-quartermaster-model-configuration");
const PROVIDER: HeaderName = HeaderName::from_static("x-quartermaster-provider");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-quartermaster-attempts");
const TRANSLATION_LOSS: HeaderName = HeaderName::from_static("x-quartermaster-translation-loss");
const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// Which limit the three are about, as GitHub says it.
const RATE_LIMIT_RESOURCE: HeaderName = HeaderName::from_static("x-ratelimit-resource");
const BUDGET: HeaderName = HeaderName::from_static("x-quartermaster-budget");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const IDEMPOTENCY_STATUS: HeaderName = HeaderName::from_static("idempotency-status");
/// Where Anthropic's clients look for the request's id.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Headers of a provider that go on to the client. Nothing else does: no cookies,
/// no hop-by-hop headers, nothing that names the account behind a key.
const FORWARDED: [&str; 2] = ["openai-processing-ms", "openai-version"];
/// Headers that go on where the key is the organisation's own, since they tell
/// about the account behind it.
const FORWARDED_WITH_OWN_KEY: [&str; 2] = ["x-ratelimit-", "anthropic-ratelimit-"];

/// The answer of a target.
pub(crate) fn success(dialect: WireFormat, answer: Answer, mut meter: CallMeter) -> Response<Body> {
    meter.content_comes();
    let mut headers = HeaderMap::with_capacity(8);
    forward_headers(&answer, &mut headers);
    say_what_happened(dialect, &meter, &mut headers);
    say_losses(&answer.losses, &mut headers);
    let body = match answer.content {
        Content::Whole { body, usage } => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            meter.attempt_ends(Outcome::Success, usage, Some(200));
            meter.call_ends(200, Outcome::Success);
            Body::from(body)
        }
        Content::Stream(stream) => {
            let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
            headers.insert(CONTENT_TYPE, kind);
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            // nginx would collect the pieces otherwise.
            let unbuffered = HeaderName::from_static("x-accel-buffering");
            headers.insert(unbuffered, HeaderValue::from_static("no"));
            Body::new(stream.into_body(dialect, answer.credential, meter))
        }
    };
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}

/// The answer to a call that failed.
pub(crate) fn failure(
    dialect: WireFormat,
    error: CallError,
    mut meter: CallMeter,
) -> Response<Body> {
    let (status, outcome) = (error.status.as_u16(), error.outcome);
    let exceeded = error.standing.clone();
    let budget = error.budget.clone();
    let mut response = error.into_response(dialect, meter.request_id());
    say_what_happened(dialect, &meter, response.headers_mut());
    if let Some(standing) = exceeded {
        insert_standing(response.headers_mut(), &standing);
    }
    if let Some(reached) = budget {
        insert_text(response.headers_mut(), BUDGET, &reached.header());
    }
    meter.call_ends(status, outcome);
    response
}

/// Which configuration and provider, how many attempts, what is left of the limits.
pub(super) fn say_what_happened(dialect: WireFormat, meter: &CallMeter, headers: &mut HeaderMap) {
    if let Some(entry) = meter.entry() {
        let id = entry.id().to_string();
        insert_text(headers, MODEL_CONFIGURATION, &id);
        insert_text(headers, PROVIDER, &entry.configuration().settings.provider);
    }
    headers.insert(ATTEMPTS, HeaderValue::from(meter.attempts()));
    if let Some(standing) = meter.standing() {
        insert_standing(headers, &standing);
    }
    if let Some(reached) = meter.budget_warning() {
        insert_text(headers, BUDGET, &reached.header());
    }
    insert_request_id(dialect, meter.request_id(), headers);
    if meter.has_idempotency_key() {
        // Prompts and answers are never stored, so there is nothing to replay.
        headers.insert(IDEMPOTENCY_STATUS, HeaderValue::from_static("unsupported"));
    }
}

/// How much is left of the limit that is nearest to being used up.
fn insert_standing(headers: &mut HeaderMap, standing: &Standing) {
    headers.insert(RATE_LIMIT, HeaderValue::from(standing.limit));
    headers.insert(RATE_LIMIT_REMAINING, HeaderValue::from(standing.remaining));
    headers.insert(RATE_LIMIT_RESET, HeaderValue::from(standing.reset_seconds));
    insert_text(headers, RATE_LIMIT_RESOURCE, &standing.resource());
}

/// Names the request where clients of the dialect look for its id.
pub(super) fn insert_request_id(dialect: WireFormat, id: &str, headers: &mut HeaderMap) {
    insert_text(headers, REQUEST_ID, id);
    if dialect == WireFormat::AnthropicMessages {
        insert_text(headers, ANTHROPIC_REQUEST_ID, id);
    }
}

fn say_losses(losses: &[Loss], headers: &mut HeaderMap) {
    if losses.is_empty() {
        return;
    }
    let mut names: Vec<&str> = losses.iter().map(|loss| loss.what.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    insert_text(headers, TRANSLATION_LOSS, &names.join(", "));
}

fn forward_headers(answer: &Answer, headers: &mut HeaderMap) {
    let has_own_key = has_own_key(&answer.entry);
    let mut secrets: Option<Scrubber> = None;
    for (name, value) in &answer.headers {
        let text = name.as_str();
        let is_about_account = FORWARDED_WITH_OWN_KEY
            .iter()
            .any(|prefix| text.starts_with(prefix));
        if !(FORWARDED.contains(&text) || has_own_key && is_about_account) {
            continue;
        }
        let secrets = secrets.get_or_insert_with(|| scrubber(answer.credential.as_deref()));
        if value.to_str().is_ok_and(|value| !secrets.finds_in(value)) {
            headers.insert(name.clone(), value.clone());
        }
    }
}

fn has_own_key(entry: &Entry) -> bool {
    let route = entry.route();
    route.is_ok_and(|route| matches!(route.key, KeySource::Own(_) | KeySource::Slot(_)))
}

fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
