//! What pydantic takes for a text, number, truth value or object, in its lax mode.
//!
//! `"5"`, `5.0` and `true` are integers to it, `"yes"` is true, and so on; SDKs and
//! spreadsheets rely on it. The wording of the refusals is pydantic's too (its
//! `pydantic-core/src/input/` is the source; version 2.14).

use domain::secret::Secret;
use domain::validation::Violation;
use serde_json::{Map, Number, Value};
use uuid::Uuid;

use super::fault::Fault;
use super::json::{Json, Text};

/// A rule of the domain about one member.
pub(crate) type Rule<T> = fn(T) -> Result<(), Violation>;

pub(crate) fn text(json: &Json, rule: fn(&str) -> Result<(), Violation>) -> Result<String, Fault> {
    let text = plain_text(json)?;
    rule(text)?;
    Ok(text.to_owned())
}

/// A provider's key. The fault never holds anything of it.
pub(crate) fn secret(json: &Json) -> Result<Secret, Fault> {
    text(json, domain::validation::api_key).map(Secret::new)
}

/// An identifier, in any spelling of a UUID.
pub(crate) fn uuid(json: &Json) -> Result<Uuid, Fault> {
    let Json::Text(text) = json else {
        return Err(Fault::new(
            "uuid_type",
            "UUID input should be a string or UUID object",
        ));
    };
    Uuid::parse_str(well_formed(text)?).map_err(|error| {
        Fault::new(
            "uuid_parsing",
            format!("Input should be a valid UUID, {error}"),
        )
    })
}

pub(crate) fn float(json: &Json, rule: Rule<f64>) -> Result<f64, Fault> {
    let number = match json {
        Json::Float(number) => *number,
        Json::Bool(truth) => f64::from(u8::from(*truth)),
        // Far beyond the range this is infinite, and the rule refuses it.
        Json::Integer(digits) => digits.parse().unwrap_or(f64::INFINITY),
        Json::Text(text) => parse_float(text).ok_or(Fault::new(
            "float_parsing",
            "Input should be a valid number, unable to parse string as a number",
        ))?,
        Json::Null | Json::Array(_) | Json::Object(_) => {
            return Err(Fault::new("float_type", "Input should be a valid number"));
        }
    };
    rule(number)?;
    Ok(number)
}

pub(crate) fn integer(json: &Json, rule: Rule<i64>) -> Result<i64, Fault> {
    let number = match json {
        Json::Integer(digits) => digits.parse().map_err(|_| too_wide())?,
        Json::Bool(truth) => i64::from(*truth),
        Json::Float(number) => whole(*number)?,
        Json::Text(text) => parse_integer(text)?,
        Json::Null | Json::Array(_) | Json::Object(_) => {
            return Err(Fault::new("int_type", "Input should be a valid integer"));
        }
    };
    rule(number)?;
    Ok(number)
}

pub(crate) fn flag(json: &Json) -> Result<bool, Fault> {
    let unclear = Fault::new(
        "bool_parsing",
        "Input should be a valid boolean, unable to interpret input",
    );
    let number = match json {
        Json::Bool(truth) => return Ok(*truth),
        Json::Text(text) => return parse_flag(&text.value).ok_or(unclear),
        Json::Integer(digits) => digits.parse().unwrap_or(f64::INFINITY),
        Json::Float(number) if number.fract() == 0.0 => *number,
        Json::Float(_) | Json::Null | Json::Array(_) | Json::Object(_) => {
            return Err(Fault::new("bool_type", "Input should be a valid boolean"));
        }
    };
    match number {
        0.0 => Ok(false),
        1.0 => Ok(true),
        _ => Err(unclear),
    }
}

/// A list of texts, e.g. of scopes.
pub(crate) fn texts(json: &Json) -> Result<Vec<String>, Fault> {
    let Json::Array(items) = json else {
        return Err(Fault::new("list_type", "Input should be a valid list"));
    };
    items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            plain_text(item)
                .map(str::to_owned)
                .map_err(|fault| fault.below(index.to_string()))
        })
        .collect()
}

