//! Values of columns ⇄ values of the domain.

use std::str::FromStr;

use domain::id::OrganizationId;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row as _, Type};

use crate::error::StoreError;

/// The value of `COALESCE(organization_id, '')`: no organisation is the installation.
pub(crate) fn owner(organization_id: Option<OrganizationId>) -> String {
    organization_id.map_or_else(String::new, |id| id.to_string())
}

/// A nullable text column for something that prints itself.
pub(crate) fn optional_text<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// A document as it is stored. `serde_json` keeps the order of members and every number.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// Reads a document that [`json`] wrote. Whoever let it in has bounded its depth, and a
/// second bound here, counted from another root, would make rows that nobody can read.
fn parse<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    let value = T::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reads typed values out of a row, or says which column is not what we wrote.
pub(crate) trait Read {
    /// The column as the driver decodes it.
    fn value<'r, T: Decode<'r, Any> + Type<Any>>(&'r self, column: &str) -> Result<T, StoreError>;

    /// A text column that a type of the domain parses.
    fn parsed<T: FromStr>(&self, column: &str) -> Result<T, StoreError> {
        let text: String = self.value(column)?;
        text.parse().map_err(|_| unreadable(column))
    }

    /// The same where the column may be null.
    fn parsed_optional<T: FromStr>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let text: Option<String> = self.value(column)?;
        text.map(|text| text.parse().map_err(|_| unreadable(column)))
            .transpose()
    }

    /// Microseconds since 1970.
    fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        let microseconds: i64 = self.value(column)?;
        Timestamp::from_microsecond(microseconds).map_err(|_| unreadable(column))
    }

    /// The same where the column may be null.
    fn time_optional(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        let microseconds: Option<i64> = self.value(column)?;
        microseconds
            .map(|value| Timestamp::from_microsecond(value).map_err(|_| unreadable(column)))
            .transpose()
    }

    /// A document.
    fn document<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        let text: String = self.value(column)?;
        parse(&text).map_err(|_| unreadable(column))
    }

    /// The same where the column may be null.
    fn document_optional<T: DeserializeOwned>(
        &self,
        column: &str,
    ) -> Result<Option<T>, StoreError> {
        let text: Option<String> = self.value(column)?;
        text.map(|text| parse(&text).map_err(|_| unreadable(column)))
            .transpose()
    }

    /// A blob of known length.
    fn bytes<const N: usize>(&self, column: &str) -> Result<[u8; N], StoreError> {
        let bytes: Vec<u8> = self.value(column)?;
        bytes.try_into().map_err(|_| unreadable(column))
    }
}

impl Read for AnyRow {
    fn value<'r, T: Decode<'r, Any> + Type<Any>>(&'r self, column: &str) -> Result<T, StoreError> {
        Ok(self.try_get(column)?)
    }
}

/// The row that a statement by unique key found, if any.
pub(crate) fn at_most_one<T>(
    mut rows: Vec<AnyRow>,
    read: impl FnOnce(&AnyRow) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    rows.pop().map(|row| read(&row)).transpose()
}

/// Every row, in order.
pub(crate) fn all<T>(
    rows: &[AnyRow],
    read: impl FnMut(&AnyRow) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    rows.iter().map(read).collect()
}

/// What a column held is not repeated: it may be anything.
pub(crate) fn unreadable(column: &str) -> StoreError {
    StoreError::Corrupt(format!("column {column}"))
}
