//! What calls took and cost.

use std::time::Duration;

use domain::budget::{Budget, BudgetOwner, Month};
use domain::id::{ApiKeyId, CallId, ModelConfigurationId, OrganizationId};
use domain::price::{Price, PriceList, PriceTable, Rates};
use domain::usage::{Attempt, CallEnd, Tokens};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use store::usage::calls::{CallFilter, CallOutcome};
use store::usage::costs::Dimension;
use store::usage::{Period, calls, costs, months, record, upkeep};
use store::{Database, budgets};
use uuid::Uuid;

use crate::support::{add_organization, commit, time};

const OWNER: OrganizationId = OrganizationId(Uuid::from_u128(1));
const OTHER: OrganizationId = OrganizationId(Uuid::from_u128(2));
const RUN: &str = "018f2b5e-0000-7000-8000-000000000001";

fn call_id(at: Timestamp, number: u64) -> CallId {
    let milliseconds = u128::try_from(at.as_millisecond()).unwrap();
    CallId(Uuid::from_u128(milliseconds << 80 | u128::from(number)))
}

/// The only attempt of call `number`, which began `number` seconds after the epoch of tests.
fn attempt(number: u64) -> Attempt {
    let at = time(i64::try_from(number).unwrap());
    Attempt {
        call_id: call_id(at, number),
        number: 1,
        organization_id: OWNER,
        api_key_id: ApiKeyId(Uuid::from_u128(u128::from(number % 2))),
        request_id: format!("request-{number}"),
        run_id: Some(RUN.to_owned()),
        role: Some("main_agent".to_owned()),
        called_at: at,
        dialect: "openai_chat".to_owned(),
        model_asked: "fast".to_owned(),
        is_stream: number.is_multiple_of(3),
        call: Some(CallEnd {
            outcome: "success".to_owned(),
            status: 200,
            duration: Duration::from_micros(1500),
            time_to_first_byte: None,
        }),
        model_configuration_id: ModelConfigurationId(Uuid::from_u128(9)),
        revision: 3,
        provider: "p".to_owned(),
        protocol: "anthropic_messages".to_owned(),
        model: "m".to_owned(),
        model_answered: Some("m-2026".to_owned()),
        service_tier: None,
        key_owner: "own".to_owned(),
        outcome: "success".to_owned(),
        error_kind: None,
        status: Some(200),
        started_at: at,
        duration: Duration::from_micros(1400),
        time_to_first_byte: Some(Duration::from_micros(700)),
        tokens: Some(Tokens {
            uncached_input: 10,
            cache_read: 1,
            cache_write_5m: 2,
            cache_write_1h: 3,
            output: 5,
            reasoning: 4,
        }),
        cost_micros: Some(100),
    }
}

/// An attempt that failed, and after which the call went on.
fn failed(number: u64) -> Attempt {
    Attempt {
        call: None,
        outcome: "failed".to_owned(),
        error_kind: Some("provider_overloaded".to_owned()),
        status: Some(529),
        tokens: None,
        cost_micros: None,
        model_answered: None,
        time_to_first_byte: None,
        ..attempt(number)
    }
}

async fn store(database: &Database, batch: &[Attempt]) {
    record::record(database, batch).await.unwrap();
}

async fn all(database: &Database, filter: &CallFilter) -> Vec<Vec<Attempt>> {
    calls::list(database, OWNER, filter, None, 1000)
        .await
        .unwrap()
}

