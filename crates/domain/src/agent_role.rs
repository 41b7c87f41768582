//! Agent roles: the jobs that an agent has models for, and which configuration does each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::ModelConfigurationId;

/// A job of an agent. A caller selects it as `role:<name>`; an organisation, or the
/// installation for all of them, assigns a model configuration to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentRole {
    /// Drives the computer, turn by turn.
    MainAgent,
    /// One bounded piece of such work; follows the main agent unless it has its own.
    FocusedAction,
    /// Reads data out of what is on the screen.
    ExtractPrompt,
    /// Says whether a recorded step still fits the screen.
    CacheDetection,
    /// Takes over from cache detection when that fails.
    CacheDetectionFallback,
    /// Takes over from any role when that fails.
    #[serde(rename = "fallback_1")]
    Fallback1,
    /// Takes over when the first fallback fails too.
    #[serde(rename = "fallback_2")]
    Fallback2,
}

/// A text that names no agent role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no such agent role; known: main_agent, focused_action, extract_prompt, \
     cache_detection, cache_detection_fallback, fallback_1, fallback_2"
)]
pub struct UnknownAgentRole;

impl AgentRole {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 7] = [
        Self::MainAgent,
        Self::FocusedAction,
        Self::ExtractPrompt,
        Self::CacheDetection,
        Self::CacheDetectionFallback,
        Self::Fallback1,
        Self::Fallback2,
    ];

    /// Its name in paths, settings, headers and rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MainAgent => "main_agent",
            Self::FocusedAction => "focused_action",
            Self::ExtractPrompt => "extract_prompt",
            Self::CacheDetection => "cache_detection",
            Self::CacheDetectionFallback => "cache_detection_fallback",
            Self::Fallback1 => "fallback_1",
            Self::Fallback2 => "fallback_2",
        }
    }

    /// Whether only a configuration with `is_computer_use_model` may do it: its calls may
    /// carry computer-use tools, which no other model understands.
    #[must_use]
    pub const fn needs_computer_use(self) -> bool {
        match self {
            Self::MainAgent | Self::FocusedAction | Self::Fallback1 | Self::Fallback2 => true,
            Self::ExtractPrompt | Self::CacheDetection | Self::CacheDetectionFallback => false,
        }
    }

    /// The role whose configuration it has where it has none of its own.
    #[must_use]
    pub const fn inherits(self) -> Option<Self> {
        match self {
            Self::FocusedAction => Some(Self::MainAgent),
            _ => None,
        }
    }

    /// The roles that take over when it fails, in order.
    #[must_use]
    pub const fn fallbacks(self) -> &'static [Self] {
        match self {
            Self::CacheDetection => &[
                Self::CacheDetectionFallback,
                Self::Fallback1,
                Self::Fallback2,
            ],
            Self::Fallback1 => &[Self::Fallback2],
            Self::Fallback2 => &[],
            _ => &[Self::Fallback1, Self::Fallback2],
        }
    }
}

impl fmt::Display for AgentRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for AgentRole {
    type Err = UnknownAgentRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or(UnknownAgentRole)
    }
}

/// Which configuration one owner, an organisation or the installation, assigned to each role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleAssignments([Option<ModelConfigurationId>; 7]);

impl RoleAssignments {
    /// What is assigned to a role itself.
    #[must_use]
    pub fn get(&self, role: AgentRole) -> Option<ModelConfigurationId> {
        self.0.get(role as usize).copied().flatten()
    }

    /// Assigns a configuration to a role.
    pub fn set(&mut self, role: AgentRole, id: ModelConfigurationId) {
        if let Some(place) = self.0.get_mut(role as usize) {
            *place = Some(id);
        }
    }
}

impl FromIterator<(AgentRole, ModelConfigurationId)> for RoleAssignments {
    fn from_iter<T: IntoIterator<Item = (AgentRole, ModelConfigurationId)>>(pairs: T) -> Self {
        let mut assignments = Self::default();
        for (role, id) in pairs {
            assignments.set(role, id);
        }
        assignments
    }
}

