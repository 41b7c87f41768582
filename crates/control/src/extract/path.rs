//! Parameters of paths and queries, with FastAPI's errors.
//!
//! What was sent is quoted back here: a path or a query holds no secret.

use axum::extract::{FromRequestParts, Query, RawPathParams};
use http::Uri;
use http::request::Parts;
use uuid::Uuid;

use crate::body::coerce;
use crate::error::{ApiError, FieldError, Location};

/// Page sizes.
const DEFAULT_LIMIT: u32 = 50;
const MAXIMUM_LIMIT: u32 = 200;

/// The parameters of a path, decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct PathParameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for PathParameters {
    type Rejection = ApiError;

    /// A path that is no text once decoded leads nowhere.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let raw = RawPathParams::from_request_parts(parts, state).await;
        let raw = raw.map_err(|_| ApiError::not_found("Not Found"))?;
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Self(raw.iter().map(owned).collect()))
    }
}

impl PathParameters {
    /// Names and values, in the order of the path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }

    /// A UUID in any of its spellings: hyphenated, 32 digits, in braces, as a URN.
    pub(crate) fn uuid(&self, name: &'static str) -> Result<Uuid, FieldError> {
        let text = self.text(name);
        Uuid::parse_str(text).map_err(|error| {
            FieldError::new(
                "uuid_parsing",
                vec![Location::name("path"), Location::name(name)],
                format!("Input should be a valid UUID, {error}"),
            )
            .with_input(text)
            .with_context("error", error.to_string())
        })
    }

    /// A whole number above zero.
    pub(crate) fn ordinal(&self, name: &'static str) -> Result<i64, FieldError> {
        let text = self.text(name);
        let loc = vec![Location::name("path"), Location::name(name)];
        whole_number(text, loc, 1, i64::MAX)
    }

    /// One of a few words.
    pub(crate) fn one_of(
        &self,
        name: &'static str,
        words: &[&'static str],
    ) -> Result<&'static str, FieldError> {
        let text = self.text(name);
        let found = words.iter().find(|word| **word == text).copied();
        found.ok_or_else(|| {
            let loc = vec![Location::name("path"), Location::name(name)];
            none_of(loc, words).with_input(text)
        })
    }

    /// A parameter as it is.
    pub(crate) fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Where a page begins and how long it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page<C> {
    /// The last item of the page before, if there was one.
    pub(crate) after: Option<C>,
    /// How many items at most.
    pub(crate) limit: u32,
}

impl<C: std::str::FromStr> Page<C> {
    /// Reads `cursor` and `limit` from a query.
    pub(crate) fn read(uri: &Uri) -> Result<Self, ApiError> {
        let pairs = pairs(uri);
        let value = |name: &str| {
            let found = pairs.iter().rev().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let mut faults = Vec::new();
        let after = match value("cursor").map(str::parse) {
            None => None,
            Some(Ok(cursor)) => Some(cursor),
            Some(Err(_)) => {
                let loc = vec![Location::name("query"), Location::name("cursor")];
                let message = "Value error, not a cursor that was given out here";
                faults.push(FieldError::new("value_error", loc, message));
                None
            }
        };
        let loc = vec![Location::name("query"), Location::name("limit")];
        let limit = value("limit").map_or(Ok(i64::from(DEFAULT_LIMIT)), |text| {
            whole_number(text, loc, 1, i64::from(MAXIMUM_LIMIT))
        });
        let limit = limit.unwrap_or_else(|fault| {
            faults.push(fault);
            0
        });
        if faults.is_empty() {
            let limit = u32::try_from(limit).unwrap_or(DEFAULT_LIMIT);
            return Ok(Self { after, limit });
        }
        Err(ApiError::invalid(faults))
    }
}

impl<C> Page<C> {
    /// Cuts what was read, one more than asked for, to the page, and gives the cursor of
    /// the next where there is one.
    pub(crate) fn cut<'rows, T, K: ToString>(
        &self,
        rows: &'rows [T],
        cursor: impl Fn(&T) -> K,
    ) -> (&'rows [T], Option<String>) {
        let limit = self.limit as usize;
        match rows.get(..limit) {
            Some(page) if rows.len() > limit => {
                let next = page.last().map(|last| cursor(last).to_string());
                (page, next)
            }
            _ => (rows, None),
        }
    }
}

/// pydantic's refusal of a word that is none of an enumeration's.
pub(crate) fn none_of(loc: Vec<Location>, words: &[&str]) -> FieldError {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let expected = match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    };
    FieldError::new("enum", loc, format!("Input should be {expected}"))
        .with_context("expected", expected)
}

/// A truth value of a query; false where it is left out.
pub(crate) fn flag(query: &[(String, String)], name: &'static str) -> Result<bool, FieldError> {
    let found = query.iter().rev().find(|(known, _)| known == name);
    let Some((_, text)) = found else {
        return Ok(false);
    };
    coerce::parse_flag(text).ok_or_else(|| {
        let loc = vec![Location::name("query"), Location::name(name)];
        let message = "Input should be a valid boolean, unable to interpret input";
        FieldError::new("bool_parsing", loc, message).with_input(text)
    })
}

/// The members of a query, decoded; none where it cannot be decoded.
pub(crate) fn pairs(uri: &Uri) -> Vec<(String, String)> {
    Query::try_from_uri(uri).map_or_else(|_| Vec::new(), |Query(pairs)| pairs)
}

/// A whole number within bounds, as pydantic reads it from text.
pub(crate) fn whole_number(
    text: &str,
    loc: Vec<Location>,
    minimum: i64,
    maximum: i64,
) -> Result<i64, FieldError> {
    let error = match text.trim().parse::<i64>() {
        Ok(number) if number < minimum => FieldError::new(
            "greater_than_equal",
            loc,
            format!("Input should be greater than or equal to {minimum}"),
        )
        .with_context("ge", minimum),
        Ok(number) if number > maximum => FieldError::new(
            "less_than_equal",
            loc,
            format!("Input should be less than or equal to {maximum}"),
        )
        .with_context("le", maximum),
        Ok(number) => return Ok(number),
        Err(_) => FieldError::new(
            "int_parsing",
            loc,
            "Input should be a valid integer, unable to parse string as an integer",
        ),
    };
    Err(error.with_input(text))
}