on_both_engines! {
    async fn a_batch_is_read_as_it_was_written_and_recorded_once(fixture) {
        let database = &fixture.database;
        let batch: Vec<Attempt> = (0..150).map(attempt).collect();
        store(database, &[]).await;
        store(database, &batch).await;
        store(database, &batch).await;
        let read = all(database, &CallFilter::default()).await;
        let expected: Vec<Vec<Attempt>> = batch.iter().rev().map(|row| vec![row.clone()]).collect();
        assert_eq!(read, expected);
        let sums = costs::sums(database, OWNER, &CallFilter::default(), &[]).await.unwrap();
        assert_eq!((sums[0].calls, sums[0].cost_micros), (150, 15_000));
        assert!(costs::sums(database, OTHER, &CallFilter::default(), &[]).await.unwrap()[0].calls == 0);
    }

    async fn calls_come_newest_first_page_by_page_with_all_their_attempts(fixture) {
        let database = &fixture.database;
        let mut batch = Vec::new();
        for number in 0..25 {
            batch.push(failed(number));
            batch.push(Attempt { number: 2, ..attempt(number) });
        }
        batch.push(Attempt { organization_id: OTHER, ..attempt(7) });
        store(database, &batch).await;
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let page = calls::list(database, OWNER, &CallFilter::default(), before, 10).await.unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last[0].call_id);
            seen.extend(page);
        }
        assert_eq!(seen.len(), 25);
        for (call, number) in seen.iter().zip((0..25).rev()) {
            assert_eq!(call[0], failed(number));
            assert_eq!(call[1], Attempt { number: 2, ..attempt(number) });
        }
    }

    async fn calls_are_found_by_run_key_configuration_outcome_and_time(fixture) {
        let database = &fixture.database;
        let mut batch: Vec<Attempt> = (0..6).map(attempt).collect();
        batch[1].run_id = Some("another".to_owned());
        batch[2].model_configuration_id = ModelConfigurationId(Uuid::from_u128(10));
        let end = |outcome: &str| batch[0].call.clone().map(|call| CallEnd { outcome: outcome.to_owned(), ..call });
        let (lost, closed) = (end("failed"), end("client_closed"));
        batch[3].call = lost;
        batch[4].call = closed;
        store(database, &batch).await;
        let found = async |change: &dyn Fn(&mut CallFilter)| -> Vec<u64> {
            let mut filter = CallFilter::default();
            change(&mut filter);
            let calls = all(database, &filter).await;
            calls
                .iter()
                .map(|call| u64::try_from(call[0].called_at.as_second() - time(0).as_second()).unwrap())
                .collect()
        };
        assert_eq!(found(&|it| it.run_id = Some("another".to_owned())).await, [1]);
        assert_eq!(found(&|it| it.run_id = Some("nobody's".to_owned())).await, [0_u64; 0]);
        assert_eq!(found(&|it| it.api_key_id = Some(ApiKeyId(Uuid::from_u128(1)))).await, [5, 3, 1]);
        let ten = ModelConfigurationId(Uuid::from_u128(10));
        assert_eq!(found(&|it| it.model_configuration_id = Some(ten)).await, [2]);
        assert_eq!(found(&|it| it.outcome = Some(CallOutcome::Failed)).await, [3]);
        assert_eq!(found(&|it| it.outcome = Some(CallOutcome::ClientClosed)).await, [4]);
        assert_eq!(found(&|it| it.outcome = Some(CallOutcome::Unsuccessful)).await, [4, 3]);
        assert_eq!(found(&|it| it.outcome = Some(CallOutcome::Success)).await, [5, 2, 1, 0]);
        let period = |from, to| Period { from: Some(time(from)), to: Some(time(to)) };
        assert_eq!(found(&|it| it.period = period(1, 3)).await, [2, 1], "from inclusive, to exclusive");
        let microsecond = SignedDuration::from_micros(1);
        let later = Period { from: Some(time(1) + microsecond), to: Some(time(3) + microsecond) };
        assert_eq!(found(&|it| it.period = later).await, [3, 2]);
    }

    async fn sums_are_told_apart_by_what_is_asked_for(fixture) {
        let database = &fixture.database;
        let mut batch: Vec<Attempt> = (0..4).map(attempt).collect();
        batch[0].role = None;
        batch[0].cost_micros = None;
        let day = SignedDuration::from_hours(24);
        batch[3].called_at += day;
        batch[3].call_id = call_id(batch[3].called_at, 3);
        batch.push(failed(9));
        store(database, &batch).await;
        let by = async |dimensions: &[Dimension]| {
            costs::sums(database, OWNER, &CallFilter::default(), dimensions).await.unwrap()
        };
        let whole = &by(&[]).await[0];
        assert_eq!((whole.calls, whole.attempts, whole.failed_attempts), (4, 5, 1));
        assert_eq!((whole.priced, whole.unpriced, whole.cost_micros), (3, 1, 300));
        let four = Tokens { uncached_input: 40, cache_read: 4, cache_write_5m: 8, cache_write_1h: 12, output: 20, reasoning: 16 };
        assert_eq!(whole.tokens, four);
        let groups = |sums: &[costs::Sum]| -> Vec<(Vec<Option<String>>, i64)> {
            sums.iter().map(|sum| (sum.group.clone(), sum.cost_micros)).collect()
        };
        let main = Some("main_agent".to_owned());
        assert_eq!(groups(&by(&[Dimension::Role]).await), [(vec![main], 300), (vec![None], 0)]);
        let days = groups(&by(&[Dimension::Day]).await);
        let first = time(0).as_second() / 86_400;
        assert_eq!(days, [(vec![Some(first.to_string())], 200), (vec![Some((first + 1).to_string())], 100)]);
        let keys = groups(&by(&[Dimension::Key, Dimension::Provider, Dimension::Model]).await);
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0].0[1..], [Some("p".to_owned()), Some("m".to_owned())]);
        assert_eq!(keys[0].1 + keys[1].1, 300);
        for dimension in [Dimension::Configuration, Dimension::Protocol, Dimension::KeyOwner, Dimension::Run] {
            assert_eq!(by(&[dimension]).await.len(), 1);
        }
    }

    async fn runs_are_listed_newest_first_by_their_first_call(fixture) {
        let database = &fixture.database;
        let run = |number: u128| Uuid::from_u128(number).to_string();
        let of_run = |number, run: &str| Attempt { run_id: Some(run.to_owned()), ..attempt(number) };
        store(database, &[of_run(10, &run(1)), of_run(20, &run(2))]).await;
        // An earlier call of the run may be recorded later, by another node.
        store(database, &[of_run(5, &run(1)), of_run(30, "not-a-uuid")]).await;
        store(database, &[Attempt { organization_id: OTHER, ..of_run(40, &run(3)) }]).await;
        let list = async |from: Option<i64>, to: Option<i64>, skip, limit| {
            let period = Period { from: from.map(time), to: to.map(time) };
            let (runs, total) = costs::runs(database, OWNER, period, skip, limit).await.unwrap();
            let seen: Vec<_> = runs.iter().map(|run| (run.run_id.clone(), run.first_called_at, run.sum.cost_micros)).collect();
            (seen, total)
        };
        let (two, one) = ((run(2), time(20), 100), (run(1), time(5), 200));
        assert_eq!(list(None, None, 0, 100).await, (vec![two.clone(), one.clone()], 2));
        assert_eq!(list(None, None, 1, 1).await, (vec![one.clone()], 2));
        assert_eq!(list(Some(5), Some(20), 0, 100).await, (vec![one], 1));
        assert_eq!(list(Some(6), None, 0, 100).await, (vec![two], 1));
        let steps = costs::steps(database, OWNER, Period::default()).await.unwrap();
        assert_eq!(steps, (4, 3));
        let period = Period { from: Some(time(6)), to: Some(time(30)) };
        assert_eq!(costs::steps(database, OWNER, period).await.unwrap(), (2, 2));
    }

    async fn months_add_up_under_concurrency_and_outlive_their_attempts(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        assert_eq!(owner, OWNER);
        let batches: Vec<Vec<Attempt>> = (0..8).map(|batch| (batch * 20..batch * 20 + 20).map(attempt).collect()).collect();
        let stored = batches.iter().map(|batch| record::record(database, batch));
        for outcome in futures::future::join_all(stored).await {
            outcome.unwrap();
        }
        let month = Month::of(time(0));
        assert!(months::spent_under_budgets(database, month).await.unwrap().is_empty());
        commit(database, async |transaction| {
            let budget = Budget { soft_micros: None, hard_micros: Some(1) };
            budgets::put(transaction, owner, BudgetOwner::Organization, budget, time(0)).await
        })
        .await
        .unwrap();
        let spent = async || -> Vec<i64> {
            let spent = months::spent_under_budgets(database, month).await.unwrap();
            spent.iter().map(|spent| spent.cost_micros).collect()
        };
        assert_eq!(spent().await, [8000, 8000]);
        assert_eq!(upkeep::reap(database, OWNER, time(100)).await.unwrap(), 100);
        assert_eq!(upkeep::reap(database, OWNER, time(100)).await.unwrap(), 0);
        assert_eq!(all(database, &CallFilter::default()).await.len(), 60);
        assert_eq!(costs::runs(database, OWNER, Period::default(), 0, 9).await.unwrap().1, 1);
        assert_eq!(upkeep::reap(database, OWNER, time(1000)).await.unwrap(), 60);
        assert_eq!(costs::runs(database, OWNER, Period::default(), 0, 9).await.unwrap().1, 0);
        assert_eq!(spent().await, [8000, 8000]);
        let spent = months::spent_by(database, owner, month).await.unwrap();
        assert!(spent.iter().all(|it| it.organization_id == owner) && !spent.is_empty());
    }

    async fn costs_are_computed_anew_with_other_prices(fixture) {
        let database = &fixture.database;
        add_organization(database, 1).await;
        let mut batch: Vec<Attempt> = (0..5).map(attempt).collect();
        batch[1].model = "nobody's".to_owned();
        batch[1].model_answered = None;
        batch[2].model = "deployment".to_owned();
        batch[2].model_answered = Some("m".to_owned());
        batch[3].cost_micros = None;
        batch.push(failed(8));
        store(database, &batch).await;
        let rates = Rates { input: 1_000_000, output: 3_000_000, ..Rates::default() };
        let price = Price {
            provider: "p".to_owned(),
            models: vec!["m".to_owned()],
            service_tier: None,
            rates,
            tiers: Vec::new(),
            source: "https://example.com".to_owned(),
            date: Date::constant(2026, 11, 24),
        };
        let prices = PriceTable::new(PriceList { prices: vec![price] }).unwrap();
        let period = Period { from: None, to: Some(time(4)) };
        let found = upkeep::recompute(database, OWNER, period, &prices).await.unwrap();
        // 16 tokens in and 5 out are 31 micro-dollars, where 100 were booked.
        let expected = upkeep::Recomputed { attempts: 4, changed: 4, difference_micros: -69 - 100 - 69 + 31, unpriced: 1 };
        assert_eq!(found, expected);
        let again = upkeep::recompute(database, OWNER, period, &prices).await.unwrap();
        assert_eq!((again.attempts, again.changed), (4, 0));
        let whole = &costs::sums(database, OWNER, &CallFilter::default(), &[]).await.unwrap()[0];
        assert_eq!((whole.cost_micros, whole.unpriced), (31 * 3 + 100, 1));
        commit(database, async |transaction| {
            let budget = Budget { soft_micros: Some(1), hard_micros: None };
            budgets::put(transaction, OWNER, BudgetOwner::Organization, budget, time(0)).await
        })
        .await
        .unwrap();
        let month = Month::of(time(0));
        let spent = months::spent_under_budgets(database, month).await.unwrap();
        let total: i64 = spent.iter().map(|spent| spent.cost_micros).sum();
        assert_eq!(total, whole.cost_micros);
    }
}
