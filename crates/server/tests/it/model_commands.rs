//! `quartermaster model` against a running server.

use std::process::Output;

use serde_json::{Value, json};
use testkit::application::{BOOTSTRAP_KEY, TestApp, TestAppBuilder};

use crate::support::{CHAT, app, chat, said};

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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_can_be_applied_elsewhere() {
    let server = app().start().await.unwrap();
    let builder = commands(&server);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("models.toml");
    let toml = "[[model_configurations]]\nname = \"a\"\nprovider = \"openai\"\nmodel = \"gpt-test\"\n\
                api_key_from = \"env:A_PROVIDERS_KEY\"\n\
                [[model_configurations]]\nname = \"b\"\nprovider = \"simulated\"\nmodel = \"simulated-chat\"\nmax_tokens = 5\n";
    std::fs::write(&file, toml).unwrap();
    let path = file.to_str().unwrap();

    let planned = text(&run(&builder, &["model", "apply", "-f", path, "--dry-run"]));
    assert_eq!(planned, "create  a\ncreate  b\n");
    assert_eq!(
        text(&run(&builder, &["model", "apply", "-f", path])),
        "create  a\ncreate  b\n"
    );
    assert_eq!(
        text(&run(&builder, &["model", "apply", "-f", path])),
        "keep    a\nkeep    b\n"
    );
    let exported = text(&run(&builder, &["model", "export"]));
    assert!(!exported.contains("sk-from"), "{exported}");

    std::fs::write(
        &file,
        exported.replace("\"max_tokens\": 5", "\"max_tokens\": 6"),
    )
    .unwrap();
    assert_eq!(
        text(&run(&builder, &["model", "apply", "-f", path])),
        "keep    a\nupdate  b\n"
    );

    std::fs::write(
        &file,
        toml.replace(
            "api_key_from = \"env:A_PROVIDERS_KEY\"",
            "api_key = \"sk-x\"",
        ),
    )
    .unwrap();
    let refused = run(&builder, &["model", "apply", "-f", path]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("api_key_from"));
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
