//! Dry runs of agent roles, over what the gateway reads.

use std::sync::Arc;

use arc_swap::ArcSwap;
use control::state::{PlanStep, PlannedKey, PlannedTarget, RolePlan, RolePlanner};
use domain::agent_role::{AgentRole, RoleSource};
use domain::id::OrganizationId;
use gateway::snapshot::{Entry, KeySource, Route, Snapshot};
use serde_json::{Map, Value};

/// The control plane's planner.
pub struct SnapshotPlanner(pub Arc<ArcSwap<Snapshot>>);

impl RolePlanner for SnapshotPlanner {
    fn plan(&self, organization_id: OrganizationId, role: AgentRole) -> RolePlan {
        let snapshot = self.0.load_full();
        let first = snapshot.role(organization_id, role);
        let source = first.source;
        let mut taken: Vec<Arc<Entry>> = Vec::new();
        let mut steps = vec![PlanStep {
            role,
            model_configuration_id: first.entry.map(|entry| entry.id()),
            is_taken: first.entry.is_some(),
            reason: why_first(role, source),
        }];
        taken.extend(first.entry.cloned());
        for fallback in role.fallbacks() {
            let found = snapshot.role(organization_id, *fallback);
            let (is_taken, reason) = match found.entry {
                // Nothing is selected, so nothing falls back.
                _ if first.entry.is_none() => (false, "the role itself has none".to_owned()),
                None => (false, format!("nothing is assigned to {fallback}")),
                Some(entry) if taken.iter().any(|it| Arc::ptr_eq(it, entry)) => {
                    (false, "it is in the plan already".to_owned())
                }
                Some(entry) => {
                    taken.push(Arc::clone(entry));
                    (true, why_fallback(role, *fallback, found.source))
                }
            };
            steps.push(PlanStep {
                role: *fallback,
                model_configuration_id: found.entry.map(|entry| entry.id()),
                is_taken,
                reason,
            });
        }
        let mut targets = taken.iter().map(|entry| target(entry));
        RolePlan {
            role,
            source,
            target: targets.next(),
            fallbacks: targets.collect(),
            steps,
        }
    }
}

fn whose(source: RoleSource) -> &'static str {
    match source {
        RoleSource::Organization => "by your organization",
        RoleSource::System => "by the operator, for every organization",
        RoleSource::Inherited | RoleSource::None => "",
    }
}

fn why_first(role: AgentRole, source: RoleSource) -> String {
    match (source, role.inherits()) {
        (RoleSource::Organization | RoleSource::System, _) => {
            format!("it is assigned to {role} {}", whose(source))
        }
        (RoleSource::Inherited, Some(other)) => {
            format!("{role} has none of its own and follows {other}")
        }
        _ => format!("nothing is assigned to {role}"),
    }
}

fn why_fallback(role: AgentRole, fallback: AgentRole, source: RoleSource) -> String {
    format!(
        "{role} falls back to {fallback}, which is assigned {}",
        whose(source)
    )
}

fn target(entry: &Entry) -> PlannedTarget {
    let row = entry.configuration();
    let route = entry.route();
    let is_called = route.ok();
    PlannedTarget {
        model_configuration_id: row.id,
        model_configuration_name: row.settings.name.clone(),
        revision: row.revision,
        provider: row.settings.provider.clone(),
        model: row.settings.model.clone(),
        origin: is_called.map(|route| route.target.origin.to_string()),
        protocol: is_called.and_then(protocol),
        key: is_called.map_or_else(no_key, key),
        parameters: is_called.map_or_else(Map::new, |route| route.target.parameters()),
        timeout_seconds: row.settings.timeout_seconds,
        max_retries: is_called.map_or(0, |route| route.max_retries),
        problem: problem(entry),
    }
}

/// As the catalog spells it.
fn protocol(route: &Route) -> Option<String> {
    match serde_json::to_value(route.target.protocol) {
        Ok(Value::String(name)) => Some(name),
        _ => None,
    }
}

fn problem(entry: &Entry) -> Option<String> {
    match entry.route() {
        Err(reason) => Some(reason.message.clone()),
        Ok(route) => match route.key {
            KeySource::Missing | KeySource::Unusable { .. } | KeySource::Unfit { .. } => {
                Some(key(route).reason)
            }
            _ => None,
        },
    }
}

fn key(route: &Route) -> PlannedKey {
    let (source, reason) = match &route.key {
        KeySource::Own(_) => ("model_configuration", "it has a key of its own".to_owned()),
        KeySource::Platform(_) => (
            "platform",
            "nobody nearer has a key, and the operator lends one".to_owned(),
        ),
        KeySource::Slot(_) => (
            "provider_credential",
            "your organization has a key of its own for this provider".to_owned(),
        ),
        KeySource::Unusable { slot, status } => (
            "missing",
            format!(
                "your organization's own key {slot} is {status}, and nobody else's is used instead"
            ),
        ),
        KeySource::Unfit { slot, kind } => (
            "missing",
            format!(
                "your organization's slot {slot} holds {}, which {} does not take",
                kind.in_words(),
                route.target.provider.name
            ),
        ),
        KeySource::NotNeeded => ("not_needed", "the provider wants none".to_owned()),
        KeySource::Missing if route.target.is_catalog_origin => (
            "missing",
            format!("nobody has a key for {}", route.target.provider.name),
        ),
        KeySource::Missing => (
            "missing",
            format!(
                "only a key of its own may be sent to {}",
                route.target.origin
            ),
        ),
    };
    PlannedKey {
        source: source.to_owned(),
        reason,
    }
}

fn no_key() -> PlannedKey {
    PlannedKey {
        source: "missing".to_owned(),
        reason: "the configuration cannot be called".to_owned(),
    }
}
