//! Exit codes, and what goes to which stream.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::Value;
use testkit::application::{DataDir, TestAppBuilder};

use crate::support::app;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn run(app: &TestAppBuilder, arguments: &[&str]) -> Output {
    app.run(arguments).unwrap()
}

fn fresh() -> TestAppBuilder {
    app().data_dir(&DataDir::temporary().unwrap())
}

/// Standard output, which must be one line.
fn only_line(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().count(), 1, "{stdout:?}");
    stdout.trim_end().to_owned()
}

#[test]
fn every_command_explains_itself_with_an_example() {
    for (arguments, wanted) in [
        (&["--help"][..], "quartermaster serve"),
        (&["serve", "--help"], "QUARTERMASTER_DATABASE__URL"),
        (
            &["organization", "create", "--help"],
            "quartermaster organization create research",
        ),
        (&["api-key", "create", "--help"], "--scope invoke"),
        (
            &["model", "--help"],
            "quartermaster model export > models.json",
        ),
        (&["model", "create", "--help"], "GET /v1/providers"),
        (
            &["model", "update", "--help"],
            "agent_harness_version_string",
        ),
        (&["model", "apply", "--help"], "api_key_from"),
        (&["simulate", "--help"], "fault:429:retry-after=2"),
        (&["doctor", "--help"], "--offline"),
    ] {
        let output = run(&fresh(), arguments);
        assert!(output.status.success(), "{arguments:?}");
        let help = text(&output.stdout);
        assert!(
            help.contains(wanted),
            "{arguments:?} lacks {wanted:?}:\n{help}"
        );
    }
}

