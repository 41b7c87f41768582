//! Taking members out of a JSON object, with errors that say where.

use serde_json::{Map, Value};

use crate::error::InvalidCall;

/// A JSON object that is taken apart member by member. A member that is null counts as
/// left out. What has not been taken is the [`rest`](Members::rest).
pub(crate) struct Members {
    map: Map<String, Value>,
    path: String,
}

impl Members {
    /// Takes an object apart. `path` is where it stands in the request; empty at the top.
    ///
    /// # Errors
    /// When `value` is not an object.
    pub(crate) fn of(value: Value, path: impl Into<String>) -> Result<Self, InvalidCall> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Self { map, path }),
            _ => Err(invalid(&path, "must be an object")),
        }
    }

    /// The path of a member, dotted.
    pub(crate) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// The error that member `name` is wrong.
    pub(crate) fn error(&self, name: &str, message: &str) -> InvalidCall {
        invalid(&self.path_of(name), message)
    }

    /// Looks at a member without taking it.
    pub(crate) fn peek(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.shift_remove(name).filter(|value| !value.is_null())
    }

    pub(crate) fn take_text(&mut self, name: &str) -> Result<Option<String>, InvalidCall> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(name, "must be a string")),
        }
    }

    /// Takes a text, or a number as text; anything else counts as left out.
    pub(crate) fn take_loose_text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    pub(crate) fn require_text(&mut self, name: &str) -> Result<String, InvalidCall> {
        self.take_text(name)?
            .ok_or_else(|| self.error(name, "is missing"))
    }

    pub(crate) fn take_flag(&mut self, name: &str) -> Result<Option<bool>, InvalidCall> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.error(name, "must be true or false")),
        }
    }

    pub(crate) fn take_number(&mut self, name: &str) -> Result<Option<f64>, InvalidCall> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or_else(|| self.error(name, "must be a number")),
        }
    }

    /// Takes an integer; `7.0` is one too.
    pub(crate) fn take_integer(&mut self, name: &str) -> Result<Option<i64>, InvalidCall> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        integer(&value)
            .map(Some)
            .ok_or_else(|| self.error(name, "must be an integer"))
    }

    pub(crate) fn take_array(&mut self, name: &str) -> Result<Option<Vec<Value>>, InvalidCall> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(self.error(name, "must be an array")),
        }
    }

    pub(crate) fn take_object(&mut self, name: &str) -> Result<Option<Self>, InvalidCall> {
        let path = self.path_of(name);
        self.take(name)
            .map(|value| Self::of(value, path))
            .transpose()
    }

    pub(crate) fn require_object(&mut self, name: &str) -> Result<Self, InvalidCall> {
        self.take_object(name)?
            .ok_or_else(|| self.error(name, "is missing"))
    }

    /// Puts a member back as it was.
    pub(crate) fn restore(&mut self, name: &str, value: Value) {
        self.map.insert(name.to_owned(), value);
    }

    /// Puts back what has not been taken of the object that was member `name`.
    pub(crate) fn put_back(&mut self, name: &str, inner: Self) {
        let rest = inner.rest();
        if !rest.is_empty() {
            self.map.insert(name.to_owned(), Value::Object(rest));
        }
    }

    /// What has not been taken, members that are null left out.
    pub(crate) fn rest(mut self) -> Map<String, Value> {
        self.map.retain(|_, value| !value.is_null());
        self.map
    }
}

/// The error that the member at `path` is wrong.
pub(crate) fn invalid(path: &str, message: &str) -> InvalidCall {
    let message = if path.is_empty() {
        format!("the request {message}")
    } else {
        format!("`{path}` {message}")
    };
    InvalidCall {
        message,
        parameter: (!path.is_empty()).then(|| path.to_owned()),
    }
}

/// An integer, also one that is written as `7.0`.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        let is_whole = number.fract() == 0.0 && number.abs() <= EXACT;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a whole number of at most 2^53 fits"
        )]
        is_whole.then_some(number as i64)
    })
}
