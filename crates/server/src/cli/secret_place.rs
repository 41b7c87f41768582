//! Where a command reads a secret from.

use std::io::Read;

use anyhow::{Context, bail};

/// Reads a secret from where it is, without the line break at its end. It is never an
/// argument itself, since every user of a machine sees the arguments of its processes.
///
/// # Errors
/// When nothing is there, or it is no place.
pub(super) fn read(place: &str) -> anyhow::Result<String> {
    let secret = if place == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else if let Some(name) = place.strip_prefix("env:") {
        let value = std::env::var_os(name).with_context(|| format!("{name} is not set"))?;
        value
            .into_string()
            .ok()
            .with_context(|| format!("{name} is not text"))?
    } else if let Some(path) = place.strip_prefix("file:") {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?
    } else {
        // The text may be a secret that was given here by mistake: it is not repeated.
        bail!("a secret comes from `env:NAME`, `file:PATH` or `-` (standard input)");
    };
    Ok(secret.trim_end_matches(['\r', '\n']).to_owned())
}
