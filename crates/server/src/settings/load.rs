//! Reading settings, and saying well what is wrong with them.

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};

use super::{DEFAULTS, Settings};

/// The environment variable that chooses the first API key.
pub const BOOTSTRAP_API_KEY: &str = "QUARTERMASTER_BOOTSTRAP_API_KEY";

const PREFIX: &str = "QUARTERMASTER_";

/// Variables with the prefix that are no settings but mean something.
const NO_SETTINGS: [&str; 4] = [
    BOOTSTRAP_API_KEY,
    "QUARTERMASTER_CONFIG",
    "QUARTERMASTER_URL",
    "QUARTERMASTER_API_KEY",
];

/// What comes on top of the defaults.
#[derive(Clone, Debug, Default)]
pub struct SettingsSource {
    /// A file.
    pub file: Option<PathBuf>,
    /// Flags: dotted keys and their values.
    pub flags: Vec<(&'static str, String)>,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub String);

/// Reads the settings.
///
/// # Errors
/// When the file cannot be read, a key is unknown (with the nearest known one), or a
/// value is not what its key wants.
pub fn load(source: &SettingsSource) -> Result<Settings, SettingsError> {
    let mut figment = Figment::from(Toml::string(DEFAULTS));
    if let Some(file) = &source.file {
        figment = figment.merge(Toml::string(&read(file)?));
    }
    figment = figment.merge(environment());
    for (key, value) in &source.flags {
        figment = figment.merge(Serialized::default(key, value));
    }
    let settings: Settings = figment
        .extract()
        .map_err(|error| SettingsError(explain(error, source)))?;
    check(&settings)?;
    Ok(settings)
}

fn read(file: &Path) -> Result<String, SettingsError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| SettingsError(format!("{}: {error}", file.display())))?;
    // Figment's own message would not say where; this one shows the line.
    text.parse::<toml::Table>()
        .map_err(|error| SettingsError(format!("{}: {error}", file.display())))?;
    Ok(text)
}

/// Variables with a section and a key. Others with the prefix are no settings.
fn environment() -> Env {
    Env::prefixed(PREFIX)
        .filter(|name| name.as_str().contains("__"))
        .split("__")
}

/// Says in the log which variables look like settings but are none: one underscore where
/// two belong is easily missed.
pub fn warn_of_stray_variables() {
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        if !name.contains("__") && !NO_SETTINGS.contains(&name) {
            tracing::warn!(
                variable = name,
                "this variable is not read: a setting is QUARTERMASTER_<SECTION>__<KEY>, with \
                 two underscores in between"
            );
        }
    }
}

/// One line for each thing that is wrong.
fn explain(error: figment::Error, source: &SettingsSource) -> String {
    let lines: Vec<String> = error
        .into_iter()
        .map(|error| explain_one(&error, source))
        .collect();
    lines.join("\n")
}

fn explain_one(error: &figment::Error, source: &SettingsSource) -> String {
    let mut path = error.path.clone();
    let what = match &error.kind {
        Kind::UnknownField(field, known) => {
            if path.last() != Some(field) {
                path.push(field.clone());
            }
            unknown(field, known)
        }
        Kind::InvalidType(found, wanted) => format!("{found} is not {}", in_words(wanted)),
        Kind::UnknownVariant(found, known) => {
            format!("`{found}` is none of {}", known.join(", "))
        }
        kind => kind.to_string(),
    };
    let key = path.join(".");
    format!("{}: {what}", place(&key, error, source))
}

/// Serde names Rust's types; a person who writes settings need not know them.
fn in_words(wanted: &str) -> &str {
    match wanted {
        "f64" => "a number",
        "bool" => "true or false",
        "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        other => other,
    }
}

fn unknown(field: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .max_by(|one, other| {
            let similarity = |name: &str| strsim::jaro_winkler(field, name);
            similarity(one).total_cmp(&similarity(other))
        })
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default();
    format!("there is no such key{nearest} (config.default.toml lists all)")
}

/// Where a value came from, as a person would look for it.
fn place(key: &str, error: &figment::Error, source: &SettingsSource) -> String {
    let of_environment = format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"));
    let is_environment = error
        .metadata
        .as_ref()
        .is_some_and(|metadata| metadata.name.contains("environment"))
        || std::env::var_os(&of_environment).is_some();
    match (&source.file, is_environment) {
        (_, true) => format!("environment variable {of_environment}"),
        (Some(file), false) => format!("{}: `{key}`", file.display()),
        (None, false) => format!("`{key}`"),
    }
}

/// What a type cannot say.
fn check(settings: &Settings) -> Result<(), SettingsError> {
    let positive = [
        (
            "server.header_read_seconds",
            settings.server.header_read_seconds,
        ),
        (
            "database.timeout_seconds",
            settings.database.timeout_seconds,
        ),
        ("limits.connect_seconds", settings.limits.connect_seconds),
        ("limits.idle_seconds", settings.limits.idle_seconds),
        ("limits.call_seconds", settings.limits.call_seconds),
        ("usage.flush_seconds", settings.usage.flush_seconds),
    ];
    for (key, value) in positive {
        if !(value > 0.0 && value <= 1e9) {
            let message = format!("`{key}`: {value} is not a number of seconds above 0");
            return Err(SettingsError(message));
        }
    }
    if !(0.0..=1e9).contains(&settings.server.shutdown_seconds) {
        let message = "`server.shutdown_seconds` is not a number of seconds from 0";
        return Err(SettingsError(message.to_owned()));
    }
    if !(0.0..=1.0).contains(&settings.telemetry.sample_ratio) {
        let message = "`telemetry.sample_ratio` is not a number from 0 to 1";
        return Err(SettingsError(message.to_owned()));
    }
    let collector = settings.telemetry.otlp_endpoint.as_deref();
    if collector.is_some_and(|endpoint| !is_http_address(endpoint)) {
        let message = "`telemetry.otlp_endpoint` is not an address that begins with `http://` or \
                       `https://`, such as `http://127.0.0.1:4318`";
        return Err(SettingsError(message.to_owned()));
    }
    let url = settings.database_url();
    if !["sqlite:", "postgres:", "postgresql:"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        let message = "`database.url` begins with neither `sqlite://` nor `postgres://`";
        return Err(SettingsError(message.to_owned()));
    }
    let of_defaults = settings.system_model_configurations.iter();
    let of_defaults = of_defaults.filter_map(|row| row.api_key_from.as_deref());
    if of_defaults.into_iter().any(|place| !is_place(place)) {
        let message = "`system_model_configurations.api_key_from` is neither `env:NAME` nor \
                       `file:PATH`";
        return Err(SettingsError(message.to_owned()));
    }
    for (provider, place) in &settings.platform_credentials {
        if !is_place(place) {
            // The value may be a key that was pasted here: it is not repeated.
            let message =
                format!("`platform_credentials.{provider}` is neither `env:NAME` nor `file:PATH`");
            return Err(SettingsError(message));
        }
    }
    Ok(())
}

/// Whether a text is a whole address with a host.
fn is_http_address(text: &str) -> bool {
    url::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Whether a text says where a key is, rather than being one.
fn is_place(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}
