//! Keys that the operator lends to every organisation.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::secret::Secret;
use providers::auth::Credential;
use providers::catalog;

use crate::settings::{Settings, SettingsError};

/// Reads them from where the settings say they are.
///
/// # Errors
/// When a provider is unknown, or its key is not there or not one. Nothing of a key is
/// ever in the message.
pub fn load(settings: &Settings) -> Result<BTreeMap<String, Arc<Credential>>, SettingsError> {
    let places = settings.platform_credentials.iter();
    places
        .map(|(provider, place)| {
            let credential = credential(provider, place)
                .map_err(|why| SettingsError(format!("platform_credentials.{provider}: {why}")))?;
            Ok((provider.clone(), Arc::new(credential)))
        })
        .collect()
}

fn credential(provider: &str, place: &str) -> Result<Credential, String> {
    let row = catalog::provider(provider).ok_or_else(|| {
        let known = catalog::providers().iter();
        let known: Vec<&str> = known.map(|provider| provider.name.as_str()).collect();
        format!("there is no such provider; known: {}", known.join(", "))
    })?;
    let text = read(place)?;
    let secret = Secret::new(text.trim().to_owned());
    if secret.expose().is_empty() {
        return Err(format!("{place} is empty"));
    }
    Credential::parse(row, &secret).map_err(|error| error.message)
}

/// What lies where `env:NAME` or `file:PATH` says.
///
/// # Errors
/// When nothing does, in words for the operator.
pub fn read(place: &str) -> Result<String, String> {
    if let Some(name) = place.strip_prefix("env:") {
        let value = std::env::var_os(name).ok_or_else(|| format!("{name} is not set"))?;
        return value
            .into_string()
            .map_err(|_| format!("{name} is not text"));
    }
    let path = place
        .strip_prefix("file:")
        .ok_or("neither `env:NAME` nor `file:PATH`")?;
    std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))
}
