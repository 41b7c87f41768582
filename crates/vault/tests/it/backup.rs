//! Copies of the root keys, and what they restore.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use domain::secret::Secret;
use vault::operations::backup::{check_root_keys, export_root_keys, import_root_keys, is_sealed};

use crate::support::{House, SystemEntropy};

async fn filled_house() -> House {
    let house = House::new();
    house.fill(&house.open().await.unwrap(), 3).await;
    house.rotation().rotate().await.unwrap();
    house.fill(&house.open().await.unwrap(), 6).await;
    house
}

fn passphrase(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The same rows in a house without a root key file.
fn restored(house: &House) -> House {
    let mut other = House::new();
    other.storage = house.storage.clone();
    other
}

#[tokio::test]
async fn a_copy_is_private_and_never_overwrites() {
    let house = filled_house().await;
    let to = house.directory.path().join("elsewhere/copy.key");
    let ids = export_root_keys(&house.root_key_file, &to, None, &SystemEntropy).unwrap();
    let expected: Vec<String> = house.keys_in_file().into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids, expected);
    assert_eq!(
        fs::read(&to).unwrap(),
        fs::read(&house.root_key_file).unwrap()
    );
    assert_eq!(mode(&to), 0o600);
    assert_eq!(mode(to.parent().unwrap()), 0o700);
    assert!(export_root_keys(&house.root_key_file, &to, None, &SystemEntropy).is_err());
    assert!(!is_sealed(&to).unwrap());
}

#[tokio::test]
async fn a_restore_with_the_copy_opens_everything_and_without_it_is_refused() {
    let house = filled_house().await;
    let copy = house.directory.path().join("copy.key");
    export_root_keys(&house.root_key_file, &copy, None, &SystemEntropy).unwrap();
    let other = restored(&house);
    let missing = other.refusal().await;
    assert!(missing.contains(&house.keys_in_file()[1].1), "{missing}");
    import_root_keys(&copy, &other.root_key_file, None, &SystemEntropy).unwrap();
    check_root_keys(other.storage.as_ref(), &other.root_key_file)
        .await
        .unwrap();
    house.assert_all_open(&other.open().await.unwrap()).await;
}

#[tokio::test]
async fn another_installations_copy_is_refused_by_the_id_it_lacks() {
    let (house, stranger) = (filled_house().await, filled_house().await);
    let wrong = check_root_keys(house.storage.as_ref(), &stranger.root_key_file).await;
    let why = wrong.unwrap_err().to_string();
    assert!(
        house.keys_in_file().iter().any(|(_, id)| why.contains(id)),
        "{why}"
    );
}

#[tokio::test]
async fn a_sealed_copy_opens_with_its_passphrase_alone() {
    let house = filled_house().await;
    let copy = house.directory.path().join("copy.sealed");
    let words = passphrase("correct horse battery staple");
    export_root_keys(&house.root_key_file, &copy, Some(&words), &SystemEntropy).unwrap();
    assert!(is_sealed(&copy).unwrap());
    let text = fs::read_to_string(&copy).unwrap();
    let clear = fs::read_to_string(&house.root_key_file).unwrap();
    for line in clear.lines().filter(|line| line.starts_with("rk_")) {
        let key = line.rsplit_once(' ').unwrap().1;
        assert!(!text.contains(key) && !text.contains(&line[..19]));
    }
    // Sealed, it may have been kept where file modes mean nothing.
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();

    let other = restored(&house);
    let to = &other.root_key_file;
    let none = import_root_keys(&copy, to, None, &SystemEntropy).unwrap_err();
    assert!(none.to_string().contains("passphrase"), "{none}");
    let wrong = passphrase("correct horse battery stapler");
    let wrong = import_root_keys(&copy, to, Some(&wrong), &SystemEntropy).unwrap_err();
    assert!(wrong.to_string().contains("does not open"), "{wrong}");
    assert!(!to.exists());
    import_root_keys(&copy, to, Some(&words), &SystemEntropy).unwrap();
    assert_eq!(mode(to), 0o600);
    house.assert_all_open(&other.open().await.unwrap()).await;
}

#[tokio::test]
async fn a_damaged_sealed_copy_is_refused() {
    let house = filled_house().await;
    let copy = house.directory.path().join("copy.sealed");
    let words = passphrase("words");
    export_root_keys(&house.root_key_file, &copy, Some(&words), &SystemEntropy).unwrap();
    let text = fs::read_to_string(&copy).unwrap();
    let salt = text.lines().nth(1).unwrap();
    let last = text.trim_end();
    for damaged in [
        text.replace(salt, &salt[2..]),
        text.replace(salt, &salt.chars().rev().collect::<String>()),
        last[..last.len() - 4].to_owned(),
        format!("{text}more\n"),
    ] {
        fs::write(&copy, damaged).unwrap();
        let to = house.directory.path().join("restored.key");
        assert!(import_root_keys(&copy, &to, Some(&words), &SystemEntropy).is_err());
        assert!(!to.exists());
    }
}

#[tokio::test]
async fn a_clear_copy_that_others_could_read_is_refused() {
    let house = filled_house().await;
    let copy = house.directory.path().join("copy.key");
    export_root_keys(&house.root_key_file, &copy, None, &SystemEntropy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    let to = house.directory.path().join("restored.key");
    let why = import_root_keys(&copy, &to, None, &SystemEntropy).unwrap_err();
    assert!(why.to_string().contains("chmod 600"), "{why}");
}
