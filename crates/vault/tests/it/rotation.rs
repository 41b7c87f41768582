//! Rotation of the root key: online, resumable at every step, and never losing a key.

use std::fs;

use domain::id::OrganizationId;
use uuid::Uuid;
use vault::VaultBackend;
use vault::operations::status::{CanaryState, status};
use vault::root_key::{HashPurpose, RootKeyState};

use crate::support::{Fault, House};

const ORGANIZATIONS: u128 = 5;

async fn filled_house() -> House {
    let house = House::new();
    house
        .fill(&house.open().await.unwrap(), ORGANIZATIONS)
        .await;
    house
}

fn assert_all_under(house: &House, root_key_id: &str) {
    for key in house.storage.snapshot().organization_keys.values() {
        assert_eq!(key.root_key_id, root_key_id);
    }
}

#[tokio::test]
async fn a_rotation_rewraps_organization_keys_and_touches_no_secret() {
    let house = filled_house().await;
    let before = house.storage.snapshot();
    let report = house.rotation().rotate().await.unwrap();
    assert!(!report.is_resumed);
    assert_eq!(report.rewrapped, ORGANIZATIONS as u64 + 1);
    assert_eq!(house.storage.snapshot().secrets, before.secrets);
    assert_all_under(&house, &report.current);
    let keys = house.keys_in_file();
    assert_eq!(keys[0].0, RootKeyState::Old);
    assert_eq!(keys[1], (RootKeyState::Current, report.current));
    house.assert_all_open(&house.open().await.unwrap()).await;
}

#[tokio::test]
async fn running_servers_follow_a_rotation_without_a_restart() {
    let house = filled_house().await;
    let (warm, cold) = (house.open().await.unwrap(), house.open().await.unwrap());
    house.assert_all_open(&warm).await;
    let report = house.rotation().rotate().await.unwrap();
    house.assert_all_open(&warm).await;
    house.assert_all_open(&cold).await;
    // What they seal from now on is under the new key.
    house
        .keep(&warm, Some(OrganizationId(Uuid::from_u128(77))))
        .await;
    assert_all_under(&house, &report.current);
    house.rotation().retire_old().await.unwrap();
    house.assert_all_open(&cold).await;
    house.assert_all_open(&house.open().await.unwrap()).await;
}

#[tokio::test]
async fn a_rotation_that_dies_at_any_step_is_finished_by_the_next() {
    for fault in [Fault::Before, Fault::After] {
        for call in 0.. {
            let house = filled_house().await;
            let running = house.open().await.unwrap();
            house.storage.break_at(call, fault);
            let is_whole = house.rotation().rotate().await.is_ok();
            house.storage.mend();
            house.assert_all_open(&running).await;
            house.assert_all_open(&house.open().await.unwrap()).await;
            if is_whole {
                assert!(call > 8, "the faults hit something");
                break;
            }
            let keys_before = house.keys_in_file().len();
            let report = house.rotation().rotate().await.unwrap();
            let is_begun = keys_before == 2;
            // A start in between completes what needs no rewrapping, and then the next
            // rotation is a new one.
            assert!(report.is_resumed == is_begun || house.keys_in_file().len() == 3);
            assert_all_under(&house, &report.current);
            house.assert_all_open(&house.open().await.unwrap()).await;
        }
    }
}

#[tokio::test]
async fn a_retirement_that_dies_at_any_step_leaves_a_vault_that_opens() {
    for fault in [Fault::Before, Fault::After] {
        for call in 0.. {
            let house = filled_house().await;
            let current = house.rotation().rotate().await.unwrap().current;
            house.storage.break_at(call, fault);
            let is_whole = house.rotation().retire_old().await.is_ok();
            house.storage.mend();
            house.assert_all_open(&house.open().await.unwrap()).await;
            if is_whole {
                assert!(call > 5, "the faults hit something");
                break;
            }
            house.rotation().retire_old().await.unwrap();
            assert_eq!(house.keys_in_file(), [(RootKeyState::Current, current)]);
            house.assert_all_open(&house.open().await.unwrap()).await;
        }
    }
}

#[tokio::test]
async fn a_key_that_still_wraps_something_is_not_retired() {
    let house = filled_house().await;
    let old = house
        .storage
        .snapshot()
        .organization_keys
        .into_values()
        .next()
        .unwrap();
    house.rotation().rotate().await.unwrap();
    let mut rows = house.storage.snapshot();
    rows.organization_keys
        .insert(old.organization_id, old.clone());
    *house.storage.rows.lock().unwrap() = rows;
    let error = house.rotation().retire_old().await.unwrap_err().to_string();
    assert!(error.contains(&old.root_key_id), "{error}");
    assert_eq!(house.keys_in_file().len(), 2);
    assert!(house.rotation().rotate().await.unwrap().is_resumed);
    house.rotation().retire_old().await.unwrap();
    house.assert_all_open(&house.open().await.unwrap()).await;
}

