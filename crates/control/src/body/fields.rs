//! Takes a body apart member by member, noting every fault rather than the first.

use super::Content;
use super::fault::Fault;
use super::json::{Json, Text};
use crate::error::{ApiError, FieldError, Location};

/// A member that may be left out or null, where the two mean different things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sent<T> {
    /// Left out: stays as it is.
    #[default]
    Absent,
    /// Sent as null: is cleared.
    Null,
    /// Sent.
    Value(T),
}

impl<T> Sent<T> {
    /// The value, if one was sent.
    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Replaces `current` by what was sent, if anything was.
    pub(crate) fn apply_to(self, current: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *current = None,
            Self::Value(value) => *current = Some(value),
        }
    }
}

/// Every fault found in a request, in the order of the schema.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<FieldError>);

impl Faults {
    pub(crate) fn add(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// The value, or nothing and the fault noted.
    pub(crate) fn noting<T>(&mut self, result: Result<T, FieldError>) -> Option<T> {
        result.map_err(|fault| self.add(fault)).ok()
    }

    /// Goes on only where nothing was wrong.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, ApiError> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(ApiError::invalid(self.0)),
        }
    }
}

/// The members of a body that is an object.
pub(crate) struct Fields<'body> {
    members: &'body [(Text, Json)],
    faults: &'body mut Faults,
}

impl<'body> Fields<'body> {
    /// The members, where the body is an object.
    pub(crate) fn of(content: &'body Content, faults: &'body mut Faults) -> Option<Self> {
        match content {
            Content::Json(Json::Object(members)) => Some(Self { members, faults }),
            Content::Absent => {
                faults.add(FieldError::new(
                    "missing",
                    vec![Location::name("body")],
                    "Field required",
                ));
                None
            }
            Content::Json(_) | Content::NotJson(_) => {
                faults.add(FieldError::new(
                    "model_attributes_type",
                    vec![Location::name("body")],
                    "Input should be a valid dictionary or object to extract fields from",
                ));
                None
            }
        }
    }

    /// A member that must be there and must not be null.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Json) -> Result<T, Fault>,
    ) -> Option<T> {
        if self.find(name).is_none() {
            let missing = FieldError::in_body("missing", name, "Field required");
            self.faults.add(missing);
        }
        self.optional(name, read)
    }

    /// A member that may be left out but not be null.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Json) -> Result<T, Fault>,
    ) -> Option<T> {
        match read(self.find(name)?) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.faults.add(fault.about(name));
                None
            }
        }
    }

    /// A member that may be left out or null.
    pub(crate) fn nullable<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Json) -> Result<T, Fault>,
    ) -> Sent<T> {
        match self.find(name) {
            None => Sent::Absent,
            Some(Json::Null) => Sent::Null,
            Some(_) => self.optional(name, read).map_or(Sent::Absent, Sent::Value),
        }
    }

    /// A member as it was sent, if it is a text; nothing is noted.
    pub(crate) fn text_of(&self, name: &str) -> Option<String> {
        match self.find(name)? {
            Json::Text(text) => Some(text.value.clone()),
            _ => None,
        }
    }

    /// Refuses members that nobody knows. Their names are cut: they can be anything.
    pub(crate) fn forbid_others(&mut self, known: &[&str]) {
        for (name, _) in self.members {
            if known.contains(&name.value.as_str()) && !name.has_lone_surrogate {
                continue;
            }
            let shown: String = name.value.chars().take(64).collect();
            let loc = vec![Location::name("body"), Location::name(shown)];
            let message = "Extra inputs are not permitted";
            self.faults
                .add(FieldError::new("extra_forbidden", loc, message));
        }
    }

    /// Notes a fault.
    pub(crate) fn add(&mut self, fault: FieldError) {
        self.faults.add(fault);
    }

    /// Notes a fault that concerns more than the form of one member.
    pub(crate) fn refuse(&mut self, name: &'static str, fault: Fault) {
        self.faults.add(fault.about(name));
    }

    /// A member as it is.
    pub(crate) fn find(&self, name: &str) -> Option<&'body Json> {
        self.members
            .iter()
            .find(|(key, _)| key.value == name && !key.has_lone_surrogate)
            .map(|(_, value)| value)
    }
}
