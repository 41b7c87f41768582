//! The live check that the control plane's verify makes.

use serde_json::json;
use testkit::simulator::serve::RunningSimulator;

use crate::gateway_under_test::{PROVIDER_KEY, Workshop, organization};

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
        checks.push(
            gateway
                .gateway
                .check(organization(1), &row.configuration)
                .await,
        );
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
