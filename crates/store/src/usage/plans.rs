//! That the questions which are asked often are answered by an index, on either engine.

use domain::id::{ApiKeyId, CallId, ModelConfigurationId, OrganizationId};
use jiff::Timestamp;
use sqlx::{Execute as _, Row as _};
use testkit::postgres::Cluster;
use uuid::Uuid;

use super::Period;
use super::calls::{CallFilter, CallOutcome, page};
use super::costs::{self, Dimension};
use crate::database::Statement;
use crate::{Database, DatabaseOptions};

const OWNER: OrganizationId = OrganizationId(Uuid::from_u128(1));

async fn plan(database: &Database, mut statement: Statement) -> String {
    let is_postgres = database.0.engine == crate::engine::Engine::Postgres;
    let arguments = statement.take_arguments().unwrap().unwrap();
    let text = statement.sql();
    let explain = if is_postgres {
        "EXPLAIN"
    } else {
        "EXPLAIN QUERY PLAN"
    };
    let text = format!("{explain} {}", text.as_str());
    let mut connection = database.0.pool.acquire().await.unwrap();
    let query = sqlx::query_with(sqlx::AssertSqlSafe(text), arguments);
    let rows = query.fetch_all(&mut *connection).await.unwrap();
    let column = if is_postgres { 0 } else { 3 };
    let lines = rows.iter().map(|row| row.get::<String, _>(column));
    lines.collect::<Vec<_>>().join("\n")
}

async fn check(database: &Database) {
    let period = Period {
        from: Timestamp::from_second(1000).ok(),
        to: Timestamp::from_second(1500).ok(),
    };
    let filter = |change: fn(&mut CallFilter)| {
        let mut filter = CallFilter::default();
        change(&mut filter);
        filter
    };
    let primary = if database.0.engine == crate::engine::Engine::Postgres {
        "usage_attempts_pkey"
    } else {
        "sqlite_autoindex_usage_attempts_1"
    };
    let pages = [
        (CallFilter::default(), primary),
        (
            CallFilter {
                period,
                ..CallFilter::default()
            },
            primary,
        ),
        (
            filter(|it| it.run_id = Some("r".to_owned())),
            "usage_attempts_by_run",
        ),
        (
            filter(|it| it.api_key_id = Some(ApiKeyId(Uuid::nil()))),
            "usage_attempts_by_key",
        ),
        (
            filter(|it| it.model_configuration_id = Some(ModelConfigurationId(Uuid::nil()))),
            "usage_attempts_by_configuration",
        ),
        (
            filter(|it| it.outcome = Some(CallOutcome::Failed)),
            "usage_attempts_of_calls_that_failed",
        ),
    ];
    for (filter, index) in pages {
        let statement = page(OWNER, &filter, Some(CallId(Uuid::max())), 50);
        let plan = plan(database, statement).await;
        assert!(plan.contains(index), "{filter:?}: {plan}");
        assert!(
            !plan.contains("TEMP B-TREE"),
            "{filter:?} is sorted: {plan}"
        );
    }
    let of_run = filter(|it| it.run_id = Some("r".to_owned()));
    let sums = [
        (
            CallFilter {
                period,
                ..CallFilter::default()
            },
            primary,
        ),
        (of_run, "usage_attempts_by_run"),
    ];
    for (filter, index) in sums {
        let statement = costs::select(OWNER, &filter, &[Dimension::Day, Dimension::Role]);
        let plan = plan(database, statement).await;
        assert!(plan.contains(index), "{filter:?}: {plan}");
    }
    let runs = plan(database, costs::page_of_runs(OWNER, period, 0, 100)).await;
    assert!(runs.contains("usage_runs_by_time"), "{runs}");
}

/// Calls of five organisations, one a second, each with ten keys, configurations and runs.
const ROWS: &str = "
    INSERT INTO usage_attempts
        (organization_id, call_id, attempt_number, is_last, called_at, api_key_id, request_id,
         run_id, dialect, model_asked, is_stream, call_outcome, model_configuration_id, revision,
         provider, protocol, model, key_owner, outcome, started_at, duration)
    SELECT '00000000-0000-0000-0000-00000000000' || n % 5,
        substr(lpad(to_hex(n * 1000::bigint), 12, '0'), 1, 8) || '-'
            || substr(lpad(to_hex(n * 1000::bigint), 12, '0'), 9, 4)
            || '-7000-8000-000000000000',
        1, 1, n * 1000000::bigint, 'key ' || n % 10, '', 'r' || n % 100, '', '', 0,
        CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'success' END,
        'configuration ' || n % 10, 1, 'p', '', 'm', 'own', 'success', n, n
    FROM generate_series(1, 20000) AS n;
    INSERT INTO usage_runs
    SELECT '00000000-0000-0000-0000-00000000000' || n % 5, 'r' || n, n * 1000000::bigint, n, 1
    FROM generate_series(1, 20000) AS n;
    ANALYZE;
";

async fn open(url: String) -> Database {
    let options = DatabaseOptions {
        url,
        max_connections: 2,
        timeout: std::time::Duration::from_secs(1),
    };
    Database::connect(&options).await.unwrap()
}

#[tokio::test]
async fn sqlite_uses_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plans.db");
    check(&open(format!("sqlite://{}", path.display())).await).await;
}

#[tokio::test]
async fn postgres_uses_an_index() {
    let database = open(Cluster::shared().fresh_database()).await;
    // Without rows, PostgreSQL takes any index or none.
    let mut connection = database.0.pool.acquire().await.unwrap();
    let executed = sqlx::Executor::execute(&mut *connection, sqlx::raw_sql(ROWS));
    executed.await.unwrap();
    drop(connection);
    check(&database).await;
}
