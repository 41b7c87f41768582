//! `GET /v1/usage`: sums by whatever is asked for.

use axum::extract::State;
use domain::api_key::Scope;
use domain::usage::Tokens;
use http::{StatusCode, Uri};
use jiff::ToSpan;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::{Map, Value, json};
use store::usage::costs::{self, Dimension, Sum};
use utoipa::ToSchema;

use super::dollars;
use super::query::Query;
use crate::answer::{Answer, to_value};
use crate::error::ApiError;
use crate::extract::caller::Authenticated;
use crate::openapi::{Refusals, Unprocessable};
use crate::state::ControlState;

/// What can be grouped by, and the member of an item that says which.
const DIMENSIONS: [(&str, Dimension, &str); 7] = [
    (
        "configuration",
        Dimension::Configuration,
        "model_configuration_id",
    ),
    ("role", Dimension::Role, "role"),
    ("model", Dimension::Model, "model"),
    ("key", Dimension::Key, "api_key_id"),
    ("day", Dimension::Day, "day"),
    ("provider", Dimension::Provider, "provider"),
    ("run", Dimension::Run, "run_id"),
];

/// What some calls took together.
#[derive(Serialize, ToSchema)]
pub(super) struct UsageSum {
    calls: u64,
    /// Requests to providers.
    attempts: u64,
    failed_attempts: u64,
    #[schema(value_type = TokenCounts)]
    tokens: TokenCounts,
    /// In US dollars, as far as the models have prices.
    cost_usd: f64,
    /// The same in millionths, exactly.
    cost_micros: i64,
    /// Whether models without a price took part; what they cost is in no sum.
    has_unpriced: bool,
}

/// Tokens by kind. Reasoning is part of output; the others do not overlap.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub(super) struct TokenCounts {
    uncached_input: u64,
    cache_read: u64,
    cache_write_5m: u64,
    cache_write_1h: u64,
    output: u64,
    reasoning: u64,
}

/// Sums, dearest first. Each item also has a member for everything it was grouped by.
#[derive(Serialize, ToSchema)]
struct UsageReport {
    group_by: Vec<&'static str>,
    #[schema(value_type = Vec<UsageSum>)]
    items: Vec<Value>,
    total: UsageSum,
}

impl From<Tokens> for TokenCounts {
    fn from(tokens: Tokens) -> Self {
        Self {
            uncached_input: tokens.uncached_input,
            cache_read: tokens.cache_read,
            cache_write_5m: tokens.cache_write_5m,
            cache_write_1h: tokens.cache_write_1h,
            output: tokens.output,
            reasoning: tokens.reasoning,
        }
    }
}

impl From<&Sum> for UsageSum {
    fn from(sum: &Sum) -> Self {
        Self {
            calls: sum.calls,
            attempts: sum.attempts,
            failed_attempts: sum.failed_attempts,
            tokens: sum.tokens.into(),
            cost_usd: dollars(sum.cost_micros),
            cost_micros: sum.cost_micros,
            has_unpriced: sum.unpriced > 0,
        }
    }
}

/// Add up usage
///
/// Attempts of the organisation's calls, grouped by any of `configuration`, `role`,
/// `model`, `key`, `day` (UTC), `provider` and `run`, divided by commas.
#[utoipa::path(
    get,
    path = "/v1/usage",
    operation_id = "get_usage",
    tag = "Usage",
    params(
        ("group_by" = Option<String>, Query, description = "What to tell apart", example = "configuration,day"),
        ("from_date" = Option<String>, Query, description = "From this time on (ISO 8601)"),
        ("to_date" = Option<String>, Query, description = "Before this time"),
        ("run_id" = Option<String>, Query, description = "Only of this run"),
        ("api_key_id" = Option<uuid::Uuid>, Query, description = "Only by this key"),
        ("model_configuration_id" = Option<uuid::Uuid>, Query, description = "Only with this configuration"),
        ("outcome" = Option<String>, Query, description = "Only attempts that ended so: `success`, `failed`, `client_closed`, `unsuccessful`"),
    ),
    responses(
        (status = 200, description = "The sums", body = UsageReport),
        Refusals, Unprocessable
    ),
    security(("api_key" = ["manage"]))
)]
pub(crate) async fn report(
    State(state): State<ControlState>,
    caller: Authenticated,
    uri: Uri,
) -> Result<Answer, ApiError> {
    let organization_id = caller.with(Scope::Manage)?.organization_id;
    let mut query = Query::of(&uri);
    let words = DIMENSIONS.map(|(word, dimension, _)| (word, dimension));
    let dimensions = query.some_of("group_by", &words);
    let filter = query.filter();
    query.finish()?;
    let database = state.database();
    let total = costs::sums(database, organization_id, &filter, &[]).await?;
    let sums = if dimensions.is_empty() {
        Vec::new()
    } else {
        costs::sums(database, organization_id, &filter, &dimensions).await?
    };
    let items = sums.iter().map(|sum| item(sum, &dimensions));
    Answer::json(
        StatusCode::OK,
        &UsageReport {
            group_by: dimensions.iter().map(|it| named(*it).0).collect(),
            items: items.collect::<Result<_, _>>()?,
            total: total
                .first()
                .map_or_else(|| UsageSum::from(&Sum::default()), UsageSum::from),
        },
    )
}

fn item(sum: &Sum, dimensions: &[Dimension]) -> Result<Value, ApiError> {
    let mut item = Map::new();
    for (dimension, value) in dimensions.iter().zip(&sum.group) {
        let shown = match dimension {
            Dimension::Day => value
                .as_deref()
                .and_then(day)
                .map_or(Value::Null, Value::from),
            _ => json!(value),
        };
        item.insert(named(*dimension).1.to_owned(), shown);
    }
    if let Value::Object(sum) = to_value(&UsageSum::from(sum))? {
        item.extend(sum);
    }
    Ok(Value::Object(item))
}

/// The word of a dimension, and the member that shows it.
fn named(dimension: Dimension) -> (&'static str, &'static str) {
    let found = DIMENSIONS.iter().find(|(_, known, _)| *known == dimension);
    found.map_or(("", ""), |(word, _, member)| (word, member))
}

/// A day by its number since 1970.
fn day(number: &str) -> Option<String> {
    let days: i64 = number.parse().ok()?;
    let first = Date::constant(1970, 1, 1);
    first
        .checked_add(days.days())
        .ok()
        .map(|date| date.to_string())
}