/// Whose assignment a role follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleSource {
    /// The organisation's own.
    Organization,
    /// The installation's, for all organisations.
    System,
    /// That of the role it inherits from.
    Inherited,
    /// Nobody's.
    None,
}

/// What a role resolves to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedRole {
    /// The configuration, if there is one.
    pub model_configuration_id: Option<ModelConfigurationId>,
    /// Whose assignment that is.
    pub source: RoleSource,
}

/// Resolves a role for an organisation: whoever is nearer wins. The organisation's own
/// assignment comes before the one it inherits, and both before what the installation says,
/// so that who gives the main agent a model has given it to focused actions too.
#[must_use]
pub fn resolve(role: AgentRole, own: &RoleAssignments, system: &RoleAssignments) -> ResolvedRole {
    let levels = [
        (own, RoleSource::Organization),
        (system, RoleSource::System),
    ];
    for (assignments, source) in levels {
        let itself = assignments.get(role).map(|id| (id, source));
        let inherited = role.inherits().and_then(|other| assignments.get(other));
        let inherited = inherited.map(|id| (id, RoleSource::Inherited));
        if let Some((id, source)) = itself.or(inherited) {
            return ResolvedRole {
                model_configuration_id: Some(id),
                source,
            };
        }
    }
    ResolvedRole {
        model_configuration_id: None,
        source: RoleSource::None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> ModelConfigurationId {
        ModelConfigurationId(Uuid::from_u128(number))
    }

    fn assigned(pairs: &[(AgentRole, u128)]) -> RoleAssignments {
        pairs.iter().map(|(role, it)| (*role, id(*it))).collect()
    }

    #[test]
    fn a_role_survives_its_name_in_text_and_json() {
        for role in AgentRole::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            let json = serde_json::to_string(&role).unwrap();
            assert_eq!(json, format!("\"{role}\""));
        }
        for other in ["", "Main_Agent", "fallback_3", "fallback1"] {
            assert_eq!(other.parse::<AgentRole>(), Err(UnknownAgentRole));
        }
    }

    #[test]
    fn no_role_falls_back_to_itself_and_the_message_names_all() {
        for role in AgentRole::ALL {
            assert!(!role.fallbacks().contains(&role));
            assert!(UnknownAgentRole.to_string().contains(role.as_str()));
        }
    }

    #[test]
    fn who_is_nearer_wins() {
        use AgentRole::{CacheDetection, FocusedAction, MainAgent};
        let cases = [
            (
                MainAgent,
                assigned(&[]),
                assigned(&[]),
                None,
                RoleSource::None,
            ),
            (
                MainAgent,
                assigned(&[(MainAgent, 1)]),
                assigned(&[(MainAgent, 9)]),
                Some(1),
                RoleSource::Organization,
            ),
            (
                FocusedAction,
                assigned(&[(MainAgent, 1)]),
                assigned(&[(FocusedAction, 9)]),
                Some(1),
                RoleSource::Inherited,
            ),
            (
                FocusedAction,
                assigned(&[(MainAgent, 1), (FocusedAction, 2)]),
                assigned(&[]),
                Some(2),
                RoleSource::Organization,
            ),
            (
                FocusedAction,
                assigned(&[]),
                assigned(&[(MainAgent, 8), (FocusedAction, 9)]),
                Some(9),
                RoleSource::System,
            ),
            (
                CacheDetection,
                assigned(&[(MainAgent, 1)]),
                assigned(&[(MainAgent, 8)]),
                None,
                RoleSource::None,
            ),
        ];
        for (role, own, system, expected, source) in cases {
            let resolved = resolve(role, &own, &system);
            assert_eq!(resolved.model_configuration_id, expected.map(id), "{role}");
            assert_eq!(resolved.source, source, "{role}");
        }
    }
}
