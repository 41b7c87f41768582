//! The plan of one call: which targets, in which order, until when.

use std::sync::Arc;
use std::time::Duration;

use domain::api_key::Caller;
use providers::pass_through::Envelope;
use tokio::time::Instant;

use crate::error::CallError;
use crate::snapshot::{Entry, Snapshot};

/// Ordered targets and the limit of one call.
pub(crate) struct Plan {
    /// The selected configuration, then those to fall back to. Never empty.
    pub(crate) targets: Vec<Arc<Entry>>,
    /// When the call must be over.
    pub(crate) deadline: Instant,
}

/// Finds what the request selects: `model`, then the entries of `models` in order
/// (or `models` alone where `model` is left out), each target once.
///
/// # Errors
/// When nothing is selected, or something that this caller does not have.
pub(crate) fn resolve(
    snapshot: &Snapshot,
    caller: &Caller,
    envelope: &Envelope,
    limit: Duration,
) -> Result<Plan, CallError> {
    let fallbacks = envelope.models().unwrap_or_default();
    let selectors = envelope
        .model()
        .into_iter()
        .chain(fallbacks.iter().map(String::as_str));
    let mut targets: Vec<Arc<Entry>> = Vec::with_capacity(1 + fallbacks.len());
    for selector in selectors {
        let entry = snapshot
            .select(caller.organization_id, selector)
            .ok_or_else(|| CallError::configuration_not_found(selector))?;
        if !targets.iter().any(|known| Arc::ptr_eq(known, entry)) {
            targets.push(Arc::clone(entry));
        }
    }
    let Some(selected) = targets.first() else {
        return Err(CallError::model_missing());
    };
    if envelope.has_computer_use_tool() {
        if !speaks_computer_use(selected) {
            let name = &selected.configuration.settings.name;
            return Err(CallError::computer_use_unsupported(name));
        }
        targets.retain(|entry| speaks_computer_use(entry));
    }
    Ok(Plan {
        targets,
        deadline: Instant::now() + limit,
    })
}

fn speaks_computer_use(entry: &Entry) -> bool {
    entry.configuration.settings.is_computer_use_model
}
