//! Why a call was not answered, in the words of the client's dialect.

use std::time::Duration;

use axum::body::Body;
use domain::agent_role::AgentRole;
use domain::provider_credential::{AuthType, CredentialStatus};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use providers::chat::WireFormat;
use providers::error::{ErrorKind, InvalidCall, ProviderError};
use providers::protocol::{ClientError, render_error, render_stream_error};

use crate::attempt::{Reason, Skipped};
use crate::limit::budgets::{Reached, Refusal};
use crate::limit::rates::{Exceeded, Standing, What};
use crate::meter::Outcome;
use crate::scrub::Scrubber;
use crate::secrets::{KeyReference, SecretError};

/// How long a client is asked to wait where nobody said how long.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(2);

/// A client is told to wait for the next month only where it begins within an hour.
const LONGEST_BUDGET_WAIT: Duration = Duration::from_secs(3600);

/// How many skipped targets an error names.
const SKIPPED_SHOWN: usize = 5;

/// A call that was not answered. Its texts are scrubbed already.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CallError {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) parameter: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) outcome: Outcome,
    /// The limit of our own that is used up.
    pub(crate) standing: Option<Box<Standing>>,
    /// The budget that is used up.
    pub(crate) budget: Option<Box<Reached>>,
}

impl CallError {
    fn refused(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            parameter: None,
            retry_after: None,
            outcome: Outcome::Refused,
            standing: None,
            budget: None,
        }
    }

    /// The same for every reason, so that it says nothing about keys that exist.
    pub(crate) fn unauthenticated() -> Self {
        Self::refused(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
            "This API key is missing or not valid. Send one of Quartermaster's own as \
             `Authorization: Bearer …` or `x-api-key`.",
        )
    }

    /// Instead of that, for an address that presented too many wrong keys.
    pub(crate) fn too_many_wrong_keys(wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..Self::refused(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_wrong_keys",
                "Too many wrong API keys came from this address.",
            )
        }
    }

    pub(crate) fn doubled_header(name: &str) -> Self {
        let message = format!("The header `{name}` was sent more than once.");
        Self::refused(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub(crate) fn bad_header(message: &str) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub(crate) fn forbidden() -> Self {
        Self::refused(
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            "This API key may not call models; it lacks the scope `invoke`.",
        )
    }

    pub(crate) fn invalid(error: InvalidCall) -> Self {
        Self {
            parameter: error.parameter,
            ..Self::refused(StatusCode::BAD_REQUEST, "invalid_request", error.message)
        }
    }

    pub(crate) fn body_too_large(limit: usize) -> Self {
        let message = format!("The request body is larger than {limit} bytes.");
        Self::refused(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    }

    pub(crate) fn too_many_values(limit: usize) -> Self {
        let message = format!("The request body holds more than {limit} JSON values.");
        Self::refused(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    }

    pub(crate) fn no_room_for_answer() -> Self {
        let message = "Too many large answers are under way. Try again.";
        Self {
            retry_after: Some(DEFAULT_RETRY_AFTER),
            ..Self::refused(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
        }
    }

    pub(crate) fn no_room_for_body() -> Self {
        let message = "Too many large requests are under way. Try again.";
        Self {
            retry_after: Some(DEFAULT_RETRY_AFTER),
            ..Self::refused(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
        }
    }

    pub(crate) fn body_too_slow() -> Self {
        let message = "The request body did not arrive in time.";
        Self::refused(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    }

    pub(crate) fn body_broken() -> Self {
        let message = "The request body broke off.";
        Self::refused(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub(crate) fn unsupported_media_type() -> Self {
        let message = "The request body must be JSON, in UTF-8 and not compressed.";
        Self::refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            message,
        )
    }

    /// A configuration that the caller does not have, named in `parameter`.
    pub(crate) fn configuration_not_found(parameter: &str, selector: &str) -> Self {
        let shown: String = selector.chars().take(255).collect();
        Self {
            parameter: Some(parameter.to_owned()),
            ..Self::refused(
                StatusCode::NOT_FOUND,
                "model_configuration_not_found",
                format!(
                    "No model configuration has the id or the exact name `{shown}`. \
                     GET /v1/models lists those you can call."
                ),
            )
        }
    }

    /// A role that does not exist, named in `parameter`.
    pub(crate) fn role_not_found(parameter: &str, reason: &str) -> Self {
        Self {
            parameter: Some(parameter.to_owned()),
            ..Self::refused(
                StatusCode::BAD_REQUEST,
                "agent_role_not_found",
                format!("`{parameter}`: {reason}."),
            )
        }
    }

    /// A role that nobody has given a configuration, named in `parameter`.
    pub(crate) fn role_not_assigned(parameter: &str, role: AgentRole) -> Self {
        Self {
            parameter: Some(parameter.to_owned()),
            ..Self::refused(
                StatusCode::NOT_FOUND,
                "agent_role_not_assigned",
                format!(
                    "No model configuration is assigned to the agent role `{role}`. Assign one \
                     with PUT /v1/agent-roles/{role}, or select one by id or name."
                ),
            )
        }
    }

    /// A path of the official clients that has no route here.
    pub(crate) fn not_served(advice: &str) -> Self {
        Self::refused(StatusCode::NOT_FOUND, "not_served", advice)
    }

    pub(crate) fn wrong_method(path: &str, method: &str) -> Self {
        let message = format!("{path} is called with {method}.");
        Self::refused(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            message,
        )
    }

    pub(crate) fn model_missing() -> Self {
        Self {
            parameter: Some("model".to_owned()),
            ..Self::refused(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "`model` is missing: send the id or the exact name of a model configuration.",
            )
        }
    }

    pub(crate) fn computer_use_unsupported(name: &str) -> Self {
        Self {
            parameter: Some("tools".to_owned()),
            ..Self::refused(
                StatusCode::BAD_REQUEST,
                "computer_use_not_supported",
                format!(
                    "The request carries a computer-use tool, and the model configuration \
                     `{name}` is not marked `is_computer_use_model`."
                ),
            )
        }
    }

    /// What the egress guard forbids; nothing was sent.
    pub(crate) fn egress(message: String) -> Self {
        Self::refused(StatusCode::BAD_GATEWAY, "egress_refused", message)
    }

    pub(crate) fn uncallable(name: &str, reason: &str) -> Self {
        Self::refused(
            StatusCode::BAD_REQUEST,
            "model_configuration_not_callable",
            format!("The model configuration `{name}` cannot be called: {reason}"),
        )
    }

    pub(crate) fn credential_missing(name: &str, provider: &str) -> Self {
        Self::refused(
            StatusCode::BAD_REQUEST,
            "provider_credential_missing",
            format!(
                "No key is set for the provider `{provider}` of the model configuration \
                 `{name}`. Set its `api_key`, give your organization's own key \
                 with PUT /v1/provider-credentials, or ask the operator for a platform credential."
            ),
        )
    }

    /// The organisation's own credential is there to be used, and cannot be.
    pub(crate) fn slot_unusable(name: &str, slot: &str, status: CredentialStatus) -> Self {
        let (code, why) = match status {
            CredentialStatus::Invalid => (
                "provider_credential_invalid",
                "was refused when it was validated last",
            ),
            CredentialStatus::Missing | CredentialStatus::Active => {
                ("provider_credential_missing", "was deleted")
            }
        };
        Self::refused(
            StatusCode::BAD_REQUEST,
            code,
            format!(
                "The model configuration `{name}` is called with your organization's own \
                 credential `{slot}`, which {why}. Give it a key with PUT \
                 /v1/provider-credentials/{slot}, or the configuration one of its own."
            ),
        )
    }

    /// The organisation's own credential is of a kind that the provider does not take.
    pub(crate) fn slot_unfit(name: &str, slot: &str, kind: AuthType, provider: &str) -> Self {
        let kind = kind.in_words();
        Self::refused(
            StatusCode::BAD_REQUEST,
            "provider_credential_missing",
            format!(
                "No key is set for the model configuration `{name}`: your organization's slot \
                 `{slot}` holds {kind}, which `{provider}` does not take. Give the \
                 configuration an `api_key`."
            ),
        )
    }

    /// As [`Self::credential_missing`], where no key of the operator's can help.
    pub(crate) fn credential_missing_elsewhere(name: &str, provider: &str, origin: &str) -> Self {
        Self::refused(
            StatusCode::BAD_REQUEST,
            "provider_credential_missing",
            format!(
                "The model configuration `{name}` has no key of its own, and sends to {origin}. \
                 The operator's platform credential for `{provider}`, if there is one, is only \
                 ever sent to the provider's own host: set the configuration's `api_key`."
            ),
        )
    }

    pub(crate) fn secret(error: &SecretError, key: &KeyReference) -> Self {
        match error {
            SecretError::Unavailable(_) => Self {
                retry_after: Some(DEFAULT_RETRY_AFTER),
                ..Self::refused(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "secret_unavailable",
                    "The provider's key cannot be read now. Try again.",
                )
            },
            SecretError::Refused(_) => Self::refused(
                StatusCode::BAD_GATEWAY,
                "secret_unavailable",
                format!(
                    "The provider's key cannot be opened for this configuration. {}",
                    remedy(key)
                ),
            ),
        }
    }

    /// A limit of the caller's key or organisation is used up.
    pub(crate) fn limit_exceeded(exceeded: &Exceeded) -> Self {
        let Exceeded { standing, wait } = exceeded;
        let whose = standing.whose.in_words();
        let limit = standing.limit;
        let what = match standing.what {
            What::Requests => format!("{limit} requests a minute"),
            What::Tokens => format!("{limit} tokens a minute"),
            What::Concurrency => format!("{limit} calls at the same time"),
        };
        let seconds = whole_seconds(*wait);
        let message = format!("The limit of {whose} is used up: {what}. Try again in {seconds} s.");
        Self {
            retry_after: Some(*wait),
            standing: Some(Box::new(*standing)),
            ..Self::refused(
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_exceeded",
                message,
            )
        }
    }

    /// A budget of the caller's key or organisation is used up. A client is asked to wait
    /// only where that is soon over.
    pub(crate) fn budget_exceeded(refusal: &Refusal, now: Timestamp) -> Self {
        let (Refusal::Spent(reached) | Refusal::Reserved(reached)) = refusal;
        let whose = reached.whose.in_words();
        let (spent, limit) = (reached.spent_micros, reached.limit_micros);
        let (spent, limit) = (dollars(spent), dollars(limit));
        let budget = format!("The budget of {whose} for {}", reached.month);
        let (message, retry_after) = match refusal {
            Refusal::Spent(_) => {
                let until = reached.resets_at.map(|at| format!(", at {at}"));
                let until = until.unwrap_or_default();
                let wait = reached.resets_at.map(|at| at.duration_since(now));
                let wait = wait.and_then(|wait| Duration::try_from(wait).ok());
                let message = format!(
                    "{budget} is used up: {spent} of {limit} US dollars. Calls are refused until \
                     the next month begins{until}, or until an admin raises it."
                );
                (message, wait.filter(|wait| *wait <= LONGEST_BUDGET_WAIT))
            }
            Refusal::Reserved(_) => {
                let message = format!(
                    "{budget} may be used up by calls that are under way: {spent} of {limit} US \
                     dollars are spent. Try again when they have ended."
                );
                (message, Some(DEFAULT_RETRY_AFTER))
            }
        };
        Self {
            retry_after,
            budget: Some(Box::new(*reached)),
            ..Self::refused(StatusCode::TOO_MANY_REQUESTS, "budget_exceeded", message)
        }
    }

    /// No target was tried, since all of them are left alone for a while.
    pub(crate) fn all_skipped(skipped: &[Skipped]) -> Self {
        let rest_only = |skipped: &Skipped| skipped.refusal.reason == Reason::RateLimited;
        let (status, code) = if skipped.iter().all(rest_only) {
            let code = ErrorKind::RateLimit.as_str();
            (StatusCode::TOO_MANY_REQUESTS, code)
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "circuit_open")
        };
        let shown = skipped.iter().take(SKIPPED_SHOWN).map(reason_of);
        let mut message = format!(
            "No target of this call can be tried now: {}.",
            shown.collect::<Vec<_>>().join("; ")
        );
        if let Some(more @ 1..) = skipped.len().checked_sub(SKIPPED_SHOWN) {
            message.push_str(&format!(" So it is with {more} more."));
        }
        let wait = skipped.iter().map(|skipped| skipped.refusal.wait).min();
        // The same call made again soon helps unless all keys are bad.
        let kinds = skipped.iter().map(|skipped| skipped.refusal.reason.kind());
        let kind = kinds.reduce(|one, other| if one.is_retryable() { one } else { other });
        Self {
            retry_after: Some(wait.unwrap_or(DEFAULT_RETRY_AFTER)),
            outcome: kind.map_or(Outcome::Refused, Outcome::Failed),
            ..Self::refused(status, code, message)
        }
    }

    /// A provider's failure, by the table of the design: what the client's request
    /// caused keeps its status; what our credential caused is not the client's 401;
    /// and a status that clients do not know never reaches them.
    pub(crate) fn provider(error: &ProviderError, scrubber: &Scrubber) -> Self {
        let status = status_of(error);
        let is_clients_doing = status.is_client_error();
        let own_code = error.code.as_deref().filter(|_| is_clients_doing);
        let code = own_code.map_or_else(
            || error.kind.as_str().to_owned(),
            |code| scrubber.scrub(code),
        );
        let wants_wait = matches!(status.as_u16(), 429 | 503);
        let retry_after = error.retry_after.or(Some(DEFAULT_RETRY_AFTER));
        let said = scrubber.scrub(&error.message);
        // Alone, the provider's text reads as if it were about the caller's own key.
        let message = match error.kind {
            ErrorKind::Authentication => {
                format!("The provider refused the key of this model configuration: {said}")
            }
            _ => said,
        };
        Self {
            status,
            code,
            message,
            parameter: error.parameter.as_deref().map(|name| scrubber.scrub(name)),
            retry_after: retry_after.filter(|_| wants_wait),
            outcome: Outcome::Failed(error.kind),
            standing: None,
            budget: None,
        }
    }

    /// As an HTTP answer.
    pub(crate) fn into_response(self, dialect: WireFormat, request_id: &str) -> Response<Body> {
        let body = render_error(dialect, &self.client_error(request_id));
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let is_hopeless = self.status.is_server_error() && !self.is_worth_retrying();
        let is_spent = self.budget.is_some() && self.retry_after.is_none();
        if is_hopeless || is_spent {
            // The official SDKs would try twice more, each time through all of the plan.
            let name = HeaderName::from_static("x-should-retry");
            headers.insert(name, HeaderValue::from_static("false"));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        response
    }

    /// Whether the same call may succeed later although nobody changes anything.
    fn is_worth_retrying(&self) -> bool {
        match self.outcome {
            Outcome::Failed(kind) => kind.is_retryable(),
            _ => self.retry_after.is_some(),
        }
    }

    /// As the last event of a stream that has begun.
    pub(crate) fn as_stream_event(&self, dialect: WireFormat, request_id: &str) -> bytes::Bytes {
        render_stream_error(dialect, &self.client_error(request_id))
    }

    fn client_error<'a>(&'a self, request_id: &'a str) -> ClientError<'a> {
        ClientError {
            status: self.status.as_u16(),
            code: &self.code,
            message: &self.message,
            parameter: self.parameter.as_deref(),
            request_id,
        }
    }
}

/// Why one target was skipped, in words.
/// Who can mend a key that does not open, and how.
fn remedy(key: &KeyReference) -> String {
    match key {
        KeyReference::Own { .. } => "Set its `api_key` anew.".to_owned(),
        KeyReference::Slot { slot, .. } => format!(
            "It is your organization's own credential `{slot}`: set it anew with PUT \
             /v1/provider-credentials/{slot}."
        ),
        KeyReference::SystemDefault { .. } | KeyReference::Platform { .. } => {
            "It is the operator's: ask the operator.".to_owned()
        }
    }
}

fn reason_of(skipped: &Skipped) -> String {
    let settings = &skipped.entry.configuration().settings;
    let (name, provider) = (&settings.name, &settings.provider);
    let seconds = whole_seconds(skipped.refusal.wait);
    let reason = match skipped.refusal.reason {
        Reason::Failing(kind) => format!("{provider} failed again and again ({})", kind.as_str()),
        Reason::Refused => format!("{provider} refused its key"),
        Reason::RateLimited => format!("{provider} limits the rate"),
    };
    format!("`{name}`: {reason}, next try in {seconds} s")
}

/// Rounded up: who waits exactly so long must not be too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn status_of(error: &ProviderError) -> StatusCode {
    let kept = error
        .status
        .filter(|status| matches!(status, 400 | 404 | 413 | 422 | 429))
        .and_then(|status| StatusCode::from_u16(status).ok());
    match error.kind {
        ErrorKind::Authentication => StatusCode::BAD_GATEWAY,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::InvalidRequest => kept.unwrap_or(StatusCode::BAD_REQUEST),
        ErrorKind::RateLimit => kept.unwrap_or(StatusCode::TOO_MANY_REQUESTS),
        ErrorKind::ModelNotFound => kept.unwrap_or(StatusCode::NOT_FOUND),
        ErrorKind::Quota
        | ErrorKind::Server
        | ErrorKind::Connect
        | ErrorKind::Connection
        | ErrorKind::Conflict
        | ErrorKind::Malformed => kept.unwrap_or(StatusCode::BAD_GATEWAY),
    }
}

/// Micro-dollars as dollars, exactly.
fn dollars(micros: i64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let shortest = text.trim_end_matches('0');
    let (whole, fraction) = shortest.split_once('.').unwrap_or((shortest, ""));
    format!("{whole}.{fraction:0<2}")
}
