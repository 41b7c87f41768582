//! Reading a query's parameters, with FastAPI's errors.

use std::str::FromStr;

use http::Uri;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use store::usage::Period;
use store::usage::calls::{CallFilter, CallOutcome};

use crate::error::{ApiError, FieldError, Location};
use crate::extract::path::{pairs, whole_number};

/// Beyond this, a number of seconds since 1970 is one of milliseconds, as in pydantic.
const LAST_SECOND: u64 = 20_000_000_000;

/// The parameters of one query, and what is wrong with them so far.
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    faults: Vec<FieldError>,
}

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        Self {
            pairs: pairs(uri),
            faults: Vec::new(),
        }
    }

    /// A parameter's text; the last one counts.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A time that must be there.
    pub(super) fn required_time(&mut self, name: &'static str) -> Option<Timestamp> {
        if self.text(name).is_none() {
            let fault = FieldError::new("missing", place(name), "Field required");
            self.faults.push(fault.with_null_input());
        }
        self.time(name)
    }

    /// A time: ISO 8601 with or without offset (UTC then), a date, or seconds since 1970.
    pub(super) fn time(&mut self, name: &'static str) -> Option<Timestamp> {
        let text = self.text(name)?.to_owned();
        let time = time(text.trim());
        if time.is_none() {
            let reason = if text.trim().len() < 10 {
                "input is too short"
            } else {
                "invalid datetime or date"
            };
            let message = format!("Input should be a valid datetime or date, {reason}");
            let fault = FieldError::new("datetime_from_date_parsing", place(name), message);
            let fault = fault.with_input(&text).with_context("error", reason);
            self.faults.push(fault);
        }
        time
    }

    pub(super) fn whole(
        &mut self,
        name: &'static str,
        default: i64,
        minimum: i64,
        maximum: i64,
    ) -> i64 {
        let Some(text) = self.text(name) else {
            return default;
        };
        match whole_number(text, place(name), minimum, maximum) {
            Ok(number) => number,
            Err(fault) => {
                self.faults.push(fault);
                default
            }
        }
    }

    /// Something that has a spelling of its own, e.g. an identifier.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &'static str, what: &str) -> Option<T> {
        let text = self.text(name)?.to_owned();
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let message = format!("Value error, not {what}");
            let fault = FieldError::new("value_error", place(name), message);
            self.faults.push(fault.with_input(&text));
        }
        parsed
    }

    /// One of some words.
    pub(super) fn one_of<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?.to_owned();
        self.word(name, &text, words)
    }

    /// Any of some words, divided by commas, each once.
    pub(super) fn some_of<T: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Vec<T> {
        let text = self.text(name).unwrap_or_default().to_owned();
        let mut some = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            if let Some(value) = self.word(name, part, words)
                && !some.contains(&value)
            {
                some.push(value);
            }
        }
        some
    }

    fn word<T: Copy>(&mut self, name: &'static str, text: &str, words: &[(&str, T)]) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
            let message = format!("Input should be {}", known.join(", "));
            let fault = FieldError::new("enum", place(name), message);
            self.faults.push(fault.with_input(text));
        }
        found.map(|(_, value)| *value)
    }

    /// From inclusive, to exclusive.
    pub(super) fn period(&mut self) -> Period {
        Period {
            from: self.time("from_date"),
            to: self.time("to_date"),
        }
    }

    /// Everything by which calls are found.
    pub(super) fn filter(&mut self) -> CallFilter {
        CallFilter {
            period: self.period(),
            run_id: self.text("run_id").map(written_run),
            api_key_id: self.parsed("api_key_id", "a UUID"),
            model_configuration_id: self.parsed("model_configuration_id", "a UUID"),
            outcome: self.one_of("outcome", &OUTCOMES),
        }
    }

    /// Refuses the request where anything was wrong.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(ApiError::invalid(self.faults))
    }
}

const OUTCOMES: [(&str, CallOutcome); 4] = [
    ("success", CallOutcome::Success),
    ("failed", CallOutcome::Failed),
    ("client_closed", CallOutcome::ClientClosed),
    ("unsuccessful", CallOutcome::Unsuccessful),
];

fn place(name: &'static str) -> Vec<Location> {
    vec![Location::name("query"), Location::name(name)]
}

/// A UUID is stored in one spelling.
fn written_run(text: &str) -> String {
    uuid::Uuid::try_parse(text).map_or_else(|_| text.to_owned(), |id| id.to_string())
}

fn time(text: &str) -> Option<Timestamp> {
    if let Ok(number) = text.parse::<i64>() {
        return if number.unsigned_abs() > LAST_SECOND {
            Timestamp::from_millisecond(number).ok()
        } else {
            Timestamp::from_second(number).ok()
        };
    }
    // A plus sign that was not encoded has become a blank.
    let text = text.replace(' ', "+");
    let civil = |text: &str| -> Option<DateTime> {
        let date_time = text.parse::<DateTime>().ok();
        date_time.or_else(|| Some(text.parse::<Date>().ok()?.at(0, 0, 0, 0)))
    };
    text.parse().ok().or_else(|| {
        let zoned = TimeZone::UTC.to_timestamp(civil(&text)?);
        zoned.ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_way_of_pydantic() {
        let expected: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00 00:00",
            "2026-01-01T01:00:00+01:00",
            "2026-01-01T00:00:00",
            "2026-01-01",
            "1767225600",
            "1767225600000",
        ] {
            assert_eq!(time(text), Some(expected), "{text}");
        }
        for text in [
            "-9223372036854775808",
            "9223372036854775807",
            "",
            "yesterday",
            "2026-13-01",
            "2026-01-01T25:00:00Z",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
