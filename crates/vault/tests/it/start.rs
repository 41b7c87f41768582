//! Which starts are refused, and that a refusal changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use crate::support::{Fault, House};

#[tokio::test]
async fn a_first_start_makes_a_key_that_only_its_owner_can_read() {
    let house = House::new();
    house.open().await.unwrap();
    let mode = fs::metadata(&house.root_key_file)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert_eq!(house.storage.snapshot().canaries.len(), 1);
    let left: Vec<_> = fs::read_dir(house.directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing but the file: {left:?}");
    let before = fs::read(&house.root_key_file).unwrap();
    house.open().await.unwrap();
    assert_eq!(fs::read(&house.root_key_file).unwrap(), before);
}

#[tokio::test]
async fn rows_without_their_root_key_file_are_a_refusal_that_names_the_key() {
    let house = House::new();
    house.fill(&house.open().await.unwrap(), 2).await;
    let id = house.keys_in_file()[0].1.clone();
    fs::remove_file(&house.root_key_file).unwrap();
    for remaining in ["canaries", "organisation keys", "secrets"] {
        let why = house.refusal().await;
        let is_named = why.contains(&id) || remaining == "secrets";
        assert!(is_named && why.contains("root.key"), "{why}");
        assert!(!house.root_key_file.exists(), "no new key over old rows");
        let mut rows = house.storage.rows.lock().unwrap();
        match remaining {
            "canaries" => rows.canaries.clear(),
            _ => rows.organization_keys.clear(),
        }
    }
}

#[tokio::test]
async fn another_installations_root_key_is_a_refusal_that_names_the_missing_key() {
    let (house, other) = (House::new(), House::new());
    house.fill(&house.open().await.unwrap(), 2).await;
    other.open().await.unwrap();
    let id = house.keys_in_file()[0].1.clone();
    fs::copy(&other.root_key_file, &house.root_key_file).unwrap();
    let before = house.storage.snapshot();
    let why = house.refusal().await;
    assert!(why.contains(&id) && why.contains("root.key"), "{why}");
    let after = house.storage.snapshot();
    assert_eq!(after.canaries, before.canaries);
    assert_eq!(after.organization_keys, before.organization_keys);
}

#[tokio::test]
async fn another_key_under_the_right_id_is_a_refusal_that_names_the_id() {
    let house = House::new();
    house.fill(&house.open().await.unwrap(), 1).await;
    let id = house.keys_in_file()[0].1.clone();
    let text = fs::read_to_string(&house.root_key_file).unwrap();
    let (rest, key) = text.trim_end().rsplit_once(' ').unwrap();
    let other: String = key.chars().rev().collect();
    fs::write(&house.root_key_file, format!("{rest} {other}\n")).unwrap();
    let why = house.refusal().await;
    assert!(why.contains("not the one that its id names"), "{why}");
    fs::write(&house.root_key_file, &text).unwrap();
    house.open().await.unwrap();

    let canary = house.storage.snapshot().canaries[&id].clone();
    let mut changed = canary.clone();
    *changed.last_mut().unwrap() ^= 1;
    house
        .storage
        .rows
        .lock()
        .unwrap()
        .canaries
        .insert(id.clone(), changed);
    let why = house.refusal().await;
    assert!(why.contains(&id) && why.contains("canary"), "{why}");
    house
        .storage
        .rows
        .lock()
        .unwrap()
        .canaries
        .insert(id, canary);
    house.assert_all_open(&house.open().await.unwrap()).await;
}

#[tokio::test]
async fn a_lost_canary_is_written_anew_when_the_key_is_the_right_one() {
    let house = House::new();
    house.fill(&house.open().await.unwrap(), 1).await;
    house.storage.rows.lock().unwrap().canaries.clear();
    house.open().await.unwrap();
    assert_eq!(house.storage.snapshot().canaries.len(), 1);
}

#[tokio::test]
async fn of_two_first_starts_over_one_storage_only_one_gets_its_key() {
    let (first, mut second) = (House::new(), House::new());
    second.storage = first.storage.clone();
    first.open().await.unwrap();
    let (id, canary) = first
        .storage
        .rows
        .lock()
        .unwrap()
        .canaries
        .pop_first()
        .unwrap();
    // The other server looked at an empty storage, and by the time it writes its canary,
    // the first one's is there.
    second.storage.interfere_at(
        3,
        Box::new(move |rows| {
            rows.canaries.insert(id, canary);
        }),
    );
    let why = second.refusal().await;
    assert!(why.contains(&first.keys_in_file()[0].1), "{why}");
    assert!(
        !second.root_key_file.exists(),
        "its file would stand in the way"
    );
    assert_eq!(first.storage.snapshot().canaries.len(), 1);
    first.fill(&first.open().await.unwrap(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_start_at_once_over_one_file_use_one_key() {
    for _ in 0..20 {
        let house = Arc::new(House::new());
        let mut starts = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let house = Arc::clone(&house);
            starts.spawn(async move { house.open().await.map(drop) });
        }
        for started in starts.join_all().await {
            assert_eq!(started, Ok(()));
        }
        assert_eq!(house.storage.snapshot().canaries.len(), 1);
        let left = fs::read_dir(house.directory.path()).unwrap().count();
        assert_eq!(left, 1, "no half-made file stays");
    }
}

#[tokio::test]
async fn a_first_start_that_dies_anywhere_can_be_repeated() {
    for fault in [Fault::Before, Fault::After] {
        for call in 0.. {
            let house = House::new();
            house.storage.break_at(call, fault);
            let is_whole = house.open().await.is_ok();
            house.storage.mend();
            let vault = house.open().await.unwrap();
            house.fill(&vault, 1).await;
            house.assert_all_open(&house.open().await.unwrap()).await;
            if is_whole {
                assert!(call > 5, "the faults hit something");
                break;
            }
        }
    }
}