#[test]
fn usage_errors_exit_with_2_and_say_nothing_on_standard_output() {
    for arguments in [
        &["serve", "--nonsense"][..],
        &["nonsense"],
        &["api-key", "create"],
        &["model", "update", "fast", "--clear", "max_tokns"],
    ] {
        let output = run(&fresh(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn ids_and_keys_stand_alone_on_standard_output() {
    let app = fresh();
    let organization = only_line(&run(&app, &["organization", "create", "research"]));
    assert!(organization.parse::<uuid::Uuid>().is_ok(), "{organization}");
    let key = only_line(&run(
        &app,
        &["api-key", "create", "--organization", "research"],
    ));
    assert!(key.starts_with("qm_"), "{key}");

    let listed = run(&app, &["api-key", "list", "--output", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[0]["organization_id"], organization);
    assert_eq!(
        listed[0]["scopes"],
        serde_json::json!(["admin", "manage", "invoke"])
    );
    assert!(!listed.to_string().contains(&key));

    let again = run(&app, &["organization", "create", "research"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(again.stdout.is_empty());
    assert!(text(&again.stderr).contains("research"));

    let nobody = run(&app, &["api-key", "create", "--organization", "nobody"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("quartermaster organization create nobody"));
}

#[test]
fn only_what_makes_something_makes_a_database_and_says_where() {
    let place = DataDir::temporary().unwrap();
    let app = app().data_dir(&place);
    let database = place.path().join("quartermaster.db");
    for listing in [
        &["organization", "list"][..],
        &["api-key", "list"],
        &["usage", "recompute"],
        &["vault", "status"],
    ] {
        let output = run(&app, listing);
        assert_eq!(output.status.code(), Some(1), "{listing:?}");
        let said = text(&output.stderr);
        assert!(said.contains("there is no database yet at /"), "{said}");
        assert!(said.contains(database.to_str().unwrap()), "{said}");
    }
    let prices = run(&app, &["prices", "list"]);
    assert!(prices.status.success(), "{}", text(&prices.stderr));
    assert!(!database.exists());

    let made = run(&app, &["organization", "create", "research"]);
    let said = text(&made.stderr);
    assert!(said.contains(database.to_str().unwrap()), "{said}");
    assert!(database.exists());
}

#[test]
fn listings_are_tables_for_people() {
    let app = fresh();
    only_line(&run(&app, &["organization", "create", "research"]));
    let table = text(&run(&app, &["organization", "list"]).stdout);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ID "), "{table}");
    assert!(
        lines.iter().any(|line| line.contains("research")),
        "{table}"
    );
}

#[tokio::test]
async fn a_key_made_beside_a_running_server_works_and_a_revoked_one_does_not() {
    let data_dir = DataDir::temporary().unwrap();
    let builder = app().data_dir(&data_dir);
    let server = builder.clone().start().await.unwrap();
    let key = only_line(&run(
        &builder,
        &[
            "api-key",
            "create",
            "--organization",
            "default",
            "--scope",
            "invoke",
        ],
    ));
    let client = server.stranger().with_key(&key);
    let body = crate::support::chat("simulated");
    let answer = client.post(crate::support::CHAT, &body).await.unwrap();
    assert_eq!(
        answer.status,
        200,
        "at once, not after a second: {}",
        answer.text()
    );

    let listed = run(&builder, &["api-key", "list", "--output", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let row = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "command line")
        .unwrap();
    let revoked = run(
        &builder,
        &["api-key", "revoke", row["id"].as_str().unwrap()],
    );
    assert!(revoked.status.success());
    assert!(revoked.stdout.is_empty());
    crate::support::eventually(std::time::Duration::from_secs(5), async || {
        client
            .post(crate::support::CHAT, &body)
            .await
            .unwrap()
            .status
            == 401
    })
    .await;
}

#[test]
fn doctor_finds_what_is_wrong() {
    let good = run(&fresh(), &["doctor", "--offline"]);
    assert!(good.status.success(), "{}", text(&good.stdout));

    let bad = fresh().setting("database.url", "postgres://nobody@127.0.0.1:1/nothing");
    let bad = run(&bad, &["doctor", "--offline"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        text(&bad.stdout).contains("FAIL  database"),
        "{}",
        text(&bad.stdout)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_a_running_server_from_another_program() {
    let place = DataDir::temporary().unwrap();
    let server = app().data_dir(&place).start().await.unwrap();
    let beside = |address: &str| {
        run(
            &app().data_dir(&place).setting("server.listen", address),
            &["doctor", "--offline"],
        )
    };
    let running = beside(server.address());
    let said = text(&running.stdout);
    assert!(running.status.success(), "{said}");
    assert!(said.contains("is a running server's"), "{said}");

    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = beside(&other.local_addr().unwrap().to_string());
    let said = text(&taken.stdout);
    assert_eq!(taken.status.code(), Some(1), "{said}");
    assert!(said.contains("FAIL  address"), "{said}");
    assert!(said.contains("taken by another program"), "{said}");
}

#[tokio::test]
async fn doctor_does_not_send_for_a_copy_where_a_mode_is_wrong() {
    let place = DataDir::temporary().unwrap();
    let builder = app().data_dir(&place);
    let mut server = builder.clone().start().await.unwrap();
    server.terminate().unwrap();
    server.wait().await.unwrap();
    let file = place.path().join("root.key");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = text(&run(&builder, &["doctor", "--offline"]).stdout);
    assert!(said.contains("chmod 600"), "{said}");
    assert!(!said.contains("from your copy"), "{said}");
    std::fs::remove_file(&file).unwrap();
    let said = text(&run(&builder, &["doctor", "--offline"]).stdout);
    assert!(said.contains("from your copy"), "{said}");
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let place = DataDir::temporary().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_quartermaster"))
        .args(["prices", "list", "--data-dir"])
        .arg(place.path())
        .stdout(writer)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    assert_eq!(text(&ran.stderr), "US dollars for a million tokens\n");
}

#[test]
fn dates_are_taken_where_times_are() {
    let app = fresh();
    only_line(&run(&app, &["organization", "create", "research"]));
    let dates = ["--from", "2026-11-01", "--to", "2026-11-24"];
    let recomputed = run(&app, &[&["usage", "recompute"], &dates[..]].concat());
    assert!(recomputed.status.success(), "{}", text(&recomputed.stderr));
    let refused = run(&app, &["usage", "recompute", "--from", "yesterday"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("2026-11-01"));
}

#[test]
fn doctor_tells_who_else_can_change_the_data_directory() {
    let place = DataDir::temporary().unwrap();
    let app = app().data_dir(&place);
    let data_dir = place.path();
    std::fs::create_dir_all(data_dir).unwrap();
    for (mode, is_good) in [(0o700, true), (0o755, true), (0o777, false), (0o770, false)] {
        std::fs::set_permissions(data_dir, std::fs::Permissions::from_mode(mode)).unwrap();
        let output = run(&app, &["doctor", "--offline"]);
        let said = text(&output.stdout);
        assert_eq!(output.status.success(), is_good, "{mode:o}: {said}");
        assert_eq!(said.contains("chmod 700"), !is_good, "{said}");
    }
}

#[test]
fn the_openapi_document_covers_both_planes() {
    let output = run(&fresh(), &["openapi"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in [
        "/v1/model-configurations",
        "/v1/api-keys",
        "/v1/chat/completions",
        "/v1/messages",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
}
