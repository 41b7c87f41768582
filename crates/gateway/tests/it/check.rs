//! The live check that the control plane's verify makes.

use domain::budget::{Budget, BudgetOwner};
use domain::price::{PriceList, PriceTable};
use domain::rate_limits::RateLimits;
use gateway::meter::Outcome;
use serde_json::json;
use testkit::simulator::serve::RunningSimulator;

use crate::gateway_under_test::{PROVIDER_KEY, Workshop, caller, organization};

#[tokio::test]
async fn a_check_says_whether_it_works_and_whether_the_key_is_to_blame() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let keyless = json!({"base_url": url});
    let gateway = Workshop::new()
        .row("fine", "openai", "simulated-chat", &url)
        .row("refused", "openai", "fault:echo-key", &url)
        .row("failing", "openai", "fault:500", &url)
        .add("keyless", "openai", "simulated-chat", keyless, |row| {
            row.key = None
        })
        .row(
            "unreachable",
            "openai",
            "simulated-chat",
            "http://169.254.169.254/v1",
        )
        .start()
        .await;
    let mut checks = Vec::new();
    for row in &gateway.rows {
        checks.push(gateway.gateway.check(&caller(1), &row.configuration).await);
    }
    let table = [
        (true, false),
        (false, true),
        (false, false),
        (false, true),
        (false, false),
    ];
    for (check, (is_ok, is_auth_error)) in checks.iter().zip(table) {
        assert_eq!(
            (check.is_ok, check.is_auth_error),
            (is_ok, is_auth_error),
            "{check:?}"
        );
        assert_eq!(check.error.is_none(), is_ok, "{check:?}");
        let text = check.error.as_deref().unwrap_or_default();
        assert!(!text.contains(PROVIDER_KEY), "{text}");
    }
    // One request each, without retries.
    assert_eq!(upstream.ledger().count(), 3);
}

#[tokio::test]
async fn a_check_is_recorded_and_counts_against_limits_as_a_call_does() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let mut workshop = Workshop::new()
        .row("fine", "openai", "simulated-chat", &url)
        .row("failing", "openai", "fault:500", &url);
    let limits = RateLimits {
        requests_per_minute: Some(2),
        tokens_per_minute: None,
        concurrent_calls: None,
    };
    workshop.rate_limits = vec![(organization(1), None, limits)];
    let gateway = workshop.start().await;
    let [fine, failing] = gateway.rows.as_slice() else {
        unreachable!("there are two rows");
    };
    let check = async |row: &crate::gateway_under_test::Row| {
        gateway.gateway.check(&caller(1), &row.configuration).await
    };
    assert!(check(fine).await.is_ok);
    assert!(!check(failing).await.is_ok);
    let refused = check(fine).await;
    assert!(!refused.is_ok && !refused.is_auth_error, "{refused:?}");
    let error = refused.error.unwrap_or_default();
    assert!(error.contains("2 requests a minute"), "{error}");
    assert_eq!(upstream.ledger().count(), 2);

    let records = gateway.records.all();
    assert_eq!(records.len(), 2, "what is refused makes no attempt");
    for (record, row) in records.iter().zip([fine, failing]) {
        assert_eq!(record.api_key_id, caller(1).api_key_id);
        assert_eq!(record.organization_id, organization(1));
        assert_eq!(record.model_configuration_id, row.configuration.id);
        assert_eq!(record.model_asked, row.configuration.settings.name);
        let end = record.call.as_ref().expect("the call has ended");
        assert_eq!(end.outcome, record.outcome);
    }
    assert_eq!(records[0].outcome, Outcome::Success);
    assert!(
        records[0]
            .usage
            .is_some_and(|usage| usage.output_tokens > 0)
    );
    assert_eq!(records[1].status, Some(500));
}

#[tokio::test]
async fn a_check_spends_the_budget_and_is_refused_when_that_is_used_up() {
    let upstream = RunningSimulator::start().await.expect("a simulator");
    let url = upstream.openai_base_url();
    let mut workshop = Workshop::new().row("fine", "openai", "simulated-chat", &url);
    let list = json!({"prices": [{
        "provider": "openai",
        "models": ["simulated-chat*"],
        "rates": {"input": 1_000_000, "output": 1_000_000},
        "source": "https://example.com/prices",
        "date": "2026-11-24",
    }]});
    let list: PriceList = serde_json::from_value(list).expect("a list");
    workshop.prices = PriceTable::new(list).expect("a sound list");
    let budget = Budget {
        soft_micros: None,
        hard_micros: Some(1),
    };
    workshop.budgets = vec![(organization(1), BudgetOwner::Organization, budget)];
    let gateway = workshop.start().await;
    let row = &gateway.rows[0].configuration;
    assert!(gateway.gateway.check(&caller(1), row).await.is_ok);
    assert!(gateway.records.all()[0].cost_micros > Some(1));
    let refused = gateway.gateway.check(&caller(1), row).await;
    assert!(!refused.is_ok && !refused.is_auth_error, "{refused:?}");
    let error = refused.error.unwrap_or_default();
    assert!(error.contains("budget"), "{error}");
    assert_eq!(upstream.ledger().count(), 1);
}
