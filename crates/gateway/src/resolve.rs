//! The plan of one call: which targets, in which order, until when.

use std::sync::Arc;
use std::time::Duration;

use domain::agent_role::AgentRole;
use domain::api_key::Caller;
use domain::id::OrganizationId;
use http::HeaderMap;
use providers::pass_through::Envelope;
use tokio::time::Instant;

use crate::error::CallError;
use crate::snapshot::{Entry, Snapshot};

/// Selects a role's configuration in place of a name or an id.
pub(crate) const ROLE_PREFIX: &str = "role:";

/// Says which role a call belongs to that selects a configuration by id or name.
const ROLE_HEADER: &str = "x-agent-role";

/// Ordered targets and the limit of one call.
pub(crate) struct Plan {
    /// The selected configuration, then those to fall back to, each once. Never empty.
    pub(crate) targets: Vec<Arc<Entry>>,
    /// The agent role that the call belongs to, if it belongs to one: its cost is booked there.
    pub(crate) role: Option<AgentRole>,
    /// When the call must be over.
    pub(crate) deadline: Instant,
}

/// What one selector means.
pub(crate) struct Selected<'snapshot> {
    pub(crate) entry: &'snapshot Arc<Entry>,
    /// The role, where the selector is `role:<name>`.
    pub(crate) role: Option<AgentRole>,
}

/// Finds what the request selects: `model`, then the entries of `models` in order (or
/// `models` alone where `model` is left out). Where `models` is left out, a call that
/// belongs to a role falls back to what is assigned to the role's fallbacks.
///
/// # Errors
/// When nothing is selected, or something that this caller does not have.
pub(crate) fn resolve(
    snapshot: &Snapshot,
    caller: &Caller,
    envelope: &Envelope,
    headers: &HeaderMap,
    limit: Duration,
) -> Result<Plan, CallError> {
    let named_role = role_header(headers)?;
    let listed = envelope.models();
    let selected = envelope.model().map(|selector| ("model", selector));
    let listed_selectors = listed.unwrap_or_default().iter();
    let listed_selectors = listed_selectors.map(|selector| ("models", selector.as_str()));
    let mut targets = Vec::with_capacity(3);
    let mut role = None;
    for (member, selector) in selected.into_iter().chain(listed_selectors) {
        let selected = select(snapshot, caller.organization_id, member, selector)?;
        if targets.is_empty() {
            role = selected.role.or(named_role);
        }
        push(&mut targets, selected.entry);
    }
    if let (None, Some(role)) = (listed, role) {
        for fallback in role.fallbacks() {
            if let Some(entry) = snapshot.role(caller.organization_id, *fallback).entry {
                push(&mut targets, entry);
            }
        }
    }
    if envelope.has_computer_use_tool() {
        keep_computer_use(&mut targets)?;
    }
    if targets.is_empty() {
        return Err(CallError::model_missing());
    }
    Ok(Plan {
        targets,
        role,
        deadline: Instant::now() + limit,
    })
}

/// What a selector, which stands in `member` of the request, means for an organisation:
/// `role:<agent role>`, an id, or an exact name.
///
/// # Errors
/// When there is no such thing for this organisation.
pub(crate) fn select<'snapshot>(
    snapshot: &'snapshot Snapshot,
    organization_id: OrganizationId,
    member: &str,
    selector: &str,
) -> Result<Selected<'snapshot>, CallError> {
    let Some(name) = selector.strip_prefix(ROLE_PREFIX) else {
        let entry = snapshot.select(organization_id, selector);
        let entry = entry.ok_or_else(|| CallError::configuration_not_found(member, selector))?;
        return Ok(Selected { entry, role: None });
    };
    let unknown = |error: domain::agent_role::UnknownAgentRole| {
        CallError::role_not_found(member, &error.to_string())
    };
    let role: AgentRole = name.parse().map_err(unknown)?;
    let entry = snapshot.role(organization_id, role).entry;
    let entry = entry.ok_or_else(|| CallError::role_not_assigned(member, role))?;
    Ok(Selected {
        entry,
        role: Some(role),
    })
}

/// The role that the client says the call belongs to.
fn role_header(headers: &HeaderMap) -> Result<Option<AgentRole>, CallError> {
    let mut values = headers.get_all(ROLE_HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(CallError::doubled_header(ROLE_HEADER));
    }
    let role = value.to_str().unwrap_or_default().trim().parse();
    role.map(Some)
        .map_err(|error: domain::agent_role::UnknownAgentRole| {
            CallError::role_not_found(ROLE_HEADER, &error.to_string())
        })
}

fn push(targets: &mut Vec<Arc<Entry>>, entry: &Arc<Entry>) {
    if !targets.iter().any(|known| Arc::ptr_eq(known, entry)) {
        targets.push(Arc::clone(entry));
    }
}

/// A request with a computer-use tool only goes to models that understand it. The one that
/// was asked for must be among them; what it would fall back to is passed over otherwise.
fn keep_computer_use(targets: &mut Vec<Arc<Entry>>) -> Result<(), CallError> {
    if let Some(selected) = targets.first()
        && !speaks_computer_use(selected)
    {
        let name = selected.name();
        return Err(CallError::computer_use_unsupported(name));
    }
    targets.retain(|entry| speaks_computer_use(entry));
    Ok(())
}

/// Whether computer-use tools may be sent to this configuration.
pub(crate) fn speaks_computer_use(entry: &Entry) -> bool {
    entry.configuration().settings.is_computer_use_model
}
