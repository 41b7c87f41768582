//! What the members of a model configuration may be, whoever writes them: a client,
//! the settings file, or a revision that is restored.
//!
//! Each rule is a function of one member, so that a form can check members one by
//! one; [`settings`] applies all of them.

use serde_json::{Map, Value};

use crate::model_configuration::ModelSettings;

/// Code points in a name or a model at most.
pub const MAXIMUM_NAME: usize = 255;
/// Code points in a provider's name at most.
pub const MAXIMUM_PROVIDER: usize = 50;
/// Retries at most.
pub const MAXIMUM_RETRIES: i64 = 100;
/// Members of objects and arrays within `additional_params` at most, all levels together.
pub const MAXIMUM_PARAMETERS: usize = 10_000;
/// Bytes in a bare key at most.
pub const MAXIMUM_API_KEY: usize = 8 * 1024;
/// Bytes in a JSON object of secret fields at most (a service-account file has about 2,400).
pub const MAXIMUM_API_KEY_OBJECT: usize = 32 * 1024;

/// A member that is not what it may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A text has fewer code points than it must.
    #[error("at least {minimum} character(s) are needed")]
    TooShort {
        /// How many it must have.
        minimum: usize,
    },
    /// A text has more code points than it may.
    #[error("at most {maximum} characters are allowed")]
    TooLong {
        /// How many it may have.
        maximum: usize,
    },
    /// A text holds U+0000, which databases refuse.
    #[error("NUL characters are not allowed")]
    HoldsNul,
    /// A model identifier that would be something else in a URL or a header.
    #[error(
        "a model identifier holds no control characters, backslash, `?`, `#`, `%` or `..` segment"
    )]
    NotAModelIdentifier,
    /// A number that is infinite or none at all.
    #[error("a finite number is needed")]
    NotFinite,
    /// A number below the smallest allowed.
    #[error("at least {minimum} is needed")]
    BelowMinimum {
        /// The smallest allowed.
        minimum: i64,
    },
    /// A number that must be above a bound and is not.
    #[error("a number above {bound} is needed")]
    NotAbove {
        /// The bound.
        bound: i64,
    },
    /// A number above the greatest allowed.
    #[error("at most {maximum} is allowed")]
    AboveMaximum {
        /// The greatest allowed.
        maximum: i64,
    },
    /// Too many members of objects and arrays.
    #[error("at most {maximum} members are allowed")]
    TooManyMembers {
        /// How many are allowed.
        maximum: usize,
    },
    /// A key that is empty.
    #[error("a key must not be empty; leave it out or send null for none")]
    EmptyKey,
    /// A key with characters that no key has.
    #[error("a key holds visible ASCII characters only: no white space, no control characters")]
    NotAKey,
}

/// A configuration's name.
///
/// # Errors
/// See [`Violation`].
pub fn name(text: &str) -> Result<(), Violation> {
    required_text(text, MAXIMUM_NAME)
}

/// A provider's name; whether the catalog knows it is not asked here.
///
/// # Errors
/// See [`Violation`].
pub fn provider(text: &str) -> Result<(), Violation> {
    required_text(text, MAXIMUM_PROVIDER)
}

/// A provider's name of a model. Some protocols put it into a path.
///
/// # Errors
/// See [`Violation`].
pub fn model(text: &str) -> Result<(), Violation> {
    required_text(text, MAXIMUM_NAME)?;
    let unsafe_character =
        |character: char| character.is_control() || matches!(character, '\\' | '?' | '#' | '%');
    if text.contains(unsafe_character) || text.split('/').any(|segment| segment == "..") {
        return Err(Violation::NotAModelIdentifier);
    }
    Ok(())
}

/// A text of any length.
///
/// # Errors
/// See [`Violation`].
pub fn free_text(text: &str) -> Result<(), Violation> {
    if text.contains('\0') {
        return Err(Violation::HoldsNul);
    }
    Ok(())
}