#[tokio::test]
async fn a_server_that_adds_keys_while_the_rotation_runs_loses_nothing() {
    let house = filled_house().await;
    // An organisation that a server which has not seen the new key makes meanwhile.
    let elsewhere = house.open().await.unwrap();
    let late = house
        .keep(&elsewhere, Some(OrganizationId(Uuid::from_u128(88))))
        .await;
    let row = house
        .storage
        .rows
        .lock()
        .unwrap()
        .organization_keys
        .remove(&late.organization_id);
    house.storage.interfere_at(
        8,
        Box::new(move |rows| {
            rows.organization_keys
                .insert(late.organization_id, row.unwrap());
        }),
    );
    let report = house.rotation().rotate().await.unwrap();
    assert_eq!(report.rewrapped, ORGANIZATIONS as u64 + 2);
    assert_all_under(&house, &report.current);
    house.assert_all_open(&house.open().await.unwrap()).await;
}

#[tokio::test]
async fn a_damaged_organization_key_is_reported_and_stops_no_other() {
    let house = filled_house().await;
    let damaged = OrganizationId(Uuid::from_u128(3));
    {
        let mut rows = house.storage.rows.lock().unwrap();
        rows.organization_keys.get_mut(&Some(damaged)).unwrap().blob[80] ^= 1;
    }
    let report = house.rotation().rotate().await.unwrap();
    assert_eq!(report.damaged, [damaged.to_string()]);
    assert_eq!(report.rewrapped, ORGANIZATIONS as u64);
    assert!(house.rotation().retire_old().await.is_err());
    // It does not stand in the way of another rotation either.
    let next = house.rotation().rotate().await.unwrap();
    assert_ne!(next.current, report.current);
    assert_eq!(next.rewrapped, ORGANIZATIONS as u64);
}

#[tokio::test]
async fn more_organizations_than_a_batch_are_all_rewrapped_past_damaged_ones() {
    let house = House::new();
    house.fill(&house.open().await.unwrap(), 350).await;
    {
        let mut rows = house.storage.rows.lock().unwrap();
        for key in rows.organization_keys.values_mut().take(150) {
            key.blob[80] ^= 1;
        }
    }
    let report = house.rotation().rotate().await.unwrap();
    assert_eq!(report.rewrapped, 351 - 150);
    assert_eq!(report.damaged.len(), 150);
}

#[tokio::test]
async fn a_prepared_key_wraps_nothing_until_it_is_rotated_in() {
    let house = filled_house().await;
    let before = house.keys_in_file()[0].1.clone();
    let prepared = house.rotation().prepare().await.unwrap();
    assert_eq!(house.rotation().prepare().await.unwrap(), prepared);
    assert_eq!(
        house.keys_in_file()[1],
        (RootKeyState::Prepared, prepared.clone())
    );
    let vault = house.open().await.unwrap();
    house
        .keep(&vault, Some(OrganizationId(Uuid::from_u128(99))))
        .await;
    assert_all_under(&house, &before);
    let report = house.rotation().rotate().await.unwrap();
    assert_eq!(report.current, prepared);
    assert_all_under(&house, &prepared);
}

#[tokio::test]
async fn a_machine_with_its_own_copy_of_the_prepared_file_follows() {
    let (house, mut machine) = (filled_house().await, House::new());
    machine.storage = house.storage.clone();
    house.rotation().prepare().await.unwrap();
    fs::copy(&house.root_key_file, &machine.root_key_file).unwrap();
    let elsewhere = machine.open().await.unwrap();
    let current = house.rotation().rotate().await.unwrap().current;
    house.assert_all_open(&elsewhere).await;
    house.rotation().retire_old().await.unwrap();
    // Its file still says that the old key is current, but the storage knows better.
    let late = Some(OrganizationId(Uuid::from_u128(55)));
    house.keep(&elsewhere, late).await;
    assert_all_under(&house, &current);
    let restarted = machine.open().await.unwrap();
    assert_eq!(restarted.root_keys().keys().current().id(), current);
    house.assert_all_open(&restarted).await;
    house.assert_all_open(&house.open().await.unwrap()).await;
}

