//! `POST /v1/api-keys`.

use std::collections::BTreeSet;

use axum::extract::{Request, State};
use axum::response::Response;
use domain::api_key::{ApiKey, ApiKeyToken, Caller, Digest256, Scope};
use domain::clock::{random, time_ordered_id};
use domain::id::{ApiKeyId, OrganizationId};
use domain::rate_limits::RateLimits;
use domain::secret::Secret;
use domain::validation;
use http::StatusCode;
use store::changes::Change;
use utoipa::ToSchema;

use crate::answer::{Answer, to_value};
use crate::api_keys::limits::SentLimits;
use crate::api_keys::view::{ApiKeyView, CreatedApiKeyView, ScopeName};
use crate::body::coerce;
use crate::body::fault::Fault;
use crate::body::fields::{Faults, Fields, Sent};
use crate::body::json::Json;
use crate::error::ApiError;
use crate::extract::call::{BodyRule, Call};
use crate::extract::caller::require;
use crate::idempotency;
use crate::openapi::{BodyRefusals, Conflict, NotFound, Refusals, Unprocessable};
use crate::state::ControlState;
use crate::write::context::{Deposited, Preparation, WriteContext};
use crate::write::{Audited, Done, Operation, Outcome};

/// A new API key.
#[derive(ToSchema)]
#[schema(as = ApiKeyCreate, example = json!({"name": "agents in production", "scopes": ["invoke"]}))]
pub(crate) struct CreateApiKey {
    /// A label for people.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// What it allows; at most what the caller's own key allows. Left out: everything
    /// inside the organisation that the caller may do.
    #[schema(value_type = Option<Vec<ScopeName>>, min_items = 1)]
    scopes: Option<BTreeSet<Scope>>,
    /// Whose key it is to be. Another organisation than one's own needs `operator`.
    #[schema(value_type = Option<uuid::Uuid>)]
    organization_id: Option<OrganizationId>,
    /// Calls begun within any 60 seconds.
    #[schema(value_type = Option<u64>, minimum = 1)]
    requests_per_minute: Sent<u64>,
    /// Tokens, input and output, of calls begun within any 60 seconds.
    #[schema(value_type = Option<u64>, minimum = 1)]
    tokens_per_minute: Sent<u64>,
    /// Calls under way at the same time.
    #[schema(value_type = Option<u64>, minimum = 1)]
    concurrent_calls: Sent<u64>,
}

/// Create an API key
///
/// The answer shows the key, once. Under an `Idempotency-Key` a repetition shows it
/// again, for a day; until then it is kept sealed.
#[utoipa::path(
    post,
    path = "/v1/api-keys",
    operation_id = "create_api_key",
    tag = "API keys",
    params(crate::openapi::IdempotencyKey),
    request_body = CreateApiKey,
    responses(
        (status = 201, description = "The new key", body = CreatedApiKeyView),
        Refusals, NotFound, Conflict, BodyRefusals, Unprocessable
    ),
    security(("api_key" = ["admin"]))
)]
pub(crate) async fn create(State(state): State<ControlState>, request: Request) -> Response {
    crate::write::drive::write::<CreateApiKey>(state, request).await
}

pub(crate) struct Prepared {
    row: ApiKey,
    digest: Digest256,
    answer: Answer,
    sealed_answer: Option<Deposited>,
}