/// A sampling temperature.
///
/// # Errors
/// See [`Violation`].
pub fn temperature(number: f64) -> Result<(), Violation> {
    if !number.is_finite() {
        return Err(Violation::NotFinite);
    }
    if number < 0.0 {
        return Err(Violation::BelowMinimum { minimum: 0 });
    }
    Ok(())
}

/// A bound of the output.
///
/// # Errors
/// See [`Violation`].
pub fn max_tokens(number: i64) -> Result<(), Violation> {
    if number < 1 {
        return Err(Violation::BelowMinimum { minimum: 1 });
    }
    Ok(())
}

/// A time limit in seconds.
///
/// # Errors
/// See [`Violation`].
pub fn timeout_seconds(number: f64) -> Result<(), Violation> {
    if !number.is_finite() {
        return Err(Violation::NotFinite);
    }
    if number <= 0.0 {
        return Err(Violation::NotAbove { bound: 0 });
    }
    Ok(())
}

/// A number of tries after the first.
///
/// # Errors
/// See [`Violation`].
pub fn max_retries(number: i64) -> Result<(), Violation> {
    if number < 0 {
        return Err(Violation::BelowMinimum { minimum: 0 });
    }
    if number > MAXIMUM_RETRIES {
        return Err(Violation::AboveMaximum {
            maximum: MAXIMUM_RETRIES,
        });
    }
    Ok(())
}

/// Keyword arguments, as far as size and text go. What a provider may be given is
/// the catalog's to say.
///
/// # Errors
/// See [`Violation`].
pub fn additional_params(params: &Map<String, Value>) -> Result<(), Violation> {
    let mut members = 0;
    let mut pending: Vec<&Value> = Vec::new();
    count_object(params, &mut members, &mut pending)?;
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(map) => count_object(map, &mut members, &mut pending)?,
            Value::Array(items) => {
                members += items.len();
                pending.extend(items);
            }
            Value::String(text) => free_text(text)?,
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        if members > MAXIMUM_PARAMETERS {
            break;
        }
    }
    if members > MAXIMUM_PARAMETERS {
        return Err(Violation::TooManyMembers {
            maximum: MAXIMUM_PARAMETERS,
        });
    }
    Ok(())
}

fn count_object<'value>(
    map: &'value Map<String, Value>,
    members: &mut usize,
    pending: &mut Vec<&'value Value>,
) -> Result<(), Violation> {
    *members += map.len();
    for (key, value) in map {
        free_text(key)?;
        pending.push(value);
    }
    Ok(())
}

/// A provider's key, bare or as a JSON object. Whether the object's members are those
/// of the provider is the catalog's to say.
///
/// # Errors
/// See [`Violation`]. No message holds anything of the key.
pub fn api_key(text: &str) -> Result<(), Violation> {
    if text.is_empty() {
        return Err(Violation::EmptyKey);
    }
    let is_object = is_api_key_object(text);
    let maximum = if is_object {
        MAXIMUM_API_KEY_OBJECT
    } else {
        MAXIMUM_API_KEY
    };
    if text.len() > maximum {
        return Err(Violation::TooLong { maximum });
    }
    if !is_object && !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Violation::NotAKey);
    }
    Ok(())
}

/// Whether a key is meant as a JSON object of secret fields.
#[must_use]
pub fn is_api_key_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Every member that is not what it may be, by its name, in the order of the schema.
#[must_use]
pub fn settings(settings: &ModelSettings) -> Vec<(&'static str, Violation)> {
    let optional_text = |text: &Option<String>| text.as_deref().map_or(Ok(()), free_text);
    let checks = [
        ("name", name(&settings.name)),
        ("description", optional_text(&settings.description)),
        ("provider", provider(&settings.provider)),
        ("model", model(&settings.model)),
        (
            "temperature",
            settings.temperature.map_or(Ok(()), temperature),
        ),
        ("max_tokens", settings.max_tokens.map_or(Ok(()), max_tokens)),
        (
            "timeout_seconds",
            settings.timeout_seconds.map_or(Ok(()), timeout_seconds),
        ),
        (
            "max_retries",
            settings.max_retries.map_or(Ok(()), max_retries),
        ),
        (
            "additional_params",
            settings
                .additional_params
                .as_ref()
                .map_or(Ok(()), additional_params),
        ),
        (
            "agent_harness_version_string",
            optional_text(&settings.agent_harness_version_string),
        ),
    ];
    checks
        .into_iter()
        .filter_map(|(member, result)| result.err().map(|violation| (member, violation)))
        .collect()
}