#[tokio::test]
async fn a_rotation_over_a_file_that_is_behind_does_not_go_back() {
    let (house, mut machine) = (filled_house().await, House::new());
    machine.storage = house.storage.clone();
    house.rotation().prepare().await.unwrap();
    fs::copy(&house.root_key_file, &machine.root_key_file).unwrap();
    let second = house.rotation().rotate().await.unwrap().current;
    house.rotation().retire_old().await.unwrap();
    let third = machine.rotation().rotate().await.unwrap().current;
    assert_eq!(machine.keys_in_file().len(), 3);
    assert_eq!(machine.keys_in_file()[1], (RootKeyState::Old, second));
    assert_all_under(&house, &third);
}

#[tokio::test]
async fn nothing_new_comes_under_a_root_key_that_has_been_retired() {
    let house = filled_house().await;
    let mut machine = House::new();
    machine.storage = house.storage.clone();
    fs::copy(&house.root_key_file, &machine.root_key_file).unwrap();
    let elsewhere = machine.open().await.unwrap();
    let current = house.rotation().rotate().await.unwrap().current;
    house.rotation().retire_old().await.unwrap();
    // This machine never got the new key: an error is better than a lost secret.
    let binding = crate::support::binding(Some(OrganizationId(Uuid::from_u128(55))));
    let secret = domain::secret::Secret::new("sk".to_owned());
    assert!(elsewhere.put(&binding, &secret).await.is_err());
    assert_all_under(&house, &current);
}

#[tokio::test]
async fn two_rotations_at_once_are_refused() {
    let house = filled_house().await;
    let directory = fs::File::open(house.directory.path()).unwrap();
    directory.lock().unwrap();
    let error = house.rotation().rotate().await.unwrap_err().to_string();
    assert!(error.contains("another process"), "{error}");
    drop(directory);
    house.rotation().rotate().await.unwrap();
}

#[tokio::test]
async fn half_written_files_of_a_killed_rotation_are_cleared_away() {
    let house = filled_house().await;
    let litter = house.directory.path().join("root.key.0123456789abcdef.new");
    fs::copy(&house.root_key_file, &litter).unwrap();
    house.rotation().rotate().await.unwrap();
    assert!(!litter.exists());
}

#[tokio::test]
async fn a_keyed_hash_can_be_checked_across_a_rotation() {
    let house = filled_house().await;
    let vault = house.open().await.unwrap();
    let purpose = HashPurpose::IdempotencyFingerprint;
    let (id, hash) = vault.root_keys().keyed_hash(purpose, b"request").unwrap();
    house.rotation().rotate().await.unwrap();
    let (new_id, new_hash) = vault.root_keys().keyed_hash(purpose, b"request").unwrap();
    assert_ne!((&id, hash), (&new_id, new_hash));
    let again = vault
        .root_keys()
        .keyed_hash_under(&id, purpose, b"request")
        .unwrap();
    assert_eq!(again, hash);
    let all = vault.root_keys().keyed_hashes(purpose, b"request").unwrap();
    assert_eq!(all, [(new_id, new_hash), (id.clone(), hash)]);
    house.rotation().retire_old().await.unwrap();
    let gone = vault.root_keys().keyed_hash_under(&id, purpose, b"request");
    assert!(gone.unwrap_err().to_string().contains(&id));
}

#[tokio::test]
async fn the_status_shows_a_rotation_and_a_missing_key() {
    let house = filled_house().await;
    let fresh = status(house.storage.as_ref(), &house.root_key_file)
        .await
        .unwrap();
    assert!(fresh.is_healthy() && !fresh.is_rotating());
    assert_eq!(fresh.sealed_secrets, ORGANIZATIONS as u64 + 1);
    assert_eq!(
        fresh.root_keys[0].organization_keys,
        ORGANIZATIONS as u64 + 1
    );
    assert_eq!(fresh.root_keys[0].canary, CanaryState::Opens);

    house.storage.break_at(10, Fault::Before);
    house.rotation().rotate().await.unwrap_err();
    house.storage.mend();
    let rotating = status(house.storage.as_ref(), &house.root_key_file)
        .await
        .unwrap();
    assert!(rotating.is_healthy() && rotating.is_rotating());
    assert_eq!(rotating.root_keys.len(), 2);

    fs::remove_file(&house.root_key_file).unwrap();
    let lost = status(house.storage.as_ref(), &house.root_key_file)
        .await
        .unwrap();
    assert!(!lost.is_healthy());
    assert!(lost.root_key_file_error.unwrap().contains("root.key"));
    assert_eq!(lost.root_keys[0].in_file, None);
    assert_eq!(lost.root_keys[0].canary, CanaryState::Untried);
}
