//! How much one API key, or one organisation, may call.

use std::collections::HashMap;

use serde::Serialize;

use crate::id::ApiKeyId;

/// Bounds on calls. What is `None` is bounded elsewhere or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RateLimits {
    /// Calls begun within any 60 seconds.
    pub requests_per_minute: Option<u64>,
    /// Tokens, input and output, of calls begun within any 60 seconds.
    pub tokens_per_minute: Option<u64>,
    /// Calls under way at the same time.
    pub concurrent_calls: Option<u64>,
}

/// The limits that were set for one organisation and its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrganizationLimits {
    /// All of its calls together.
    pub all: RateLimits,
    /// Of those keys that have limits of their own.
    pub by_key: HashMap<ApiKeyId, RateLimits>,
}

impl OrganizationLimits {
    /// What was set for a key.
    #[must_use]
    pub fn of_key(&self, id: ApiKeyId) -> RateLimits {
        self.by_key.get(&id).copied().unwrap_or_default()
    }

    /// Sets the limits of a key or, without one, of the organisation.
    pub fn set(&mut self, api_key_id: Option<ApiKeyId>, limits: RateLimits) {
        match api_key_id {
            Some(id) => {
                self.by_key.insert(id, limits);
            }
            None => self.all = limits,
        }
    }
}

impl RateLimits {
    /// Whether nothing is bounded.
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.requests_per_minute.is_none()
            && self.tokens_per_minute.is_none()
            && self.concurrent_calls.is_none()
    }

    /// These, and where one is not set, that of `defaults`.
    #[must_use]
    pub fn or(self, defaults: Self) -> Self {
        Self {
            requests_per_minute: self.requests_per_minute.or(defaults.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.or(defaults.tokens_per_minute),
            concurrent_calls: self.concurrent_calls.or(defaults.concurrent_calls),
        }
    }
}
