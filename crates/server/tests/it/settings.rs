//! Where settings come from, and what is said when they are wrong.

use std::collections::BTreeSet;

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Format, Serialized, Toml};
use server::settings::{self, DEFAULTS, Settings, SettingsSource};
use testkit::application::DataDir;

use crate::support::app;

/// The default file with its examples switched on: lines that are a commented key or section.
fn with_examples() -> String {
    let is_key = |line: &str| {
        let line = line.trim_start_matches('"');
        let name = line.split([' ', '"']).next().unwrap_or_default();
        let is_name = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.:".contains(c));
        (is_name && line.contains(" = ")) || (line.starts_with('[') && line.ends_with(']'))
    };
    DEFAULTS
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if is_key(rest) => rest,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// The keys that the type of a section knows: what it says when it is given another.
fn known(section: &str, figment: &Figment) -> BTreeSet<String> {
    let bogus = match section {
        "" => "no_such_key".to_owned(),
        section => format!("{section}.no_such_key"),
    };
    let error = figment
        .clone()
        .merge(Serialized::default(&bogus, 1))
        .extract::<Settings>();
    let Kind::UnknownField(_, known) = error.unwrap_err().kind else {
        panic!("an unknown key in {section:?} is no error");
    };
    known.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_default_file_documents_exactly_the_keys_that_exist() {
    let text = with_examples();
    let table: toml::Table = text.parse().unwrap();
    let figment = Figment::from(Toml::string(&text));
    figment.extract::<Settings>().unwrap();
    let documented: BTreeSet<String> = table.keys().cloned().collect();
    assert_eq!(documented, known("", &figment), "sections");
    for section in [
        "server",
        "database",
        "vault",
        "egress",
        "limits",
        "stream",
        "telemetry",
        "log",
    ] {
        let documented: BTreeSet<String> =
            table[section].as_table().unwrap().keys().cloned().collect();
        assert_eq!(documented, known(section, &figment), "[{section}]");
    }
    let entry = table["system_model_configurations"][0].as_table().unwrap();
    let entry = serde_json::to_value(entry).unwrap();
    let parsed: settings::SystemModelConfiguration = serde_json::from_value(entry.clone()).unwrap();
    let all = serde_json::to_value(parsed).unwrap();
    let names = |value: &serde_json::Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(
        names(&entry),
        names(&all),
        "[[system_model_configurations]]"
    );
}

#[test]
fn the_defaults_load() {
    let settings = settings::load(&SettingsSource::default()).unwrap();
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8700");
    assert_eq!(
        settings.database_url(),
        "sqlite://quartermaster-data/quartermaster.db"
    );
}

/// The address that `doctor` names is `server.listen`.
fn address(app: &testkit::application::TestAppBuilder) -> String {
    let output = app.run(&["doctor", "--offline"]).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text
        .lines()
        .find(|line| line.contains(" address "))
        .unwrap()
        .to_owned();
    line.split_whitespace().nth(2).unwrap().to_owned()
}

#[tokio::test]
async fn flags_win_over_environment_over_file_over_defaults() {
    let fresh = || app().data_dir(&DataDir::temporary().unwrap());
    assert_eq!(address(&fresh()), "127.0.0.1:8700");

    let file = fresh().configuration("[server]\nlisten = \"127.0.0.1:18701\"");
    assert_eq!(address(&file), "127.0.0.1:18701");

    let environment = file.setting("server.listen", "127.0.0.1:18702");
    assert_eq!(address(&environment), "127.0.0.1:18702");

    let flag = environment.start().await.unwrap();
    assert_ne!(
        flag.address(),
        "127.0.0.1:18702",
        "--listen 127.0.0.1:0 wins"
    );
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest() {
    for (app, wanted) in [
        (
            app().configuration("[server]\nlisen = \"127.0.0.1:1\""),
            "did you mean `listen`?",
        ),
        (
            app().configuration("[servers]\nlisten = \"127.0.0.1:1\""),
            "did you mean `server`?",
        ),
        (
            app().setting("server.data_dirr", "x"),
            "QUARTERMASTER_SERVER__DATA_DIRR",
        ),
        (
            app().setting("server.shutdown_seconds", "soon"),
            "QUARTERMASTER_SERVER__SHUTDOWN_SECONDS: string \"soon\" is not a number",
        ),
        (
            app().setting("log.format", "xml"),
            "`xml` is none of auto, json, pretty",
        ),
        (
            app().configuration("[platform_credentials]\nopnai = \"env:HOME\""),
            "known: anthropic",
        ),
        (app().configuration("[server\n"), "quartermaster.toml"),
        (
            app().configuration("[platform_credentials]\nopenai = \"sk-pasted\""),
            "env:NAME",
        ),
        (app().setting("database.url", "mysql://x"), "postgres://"),
        (
            app().setting("telemetry.otlp_endpoint", "localhost:4318"),
            "`telemetry.otlp_endpoint` is not an address that begins with `http://`",
        ),
    ] {
        let output = app.run(&["serve", "--listen", "127.0.0.1:0"]).unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(text.contains(wanted), "{wanted:?} is not in: {text}");
        assert!(!text.contains("sk-pasted"), "{text}");
    }
}

#[test]
fn a_system_default_of_an_unknown_provider_is_refused() {
    let entry =
        "[[system_model_configurations]]\nname = \"x\"\nprovider = \"nobody\"\nmodel = \"m\"";
    let output = app()
        .configuration(entry)
        .run(&["serve", "--listen", "127.0.0.1:0"])
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(
        text.contains("`nobody`") && text.contains("simulated"),
        "{text}"
    );
}

#[test]
fn a_bootstrap_key_that_is_too_short_is_refused_without_repeating_it() {
    let app = app().environment("QUARTERMASTER_BOOTSTRAP_API_KEY", "short-secret");
    let output = app.run(&["serve", "--listen", "127.0.0.1:0"]).unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(
        text.contains("32") && !text.contains("short-secret"),
        "{text}"
    );
}

#[test]
fn a_role_needs_a_name_that_is_one_and_a_configuration_that_is_there() {
    for (role, wanted) in [
        ("main_agnet = \"simulated\"", "focused_action"),
        ("main_agent = \"nothing\"", "`nothing`"),
        ("main_agent = \"simulated\"", "is_computer_use_model"),
    ] {
        let app = app().configuration(&format!("[roles]\n{role}"));
        let output = app.run(&["serve", "--listen", "127.0.0.1:0"]).unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(text.contains(wanted), "{text}");
    }
}

#[tokio::test]
async fn a_variable_with_one_underscore_too_few_is_pointed_out() {
    let app = app().environment("QUARTERMASTER_SERVER_LISTEN", "127.0.0.1:1");
    let server = app.start().await.unwrap();
    assert!(
        server.log().contains("QUARTERMASTER_SERVER_LISTEN"),
        "{}",
        server.log()
    );
}

/// Everybody may copy it, so it has to be right: names, parameters, endpoints and roles.
#[test]
fn the_example_of_system_defaults_is_usable_as_it_is() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/examples/system-defaults.toml"
    );
    let source = SettingsSource {
        file: Some(path.into()),
        flags: Vec::new(),
    };
    let settings = server::settings::load(&source).unwrap();
    let wanted = server::system_defaults::wanted(&settings).unwrap();
    let name_of = |role: &str| {
        let (_, id) = wanted.roles.iter().find(|(it, _)| it.as_str() == role)?;
        let row = wanted
            .configurations
            .iter()
            .find(|row| server::system_defaults::id_of(&row.name) == *id);
        row.map(|row| row.name.as_str())
    };
    let roles = domain::agent_role::AgentRole::ALL.map(|role| name_of(role.as_str()));
    assert_eq!(
        roles,
        [
            Some("GPT 5.4 (Low)"),
            None,
            Some("Gemini 3.1 Pro Preview (Medium)"),
            Some("GPT 5.4"),
            Some("GPT-5 Mini"),
            Some("Vertex Sonnet 4.5 (Thinking)"),
            Some("Bedrock Sonnet 4.5 (Thinking)"),
        ]
    );
    // Each has a key as soon as the operator supplies those that the file names.
    for row in &wanted.configurations {
        let is_lent = settings.platform_credentials.contains_key(&row.provider);
        assert!(is_lent, "{}", row.name);
    }
}
