//! The threat model names a test for each of its claims; those tests exist.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

const DOCUMENT: &str = include_str!("../../../../docs/threat-model.md");

/// (crate, test) of every test that the document names in the last column of its tables.
fn named_tests() -> Vec<(String, String)> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| "));
    rows.filter_map(|row| row.trim_end_matches([' ', '|']).rsplit_once(" | "))
        .flat_map(|(_, cell)| tests_in(cell))
        .collect()
}

/// A cell is `crate: `path`, `path`; crate: `path``.
fn tests_in(cell: &str) -> Vec<(String, String)> {
    let mut tests = Vec::new();
    for part in cell.split("; ") {
        let Some((package, paths)) = part.split_once(": `") else {
            continue;
        };
        for path in paths.split("`, `") {
            let name = path
                .trim_end_matches('`')
                .rsplit("::")
                .next()
                .unwrap_or(path);
            tests.push((package.to_owned(), name.to_owned()));
        }
    }
    tests
}

/// All source text of a crate.
fn source_of(package: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(package);
    let mut folders = vec![folder.join("src"), folder.join("tests")];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let named = named_tests();
    assert!(named.len() > 40, "the tables are read: {}", named.len());
    let mut sources: HashMap<String, String> = HashMap::new();
    let missing: Vec<String> = named
        .into_iter()
        .filter(|(package, test)| {
            let source = sources
                .entry(package.clone())
                .or_insert_with(|| source_of(package));
            !source.contains(&format!("fn {test}("))
        })
        .map(|(package, test)| format!("{package}: {test}"))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}