pub(crate) fn object(
    json: &Json,
    rule: fn(&Map<String, Value>) -> Result<(), Violation>,
) -> Result<Map<String, Value>, Fault> {
    let Json::Object(members) = json else {
        return Err(Fault::new(
            "dict_type",
            "Input should be a valid dictionary",
        ));
    };
    let map = storable_object(members)?;
    rule(&map)?;
    Ok(map)
}

fn plain_text(json: &Json) -> Result<&str, Fault> {
    let Json::Text(text) = json else {
        return Err(Fault::new("string_type", "Input should be a valid string"));
    };
    well_formed(text)
}

fn well_formed(text: &Text) -> Result<&str, Fault> {
    if text.has_lone_surrogate {
        return Err(Fault::new(
            "string_unicode",
            "Input should be a valid string, unable to parse raw data as a unicode string",
        ));
    }
    Ok(&text.value)
}

fn storable_object(members: &[(Text, Json)]) -> Result<Map<String, Value>, Fault> {
    members
        .iter()
        .map(|(key, value)| {
            let key = well_formed(key)?;
            let value = storable(value).map_err(|fault| fault.below(key))?;
            Ok((key.to_owned(), value))
        })
        .collect()
}

/// The value as we keep it, or why it cannot be kept exactly.
fn storable(json: &Json) -> Result<Value, Fault> {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Integer(digits) => {
            let signed = digits.parse::<i64>().map(Number::from);
            let number = signed.or_else(|_| digits.parse::<u64>().map(Number::from));
            Value::Number(number.map_err(|_| too_wide())?)
        }
        Json::Float(number) => {
            Value::Number(Number::from_f64(*number).ok_or(Violation::NotFinite)?)
        }
        Json::Text(text) => Value::String(well_formed(text)?.to_owned()),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| storable(item).map_err(|fault| fault.below(index.to_string())))
            .collect::<Result<_, _>>()?,
        Json::Object(members) => Value::Object(storable_object(members)?),
    };
    Ok(value)
}

fn parse_float(text: &Text) -> Option<f64> {
    let trimmed = text.value.trim();
    // Rust takes `infinity` and `nan` as Python does; the rules refuse both.
    without_separators(trimmed)?.parse().ok()
}

fn parse_integer(text: &Text) -> Result<i64, Fault> {
    let unparsable = Fault::new(
        "int_parsing",
        "Input should be a valid integer, unable to parse string as an integer",
    );
    let trimmed = text.value.trim();
    let digits = match trimmed.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => trimmed,
    };
    let Some(digits) = without_separators(digits) else {
        return Err(unparsable);
    };
    let magnitude = digits.strip_prefix(['+', '-']).unwrap_or(&digits);
    if magnitude.is_empty() || !magnitude.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unparsable);
    }
    digits.parse().map_err(|_| too_wide())
}

/// Takes Python's `_` out of a number, where it stands between two digits.
fn without_separators(number: &str) -> Option<String> {
    let misplaced = number.starts_with('_') || number.ends_with('_') || number.contains("__");
    (!misplaced).then(|| number.replace('_', ""))
}

fn whole(number: f64) -> Result<i64, Fault> {
    if !number.is_finite() {
        return Err(Violation::NotFinite.into());
    }
    if number.fract() != 0.0 {
        return Err(Fault::new(
            "int_from_float",
            "Input should be a valid integer, got a number with a fractional part",
        ));
    }
    // Both bounds are powers of two and so exact; 2^63 itself is one too many.
    let bound = -(i64::MIN as f64);
    if number < -bound || number >= bound {
        return Err(too_wide());
    }
    Ok(number as i64)
}

pub(crate) fn parse_flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn too_wide() -> Fault {
    Fault::new(
        "int_parsing_size",
        "Unable to parse input string as an integer, exceeded maximum size",
    )
}

#[cfg(test)]
mod tests {
    use domain::validation;

    use super::super::json;
    use super::*;

    fn anything<T>(_: T) -> Result<(), Violation> {
        Ok(())
    }

