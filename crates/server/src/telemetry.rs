//! Logs on standard error.

use std::io::IsTerminal;

use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt;

use crate::settings::LogFormat;

/// Begins logging. `RUST_LOG` says how much; `info` otherwise. Called once.
pub fn begin(format: LogFormat) {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    let stderr = std::io::stderr;
    let is_json = match format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !stderr().is_terminal(),
    };
    // A second call keeps the first subscriber, which is what tests in one process want.
    if is_json {
        let _ = fmt()
            .json()
            .with_env_filter(filter)
            .with_writer(stderr)
            .try_init();
    } else {
        let _ = fmt().with_env_filter(filter).with_writer(stderr).try_init();
    }
    std::panic::set_hook(Box::new(|panic| {
        // The message is left out: it may hold whatever the code was working on.
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(panic.location = place, "a request or task panicked");
    }));
}
