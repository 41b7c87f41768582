//! What is wrong with one member of a body, in pydantic's words.

use std::borrow::Cow;

use domain::validation::Violation;

use crate::error::{FieldError, Location};

/// A refusal that does not know yet which member it is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    kind: &'static str,
    message: Cow<'static, str>,
    context: Option<(&'static str, i64)>,
    /// The way below the member, innermost first.
    path: Vec<String>,
}

impl Fault {
    pub(crate) fn new(kind: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            context: None,
            path: Vec::new(),
        }
    }

    /// A refusal in our own words, formed as pydantic forms those of custom validators.
    pub(crate) fn value_error(message: &str) -> Self {
        Self::new("value_error", format!("Value error, {message}"))
    }

    fn with_context(mut self, name: &'static str, number: i64) -> Self {
        self.context = Some((name, number));
        self
    }

    /// Says that the fault lies in a member of that name or index.
    pub(crate) fn below(mut self, member: impl Into<String>) -> Self {
        self.path.push(member.into());
        self
    }

    #[cfg(test)]
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    #[cfg(test)]
    pub(crate) fn path(&self) -> Vec<&str> {
        self.path.iter().rev().map(String::as_str).collect()
    }

    /// The error about `member` of the body.
    pub(crate) fn about(self, member: &'static str) -> FieldError {
        let mut loc = vec![Location::name("body"), Location::name(member)];
        loc.extend(self.path.into_iter().rev().map(Location::name));
        let error = FieldError::new(self.kind, loc, self.message);
        match self.context {
            Some((name, number)) => error.with_context(name, number),
            None => error,
        }
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        let characters = |count: usize| {
            if count == 1 {
                "character"
            } else {
                "characters"
            }
        };
        match violation {
            Violation::TooShort { minimum } => Self::new(
                "string_too_short",
                format!(
                    "String should have at least {minimum} {}",
                    characters(minimum)
                ),
            )
            .with_context("min_length", number(minimum)),
            Violation::EmptyKey => Self::from(Violation::TooShort { minimum: 1 }),
            Violation::TooLong { maximum } => Self::new(
                "string_too_long",
                format!(
                    "String should have at most {maximum} {}",
                    characters(maximum)
                ),
            )
            .with_context("max_length", number(maximum)),
            Violation::NotFinite => Self::new("finite_number", "Input should be a finite number"),
            Violation::BelowMinimum { minimum } => Self::new(
                "greater_than_equal",
                format!("Input should be greater than or equal to {minimum}"),
            )
            .with_context("ge", minimum),
            Violation::NotAbove { bound } => Self::new(
                "greater_than",
                format!("Input should be greater than {bound}"),
            )
            .with_context("gt", bound),
            Violation::AboveMaximum { maximum } => Self::new(
                "less_than_equal",
                format!("Input should be less than or equal to {maximum}"),
            )
            .with_context("le", maximum),
            other @ (Violation::HoldsNul
            | Violation::NotAModelIdentifier
            | Violation::TooManyMembers { .. }
            | Violation::NotAKey) => Self::value_error(&other.to_string()),
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
