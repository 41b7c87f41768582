//! Sums over attempts.

use domain::id::OrganizationId;
use domain::usage::Tokens;
use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::Period;
use super::calls::{CallFilter, Conditions};
use crate::Database;
use crate::database::Statement;
use crate::error::StoreError;
use crate::row::{Read as _, all};

/// By what sums are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// The model configuration.
    Configuration,
    /// The agent role.
    Role,
    /// The provider's own name of the model.
    Model,
    /// The API key that called.
    Key,
    /// The day, in UTC, on which the call began.
    Day,
    /// The provider.
    Provider,
    /// The wire format that the provider spoke.
    Protocol,
    /// Whose key paid.
    KeyOwner,
    /// The run.
    Run,
}

impl Dimension {
    const fn column(self) -> &'static str {
        match self {
            Self::Configuration => "model_configuration_id",
            Self::Role => "agent_role",
            Self::Model => "model",
            Self::Key => "api_key_id",
            Self::Day => "CAST(called_at / 86400000000 AS TEXT)",
            Self::Provider => "provider",
            Self::Protocol => "protocol",
            Self::KeyOwner => "key_owner",
            Self::Run => "run_id",
        }
    }
}

/// What some attempts took together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// The values of the dimensions, in their order; a day as days since 1970. None where
    /// the attempts have none.
    pub group: Vec<Option<String>>,
    /// Calls that ended, by where their last attempt went.
    pub calls: u64,
    /// Attempts.
    pub attempts: u64,
    /// Attempts that did not succeed.
    pub failed_attempts: u64,
    /// Tokens, of those attempts where the provider counted them.
    pub tokens: Tokens,
    /// What those with a price cost, in micro-dollars.
    pub cost_micros: i64,
    /// Attempts whose tokens were counted and which have a price.
    pub priced: u64,
    /// Attempts whose tokens were counted and whose model has no price.
    pub unpriced: u64,
}

/// Sums of an organisation's attempts, dearest first.
pub async fn sums(
    database: &Database,
    organization_id: OrganizationId,
    filter: &CallFilter,
    dimensions: &[Dimension],
) -> Result<Vec<Sum>, StoreError> {
    let statement = select(organization_id, filter, dimensions);
    let rows = database.fetch_patiently(statement).await?;
    all(&rows, |row| read(row, dimensions.len()))
}

pub(super) fn select(
    organization_id: OrganizationId,
    filter: &CallFilter,
    dimensions: &[Dimension],
) -> Statement {
    let mut conditions = Conditions::of(organization_id);
    conditions.attempts(filter);
    let named = dimensions.iter().enumerate();
    let columns = named.map(|(number, dimension)| format!("{} AS g{number}, ", dimension.column()));
    let columns: String = columns.chain([SUMS.to_owned()]).collect();
    if dimensions.is_empty() {
        return conditions.select(&columns, "");
    }
    let places = (1..=dimensions.len()).map(|place| place.to_string());
    let groups = places.collect::<Vec<_>>().join(", ");
    let rest = format!("GROUP BY {groups} ORDER BY cost_micros DESC, {groups}");
    conditions.select(&columns, &rest)
}

/// A run and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCost {
    /// The client's identifier of it.
    pub run_id: String,
    /// When its first call began.
    pub first_called_at: Timestamp,
    /// What it took.
    pub sum: Sum,
}

/// A page of runs whose first call began in the period, newest first, and how many there
/// are in all. Only runs whose identifier is a UUID.
pub async fn runs(
    database: &Database,
    organization_id: OrganizationId,
    period: Period,
    skip: i64,
    limit: i64,
) -> Result<(Vec<RunCost>, u64), StoreError> {
    let (from, to) = bounds(period);
    let count = sqlx::query(
        "SELECT COUNT(*) AS total FROM usage_runs
         WHERE organization_id = $1 AND first_called_at >= $2 AND first_called_at < $3
             AND is_uuid = 1",
    )
    .bind(organization_id.to_string())
    .bind(from)
    .bind(to);
    let counted = database.fetch_patiently(count).await?;
    let total: i64 = counted.first().map_or(Ok(0), |row| row.value("total"))?;
    let mut runs = Vec::new();
    let page = page_of_runs(organization_id, period, skip, limit);
    for row in &database.fetch_patiently(page).await? {
        let run_id: String = row.value("run_id")?;
        let filter = CallFilter {
            run_id: Some(run_id.clone()),
            ..CallFilter::default()
        };
        let sums = sums(database, organization_id, &filter, &[]).await?;
        runs.push(RunCost {
            run_id,
            first_called_at: row.time("first_called_at")?,
            sum: sums.into_iter().next().unwrap_or_default(),
        });
    }
    Ok((runs, total.unsigned_abs()))
}

