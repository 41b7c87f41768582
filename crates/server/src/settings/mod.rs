//! Settings: flags over environment over file over defaults.
//!
//! The defaults are `config.default.toml`, which is also the manual; a test keeps
//! it and [`Settings`] in step.

mod changes;
mod load;
mod section;

pub use changes::waiting_for_restart;
pub use load::{BOOTSTRAP_API_KEY, SettingsError, SettingsSource, load, warn_of_stray_variables};
pub use section::{
    DatabaseSettings, EgressSettings, LimitSettings, LogFormat, LogSettings, ServerSettings,
    Settings, StreamCommitSetting, StreamSettings, SystemModelConfiguration, TelemetrySettings,
    UsageSettings, VaultSettings, seconds,
};

/// The annotated defaults.
pub const DEFAULTS: &str = include_str!("../../../../config.default.toml");
