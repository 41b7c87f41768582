//! Refusals: a server that cannot open what is stored does not start.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use testkit::application::{ApplicationError, DataDir};

use crate::support::app;

/// A data directory that a server has used.
async fn used() -> (DataDir, PathBuf) {
    let data_dir = DataDir::temporary().unwrap();
    let mut server = app().data_dir(&data_dir).start().await.unwrap();
    server.terminate().unwrap();
    assert!(server.wait().await.unwrap().success());
    let root_key = data_dir.path().join("root.key");
    let mode = std::fs::metadata(&root_key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    (data_dir, root_key)
}

async fn refusal(data_dir: &DataDir) -> String {
    let Err(ApplicationError(text)) = app().data_dir(data_dir).start().await else {
        panic!("it starts");
    };
    assert!(text.contains("exit status: 78"), "{text}");
    text
}

#[tokio::test]
async fn a_missing_root_key_is_named_and_never_made_anew() {
    let (data_dir, root_key) = used().await;
    let text = std::fs::read_to_string(&root_key).unwrap();
    let id = text
        .split_whitespace()
        .find(|word| word.starts_with("rk_"))
        .unwrap()
        .to_owned();
    let away = data_dir.path().join("elsewhere");
    std::fs::rename(&root_key, &away).unwrap();
    assert!(refusal(&data_dir).await.contains(&id));
    assert!(!root_key.exists(), "no new key over old rows");

    std::fs::rename(&away, &root_key).unwrap();
    app().data_dir(&data_dir).start().await.unwrap();
}

#[tokio::test]
async fn a_wrong_root_key_is_refused() {
    let (data_dir, root_key) = used().await;
    let (_other, other_key) = used().await;
    std::fs::copy(&other_key, &root_key).unwrap();
    assert!(refusal(&data_dir).await.contains("rk_"));
}

#[tokio::test]
async fn a_root_key_that_others_can_read_is_refused() {
    let (data_dir, root_key) = used().await;
    std::fs::set_permissions(&root_key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refusal(&data_dir).await.contains("root.key"));
}