pub(super) fn page_of_runs(
    organization_id: OrganizationId,
    period: Period,
    skip: i64,
    limit: i64,
) -> Statement {
    let (from, to) = bounds(period);
    sqlx::query(
        "SELECT run_id, first_called_at FROM usage_runs
         WHERE organization_id = $1 AND first_called_at >= $2 AND first_called_at < $3
             AND is_uuid = 1
         ORDER BY first_called_at DESC, run_id DESC LIMIT $4 OFFSET $5",
    )
    .bind(organization_id.to_string())
    .bind(from)
    .bind(to)
    .bind(limit)
    .bind(skip)
}

fn bounds(period: Period) -> (i64, i64) {
    let from = period.from.unwrap_or(Timestamp::MIN).as_microsecond();
    let to = period.to.unwrap_or(Timestamp::MAX).as_microsecond();
    (from, to)
}

/// How many calls were booked on runs in a period, and on how many runs.
pub async fn steps(
    database: &Database,
    organization_id: OrganizationId,
    period: Period,
) -> Result<(u64, u64), StoreError> {
    let mut conditions = Conditions::of(organization_id);
    conditions.fixed("is_last = 1 AND run_id IS NOT NULL");
    conditions.period(&period);
    let columns = "COUNT(*) AS steps, COUNT(DISTINCT run_id) AS runs";
    let rows = database
        .fetch_patiently(conditions.select(columns, ""))
        .await?;
    let Some(row) = rows.first() else {
        return Ok((0, 0));
    };
    let (steps, runs): (i64, i64) = (row.value("steps")?, row.value("runs")?);
    Ok((steps.unsigned_abs(), runs.unsigned_abs()))
}

const SUMS: &str = "
    COUNT(*) AS attempts,
    CAST(COALESCE(SUM(is_last), 0) AS BIGINT) AS calls,
    CAST(COALESCE(SUM(CASE WHEN outcome = 'success' THEN 0 ELSE 1 END), 0) AS BIGINT) AS failed,
    CAST(COALESCE(SUM(uncached_input_tokens), 0) AS BIGINT) AS uncached_input_tokens,
    CAST(COALESCE(SUM(cache_read_tokens), 0) AS BIGINT) AS cache_read_tokens,
    CAST(COALESCE(SUM(cache_write_5m_tokens), 0) AS BIGINT) AS cache_write_5m_tokens,
    CAST(COALESCE(SUM(cache_write_1h_tokens), 0) AS BIGINT) AS cache_write_1h_tokens,
    CAST(COALESCE(SUM(output_tokens), 0) AS BIGINT) AS output_tokens,
    CAST(COALESCE(SUM(reasoning_tokens), 0) AS BIGINT) AS reasoning_tokens,
    CAST(COALESCE(SUM(cost_micros), 0) AS BIGINT) AS cost_micros,
    COUNT(cost_micros) AS priced,
    CAST(COALESCE(SUM(CASE WHEN cost_micros IS NULL AND uncached_input_tokens IS NOT NULL
        THEN 1 ELSE 0 END), 0) AS BIGINT) AS unpriced";

fn read(row: &AnyRow, dimensions: usize) -> Result<Sum, StoreError> {
    let number = |column: &str| -> Result<u64, StoreError> {
        let number: i64 = row.value(column)?;
        Ok(number.unsigned_abs())
    };
    let group = (0..dimensions).map(|place| row.value(&format!("g{place}")));
    Ok(Sum {
        group: group.collect::<Result<_, _>>()?,
        calls: number("calls")?,
        attempts: number("attempts")?,
        failed_attempts: number("failed")?,
        tokens: super::read_tokens(row)?.unwrap_or_default(),
        cost_micros: row.value("cost_micros")?,
        priced: number("priced")?,
        unpriced: number("unpriced")?,
    })
}
