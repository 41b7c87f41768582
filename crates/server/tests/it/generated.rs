//! Files that are generated from the code, checked in, and must be as fresh as the code.

use std::path::Path;

use crate::support::app;

#[test]
fn the_openapi_document_is_the_one_that_is_checked_in() {
    let output = app().run(&["openapi"]).unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == printed,
        "docs/openapi.json is older than the code: run `make generate` and look at the difference"
    );
}