    #[test]
    fn floats_are_taken_as_pydantic_takes_them() {
        for (written, expected) in [
            ("\"0.5\"", 0.5),
            ("\" 0.5 \"", 0.5),
            ("\"1e-3\"", 1e-3),
            ("\"+1\"", 1.0),
            ("\".5\"", 0.5),
            ("\"1_0.5\"", 10.5),
            ("true", 1.0),
            ("3", 3.0),
        ] {
            let json = json::parse(written).unwrap();
            assert_eq!(float(&json, anything), Ok(expected), "{written}");
        }
        for (written, kind) in [
            ("\"hot\"", "float_parsing"),
            ("\"0x1\"", "float_parsing"),
            ("\"\"", "float_parsing"),
            ("[]", "float_type"),
            ("NaN", "finite_number"),
            ("\"nan\"", "finite_number"),
            ("1e999", "finite_number"),
            ("-1", "greater_than_equal"),
        ] {
            let json = json::parse(written).unwrap();
            let fault = float(&json, validation::temperature).unwrap_err();
            assert_eq!(fault.kind(), kind, "{written}");
        }
    }

    #[test]
    fn integers_are_taken_as_pydantic_takes_them() {
        for (written, expected) in [
            ("\"5\"", 5),
            ("\"5.0\"", 5),
            ("\" 5 \"", 5),
            ("\"1_000\"", 1000),
            ("\"007\"", 7),
            ("\"+5\"", 5),
            ("\"-5\"", -5),
            ("1.0", 1),
            ("1e3", 1000),
            ("true", 1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            let json = json::parse(written).unwrap();
            assert_eq!(integer(&json, anything), Ok(expected), "{written}");
        }
        for (written, kind) in [
            ("\"5.5\"", "int_parsing"),
            ("\"1e3\"", "int_parsing"),
            ("\"\"", "int_parsing"),
            ("\"_1\"", "int_parsing"),
            ("\"+-1\"", "int_parsing"),
            ("1.5", "int_from_float"),
            ("1e20", "int_parsing_size"),
            ("9223372036854775808", "int_parsing_size"),
            ("9223372036854775808.0", "int_parsing_size"),
            ("Infinity", "finite_number"),
            ("{}", "int_type"),
        ] {
            let json = json::parse(written).unwrap();
            let fault = integer(&json, anything).unwrap_err();
            assert_eq!(fault.kind(), kind, "{written}");
        }
    }

    #[test]
    fn flags_are_taken_as_pydantic_takes_them() {
        for written in [
            "true", "\"TRUE\"", "\"yes\"", "\"on\"", "\"t\"", "\"1\"", "1", "1.0",
        ] {
            assert_eq!(flag(&json::parse(written).unwrap()), Ok(true), "{written}");
        }
        for written in ["false", "\"off\"", "\"No\"", "\"f\"", "0", "0.0", "-0.0"] {
            assert_eq!(flag(&json::parse(written).unwrap()), Ok(false), "{written}");
        }
        for (written, kind) in [
            ("\"maybe\"", "bool_parsing"),
            ("\" true \"", "bool_parsing"),
            ("\"\"", "bool_parsing"),
            ("2", "bool_parsing"),
            ("null", "bool_type"),
            ("[]", "bool_type"),
            ("0.5", "bool_type"),
        ] {
            let fault = flag(&json::parse(written).unwrap()).unwrap_err();
            assert_eq!(fault.kind(), kind, "{written}");
        }
    }

    #[test]
    fn what_cannot_be_kept_exactly_is_refused_with_its_place() {
        for (written, kind, path) in [
            ("{\"a\": [1, NaN]}", "finite_number", vec!["a", "1"]),
            (
                "{\"a\": {\"b\": 18446744073709551616}}",
                "int_parsing_size",
                vec!["a", "b"],
            ),
            ("{\"a\": \"\\ud800\"}", "string_unicode", vec!["a"]),
            ("{\"\\ud800\": 1}", "string_unicode", vec![]),
            ("{\"a\": \"\\u0000\"}", "value_error", vec![]),
        ] {
            let json = json::parse(written).unwrap();
            let fault = object(&json, validation::additional_params).unwrap_err();
            assert_eq!(fault.kind(), kind, "{written}");
            assert_eq!(fault.path(), path, "{written}");
        }
        let kept = "{\"a\":18446744073709551615,\"b\":-1,\"c\":1.0,\"d\":9007199254740993}";
        let map = object(&json::parse(kept).unwrap(), validation::additional_params).unwrap();
        assert_eq!(Value::Object(map).to_string(), kept);
    }
}