fn required_text(text: &str, maximum: usize) -> Result<(), Violation> {
    if text.is_empty() {
        return Err(Violation::TooShort { minimum: 1 });
    }
    if text.chars().nth(maximum).is_some() {
        return Err(Violation::TooLong { maximum });
    }
    free_text(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lengths_count_code_points() {
        assert_eq!(name(&"😀".repeat(255)), Ok(()));
        assert_eq!(
            name(&"😀".repeat(256)),
            Err(Violation::TooLong { maximum: 255 })
        );
        assert_eq!(
            name(&"e\u{301}".repeat(128)),
            Err(Violation::TooLong { maximum: 255 })
        );
        assert_eq!(name(" "), Ok(()));
        assert_eq!(name("a\0b"), Err(Violation::HoldsNul));
    }

    #[test]
    fn a_model_cannot_become_another_path_or_header() {
        for good in [
            "gpt-5",
            "meta-llama/Llama-3:free",
            "claude@20250929",
            "ft:gpt-4o:acme::id",
            "v1..2",
        ] {
            assert_eq!(model(good), Ok(()), "{good}");
        }
        for bad in ["../../x", "a/b?key=1", "a%2fb", "a\r\nX: y", "a\\b", "a#b"] {
            assert_eq!(model(bad), Err(Violation::NotAModelIdentifier), "{bad:?}");
        }
    }

    #[test]
    fn numbers_have_their_ranges() {
        assert_eq!(temperature(0.0), Ok(()));
        assert_eq!(
            temperature(-0.1),
            Err(Violation::BelowMinimum { minimum: 0 })
        );
        assert_eq!(temperature(f64::NAN), Err(Violation::NotFinite));
        assert_eq!(max_tokens(0), Err(Violation::BelowMinimum { minimum: 1 }));
        assert_eq!(timeout_seconds(0.0), Err(Violation::NotAbove { bound: 0 }));
        assert_eq!(timeout_seconds(f64::INFINITY), Err(Violation::NotFinite));
        assert_eq!(max_retries(100), Ok(()));
        assert_eq!(
            max_retries(101),
            Err(Violation::AboveMaximum { maximum: 100 })
        );
    }

    #[test]
    fn members_are_counted_on_all_levels() {
        let nested = json!({ "a": vec![0; 9_998], "b": {} });
        assert_eq!(additional_params(nested.as_object().unwrap()), Ok(()));
        let nested = json!({ "a": vec![0; 9_998], "b": {"c": 1} });
        assert_eq!(
            additional_params(nested.as_object().unwrap()),
            Err(Violation::TooManyMembers { maximum: 10_000 })
        );
        let nul = json!({"a": [{"b\0": 1}]});
        assert_eq!(
            additional_params(nul.as_object().unwrap()),
            Err(Violation::HoldsNul)
        );
    }

    #[test]
    fn a_key_is_visible_ascii_or_an_object() {
        assert_eq!(api_key("sk-abc"), Ok(()));
        assert_eq!(api_key(" {\"aws_access_key_id\": \"x y\"}"), Ok(()));
        assert_eq!(api_key(""), Err(Violation::EmptyKey));
        for bad in [" ", " sk-abc", "sk-abc ", "sk\nabc", "sk\0", "schlüssel"] {
            assert_eq!(api_key(bad), Err(Violation::NotAKey), "{bad:?}");
        }
        assert_eq!(
            api_key(&"k".repeat(64 * 1024)),
            Err(Violation::TooLong {
                maximum: MAXIMUM_API_KEY
            })
        );
    }
}
