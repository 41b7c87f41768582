//! The first minute of a newcomer, and the second start.

use std::process::Command;

use serde_json::Value;
use testkit::application::{BOOTSTRAP_KEY, DataDir};

use crate::support::{CHAT, app, chat, said};

/// The one line that begins with `curl`.
fn curl_line(output: &str) -> &str {
    let lines: Vec<&str> = output
        .lines()
        .filter(|line| line.starts_with("curl"))
        .collect();
    assert_eq!(lines.len(), 1, "{output}");
    lines[0]
}

fn key_in(curl: &str) -> String {
    let (_, rest) = curl.split_once("Bearer ").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_first_start_prints_a_curl_line_that_works_without_a_providers_key() {
    let data_dir = DataDir::temporary().unwrap();
    let builder = app().data_dir(&data_dir).without_bootstrap_key();
    let mut server = builder.clone().start().await.unwrap();
    crate::support::eventually(std::time::Duration::from_secs(5), async || {
        server.output().contains("curl")
    })
    .await;
    let output = server.output();
    let curl = curl_line(&output).to_owned();
    let ran = Command::new("sh")
        .args(["-c", &format!("{curl} -sS --fail")])
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let answer: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(content.contains("Hello!"), "{content}");
    let key = key_in(&curl);
    assert!(!server.log().contains(&key), "the key is not in the log");

    server.terminate().unwrap();
    assert!(server.wait().await.unwrap().success());
    let again = builder.start().await.unwrap();
    let client = again.stranger().with_key(&key);
    said(&client.post(CHAT, &chat("simulated")).await.unwrap());
    assert!(
        !again.output().contains("curl"),
        "the key is shown only once"
    );
}

/// What the command line made before is no start: nobody has a key yet.
#[tokio::test]
async fn a_first_start_after_an_organization_was_made_prints_a_key_all_the_same() {
    let data_dir = DataDir::temporary().unwrap();
    let builder = app().data_dir(&data_dir).without_bootstrap_key();
    let made = builder
        .run(&["organization", "create", "research"])
        .unwrap();
    assert!(made.status.success());
    let server = builder.clone().start().await.unwrap();
    crate::support::eventually(std::time::Duration::from_secs(5), async || {
        server.output().contains("curl")
    })
    .await;
    let key = key_in(curl_line(&server.output()));
    let client = server.stranger().with_key(&key);
    said(&client.post(CHAT, &chat("simulated")).await.unwrap());
    let organizations = builder.run(&["organization", "list"]).unwrap();
    let organizations = String::from_utf8(organizations.stdout).unwrap();
    assert!(organizations.contains("default"), "{organizations}");
}

/// The line must work whatever the settings say, also where the stand-in is not there.
#[tokio::test]
async fn the_curl_line_fits_the_settings() {
    let entry = |name: &str, provider: &str| {
        format!(
            "[[system_model_configurations]]\nname = \"{name}\"\nprovider = \"{provider}\"\n\
             model = \"m\"\n"
        )
    };
    for (entries, wanted) in [
        (entry("smart", "openai"), "\"smart\""),
        (
            entry("smart", "openai") + &entry("the team's own", "simulated"),
            "Simulated answer",
        ),
    ] {
        let server = app()
            .without_bootstrap_key()
            .setting("server.control_listen", "127.0.0.1:0")
            .configuration(&entries)
            .start()
            .await
            .unwrap();
        crate::support::eventually(std::time::Duration::from_secs(5), async || {
            server.output().contains("curl")
        })
        .await;
        let output = server.output();
        assert!(output.contains("its control plane at http://"), "{output}");
        let ran = Command::new("sh")
            .args(["-c", &format!("{} -sS --fail", curl_line(&output))])
            .output()
            .unwrap();
        let answer = String::from_utf8_lossy(&ran.stdout);
        assert!(answer.contains(wanted), "{wanted}: {answer}");
    }
}

#[tokio::test]
async fn a_chosen_key_works_and_is_never_printed() {
    let server = app().start().await.unwrap();
    said(
        &server
            .client()
            .post(CHAT, &chat("simulated"))
            .await
            .unwrap(),
    );
    assert!(!server.output().contains(BOOTSTRAP_KEY));
    assert!(!server.log().contains(BOOTSTRAP_KEY));
}

#[tokio::test]
async fn system_defaults_follow_the_settings_at_every_start() {
    let data_dir = DataDir::temporary().unwrap();
    let entry = |name: &str, model: &str| {
        format!(
            "[[system_model_configurations]]\nname = \"{name}\"\nprovider = \"simulated\"\nmodel = \"{model}\"\n"
        )
    };
    let builder = app().data_dir(&data_dir);
    let mut server = builder
        .clone()
        .configuration(&(entry("one", "simulated-1") + &entry("two", "simulated-2")))
        .start()
        .await
        .unwrap();
    let listed = server
        .client()
        .get(crate::support::CONFIGURATIONS)
        .await
        .unwrap()
        .json();
    let id = |listed: &Value, name: &str| {
        let rows = listed.as_array().unwrap();
        rows.iter()
            .find(|row| row["name"] == name)
            .map(|row| row["id"].clone())
    };
    let first = id(&listed, "one");
    assert!(first.is_some() && id(&listed, "two").is_some(), "{listed}");
    server.kill_hard();

    let server = builder
        .configuration(&entry("one", "simulated-other"))
        .start()
        .await
        .unwrap();
    let listed = server
        .client()
        .get(crate::support::CONFIGURATIONS)
        .await
        .unwrap()
        .json();
    assert_eq!(id(&listed, "one"), first, "ids are stable");
    assert_eq!(id(&listed, "two"), None);
    let answer = server.client().post(CHAT, &chat("one")).await.unwrap();
    assert_eq!(
        answer.json()["model"],
        "simulated-other",
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_first_start_that_cannot_listen_makes_no_key() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data_dir = DataDir::temporary().unwrap();
    let builder = app().data_dir(&data_dir).without_bootstrap_key();
    let failed = builder
        .clone()
        .listen(&address)
        .start()
        .await
        .err()
        .unwrap();
    assert!(failed.0.contains("another server"), "{failed}");

    let server = builder.start().await.unwrap();
    crate::support::eventually(std::time::Duration::from_secs(5), async || {
        server.output().contains("curl")
    })
    .await;
}
