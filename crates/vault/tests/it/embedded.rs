//! Keeping and opening secrets.

use std::sync::Arc;

use domain::id::OrganizationId;
use domain::secret::Secret;
use uuid::Uuid;
use vault::{Binding, VaultBackend, VaultError};

use crate::support::{Fault, House, binding, put};

fn organization(number: u128) -> Option<OrganizationId> {
    Some(OrganizationId(Uuid::from_u128(number)))
}

fn does_not_open(result: Result<Secret, VaultError>) -> bool {
    result.is_err_and(|error| error == VaultError::DoesNotOpen)
}

#[tokio::test]
async fn a_secret_that_was_put_is_got_and_after_delete_is_gone() {
    let house = House::new();
    let vault = house.open().await.unwrap();
    let binding = house.keep(&vault, organization(1)).await;
    house.assert_all_open(&vault).await;
    vault.delete(&binding.alias).await.unwrap();
    vault.delete(&binding.alias).await.unwrap();
    assert_eq!(vault.get(&binding).await.err(), Some(VaultError::NotFound));
}

#[tokio::test]
async fn what_was_put_opens_after_a_restart() {
    let house = House::new();
    house.fill(&house.open().await.unwrap(), 3).await;
    house.assert_all_open(&house.open().await.unwrap()).await;
}

#[tokio::test]
async fn a_row_moved_to_another_owner_alias_or_version_does_not_open() {
    let house = House::new();
    let vault = house.open().await.unwrap();
    let mine = house.keep(&vault, organization(1)).await;
    let theirs = house.keep(&vault, organization(2)).await;
    {
        let mut rows = house.storage.rows.lock().unwrap();
        let (a, b) = (
            rows.secrets[&mine.alias].clone(),
            rows.secrets[&theirs.alias].clone(),
        );
        rows.secrets.get_mut(&mine.alias).unwrap().blob = b.blob;
        rows.secrets.get_mut(&theirs.alias).unwrap().blob = a.blob;
    }
    assert!(does_not_open(vault.get(&mine).await));
    assert!(does_not_open(vault.get(&theirs).await));

    let mine = house.keep(&vault, organization(1)).await;
    let stolen = Binding {
        organization_id: organization(2),
        ..mine.clone()
    };
    assert!(does_not_open(vault.get(&stolen).await));
    let elsewhere = Binding {
        allowed_origin: "https://attacker.example".to_owned(),
        ..mine.clone()
    };
    assert!(does_not_open(vault.get(&elsewhere).await));
    let older = Binding {
        version: 2,
        ..mine.clone()
    };
    assert!(does_not_open(vault.get(&older).await));
    assert!(vault.get(&mine).await.is_ok());
}

#[tokio::test]
async fn an_organization_key_moved_to_another_organization_opens_nothing_there() {
    let house = House::new();
    let vault = house.open().await.unwrap();
    let mine = house.keep(&vault, organization(1)).await;
    {
        let mut rows = house.storage.rows.lock().unwrap();
        let key = rows.organization_keys[&organization(1)].clone();
        rows.organization_keys.insert(organization(2), key);
    }
    let stolen = Binding {
        organization_id: organization(2),
        ..mine
    };
    // Also in a process that has never unwrapped it, and in one that has.
    assert!(does_not_open(vault.get(&stolen).await));
    let restarted = house.open().await.unwrap();
    assert!(does_not_open(restarted.get(&stolen).await));
}

#[tokio::test]
async fn secrets_open_from_rows_in_memory_while_the_storage_is_out() {
    let house = House::new();
    let vault = house.open().await.unwrap();
    let binding = house.keep(&vault, organization(1)).await;
    let rows = house.storage.snapshot();
    let restarted = house.open().await.unwrap();
    house.storage.break_at(0, Fault::Before);
    assert!(matches!(
        vault.get(&binding).await,
        Err(VaultError::Unavailable(_))
    ));
    assert!(vault.health().await.is_err());
    let row = &rows.secrets[&binding.alias];
    let key = &rows.organization_keys[&organization(1)];
    for vault in [&vault, &restarted] {
        let opened = vault.open_row(row, key, &binding).unwrap();
        assert_eq!(opened.expose(), format!("sk-{}", binding.alias));
    }
    house.storage.mend();
    assert_eq!(vault.health().await, Ok(()));
}

#[tokio::test]
async fn two_processes_that_make_an_organization_key_at_once_use_the_same() {
    let house = House::new();
    let (first, second) = (house.open().await.unwrap(), house.open().await.unwrap());
    let theirs = house.open().await.unwrap();
    let other = binding(organization(1));
    put(&theirs, &other, "sk").await;
    let key = house.storage.snapshot().organization_keys[&organization(1)].clone();
    house.storage.rows.lock().unwrap().organization_keys.clear();
    // Between the look and the insertion of `first`, the other process stores its own.
    house.storage.interfere_at(
        1,
        Box::new(move |rows| {
            rows.organization_keys.insert(organization(1), key);
        }),
    );
    house.keep(&first, organization(1)).await;
    house.keep(&second, organization(1)).await;
    assert_eq!(house.storage.snapshot().organization_keys.len(), 1);
    house.assert_all_open(&house.open().await.unwrap()).await;
}

#[tokio::test]
async fn many_puts_at_once_for_a_new_organization_all_open() {
    let house = House::new();
    let vault = Arc::new(house.open().await.unwrap());
    let puts = (0..20).map(|_| {
        let vault = Arc::clone(&vault);
        async move {
            let binding = binding(organization(9));
            let row = put(&vault, &binding, "sk-many").await;
            (binding, row)
        }
    });
    let mut running = tokio::task::JoinSet::new();
    for put in puts {
        running.spawn(put);
    }
    let kept = running.join_all().await;
    let rows = house.storage.snapshot();
    for (binding, row) in kept {
        let key = &rows.organization_keys[&organization(9)];
        assert_eq!(
            vault.open_row(&row, key, &binding).unwrap().expose(),
            "sk-many"
        );
    }
}

#[tokio::test]
async fn a_forgotten_organization_opens_no_more_once_its_key_row_is_gone() {
    let house = House::new();
    let vault = house.open().await.unwrap();
    let binding = house.keep(&vault, organization(1)).await;
    house.storage.rows.lock().unwrap().organization_keys.clear();
    vault.forget_organization(binding.organization_id.unwrap());
    assert!(does_not_open(vault.get(&binding).await));
}

#[tokio::test]
async fn nothing_of_a_secret_stands_in_what_is_stored() {
    let house = House::new();
    let vault = house.open().await.unwrap();
    let binding = binding(organization(1));
    let canary = "sk-canary-0123456789abcdef";
    let row = put(&vault, &binding, canary).await;
    let root_key_text = std::fs::read_to_string(&house.root_key_file).unwrap();
    let root_key = root_key_text.trim().rsplit_once(' ').unwrap().1;
    let root_key = data_encoding::HEXLOWER.decode(root_key.as_bytes()).unwrap();
    let rows = house.storage.snapshot();
    let stored = [row.blob]
        .into_iter()
        .chain(rows.organization_keys.into_values().map(|key| key.blob))
        .chain(rows.canaries.into_values());
    for blob in stored {
        for hidden in [canary.as_bytes(), &canary.as_bytes()[..8], &root_key[..8]] {
            assert!(!blob.windows(hidden.len()).any(|window| window == hidden));
        }
    }
}
