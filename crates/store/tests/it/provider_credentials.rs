//! Provider credentials, without their secrets.

use domain::id::OrganizationId;
use domain::provider_credential::{
    AuthType, CredentialStatus, DisplayMetadata, ProviderCredential,
};
use store::{Database, StoreError, provider_credentials};

use crate::support::{add_organization, alias, commit, time};

fn credential(organization_id: OrganizationId, slot: &str) -> ProviderCredential {
    ProviderCredential {
        organization_id,
        slot: slot.to_owned(),
        revision: 1,
        status: CredentialStatus::Active,
        auth_type: Some(AuthType::AwsIam),
        alias: Some(alias(7)),
        display_metadata: DisplayMetadata {
            aws_region: Some("us-east-1".to_owned()),
            ..DisplayMetadata::default()
        },
        last_error: None,
        activated_at: Some(time(1)),
        last_validated_at: None,
        created_at: time(1),
        updated_at: time(1),
    }
}

async fn put(database: &Database, row: &ProviderCredential) -> Result<(), StoreError> {
    commit(database, async |transaction| {
        provider_credentials::put(transaction, row).await
    })
    .await
}

on_both_engines! {
    async fn a_credential_is_read_as_it_was_written_and_by_its_owner_only(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let other = add_organization(database, 2).await;
        let rows = [credential(owner, "aws_bedrock"), credential(owner, "openai")];
        for row in rows.iter().rev() {
            put(database, row).await.unwrap();
        }
        assert_eq!(provider_credentials::list(database, owner).await.unwrap(), rows);
        assert_eq!(provider_credentials::list_everything(database).await.unwrap(), rows);
        assert!(provider_credentials::list(database, other).await.unwrap().is_empty());
        let one = provider_credentials::get(database, owner, "openai").await.unwrap();
        assert_eq!(one.as_ref(), Some(&rows[1]));
        assert_eq!(provider_credentials::get(database, other, "openai").await.unwrap(), None);
        let locked = commit(database, async |transaction| {
            provider_credentials::get_for_update(transaction, owner, "openai").await
        });
        assert_eq!(locked.await.unwrap(), one);
    }

    async fn a_change_follows_the_revision_it_was_made_for(fixture) {
        let database = &fixture.database;
        let owner = add_organization(database, 1).await;
        let first = credential(owner, "openai");
        put(database, &first).await.unwrap();
        let missing = ProviderCredential {
            revision: 2,
            status: CredentialStatus::Missing,
            auth_type: None,
            alias: None,
            display_metadata: DisplayMetadata::default(),
            last_error: Some("refused".to_owned()),
            activated_at: None,
            last_validated_at: Some(time(9)),
            updated_at: time(9),
            ..first.clone()
        };
        put(database, &missing).await.unwrap();
        assert_eq!(provider_credentials::list(database, owner).await.unwrap(), std::slice::from_ref(&missing));
        for stale in [&first, &missing] {
            let refused = put(database, stale).await;
            assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
        }
    }
}
