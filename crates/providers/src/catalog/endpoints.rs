//! What a row says about addresses with variables, such as the region of a cloud.

use regex_lite::Regex;
use serde::{Deserialize, Serialize};

/// One variable of a row's addresses: `{name}` in `base_url`, `call_path`, `stream_path`,
/// `call_prefix` and `query`. Its value is, in this order, that of the first parameter
/// which lands in `endpoint:name`, that of the credential's field, or the default.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointVariable {
    /// How templates name it.
    pub name: String,
    /// What it is where nobody says it; may name other variables, such as `{model}`.
    #[serde(default)]
    pub default: Option<String>,
    /// What a value must match from its beginning to its end. In a host it must let
    /// nothing through that could be another's host.
    pub pattern: Pattern,
    /// A value that matches, for messages.
    pub example: String,
    /// The member of the credential that says it where no parameter does, such as the
    /// project of a service account. It cannot stand in a host.
    #[serde(default)]
    pub credential_field: Option<String>,
    /// Whose choice it is.
    #[serde(default)]
    pub names: Names,
}

/// What the value of a variable names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Names {
    /// Something of the provider's own, such as a region: whoever chooses the value, the
    /// host is the provider's, and the installation's key may go there.
    #[default]
    Provider,
    /// Something that any customer of the provider can have, such as a resource: the host
    /// is that customer's, and only a key of the configuration's own may go there.
    Customer,
}

/// A base address for particular values of a variable, in place of the row's.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BaseUrlCase {
    /// The variable.
    pub variable: String,
    /// The values; one that ends with `*` stands for all that begin so.
    pub values: Vec<String>,
    /// Where calls go then.
    pub base_url: String,
    /// What is appended then, where it is not the row's.
    #[serde(default)]
    pub call_path: Option<String>,
    /// What is appended for streams then, where it is not the row's.
    #[serde(default)]
    pub stream_path: Option<String>,
}

impl BaseUrlCase {
    /// Whether it is meant for this value.
    #[must_use]
    pub fn holds_for(&self, value: &str) -> bool {
        self.values.iter().any(|known| {
            known
                .strip_suffix('*')
                .map_or(known == value, |beginning| value.starts_with(beginning))
        })
    }
}

/// What is asked of the endpoint that a parameter names.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EndpointRule {
    /// What the address must contain.
    pub contains: Option<String>,
    /// Parameters that must not be given beside it.
    pub excludes: Vec<String>,
}

/// A regular expression for whole values.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Whether the whole value matches.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let regex = Regex::new(&format!("^(?:{text})$")).map_err(|error| error.to_string())?;
        Ok(Self { text, regex })
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_for_the_whole_value() {
        let pattern = Pattern::try_from("a|b".to_owned()).unwrap();
        assert!(pattern.matches("a") && pattern.matches("b"));
        for other in ["", "ab", "a\n", "\na", "xb"] {
            assert!(!pattern.matches(other), "{other:?}");
        }
        assert!(Pattern::try_from("(".to_owned()).is_err());
    }

    #[test]
    fn a_case_is_for_values_and_for_beginnings() {
        let case = BaseUrlCase {
            variable: "region".to_owned(),
            values: vec!["global".to_owned(), "cn-*".to_owned()],
            base_url: "https://example.com".to_owned(),
            call_path: None,
            stream_path: None,
        };
        assert!(case.holds_for("global") && case.holds_for("cn-north-1"));
        assert!(!case.holds_for("globally") && !case.holds_for("us-cn-1"));
    }
}
