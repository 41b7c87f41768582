//! Which files are accepted as root key files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use vault::VaultError;
use vault::keyring::RootKeyring;
use vault::operations::rotate::Rotation;

use crate::support::House;

async fn house_with_file() -> House {
    let house = House::new();
    house.open().await.unwrap();
    house
}

fn refusal(path: &Path) -> String {
    match RootKeyring::load(path) {
        Ok(_) => panic!("{} is accepted", path.display()),
        Err(VaultError::RootKey(why)) => why,
        Err(error) => panic!("{error}"),
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_file_that_others_can_reach_is_refused_with_the_remedy() {
    let house = house_with_file().await;
    let path = &house.root_key_file;
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666, 0o777] {
        set_mode(path, mode);
        let why = refusal(path);
        let remedy = format!("chmod 600 {}", path.display());
        assert!(why.contains(&remedy), "{why}");
        assert!(why.contains(&format!("{mode:04o}")), "{why}");
        assert!(house.refusal().await.contains("chmod 600"));
    }
    for mode in [0o600, 0o400] {
        set_mode(path, mode);
        assert!(RootKeyring::load(path).is_ok());
    }
}

#[tokio::test]
async fn a_link_is_followed_and_what_it_leads_to_is_judged() {
    let house = house_with_file().await;
    let link = house.directory.path().join("link.key");
    symlink(&house.root_key_file, &link).unwrap();
    assert!(RootKeyring::load(&link).is_ok());
    set_mode(&house.root_key_file, 0o644);
    assert!(refusal(&link).contains("chmod 600"));
    fs::remove_file(&house.root_key_file).unwrap();
    assert!(refusal(&link).contains("symbolic link to a file that is not there"));
}

#[tokio::test]
async fn a_rotation_through_a_link_leaves_the_link() {
    let house = house_with_file().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.key");
    symlink(&house.root_key_file, &link).unwrap();
    let before = fs::read_to_string(&house.root_key_file).unwrap();
    let rotation = Rotation {
        root_key_file: &link,
        ..house.rotation()
    };
    rotation.prepare().await.unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let after = fs::read_to_string(&house.root_key_file).unwrap();
    assert!(after.len() > before.len() && fs::read_dir(elsewhere.path()).unwrap().count() == 1);
}

#[tokio::test]
async fn a_directory_and_a_pipe_are_refused_without_hanging() {
    let house = house_with_file().await;
    assert!(refusal(house.directory.path()).contains("not a regular file"));
    let pipe = house.directory.path().join("pipe.key");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(refusal(&pipe).contains("not a regular file"));
}

#[tokio::test]
async fn a_damaged_file_is_refused_without_a_word_of_what_it_holds() {
    let house = house_with_file().await;
    let path = &house.root_key_file;
    let text = fs::read_to_string(path).unwrap();
    let key = text.trim_end().rsplit_once(' ').unwrap().1.to_owned();
    for damaged in [
        String::new(),
        text.replace("quartermaster-root-keys v1", "something else"),
        text.trim_end().to_owned() + "00\n",
        text[..text.len() - 10].to_owned(),
        text.replace(&key, &key.replace(&key[..2], "zz")),
        "x".repeat(100_000),
    ] {
        fs::write(path, &damaged).unwrap();
        let why = refusal(path);
        assert!(why.contains(path.to_str().unwrap()), "{why}");
        assert!(!why.contains(&key[10..30]), "{why}");
    }
    fs::write(path, [0xff, 0xfe]).unwrap();
    refusal(path);
    fs::write(path, text).unwrap();
    assert!(RootKeyring::load(path).is_ok());
}

#[test]
fn a_missing_file_is_named() {
    assert!(refusal(Path::new("/nowhere/root.key")).contains("/nowhere/root.key"));
}

#[tokio::test]
async fn a_file_that_turns_bad_while_the_process_runs_changes_nothing() {
    let house = house_with_file().await;
    let keyring = RootKeyring::load(&house.root_key_file).unwrap();
    let id = keyring.keys().current().id().to_owned();
    fs::write(&house.root_key_file, "nonsense").unwrap();
    assert_eq!(keyring.keys().current().id(), id);
    fs::remove_file(&house.root_key_file).unwrap();
    assert_eq!(keyring.keys().current().id(), id);
}
