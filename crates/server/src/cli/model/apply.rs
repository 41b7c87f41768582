//! `quartermaster model export` and `apply`: configurations as a file.

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::api::Api;
use super::fields::provider_key;
use super::{Apply, PATH, is_system_default, list, text};
use crate::cli::output;

/// The members that a file holds: what an owner writes, and nothing that the server makes.
const MEMBERS: [&str; 12] = [
    "name",
    "description",
    "provider",
    "model",
    "temperature",
    "max_tokens",
    "timeout_seconds",
    "max_retries",
    "additional_params",
    "agent_harness_version_string",
    "is_computer_use_model",
    "is_archived",
];

const KEY_PLACE: &str = "api_key_from";

/// Prints all own configurations.
pub(super) async fn export(api: &Api) -> anyhow::Result<()> {
    let rows = list(api).await?;
    let own = rows.iter().filter(|row| !is_system_default(row));
    let entries: Vec<Value> = own.map(|row| Value::Object(written(row))).collect();
    output::json(&json!({"model_configurations": entries}))?;
    Ok(())
}

/// Makes configurations as the file says.
pub(super) async fn apply(api: &Api, command: &Apply) -> anyhow::Result<()> {
    let entries = read(&command.file)?;
    let rows = list(api).await?;
    for entry in &entries {
        let name = text(&entry["name"]);
        let row = rows.iter().find(|row| {
            row["name"] == name && !is_system_default(row) && row["is_archived"] != true
        });
        let (verb, request) = match row {
            None => ("create", Some((PATH.to_owned(), creation(entry, command)?))),
            Some(row) => match changes(row, entry, command)? {
                changes if changes.is_empty() => ("keep", None),
                changes => {
                    let path = format!("{PATH}/{}", text(&row["id"]));
                    ("update", Some((path, changes)))
                }
            },
        };
        output::result(&format!("{verb:<6}  {name}"))?;
        let Some((path, body)) = request.filter(|_| !command.dry_run) else {
            continue;
        };
        let body = Value::Object(body);
        let sent = match verb {
            "create" => api.post(&path, &body).await,
            _ => api.patch(&path, &body).await,
        };
        sent.with_context(|| format!("`{name}`"))?;
    }
    if command.dry_run {
        output::explain("nothing was changed (--dry-run)");
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Vec<Value>> {
    let place = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {place}"))?;
    let is_json = text.trim_start().starts_with(['{', '[']) && !text.trim_start().starts_with("[[");
    let document: Value = if is_json {
        serde_json::from_str(&text).with_context(|| format!("{place}"))?
    } else {
        toml::from_str(&text).with_context(|| format!("{place}"))?
    };
    let entries = document["model_configurations"]
        .as_array()
        .with_context(|| format!("{place} has no list `model_configurations`"))?;
    for entry in entries {
        check(entry).with_context(|| format!("{place}: `{}`", super::text(&entry["name"])))?;
    }
    Ok(entries.clone())
}

fn check(entry: &Value) -> anyhow::Result<()> {
    let Some(members) = entry.as_object() else {
        bail!("an entry is no object");
    };
    if members.contains_key("api_key") {
        bail!("a key does not belong into a file; say where it is by `{KEY_PLACE}`");
    }
    let unknown = members
        .keys()
        .find(|name| !MEMBERS.contains(&name.as_str()) && name.as_str() != KEY_PLACE);
    match unknown {
        Some(name) => bail!(
            "there is no member `{name}`; known: {}, {KEY_PLACE}",
            MEMBERS.join(", ")
        ),
        None => Ok(()),
    }
}

fn creation(entry: &Value, command: &Apply) -> anyhow::Result<Map<String, Value>> {
    let mut body = written(entry);
    if let (Some(place), false) = (entry[KEY_PLACE].as_str(), command.dry_run) {
        body.insert("api_key".to_owned(), json!(provider_key(place)?));
    }
    Ok(body)
}

/// What a row lacks to be as the entry says. A member that the entry leaves out is cleared.
fn changes(row: &Value, entry: &Value, command: &Apply) -> anyhow::Result<Map<String, Value>> {
    let mut changes = Map::new();
    for name in MEMBERS {
        let wanted = match (name, &entry[name]) {
            ("is_computer_use_model" | "is_archived", Value::Null) => json!(false),
            (_, wanted) => wanted.clone(),
        };
        if row[name] != wanted {
            changes.insert(name.to_owned(), wanted);
        }
    }
    if let (Some(place), true) = (entry[KEY_PLACE].as_str(), command.replace_keys) {
        changes.insert("api_key".to_owned(), json!(provider_key(place)?));
    }
    Ok(changes)
}

/// The written members of a row that are not null.
fn written(row: &Value) -> Map<String, Value> {
    let members = MEMBERS.into_iter().map(|name| (name, &row[name]));
    members
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}
