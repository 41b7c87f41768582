//! The file that `model apply` reads and `model export` prints.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Map, Value};

use super::text;

/// The members that a file holds: what an owner writes, and nothing that the server makes.
pub(super) const MEMBERS: [&str; 12] = [
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

/// The member of a file that says where a key is.
pub(super) const KEY_PLACE: &str = "api_key_from";

const LIST: &str = "model_configurations";

/// Reads the entries of a file.
///
/// # Errors
/// When it cannot be read, is not what its name says, or holds what no entry may hold. No
/// key that was written into it by mistake is repeated.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<Value>> {
    let place = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {place}"))?;
    let entries = parse(file, &text)
        .and_then(|document| entries(&document))
        .with_context(|| place.to_string())?;
    Ok(entries)
}

fn parse(file: &Path, text: &str) -> anyhow::Result<Value> {
    let extension = file.extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("yaml" | "yml") => yaml(text),
        Some("toml") => Ok(toml::from_str(text)?),
        Some("json") => Ok(serde_json::from_str(text)?),
        _ => bail!("the name ends in none of .yaml, .yml, .toml, .json"),
    }
}

/// YAML 1.2: `no` and `n` are texts. The parser's message would quote the lines around the
/// fault, and they may hold a key.
fn yaml(text: &str) -> anyhow::Result<Value> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map_or_else(String::new, |location| {
            format!(" at line {} column {}", location.line(), location.column())
        });
        anyhow::anyhow!("no YAML{place}")
    })
}

fn entries(document: &Value) -> anyhow::Result<Vec<Value>> {
    let entries = document[LIST]
        .as_array()
        .with_context(|| format!("there is no list `{LIST}`"))?;
    let mut names = HashSet::new();
    for entry in entries {
        let name = text(&entry["name"]);
        check(entry).with_context(|| format!("`{name}`"))?;
        if entry["is_archived"] != true && !names.insert(name.clone()) {
            bail!("`{name}` stands there twice");
        }
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
    if let Some(name) = unknown {
        let known = MEMBERS.join(", ");
        bail!("there is no member `{name}`; known: {known}, {KEY_PLACE}");
    }
    if let Some(name) = ["name", "provider", "model"]
        .into_iter()
        .find(|name| !entry[*name].is_string())
    {
        bail!("`{name}` is no text, and every entry needs it");
    }
    match &entry[KEY_PLACE] {
        Value::Null => Ok(()),
        Value::String(place) if place.starts_with("env:") || place.starts_with("file:") => Ok(()),
        // It may be a key: it is not repeated.
        _ => bail!("`{KEY_PLACE}` is neither `env:NAME` nor `file:PATH`"),
    }
}

/// The members of an entry or a row that a file holds and that say something.
pub(super) fn written(row: &Value) -> Map<String, Value> {
    let members = MEMBERS.into_iter().map(|name| (name, &row[name]));
    members
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const YAML: &str = "\
model_configurations:
  - name: fast        # a comment
    provider: openai
    model: gpt-5-mini
    temperature: 0.5
    is_computer_use_model: false
    additional_params: {model_kwargs: {seed: 7}, stop: [no, \"on\"]}
    api_key_from: env:A_KEY
";
    const TOML: &str = "\
[[model_configurations]]
name = \"fast\"
provider = \"openai\"
model = \"gpt-5-mini\"
temperature = 0.5
is_computer_use_model = false
additional_params = {model_kwargs = {seed = 7}, stop = [\"no\", \"on\"]}
api_key_from = \"env:A_KEY\"
";

    fn parsed(name: &str, text: &str) -> anyhow::Result<Vec<Value>> {
        entries(&parse(Path::new(name), text)?)
    }

    fn refusal(name: &str, text: &str) -> String {
        format!("{:#}", parsed(name, text).unwrap_err())
    }

    #[test]
    fn one_list_in_three_languages() {
        let json = json!({"model_configurations": [{
            "name": "fast",
            "provider": "openai",
            "model": "gpt-5-mini",
            "temperature": 0.5,
            "is_computer_use_model": false,
            // `no` is a text in YAML 1.2, and a flag only in its predecessor.
            "additional_params": {"model_kwargs": {"seed": 7}, "stop": ["no", "on"]},
            "api_key_from": "env:A_KEY",
        }]});
        let expected = json["model_configurations"].as_array().unwrap();
        for (name, text) in [
            ("models.yaml", YAML),
            ("models.YML", YAML),
            ("models.toml", TOML),
            ("models.json", &json.to_string()),
        ] {
            assert_eq!(&parsed(name, text).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn what_no_entry_may_hold_is_refused_and_no_key_repeated() {
        let entry = |rest: &str| {
            format!("model_configurations:\n  - {{name: n, provider: p, model: m, {rest}}}")
        };
        for (text, wanted) in [
            (entry("api_key: sk-1234"), "api_key_from"),
            (entry("api_key_from: sk-1234"), "env:NAME"),
            (entry("api_key_from: \"-\""), "env:NAME"),
            (entry("tmperature: 1"), "known: name"),
            (entry("x: [sk-1234"), "line"),
            ("model_configurations: [{name: n}]".to_owned(), "`provider`"),
            ("models: []".to_owned(), "`model_configurations`"),
            (
                "model_configurations:\n- &n {name: n, provider: p, model: m}\n- *n".to_owned(),
                "twice",
            ),
        ] {
            let refusal = refusal("models.yaml", &text);
            assert!(refusal.contains(wanted), "{text}: {refusal}");
            assert!(!refusal.contains("sk-1234"), "{refusal}");
        }
        assert!(refusal("models.txt", YAML).contains(".yaml"));
    }
}