impl Operation for CreateApiKey {
    const ACTION: &'static str = "api_key.create";
    const SCOPE: Scope = Scope::Admin;
    const BODY: BodyRule = BodyRule::Json;
    type Prepared = Prepared;

    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut faults = Faults::default();
        call.check_headers(&mut faults);
        let body = Self::read_body(call, &mut faults);
        faults.finish(body)
    }

    /// Where no scopes are named they are the caller's own; so a key with fewer scopes
    /// that repeats the request of one with more means something else by it.
    fn meaning(&self, caller: &Caller) -> Result<String, ApiError> {
        if self.is_for_others(caller) {
            require(caller, Scope::Operator)?;
        }
        let granted = self.granted(caller)?;
        let names: Vec<_> = granted.into_iter().map(Scope::as_str).collect();
        Ok(names.join(" "))
    }

    async fn prepare(&self, preparation: &mut Preparation<'_>) -> Result<Prepared, ApiError> {
        let state = preparation.state;
        let caller = &preparation.call.caller;
        let organization_id = self.organization_id.unwrap_or(caller.organization_id);
        if self.is_for_others(caller) {
            store::organizations::get(state.database(), organization_id)
                .await?
                .ok_or_else(|| ApiError::not_found("Organization not found"))?;
        }
        let row = ApiKey {
            id: ApiKeyId(time_ordered_id(state.clock(), state.entropy())),
            organization_id,
            name: self.name.clone(),
            scopes: self.granted(caller)?,
            created_at: preparation.now,
            revoked_at: None,
        };
        let token = ApiKeyToken::from_random(&random(state.entropy()));
        let view = CreatedApiKeyView {
            view: ApiKeyView::new(&row, self.limits()),
            key: token.expose(),
        };
        let answer = Answer::json(StatusCode::CREATED, &view)?;
        let sealed_answer = seal(preparation, &answer).await?;
        Ok(Prepared {
            digest: token.digest(),
            row,
            answer,
            sealed_answer,
        })
    }

    async fn run(
        &self,
        prepared: Prepared,
        context: &mut WriteContext<'_>,
    ) -> Result<Outcome, ApiError> {
        let row = &prepared.row;
        store::api_keys::insert(context.transaction, row, &prepared.digest).await?;
        let limits = self.limits();
        if !limits.is_unlimited() {
            let (owner, id, now) = (row.organization_id, Some(row.id), context.now);
            store::rate_limits::put(context.transaction, owner, id, &limits, now).await?;
        }
        Ok(Outcome::from(Done {
            answer: prepared.answer,
            sealed_answer: prepared.sealed_answer,
            audited: Audited {
                resource_id: row.id.to_string(),
                before: None,
                after: Some(to_value(&ApiKeyView::new(row, limits))?),
            },
            change: Change::Organization(row.organization_id),
        }))
    }
}

impl CreateApiKey {
    fn read_body(call: &Call, faults: &mut Faults) -> Option<Self> {
        let mut fields = Fields::of(&call.content, faults)?;
        let name = fields.required("name", |it| coerce::text(it, validation::name));
        let scopes = fields.nullable("scopes", scopes).value();
        let organization_id = fields.nullable("organization_id", organization_id).value();
        let limits = SentLimits::read(&mut fields);
        let others = ["name", "scopes", "organization_id"];
        fields.forbid_others(&[&others, &SentLimits::MEMBERS[..]].concat());
        Some(Self {
            name: name?,
            scopes,
            organization_id,
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
            concurrent_calls: limits.concurrent_calls,
        })
    }

    fn limits(&self) -> RateLimits {
        let sent = SentLimits {
            requests_per_minute: self.requests_per_minute.clone(),
            tokens_per_minute: self.tokens_per_minute.clone(),
            concurrent_calls: self.concurrent_calls.clone(),
        };
        sent.applied_to(RateLimits::default())
    }

    fn is_for_others(&self, caller: &Caller) -> bool {
        self.organization_id
            .is_some_and(|id| id != caller.organization_id)
    }

    /// What the new key allows: never more than the caller's own.
    fn granted(&self, caller: &Caller) -> Result<BTreeSet<Scope>, ApiError> {
        let Some(wanted) = &self.scopes else {
            let within = BTreeSet::from(Scope::WITHIN_ORGANIZATION);
            return Ok(within.intersection(&caller.scopes).copied().collect());
        };
        if let Some(excess) = wanted.difference(&caller.scopes).next() {
            return Err(ApiError::forbidden(format!(
                "Your own API key does not have the scope `{excess}`"
            )));
        }
        Ok(wanted.clone())
    }
}

/// Seals the answer, where a repetition may ask for it.
async fn seal(
    preparation: &mut Preparation<'_>,
    answer: &Answer,
) -> Result<Option<Deposited>, ApiError> {
    if preparation.call.idempotency_key().is_none() {
        return Ok(None);
    }
    let text = std::str::from_utf8(&answer.body).map_err(|_| ApiError::internal())?;
    let owner = preparation.call.caller.organization_id;
    let binding = idempotency::binding(owner, preparation.new_alias());
    let secret = Secret::new(text.to_owned());
    preparation.deposit(&binding, &secret).await.map(Some)
}

fn scopes(json: &Json) -> Result<BTreeSet<Scope>, Fault> {
    let names = coerce::texts(json)?;
    if names.is_empty() {
        return Err(Fault::value_error("at least one scope is needed"));
    }
    let scopes = names.iter().enumerate().map(|(index, name)| {
        let known: Result<Scope, _> = name.parse();
        known.map_err(|_| {
            Fault::new(
                "enum",
                "Input should be 'operator', 'admin', 'manage' or 'invoke'",
            )
            .below(index.to_string())
        })
    });
    scopes.collect()
}

fn organization_id(json: &Json) -> Result<OrganizationId, Fault> {
    let text = coerce::text(json, validation::free_text)?;
    text.parse().map_err(|error| {
        Fault::new(
            "uuid_parsing",
            format!("Input should be a valid UUID, {error}"),
        )
    })
}
