//! Attempts go in, a batch at a time.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use domain::usage::Attempt;
use uuid::Uuid;

use super::{COLUMNS, count, microseconds, months};
use crate::database::Statement;
use crate::error::StoreError;
use crate::row::optional_text;
use crate::{Database, WriteTransaction};

/// How many rows one statement inserts. A batch is cut into these sizes, so that there
/// are few texts and the database prepares each of them once.
const ROWS: [usize; 3] = [64, 8, 1];

static INSERTS: LazyLock<[String; 3]> = LazyLock::new(|| ROWS.map(insert_of));

/// Stores a batch in one transaction: attempts, their runs, what their months cost.
///
/// A batch whose commit got no answer may be recorded again, unchanged: one that is there
/// already is left as it is. Since it was written whole or not at all, its first rows tell.
///
/// # Errors
/// When the database cannot be reached, or refuses.
pub async fn record(database: &Database, batch: &[Attempt]) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut transaction = database.write().await?;
    let mut rest = batch;
    for (size, text) in ROWS.into_iter().zip(INSERTS.iter()) {
        while let Some((rows, others)) = rest.split_at_checked(size) {
            let inserted = transaction.execute(insert(text, rows)).await?;
            if inserted == 0 {
                return Ok(());
            }
            rest = others;
        }
    }
    note_runs(&mut transaction, batch).await?;
    months::add(&mut transaction, batch).await?;
    transaction.commit().await
}

fn insert_of(rows: usize) -> String {
    let width = COLUMNS.len();
    let rows: Vec<String> = (0..rows)
        .map(|row| {
            let places = (1..=width).map(|column| format!("${}", row * width + column));
            format!("({})", places.collect::<Vec<_>>().join(", "))
        })
        .collect();
    format!(
        "INSERT INTO usage_attempts ({}) VALUES {} ON CONFLICT DO NOTHING",
        COLUMNS.join(", "),
        rows.join(", ")
    )
}

fn insert(text: &'static str, rows: &[Attempt]) -> Statement {
    rows.iter().fold(sqlx::query(text), bind)
}

/// Binds one row, in the order of [`COLUMNS`].
fn bind(statement: Statement, row: &Attempt) -> Statement {
    let call = row.call.as_ref();
    let tokens = row.tokens.as_ref();
    statement
        .bind(row.organization_id.to_string())
        .bind(row.call_id.to_string())
        .bind(i64::from(row.number))
        .bind(i64::from(call.is_some()))
        .bind(row.called_at.as_microsecond())
        .bind(row.api_key_id.to_string())
        .bind(row.request_id.clone())
        .bind(row.run_id.clone())
        .bind(row.role.clone())
        .bind(row.dialect.clone())
        .bind(row.model_asked.clone())
        .bind(i64::from(row.is_stream))
        .bind(call.map(|call| call.outcome.clone()))
        .bind(call.map(|call| i64::from(call.status)))
        .bind(call.map(|call| microseconds(call.duration)))
        .bind(call.and_then(|call| call.time_to_first_byte.map(microseconds)))
        .bind(row.model_configuration_id.to_string())
        .bind(row.revision)
        .bind(row.provider.clone())
        .bind(row.protocol.clone())
        .bind(row.model.clone())
        .bind(optional_text(row.model_answered.as_ref()))
        .bind(optional_text(row.service_tier.as_ref()))
        .bind(row.key_owner.clone())
        .bind(row.outcome.clone())
        .bind(optional_text(row.error_kind.as_ref()))
        .bind(row.status.map(i64::from))
        .bind(row.started_at.as_microsecond())
        .bind(microseconds(row.duration))
        .bind(row.time_to_first_byte.map(microseconds))
        .bind(tokens.map(|tokens| count(tokens.uncached_input)))
        .bind(tokens.map(|tokens| count(tokens.cache_read)))
        .bind(tokens.map(|tokens| count(tokens.cache_write_5m)))
        .bind(tokens.map(|tokens| count(tokens.cache_write_1h)))
        .bind(tokens.map(|tokens| count(tokens.output)))
        .bind(tokens.map(|tokens| count(tokens.reasoning)))
        .bind(row.cost_micros)
}

/// Runs are noted in the order of their keys, so that two nodes that note the same ones
/// wait for one another and never in a circle.
async fn note_runs(
    transaction: &mut WriteTransaction,
    batch: &[Attempt],
) -> Result<(), StoreError> {
    let mut runs = BTreeMap::new();
    for row in batch {
        let Some(run) = &row.run_id else { continue };
        let at = row.called_at.as_microsecond();
        let (first, last) = runs.entry((row.organization_id, run)).or_insert((at, at));
        *first = at.min(*first);
        *last = at.max(*last);
    }
    for ((organization_id, run), (first, last)) in runs {
        let statement = sqlx::query(
            "INSERT INTO usage_runs
                 (organization_id, run_id, first_called_at, last_called_at, is_uuid)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (organization_id, run_id) DO UPDATE SET
                 first_called_at = CASE WHEN excluded.first_called_at < usage_runs.first_called_at
                     THEN excluded.first_called_at ELSE usage_runs.first_called_at END,
                 last_called_at = CASE WHEN excluded.last_called_at > usage_runs.last_called_at
                     THEN excluded.last_called_at ELSE usage_runs.last_called_at END",
        )
        .bind(organization_id.to_string())
        .bind(run.clone())
        .bind(first)
        .bind(last)
        .bind(i64::from(Uuid::try_parse(run).is_ok()));
        transaction.execute(statement).await?;
    }
    Ok(())
}
