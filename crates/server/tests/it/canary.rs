//! A planted provider key appears nowhere but at the provider.

use std::path::Path;

use serde_json::{Value, json};
use testkit::application::{DataDir, TestApp, TestAppBuilder};
use testkit::client::Answer;
use testkit::postgres::Cluster;
use testkit::simulator::serve::RunningSimulator;

use crate::support::{CHAT, CONFIGURATIONS, app, chat, create, streamed};

const CANARY: &str = "sk-canary/Q7+zT1uR9wXe=KdPz5LmYv3";

/// The key in every form that a careless program would leave it in.
fn forms() -> Vec<(String, Vec<u8>)> {
    let bytes = CANARY.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let url = CANARY
        .replace('/', "%2F")
        .replace('+', "%2B")
        .replace('=', "%3D");
    let mut forms = vec![
        ("as it is".to_owned(), bytes.to_vec()),
        ("in hexadecimal".to_owned(), hex.to_uppercase().into_bytes()),
        ("in hexadecimal".to_owned(), hex.into_bytes()),
        ("in a URL".to_owned(), url.into_bytes()),
        ("reversed".to_owned(), CANARY.bytes().rev().collect()),
        (
            "as a list of numbers".to_owned(),
            format!("{:?}", &bytes[..8]).trim_matches(['[', ']']).into(),
        ),
    ];
    // Base64 of the key wherever it begins in a longer text.
    for shift in 0..3 {
        let padded = [&vec![0; shift][..], bytes].concat();
        let encoded = base64(&padded);
        let inner = encoded[4..encoded.len() - 6].to_owned();
        forms.push(("in base64".to_owned(), inner.into_bytes()));
    }
    forms
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let word = chunk
                .iter()
                .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            (0..=chunk.len())
                .map(move |index| ALPHABET[(word >> (18 - 6 * index)) as usize & 63] as char)
        })
        .collect()
}

fn assert_absent(place: &str, text: &[u8]) {
    for (form, needle) in forms() {
        let found = text
            .windows(needle.len())
            .position(|window| window == needle);
        if let Some(at) = found {
            let from = at.saturating_sub(200);
            let around = String::from_utf8_lossy(&text[from..text.len().min(at + 200)]);
            panic!("the key stands {form} in {place}: {around}");
        }
    }
}

fn assert_absent_below(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap().map_while(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            assert_absent_below(&path);
        } else if let Ok(bytes) = std::fs::read(&path) {
            assert_absent(&path.display().to_string(), &bytes);
        }
    }
}

fn canary_at(simulator: &RunningSimulator, name: &str, model: &str) -> Value {
    json!({
        "name": name, "provider": "openai", "model": model, "api_key": CANARY, "max_retries": 0,
        "additional_params": {"base_url": simulator.openai_base_url()},
    })
}

