//! Which settings differ between two readings.

use serde_json::Value;

use super::Settings;

/// What a running server takes in when its settings are read again.
const RELOADED: [&str; 3] = [
    "platform_credentials",
    "system_model_configurations",
    "roles",
];

/// The dotted keys that hold only from the next start on. No values: some are secrets.
#[must_use]
pub fn waiting_for_restart(started_with: &Settings, now: &Settings) -> Vec<String> {
    let as_json = |settings: &Settings| serde_json::to_value(settings).unwrap_or_default();
    let (before, after) = (as_json(started_with), as_json(now));
    let mut changed = Vec::new();
    for (section, after) in after.as_object().into_iter().flatten() {
        if !RELOADED.contains(&section.as_str()) {
            compare(section, &before[section], after, &mut changed);
        }
    }
    changed
}

/// Two levels are the settings' own; what is below them are values.
fn compare(section: &str, before: &Value, after: &Value, changed: &mut Vec<String>) {
    for (key, after) in after.as_object().into_iter().flatten() {
        if before[key] != *after {
            changed.push(format!("{section}.{key}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::waiting_for_restart;
    use crate::settings::{SettingsSource, load};

    #[test]
    fn what_a_running_server_does_not_take_in_is_named_by_key() {
        let started_with = load(&SettingsSource::default()).unwrap();
        assert!(waiting_for_restart(&started_with, &started_with.clone()).is_empty());
        let mut now = started_with.clone();
        now.limits.call_seconds += 1.0;
        now.database.url = Some("postgres://u:secret@host/db".to_owned());
        now.roles.insert("main_agent".to_owned(), "fast".to_owned());
        let waiting = waiting_for_restart(&started_with, &now);
        assert_eq!(waiting, ["database.url", "limits.call_seconds"]);
    }
}
