//! The audit trail.

use domain::audit::{Actor, AuditEvent};
use domain::id::{ApiKeyId, AuditEventId, OrganizationId};
use store::{Database, audit};
use uuid::Uuid;

use crate::support::{commit, time};

const OWNER: OrganizationId = OrganizationId(Uuid::from_u128(1));
const OTHER: OrganizationId = OrganizationId(Uuid::from_u128(2));

fn event(number: u128, organization_id: Option<OrganizationId>, actor: Actor) -> AuditEvent {
    AuditEvent {
        id: AuditEventId(Uuid::from_u128(number)),
        organization_id,
        at: time(1),
        actor,
        action: "model_configuration.update".to_owned(),
        resource_id: "x".to_owned(),
        before: None,
        after: None,
        request_id: None,
    }
}

async fn append(database: &Database, event: &AuditEvent) {
    commit(database, async |transaction| {
        audit::append(transaction, event).await
    })
    .await
    .unwrap();
}

on_both_engines! {
    async fn events_are_read_newest_first_page_by_page_by_their_owner(fixture) {
        let database = &fixture.database;
        let key = Actor::ApiKey { id: ApiKeyId(Uuid::from_u128(5)) };
        let mut full = event(1, Some(OWNER), key);
        full.before = Some(serde_json::json!({"z": 1, "a": 0.1}));
        full.after = Some(serde_json::Value::Null);
        full.request_id = Some("request".to_owned());
        let second = event(2, Some(OWNER), Actor::CommandLine);
        let third = event(u128::MAX - 1, Some(OWNER), Actor::Settings);
        for event in [&third, &full, &second] {
            append(database, event).await;
        }
        append(database, &event(3, Some(OTHER), Actor::CommandLine)).await;
        append(database, &event(4, None, Actor::Settings)).await;

        let page = audit::list(database, OWNER, None, 2).await.unwrap();
        assert_eq!(page, [third, second.clone()]);
        let page = audit::list(database, OWNER, Some(second.id), 2).await.unwrap();
        assert_eq!(page, [full]);
    }
}