/// Everything that a server does with a key: stores, opens, sends, replaces, refuses,
/// and answers a provider that quotes it.
async fn use_the_key(server: &TestApp, simulator: &RunningSimulator) {
    let client = server.client().with_header("idempotency-key", "canary-1");
    let mut answers: Vec<(&str, Answer)> = Vec::new();
    let good = canary_at(simulator, "good", "gpt-test");
    answers.push(("create", client.post(CONFIGURATIONS, &good).await.unwrap()));
    answers.push(("replay", client.post(CONFIGURATIONS, &good).await.unwrap()));
    let client = server.client();
    let other = canary_at(simulator, "other", "gpt-test");
    let mismatch = client.with_header("idempotency-key", "canary-1");
    answers.push((
        "mismatch",
        mismatch.post(CONFIGURATIONS, &other).await.unwrap(),
    ));
    let mut wrong = good.clone();
    wrong["temperature"] = json!("hot");
    answers.push((
        "validation",
        client.post(CONFIGURATIONS, &wrong).await.unwrap(),
    ));
    let misplaced = json!({
        "name": "misplaced", "provider": "openai", "model": "m",
        "additional_params": {"api_key": CANARY, "default_headers": {"authorization": CANARY}},
    });
    answers.push((
        "misplaced",
        client.post(CONFIGURATIONS, &misplaced).await.unwrap(),
    ));
    answers.push(("call", client.post(CHAT, &chat("good")).await.unwrap()));
    for (name, model) in [
        ("echo", "fault:echo-key"),
        ("echo-400", "fault:echo-key:400"),
        ("echo-500", "fault:echo-key:500"),
        ("echo-html", "fault:echo-key:html"),
    ] {
        let id = create(&client, &canary_at(simulator, name, model)).await;
        let answer = client.post(CHAT, &chat(name)).await.unwrap();
        assert!(!answer.status.is_success(), "{}", answer.text());
        answers.push(("echoed", answer));
        let mut stream = client.stream(CHAT, &streamed(name)).await.unwrap();
        assert_absent("a stream", &stream.rest().await.unwrap());
        let verify = format!("{CONFIGURATIONS}/{id}/verify");
        answers.push(("verify", client.post(&verify, &json!({})).await.unwrap()));
        let path = format!("{CONFIGURATIONS}/{id}");
        answers.push((
            "patch",
            client
                .patch(&path, &json!({"api_key": CANARY}))
                .await
                .unwrap(),
        ));
        answers.push(("delete", client.delete(&path).await.unwrap()));
    }
    for path in [CONFIGURATIONS, "/v1/audit-events", "/metrics", "/v1/models"] {
        let answer = client.get(path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answers.push((path, answer));
    }
    for (place, answer) in answers {
        assert_absent(place, &answer.body);
        assert_absent(place, format!("{:?}", answer.headers).as_bytes());
    }
    let received = simulator.ledger().requests();
    let sent = received.iter().filter(|request| {
        request
            .headers
            .get("authorization")
            .is_some_and(|value| value.as_bytes().ends_with(CANARY.as_bytes()))
    });
    assert!(sent.count() >= 5, "the provider did get the key");
}

fn traced(data_dir: &DataDir) -> TestAppBuilder {
    app().data_dir(data_dir).environment("RUST_LOG", "trace")
}

#[tokio::test]
async fn a_key_is_nowhere_in_sqlite_files_logs_and_answers() {
    let simulator = RunningSimulator::start().await.unwrap();
    let data_dir = DataDir::temporary().unwrap();
    let mut server = traced(&data_dir).start().await.unwrap();
    use_the_key(&server, &simulator).await;
    assert!(
        server.log().contains("sqlx::query"),
        "the log is as talkative as it can be"
    );
    // While it runs, with the write-ahead log in place; and again after an orderly end.
    assert_absent_below(data_dir.path());
    server.terminate().unwrap();
    server.wait().await.unwrap();
    assert_absent_below(data_dir.path());
    assert_absent("the log", server.log().as_bytes());
    assert_absent("standard output", server.output().as_bytes());
}

#[tokio::test]
async fn a_key_is_nowhere_in_postgresql_files_and_logs() {
    let cluster = Cluster::start();
    let simulator = RunningSimulator::start().await.unwrap();
    let data_dir = DataDir::temporary().unwrap();
    let url = cluster.fresh_database();
    let server = traced(&data_dir)
        .setting("database.url", &url)
        .start()
        .await
        .unwrap();
    use_the_key(&server, &simulator).await;
    let files = cluster.query("postgres", "SHOW data_directory");
    cluster.query("postgres", "CHECKPOINT");
    assert_absent_below(Path::new(&files));
    assert_absent("the log", server.log().as_bytes());
}

#[test]
fn the_search_finds_what_it_looks_for() {
    for (form, needle) in forms() {
        let text = [b"before ", &needle[..], b" after"].concat();
        let found = std::panic::catch_unwind(|| assert_absent("a text", &text));
        assert!(found.is_err(), "{form}");
    }
    let encoded = base64(format!("key={CANARY}").as_bytes());
    assert!(std::panic::catch_unwind(|| assert_absent("a text", encoded.as_bytes())).is_err());
}
