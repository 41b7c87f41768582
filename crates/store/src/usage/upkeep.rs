//! Old rows go; costs are computed anew.

use std::collections::BTreeMap;

use domain::budget::Month;
use domain::id::{ApiKeyId, CallId, OrganizationId};
use domain::price::PriceTable;
use jiff::Timestamp;

use super::calls::Conditions;
use super::months;
use super::{Period, first_call_at, read_tokens};
use crate::Database;
use crate::error::StoreError;
use crate::row::{Read as _, all};

/// How many rows one transaction touches, so that it does not hold others up for long.
const AT_ONCE: i64 = 1000;

/// Deletes the attempts of calls that began before `before`, and runs whose last call did;
/// returns how many attempts. What months cost stays.
pub async fn reap(
    database: &Database,
    organization_id: OrganizationId,
    before: Timestamp,
) -> Result<u64, StoreError> {
    let mut reaped = 0;
    loop {
        let statement = sqlx::query(
            "DELETE FROM usage_attempts
             WHERE organization_id = $1 AND call_id <= (
                 SELECT MAX(call_id) FROM (
                     SELECT call_id FROM usage_attempts
                     WHERE organization_id = $1 AND call_id < $2
                     ORDER BY call_id LIMIT $3
                 ) AS oldest
             )",
        )
        .bind(organization_id.to_string())
        .bind(first_call_at(before).to_string())
        .bind(AT_ONCE);
        let deleted = database.execute(statement).await?;
        reaped += deleted;
        if deleted == 0 {
            break;
        }
    }
    let statement =
        sqlx::query("DELETE FROM usage_runs WHERE organization_id = $1 AND last_called_at < $2")
            .bind(organization_id.to_string())
            .bind(before.as_microsecond());
    database.execute(statement).await?;
    Ok(reaped)
}

/// What a recomputation found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recomputed {
    /// Attempts whose tokens were counted.
    pub attempts: u64,
    /// Those whose cost is another now.
    pub changed: u64,
    /// By how much they cost more, or less, together.
    pub difference_micros: i64,
    /// Those whose model has no price.
    pub unpriced: u64,
}

/// An attempt as far as its cost goes.
struct Priced {
    call_id: CallId,
    number: i64,
    month: Month,
    api_key_id: ApiKeyId,
    before: Option<i64>,
    now: Option<i64>,
}

/// Computes the cost of an organisation's attempts in a period anew, and sets their months
/// right. May run beside servers that record.
pub async fn recompute(
    database: &Database,
    organization_id: OrganizationId,
    period: Period,
    prices: &PriceTable,
) -> Result<Recomputed, StoreError> {
    let mut recomputed = Recomputed::default();
    let mut after: Option<(CallId, i64)> = None;
    loop {
        let page = page(database, organization_id, period, prices, after).await?;
        let Some(last) = page.last() else {
            return Ok(recomputed);
        };
        after = Some((last.call_id, last.number));
        write(database, organization_id, &page, &mut recomputed).await?;
    }
}

async fn page(
    database: &Database,
    organization_id: OrganizationId,
    period: Period,
    prices: &PriceTable,
    after: Option<(CallId, i64)>,
) -> Result<Vec<Priced>, StoreError> {
    let mut conditions = Conditions::of(organization_id);
    conditions.fixed("uncached_input_tokens IS NOT NULL");
    conditions.period(&period);
    if let Some((call_id, number)) = after {
        conditions.after(call_id, number);
    }
    let columns = "call_id, attempt_number, called_at, api_key_id, provider, model, \
         model_answered, service_tier, uncached_input_tokens, cache_read_tokens, \
         cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, \
         cost_micros";
    let order = format!("ORDER BY call_id, attempt_number LIMIT {AT_ONCE}");
    let rows = database
        .fetch_patiently(conditions.select(columns, &order))
        .await?;
    all(&rows, |row| {
        let tokens = read_tokens(row)?.unwrap_or_default();
        let provider: String = row.value("provider")?;
        let model: String = row.value("model")?;
        let answered: Option<String> = row.value("model_answered")?;
        let tier: Option<String> = row.value("service_tier")?;
        let models = std::iter::once(model).chain(answered);
        let now = prices.cost_of(&provider, models, tier.as_deref(), &tokens);
        Ok(Priced {
            call_id: row.parsed("call_id")?,
            number: row.value("attempt_number")?,
            month: Month::of(row.time("called_at")?),
            api_key_id: row.parsed("api_key_id")?,
            before: row.value("cost_micros")?,
            now,
        })
    })
}

async fn write(
    database: &Database,
    organization_id: OrganizationId,
    page: &[Priced],
    recomputed: &mut Recomputed,
) -> Result<(), StoreError> {
    let changed = || page.iter().filter(|row| row.before != row.now);
    let mut differences: BTreeMap<(Month, ApiKeyId), i64> = BTreeMap::new();
    let mut transaction = database.write().await?;
    for row in changed() {
        let statement = sqlx::query(
            "UPDATE usage_attempts SET cost_micros = $4
             WHERE organization_id = $1 AND call_id = $2 AND attempt_number = $3",
        )
        .bind(organization_id.to_string())
        .bind(row.call_id.to_string())
        .bind(row.number)
        .bind(row.now);
        transaction.execute(statement).await?;
        let difference = row.now.unwrap_or(0) - row.before.unwrap_or(0);
        *differences.entry((row.month, row.api_key_id)).or_default() += difference;
    }
    for ((month, key), difference) in &differences {
        months::change(&mut transaction, *month, organization_id, *key, *difference).await?;
    }
    transaction.commit().await?;
    recomputed.attempts += page.len() as u64;
    recomputed.changed += changed().count() as u64;
    recomputed.difference_micros += differences.values().sum::<i64>();
    recomputed.unpriced += page.iter().filter(|row| row.now.is_none()).count() as u64;
    Ok(())
}
