//! One call after another, newest first.

use domain::id::{ApiKeyId, CallId, ModelConfigurationId, OrganizationId};
use domain::usage::Attempt;
use sqlx::AssertSqlSafe;

use super::{COLUMNS, Period, first_call_at, last_call_at, read};
use crate::Database;
use crate::database::Statement;
use crate::error::StoreError;
use crate::row::{Read as _, all};

/// Which calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Begun in this period.
    pub period: Period,
    /// Booked on this run.
    pub run_id: Option<String>,
    /// Made with this key.
    pub api_key_id: Option<ApiKeyId>,
    /// Whose last attempt went to this configuration.
    pub model_configuration_id: Option<ModelConfigurationId>,
    /// That ended so.
    pub outcome: Option<CallOutcome>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// With a whole answer.
    Success,
    /// With a failure of the provider.
    Failed,
    /// The client went away first.
    ClientClosed,
    /// Anything but a whole answer.
    Unsuccessful,
}

/// Calls of an organisation, newest first, each with its attempts in order; at most
/// `limit`, older than `before`.
pub async fn list(
    database: &Database,
    organization_id: OrganizationId,
    filter: &CallFilter,
    before: Option<CallId>,
    limit: u32,
) -> Result<Vec<Vec<Attempt>>, StoreError> {
    let rows = database
        .fetch_patiently(page(organization_id, filter, before, limit))
        .await?;
    let ids: Vec<CallId> = all(&rows, |row| row.parsed("call_id"))?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut conditions = Conditions::of(organization_id);
    conditions.any_of("call_id", ids.iter().map(CallId::to_string));
    let order = "ORDER BY call_id DESC, attempt_number";
    let statement = conditions.select(&COLUMNS.join(", "), order);
    let attempts = all(&database.fetch_patiently(statement).await?, read)?;
    Ok(by_call(attempts))
}

/// A condition for each part of the filter that says something, so that the database can
/// use an index.
pub(super) fn page(
    organization_id: OrganizationId,
    filter: &CallFilter,
    before: Option<CallId>,
    limit: u32,
) -> Statement {
    let mut conditions = Conditions::of(organization_id);
    conditions.fixed("is_last = 1");
    conditions.places(filter);
    if let Some(before) = before {
        conditions.text("call_id <", before.to_string());
    }
    match filter.outcome {
        None => {}
        Some(CallOutcome::Unsuccessful) => conditions.fixed("call_outcome <> 'success'"),
        Some(CallOutcome::Success) => conditions.fixed("call_outcome = 'success'"),
        // Said twice for the sake of the index of calls that failed.
        Some(CallOutcome::Failed) => {
            conditions.fixed("call_outcome <> 'success' AND call_outcome = 'failed'");
        }
        Some(CallOutcome::ClientClosed) => {
            conditions.fixed("call_outcome <> 'success' AND call_outcome = 'client_closed'");
        }
    }
    let order = format!("ORDER BY call_id DESC LIMIT {limit}");
    conditions.select("call_id", &order)
}

/// Cuts attempts, those of one call beside one another, into calls.
fn by_call(attempts: Vec<Attempt>) -> Vec<Vec<Attempt>> {
    let mut calls: Vec<Vec<Attempt>> = Vec::new();
    for attempt in attempts {
        match calls.last_mut() {
            Some(call) if call.iter().any(|known| known.call_id == attempt.call_id) => {
                call.push(attempt);
            }
            _ => calls.push(vec![attempt]),
        }
    }
    calls
}

/// Conditions of a `WHERE`, with their arguments. The texts are constants of this crate.
pub(crate) struct Conditions {
    texts: Vec<String>,
    arguments: Vec<Argument>,
}

enum Argument {
    Text(String),
    Number(i64),
}

impl Conditions {
    /// Rows of one organisation.
    pub(crate) fn of(organization_id: OrganizationId) -> Self {
        let mut conditions = Self {
            texts: Vec::new(),
            arguments: Vec::new(),
        };
        conditions.text("organization_id =", organization_id.to_string());
        conditions
    }

    pub(crate) fn fixed(&mut self, condition: &'static str) {
        self.texts.push(condition.to_owned());
    }

    pub(crate) fn text(&mut self, condition: &'static str, value: String) {
        self.push(condition, Argument::Text(value));
    }

    pub(crate) fn number(&mut self, condition: &'static str, value: i64) {
        self.push(condition, Argument::Number(value));
    }

    /// Attempts that a filter lets through, by how they themselves ended.
    pub(crate) fn attempts(&mut self, filter: &CallFilter) {
        self.places(filter);
        match filter.outcome {
            None => {}
            Some(CallOutcome::Success) => self.fixed("outcome = 'success'"),
            Some(CallOutcome::Failed) => self.fixed("outcome = 'failed'"),
            Some(CallOutcome::ClientClosed) => self.fixed("outcome = 'client_closed'"),
            Some(CallOutcome::Unsuccessful) => self.fixed("outcome <> 'success'"),
        }
    }

    /// All of a filter but the outcome.
    fn places(&mut self, filter: &CallFilter) {
        self.period(&filter.period);
        if let Some(run) = &filter.run_id {
            self.text("run_id =", run.clone());
        }
        if let Some(key) = filter.api_key_id {
            self.text("api_key_id =", key.to_string());
        }
        if let Some(configuration) = filter.model_configuration_id {
            self.text("model_configuration_id =", configuration.to_string());
        }
    }

    /// Calls that began in a period: by their identifier, for the index, and exactly.
    pub(crate) fn period(&mut self, period: &Period) {
        if let Some(from) = period.from {
            self.text("call_id >=", first_call_at(from).to_string());
            self.number("called_at >=", from.as_microsecond());
        }
        if let Some(to) = period.to {
            self.text("call_id <=", last_call_at(to).to_string());
            self.number("called_at <", to.as_microsecond());
        }
    }

    /// Rows in which a column holds one of the values.
    fn any_of(&mut self, column: &'static str, values: impl Iterator<Item = String>) {
        let first = self.arguments.len() + 1;
        self.arguments.extend(values.map(Argument::Text));
        let places = (first..=self.arguments.len()).map(|place| format!("${place}"));
        let places = places.collect::<Vec<_>>().join(", ");
        self.texts.push(format!("{column} IN ({places})"));
    }

    /// Rows behind this one, in the order of the primary key.
    pub(crate) fn after(&mut self, call_id: CallId, attempt_number: i64) {
        self.arguments.push(Argument::Text(call_id.to_string()));
        self.arguments.push(Argument::Number(attempt_number));
        let last = self.arguments.len();
        self.texts.push(format!(
            "(call_id, attempt_number) > (${}, ${last})",
            last - 1
        ));
    }

    fn push(&mut self, condition: &'static str, argument: Argument) {
        self.arguments.push(argument);
        self.texts
            .push(format!("{condition} ${}", self.arguments.len()));
    }

    /// `SELECT columns FROM usage_attempts WHERE … rest`.
    pub(crate) fn select(self, columns: &str, rest: &str) -> Statement {
        let text = format!(
            "SELECT {columns} FROM usage_attempts WHERE {} {rest}",
            self.texts.join(" AND ")
        );
        self.arguments
            .into_iter()
            .fold(
                sqlx::query(AssertSqlSafe(text)),
                |statement, argument| match argument {
                    Argument::Text(text) => statement.bind(text),
                    Argument::Number(number) => statement.bind(number),
                },
            )
    }
}
