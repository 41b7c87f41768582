//! The arrows between crates, and what each must never depend on.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// What a crate may use of this workspace, and what it must not reach at all, directly
/// or through others. A new crate must be listed here, and say why it exists.
const RULES: &[Rule] = &[
    Rule {
        name: "domain",
        uses: &[],
        never: &["tokio", "http", "hyper", "axum", "sqlx", "rand", "figment"],
    },
    Rule {
        name: "providers",
        uses: &["domain"],
        never: &[
            "tokio",
            "hyper",
            "hyper-util",
            "axum",
            "sqlx",
            "rand",
            "figment",
        ],
    },
    Rule {
        name: "vault",
        uses: &["domain"],
        never: &["axum", "hyper", "http", "sqlx", "figment"],
    },
    Rule {
        name: "store",
        uses: &["domain"],
        never: &["axum", "hyper", "http", "figment"],
    },
    Rule {
        name: "gateway",
        uses: &["domain", "providers"],
        never: &[
            "sqlx",
            "figment",
            "quartermaster-store",
            "quartermaster-vault",
            "quartermaster-control",
        ],
    },
    Rule {
        name: "control",
        uses: &["domain", "providers", "store", "vault"],
        never: &["figment", "hyper-rustls", "quartermaster-gateway"],
    },
    Rule {
        name: "testkit",
        uses: &[],
        never: &["sqlx", "figment"],
    },
    Rule {
        name: "server",
        uses: &[
            "domain",
            "providers",
            "vault",
            "store",
            "gateway",
            "control",
            "testkit",
        ],
        never: &["reqwest", "openssl-sys", "native-tls"],
    },
];

struct Rule {
    name: &'static str,
    uses: &'static [&'static str],
    never: &'static [&'static str],
}

/// A crate's direct dependencies: (name, whether tests only).
type Direct = BTreeMap<String, BTreeSet<(String, bool)>>;

/// Everything a crate reaches outside its tests.
type Reached = BTreeMap<String, BTreeSet<String>>;

fn full(name: &str) -> String {
    format!("quartermaster-{name}")
}

/// Every broken rule, in words.
fn violations(direct: &Direct, reached: &Reached) -> Vec<String> {
    let mut violations = Vec::new();
    for name in direct.keys() {
        if !RULES.iter().any(|rule| full(rule.name) == *name) {
            violations.push(format!("{name} is in no rule"));
        }
    }
    for rule in RULES {
        let name = full(rule.name);
        let Some(dependencies) = direct.get(&name) else {
            violations.push(format!("{name} is gone"));
            continue;
        };
        for (dependency, is_test_only) in dependencies {
            let Some(short) = dependency.strip_prefix("quartermaster-") else {
                continue;
            };
            let is_allowed = rule.uses.contains(&short) || (*is_test_only && short == "testkit");
            if !is_allowed {
                violations.push(format!("{name} must not use {dependency}"));
            }
        }
        let reaches = |never: &&&str| reached.get(&name).is_some_and(|all| all.contains(**never));
        for never in rule.never.iter().filter(reaches) {
            violations.push(format!("{name} must not reach {never}"));
        }
    }
    violations
}

fn metadata() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let options = ["--locked", "--offline", "--filter-platform", &platform];
    MetadataCommand::new()
        .manifest_path(manifest)
        .other_options(options.map(str::to_owned))
        .exec()
        .unwrap()
}

fn direct(metadata: &Metadata) -> Direct {
    let packages = metadata.workspace_packages();
    packages
        .iter()
        .map(|package| {
            let dependencies = package.dependencies.iter().map(|dependency| {
                let is_test_only = dependency.kind == DependencyKind::Development;
                (dependency.name.clone(), is_test_only)
            });
            (package.name.to_string(), dependencies.collect())
        })
        .collect()
}

fn reached(metadata: &Metadata) -> Reached {
    let resolve = metadata.resolve.as_ref().unwrap();
    let names: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| (&package.id, package.name.to_string()))
        .collect();
    let edges: BTreeMap<_, Vec<_>> = resolve
        .nodes
        .iter()
        .map(|node| {
            let shipped = node.deps.iter().filter(|dependency| {
                dependency
                    .dep_kinds
                    .iter()
                    .any(|kind| kind.kind == DependencyKind::Normal)
            });
            (
                &node.id,
                shipped.map(|dependency| &dependency.pkg).collect(),
            )
        })
        .collect();
    let packages = metadata.workspace_packages();
    packages
        .iter()
        .map(|package| {
            let mut seen = BTreeSet::new();
            let mut open = vec![&package.id];
            while let Some(id) = open.pop() {
                let next = edges.get(id).into_iter().flatten().copied();
                open.extend(next.filter(|id| seen.insert(*id)));
            }
            let reached = seen.into_iter().map(|id| names[id].clone()).collect();
            (package.name.to_string(), reached)
        })
        .collect()
}

#[test]
fn the_arrows_hold() {
    let metadata = metadata();
    let violations = violations(&direct(&metadata), &reached(&metadata));
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn a_broken_arrow_is_found() {
    let metadata = metadata();
    let (sound, mut reached) = (direct(&metadata), reached(&metadata));
    assert!(violations(&sound, &reached).is_empty());

    let mut broken = sound.clone();
    broken
        .entry(full("gateway"))
        .or_default()
        .insert((full("store"), false));
    assert_eq!(
        violations(&broken, &reached),
        ["quartermaster-gateway must not use quartermaster-store"]
    );

    reached
        .entry(full("providers"))
        .or_default()
        .insert("tokio".to_owned());
    assert_eq!(
        violations(&sound, &reached),
        ["quartermaster-providers must not reach tokio"]
    );

    let mut grown = sound;
    grown.insert(full("helpers"), BTreeSet::new());
    assert!(
        violations(&grown, &reached).contains(&"quartermaster-helpers is in no rule".to_owned())
    );
}
