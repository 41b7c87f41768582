//! Whose key pays: a configuration's own, the organisation's slot, the operator's.

use domain::provider_credential::{AuthType, CredentialStatus};
use gateway::meter::KeyOwner;
use gateway::upstream::in_process::InProcessService;
use http::StatusCode;
use serde_json::json;
use testkit::client::Answer;
use testkit::simulator::Simulator;
use testkit::simulator::ledger::Ledger;
use tower::{BoxError, service_fn};

use crate::gateway_under_test::{GatewayUnderTest, PROVIDER_KEY, Workshop, openai, organization};

const SLOT_KEY: &str = "canary-slot-key-0123456789";
const PLATFORM_KEY: &str = "canary-platform-key-0123456789";

/// A workshop whose `api.openai.com` is a stand-in inside the process: a system default,
/// a row without a key of its own, one with one, and one that goes elsewhere.
fn workshop() -> (Ledger, Workshop) {
    let simulator = Simulator::new();
    let ledger = simulator.ledger().clone();
    let service = service_fn(move |request| {
        let simulator = simulator.clone();
        async move { simulator.call(request).await.map_err(BoxError::from) }
    });
    let elsewhere = json!({"base_url": "https://elsewhere.example/v1"});
    let mut workshop = Workshop::new()
        .in_process("https://api.openai.com", InProcessService::new(service))
        .add("default", "openai", "gpt-4o", json!({}), |row| {
            row.configuration.organization_id = None;
            row.key = None;
        })
        .add("plain", "openai", "gpt-4o", json!({}), |row| row.key = None)
        .add("keyed", "openai", "gpt-4o", json!({}), |_| {})
        .add("elsewhere", "openai", "gpt-4o", elsewhere, |row| {
            row.key = None;
        });
    let key = ("openai".to_owned(), PLATFORM_KEY.to_owned());
    workshop.platform_keys.extend([key]);
    (ledger, workshop)
}

async fn ask(gateway: &GatewayUnderTest, organization: u128, selector: &str) -> Answer {
    let client = gateway.client(organization);
    let answer = client.post("/v1/chat/completions", &openai(selector)).await;
    answer.expect("an answer")
}

/// The keys that the provider has been shown since the last look.
fn shown(ledger: &Ledger) -> Vec<String> {
    let requests = ledger.requests();
    let keys = requests.iter().map(|request| {
        let value = request.headers["authorization"].to_str();
        value.unwrap_or_default().replace("Bearer ", "")
    });
    let keys = keys.collect();
    ledger.clear();
    keys
}

#[tokio::test]
async fn a_slot_comes_after_a_row_s_own_key_and_before_the_operator_s() {
    let (ledger, workshop) = workshop();
    let gateway = workshop
        .slot(
            organization(1),
            "openai",
            CredentialStatus::Active,
            SLOT_KEY,
        )
        .start()
        .await;
    let expected = [
        (1, "default", SLOT_KEY, KeyOwner::Slot),
        (1, "plain", SLOT_KEY, KeyOwner::Slot),
        (1, "keyed", PROVIDER_KEY, KeyOwner::Organization),
        (2, "default", PLATFORM_KEY, KeyOwner::Platform),
    ];
    for (organization, selector, key, owner) in expected {
        let answer = ask(&gateway, organization, selector).await;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{selector} {}",
            answer.text()
        );
        assert_eq!(shown(&ledger), [key], "{selector}");
        let record = gateway.records.all().pop().expect("a record");
        assert_eq!(record.key_owner, owner, "{selector}");
    }
    // Neither the slot's key nor the operator's goes to a host that somebody chose.
    let answer = ask(&gateway, 1, "elsewhere").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        answer.json()["error"]["code"],
        "provider_credential_missing"
    );
    assert!(shown(&ledger).is_empty());
}

#[tokio::test]
async fn a_slot_without_a_good_key_is_an_error_and_not_the_operator_s_turn() {
    for (status, code) in [
        (CredentialStatus::Missing, "provider_credential_missing"),
        (CredentialStatus::Invalid, "provider_credential_invalid"),
    ] {
        let (ledger, workshop) = workshop();
        let gateway = workshop
            .slot(organization(1), "openai", status, SLOT_KEY)
            .start()
            .await;
        for selector in ["default", "plain"] {
            let answer = ask(&gateway, 1, selector).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
            assert_eq!(answer.json()["error"]["code"], code);
            assert!(answer.text().contains("/v1/provider-credentials/openai"));
        }
        assert!(shown(&ledger).is_empty());
        assert_eq!(ask(&gateway, 1, "keyed").await.status, StatusCode::OK);
        assert_eq!(ask(&gateway, 2, "default").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn another_provider_s_slot_pays_nothing() {
    let (ledger, workshop) = workshop();
    let gateway = workshop
        .slot(
            organization(1),
            "anthropic",
            CredentialStatus::Missing,
            SLOT_KEY,
        )
        .start()
        .await;
    assert_eq!(ask(&gateway, 1, "default").await.status, StatusCode::OK);
    assert_eq!(shown(&ledger), [PLATFORM_KEY]);
}

#[tokio::test]
async fn a_slot_pays_only_for_providers_that_take_its_kind_of_credential() {
    let unfit = |workshop: Workshop| {
        let status = CredentialStatus::Active;
        let mut workshop = workshop.slot(organization(1), "openai", status, SLOT_KEY);
        let credential = workshop.credentials.last_mut().expect("a credential");
        credential.auth_type = Some(AuthType::ServiceAccountJson);
        workshop
    };
    // It is as if there were none: the operator's key serves where there is one.
    let (ledger, workshop) = workshop();
    let gateway = unfit(workshop).start().await;
    assert_eq!(ask(&gateway, 1, "default").await.status, StatusCode::OK);
    assert_eq!(shown(&ledger), [PLATFORM_KEY]);

    let (ledger, mut workshop) = self::workshop();
    workshop.platform_keys.clear();
    let gateway = unfit(workshop).start().await;
    for selector in ["default", "plain"] {
        let answer = ask(&gateway, 1, selector).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "provider_credential_missing");
        let message = error["message"].as_str().expect("a text");
        let cause = "`openai` holds a service account, which `openai` does not take";
        assert!(message.contains(cause), "{message}");
    }
    assert!(shown(&ledger).is_empty());
}

#[tokio::test]
async fn a_refused_key_of_the_operator_s_rests_alone_at_its_origin() {
    let (_, workshop) = workshop();
    // Both providers are reached at api.openai.com.
    let mut workshop = workshop.add("refused", "litellm", "fault:401", json!({}), |row| {
        row.key = None;
    });
    let key = (
        "litellm".to_owned(),
        "canary-of-litellm-0123456789".to_owned(),
    );
    workshop.platform_keys.extend([key]);
    let gateway = workshop.start().await;
    let refused = ask(&gateway, 1, "refused").await;
    assert_eq!(refused.json()["error"]["code"], "provider_authentication");
    let refused = ask(&gateway, 1, "refused").await;
    assert_eq!(refused.json()["error"]["code"], "circuit_open");
    // The operator's keys are read anew.
    gateway.gateway.operator_keys_changed();
    let refused = ask(&gateway, 1, "refused").await;
    assert_eq!(refused.json()["error"]["code"], "provider_authentication");
    let answer = ask(&gateway, 1, "default").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}
