//! What the compiler cannot say.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// A write that begins its own transaction could forget the idempotency key, the audit
/// event or the notice of the change.
#[test]
fn only_the_driver_begins_transactions() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    assert!(files.len() > 40);
    let beginning: Vec<_> = files
        .iter()
        .filter(|path| fs::read_to_string(path).unwrap().contains(".write().await"))
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(beginning, ["drive.rs"]);
}
