//! `quartermaster model` against a running server.

use std::process::Output;

use serde_json::{Value, json};
use testkit::application::{BOOTSTRAP_KEY, TestApp, TestAppBuilder};

use crate::support::{CHAT, CONFIGURATIONS, app, chat, said};

fn commands(server: &TestApp) -> TestAppBuilder {
    app()
        .environment("QUARTERMASTER_URL", &server.base_url())
        .environment("QUARTERMASTER_API_KEY", BOOTSTRAP_KEY)
        .environment("A_PROVIDERS_KEY", "sk-from-the-environment-1234")
}

fn text(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn run(builder: &TestAppBuilder, arguments: &[&str]) -> Output {
    let mut command = builder
        .command(
            &testkit::application::DataDir::temporary().unwrap(),
            arguments,
        )
        .unwrap();
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_lives_from_create_to_delete() {
    let server = app().start().await.unwrap();
    let builder = commands(&server);
    let created = run(
        &builder,
        &[
            "model",
            "create",
            "fast",
            "--provider",
            "simulated",
            "--model",
            "simulated-chat:words=3",
            "--temperature",
            "0.5",
            "--additional-params",
            "{\"model_kwargs\": {\"seed\": 7}}",
        ],
    );
    let id = text(&created).trim().to_owned();
    assert!(id.parse::<uuid::Uuid>().is_ok(), "{id}");
    let answer = server.client().post(CHAT, &chat("fast")).await.unwrap();
    assert_eq!(said(&answer), "word-1 word-2 word-3");

    let table = text(&run(&builder, &["model", "list"]));
    assert!(table.starts_with("NAME"), "{table}");
    assert!(
        table.contains("fast") && table.contains("simulated"),
        "{table}"
    );

    text(&run(
        &builder,
        &[
            "model",
            "update",
            "fast",
            "--name",
            "faster",
            "--clear",
            "temperature",
        ],
    ));
    let row: Value = serde_json::from_str(&text(&run(
        &builder,
        &["model", "get", "faster", "--output", "json"],
    )))
    .unwrap();
    assert_eq!(
        (&row["id"], &row["temperature"]),
        (&json!(id), &Value::Null)
    );

    text(&run(&builder, &["model", "delete", "faster"]));
    let gone = run(&builder, &["model", "get", "faster"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(gone.stdout.is_empty());
}

const MODELS: &str = "\
model_configurations:
  - name: a
    provider: openai
    model: gpt-test
    temperature: 1
    api_key_from: env:A_PROVIDERS_KEY
  - name: b
    provider: simulated
    model: simulated-chat
    max_tokens: 5
    additional_params: {model_kwargs: {seed: 7, user: u}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_planned_applied_and_then_there_is_nothing_to_do() {
    let server = app().start().await.unwrap();
    let builder = commands(&server);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("models.yaml");
    std::fs::write(&file, MODELS).unwrap();
    let path = file.to_str().unwrap();
    let apply = |more: &[&str]| {
        let arguments = [&["model", "apply", "-f", path], more].concat();
        text(&run(&builder, &arguments))
    };

    let planned = apply(&["--dry-run"]);
    assert!(
        planned.contains("create  a\n        + provider: \"openai\"\n"),
        "{planned}"
    );
    assert!(planned.contains("        + api_key: from env:A_PROVIDERS_KEY\ncreate  b\n"));
    let names = || async {
        let rows = server.client().get(CONFIGURATIONS).await.unwrap().json();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["simulated"]);
    assert_eq!(apply(&[]), planned);
    assert_eq!(names().await, ["simulated", "a", "b"]);
    assert_eq!(apply(&[]), "keep    a\nkeep    b\n");
    let exported = text(&run(&builder, &["model", "export"]));
    assert!(!exported.contains("sk-from"), "{exported}");

    let changed = MODELS
        .replace("max_tokens: 5", "max_tokens: 6")
        .replace("seed: 7", "seed: 8");
    std::fs::write(&file, &changed).unwrap();
    let update = "keep    a\nupdate  b\n        ~ max_tokens: 5 -> 6\n        ~ additional_params.model_kwargs.seed: 7 -> 8\n";
    assert_eq!(apply(&[]), update);
    assert_eq!(apply(&[]), "keep    a\nkeep    b\n");

    // What was exported can be applied; only --prune deletes.
    let json = directory.path().join("models.json");
    let mut entries: Value = serde_json::from_str(&exported).unwrap();
    entries["model_configurations"]
        .as_array_mut()
        .unwrap()
        .remove(0);
    std::fs::write(&json, entries.to_string()).unwrap();
    let json = json.to_str().unwrap();
    let back = "update  b\n        ~ max_tokens: 6 -> 5\n        ~ additional_params.model_kwargs.seed: 8 -> 7\n";
    assert_eq!(text(&run(&builder, &["model", "apply", "-f", json])), back);
    assert_eq!(names().await, ["simulated", "a", "b"]);
    let plan = run(
        &builder,
        &[
            "model",
            "apply",
            "-f",
            json,
            "--prune",
            "--dry-run",
            "--output=json",
        ],
    );
    let plan: Value = serde_json::from_str(&text(&plan)).unwrap();
    assert_eq!(plan[1]["action"], "delete");
    let pruned = text(&run(&builder, &["model", "apply", "-f", json, "--prune"]));
    assert_eq!(pruned, "keep    b\ndelete  a\n");
    assert_eq!(names().await, ["simulated", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_there_stops_everything_before_anything_is_changed() {
    let server = app().start().await.unwrap();
    let builder = commands(&server);
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let path = file.path().to_str().unwrap();
    for (text, wanted) in [
        (
            MODELS.replace("A_PROVIDERS_KEY", "NO_SUCH_KEY"),
            "NO_SUCH_KEY",
        ),
        (
            MODELS.replace("api_key_from: env:A_PROVIDERS_KEY", "api_key: sk-x1"),
            "api_key_from",
        ),
    ] {
        std::fs::write(path, text).unwrap();
        let refused = run(&builder, &["model", "apply", "-f", path]);
        assert_eq!(refused.status.code(), Some(1));
        let explained = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            explained.contains(wanted) && !explained.contains("sk-x1"),
            "{explained}"
        );
    }
    let rows = server.client().get(CONFIGURATIONS).await.unwrap().json();
    assert_eq!(rows.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_set_resolved_and_unset_by_name() {
    let server = app().start().await.unwrap();
    let builder = commands(&server);
    for (name, words) in [("main", "2"), ("spare", "3")] {
        let model = format!("simulated-chat:words={words}");
        let create = [
            "model",
            "create",
            name,
            "--provider",
            "simulated",
            "--model",
            &model,
        ];
        text(&run(
            &builder,
            &[&create[..], &["--is-computer-use-model=true"]].concat(),
        ));
    }
    text(&run(&builder, &["role", "set", "main_agent", "main"]));
    text(&run(&builder, &["role", "set", "fallback_1", "spare"]));
    let answer = server
        .client()
        .post(CHAT, &chat("role:focused_action"))
        .await
        .unwrap();
    assert_eq!(said(&answer), "word-1 word-2");

    let list = text(&run(&builder, &["role", "list"]));
    let line = |role: &str| {
        let line = list.lines().find(|line| line.starts_with(role)).unwrap();
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(line("main_agent")[1..3], ["main", "organization"]);
    assert_eq!(line("focused_action")[1..3], ["main", "inherited"]);
    assert_eq!(line("extract_prompt")[1..], ["none"]);

    let resolve = ["role", "resolve", "focused_action"];
    let shown = text(&run(&builder, &resolve));
    let (steps, targets) = shown.split_once("\n\n").unwrap();
    assert!(steps.contains("follows main_agent"), "{shown}");
    let targets: Vec<&str> = targets.lines().skip(1).collect();
    assert!(
        targets[0].starts_with("main ") && targets[1].starts_with("spare "),
        "{shown}"
    );
    assert!(
        targets.iter().all(|line| line.contains("not_needed")),
        "{shown}"
    );
    let plan = text(&run(&builder, &[&resolve[..], &["--output=json"]].concat()));
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["fallbacks"][0]["model"], "simulated-chat:words=3");

    let refused = run(&builder, &["model", "delete", "main"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("main_agent"));
    text(&run(&builder, &["role", "unset", "main_agent"]));
    text(&run(&builder, &["model", "delete", "main"]));
    text(&run(&builder, &["model", "delete", "spare", "--force"]));
    let list = text(&run(&builder, &["role", "list", "--output=json"]));
    let list: Value = serde_json::from_str(&list).unwrap();
    let sources = list.as_array().unwrap().iter().map(|role| &role["source"]);
    assert!(sources.into_iter().all(|source| source == "none"), "{list}");
    assert_eq!(
        run(&builder, &["role", "set", "boss", "x"]).status.code(),
        Some(2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_set_shown_and_removed_and_never_an_argument() {
    let server = app().start().await.unwrap();
    let builder = commands(&server);
    let list = text(&run(&builder, &["credential", "list"]));
    assert_eq!(list.lines().count(), 5, "{list}");
    let set = [
        "credential",
        "set",
        "mistralai",
        "--from",
        "env:A_PROVIDERS_KEY",
    ];
    text(&run(&builder, &set));
    let list = text(&run(&builder, &["credential", "list"]));
    let line = list
        .lines()
        .find(|line| line.starts_with("mistralai"))
        .unwrap();
    assert!(
        line.contains("active") && line.contains("key …1234"),
        "{list}"
    );
    assert!(!list.contains("sk-from"), "{list}");
    let refused = run(
        &builder,
        &["credential", "set", "openai", "--from", "sk-pasted"],
    );
    assert_eq!(refused.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&refused.stderr).contains("sk-pasted"));
    text(&run(&builder, &["credential", "remove", "mistralai"]));
    let list = text(&run(&builder, &["credential", "list", "--output=json"]));
    let list: Value = serde_json::from_str(&list).unwrap();
    let mistral = list
        .as_array()
        .unwrap()
        .iter()
        .find(|slot| slot["slot"] == "mistralai");
    assert_eq!(mistral.unwrap()["status"], "missing");
    let missing = run(&builder, &["credential", "validate", "openai"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("404"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_explained() {
    let server = app().start().await.unwrap();
    let explained = |builder: &TestAppBuilder, arguments: &[&str]| {
        let output = run(builder, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    let builder = commands(&server);
    let invalid = [
        "model",
        "create",
        "x",
        "--provider",
        "nobody",
        "--model",
        "m",
    ];
    assert!(explained(&builder, &invalid).contains("provider: "));
    let wrong = commands(&server).environment("QUARTERMASTER_API_KEY", &"w".repeat(40));
    assert!(explained(&wrong, &["model", "list"]).contains("QUARTERMASTER_API_KEY"));
    let nowhere = commands(&server).environment("QUARTERMASTER_URL", "http://127.0.0.1:1");
    assert!(explained(&nowhere, &["model", "list"]).contains("is the server running?"));
}
