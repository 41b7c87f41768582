//! JSON schemas of tools as `ChatGoogleGenerativeAI` cuts them down: a type, a description,
//! names that are allowed, members and items. Bounds, formats and defaults are left out.
//!
//! The rules are LangChain's, step by step, since its steps are not independent: members
//! are cut down once for every level that they stand at.

use serde_json::{Map, Value, json};

use super::references;
use crate::error::InvalidCall;
use crate::json::invalid;

/// Members of a schema that are known at its top.
const KNOWN: [&str; 9] = [
    "description",
    "enum",
    "nullable",
    "required",
    "anyOf",
    "title",
    "type",
    "properties",
    "items",
];

/// The parameters of a function. None where it takes none.
///
/// # Errors
/// When the schema says what Gemini has no words for at all.
pub(super) fn parameters(schema: &Value, path: &str) -> Result<Option<Value>, InvalidCall> {
    let has_members = schema["properties"]
        .as_object()
        .is_some_and(|members| !members.is_empty());
    if !has_members {
        return Ok(None);
    }
    let whole = references::resolved(schema, path)?;
    Reducer { path }.written(&whole, Place::Top)
}

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    /// In a member or an item.
    Inside,
    /// As one of several alternatives, which keep their titles.
    Alternative,
}

struct Reducer<'a> {
    path: &'a str,
}

impl Reducer<'_> {
    fn written(&self, schema: &Value, place: Place) -> Result<Option<Value>, InvalidCall> {
        let cut = self.cut(schema)?;
        let mut written = Map::new();
        let copy = |name: &str, written: &mut Map<String, Value>| {
            if let Some(value) = cut.get(name).filter(|value| !value.is_null()) {
                written.insert(name.to_owned(), value.clone());
            }
        };
        // Gemini takes no type beside alternatives.
        if let (Some(kind), false) = (cut.get("type"), cut.contains_key("anyOf")) {
            written.insert("type".to_owned(), self.type_name(kind)?);
        }
        copy("description", &mut written);
        if place != Place::Inside {
            copy("title", &mut written);
        }
        if let Some(Value::Object(members)) = cut.get("properties") {
            let mut all = Map::new();
            for (name, member) in members {
                let member = self.written(member, Place::Inside)?;
                all.insert(name.clone(), member.unwrap_or_default());
            }
            written.insert("properties".to_owned(), all.into());
        }
        copy("required", &mut written);
        if place == Place::Top {
            written.entry("required").or_insert_with(|| json!([]));
        }
        if let Some(items) = cut.get("items") {
            let items = self.written(items, Place::Inside)?;
            written.insert("items".to_owned(), items.unwrap_or_default());
        }
        copy("enum", &mut written);
        self.check_enum(&written)?;
        copy("nullable", &mut written);
        if let Some(Value::Array(alternatives)) = cut.get("anyOf") {
            let mut all = Vec::new();
            for alternative in alternatives {
                all.extend(self.written(alternative, Place::Alternative)?);
            }
            written.insert("any_of".to_owned(), all.into());
        }
        if !written.contains_key("type") && !written.contains_key("any_of") {
            let kind = match place {
                Place::Top if !written.contains_key("properties") => return Ok(None),
                Place::Top => "OBJECT",
                Place::Inside | Place::Alternative => "STRING",
            };
            written.insert("type".to_owned(), kind.into());
        }
        Ok(Some(Value::Object(written)))
    }

    /// Gemini's enumerations are of texts.
    fn check_enum(&self, schema: &Map<String, Value>) -> Result<(), InvalidCall> {
        let values = schema.get("enum").and_then(Value::as_array);
        if values.is_none_or(|values| values.iter().all(Value::is_string)) {
            return Ok(());
        }
        Err(invalid(
            self.path,
            "holds an `enum` of something else than strings, which Gemini does not take",
        ))
    }

    fn type_name(&self, kind: &Value) -> Result<Value, InvalidCall> {
        match kind.as_str() {
            Some(kind) => Ok(kind.to_uppercase().into()),
            None => Err(invalid(self.path, "holds a schema of several types")),
        }
    }

    /// LangChain's `_format_json_schema_to_gapic`.
    fn cut(&self, schema: &Value) -> Result<Map<String, Value>, InvalidCall> {
        let mut cut = Map::new();
        for (name, value) in schema.as_object().into_iter().flatten() {
            match name.as_str() {
                "items" if !value.is_null() => {
                    cut.insert(name.clone(), self.cut(value)?.into());
                }
                "properties" => {
                    let members = value.as_object().cloned().unwrap_or_default();
                    cut.insert(name.clone(), self.members(&members)?.into());
                }
                "allOf" => return self.cut(value.get(0).unwrap_or(&Value::Null)),
                "type" if !value.is_string() => {
                    return Err(invalid(self.path, "holds a schema of several types"));
                }
                name if KNOWN.contains(&name) => {
                    cut.insert(name.to_owned(), value.clone());
                }
                _ => {}
            }
        }
        Ok(cut)
    }

    /// LangChain's `_get_properties_from_schema`.
    fn members(&self, schemas: &Map<String, Value>) -> Result<Map<String, Value>, InvalidCall> {
        let mut members = Map::new();
        for (name, schema) in schemas.iter().filter(|(_, schema)| schema.is_object()) {
            members.insert(name.clone(), self.member(name, schema)?.into());
        }
        Ok(members)
    }

    fn member(&self, name: &str, given: &Value) -> Result<Map<String, Value>, InvalidCall> {
        let mut member = Map::new();
        let mut schema = given;
        let mut from_alternative = None;
        let alternatives = alternatives(given);
        if !alternatives.is_empty() && alternatives.iter().all(|one| one["type"] != "null") {
            let cut: Result<Vec<Value>, InvalidCall> = alternatives
                .iter()
                .map(|one| self.cut(one).map(Value::Object))
                .collect();
            member.insert("anyOf".to_owned(), cut?.into());
        } else if !given["type"].is_null() || !alternatives.is_empty() {
            let kind = type_of(given);
            if is_nullable(given) {
                member.insert("nullable".to_owned(), true.into());
            }
            if let Some(chosen) = chosen_alternative(alternatives, &kind) {
                let mut chosen = chosen.clone();
                for name in ["enum", "items"] {
                    if is_empty(&chosen[name]) && !is_empty(&given[name]) {
                        chosen[name] = given[name].clone();
                    }
                }
                schema = from_alternative.insert(chosen);
            }
            member.insert("type".to_owned(), kind.into());
        }
        if !is_empty(&schema["enum"]) {
            member.insert("enum".to_owned(), schema["enum"].clone());
        }
        let description = [&schema["description"], &given["description"]];
        if let Some(text) = description.into_iter().find(|text| !is_empty(text))
            && text.is_string()
        {
            member.insert("description".to_owned(), text.clone());
        }
        if member.get("type") == Some(&json!("ARRAY")) && !schema["items"].is_null() {
            member.insert("items".to_owned(), self.items(&schema["items"])?.into());
        }
        if member.get("type") == Some(&json!("OBJECT")) {
            schema = self.object(schema, &mut member)?;
        }
        // What stands in the schema here is what LangChain shows the model.
        if name == "title" && !member.contains_key("description") {
            let text = format!("title is {}", python_text(schema));
            member.insert("description".to_owned(), text.into());
        }
        Ok(member)
    }

    fn object<'s>(
        &self,
        schema: &'s Value,
        member: &mut Map<String, Value>,
    ) -> Result<&'s Value, InvalidCall> {
        let schema = match alternatives(schema).first() {
            Some(first) if first.is_object() => first,
            _ => schema,
        };
        if let Value::Object(inner) = &schema["properties"]
            && !inner.is_empty()
        {
            let has_no_default = |(_, value): &(&String, &Value)| value.get("default").is_none();
            let required: Vec<&String> = inner
                .iter()
                .filter(has_no_default)
                .map(|(name, _)| name)
                .collect();
            member.insert("required".to_owned(), json!(required));
            member.insert("properties".to_owned(), self.members(inner)?.into());
        } else if is_empty(&schema["additionalProperties"]) {
            // An object without members is no type of Gemini's.
            member.insert("type".to_owned(), "STRING".into());
        }
        Ok(schema)
    }

    /// LangChain's `_get_items_from_schema`.
    fn items(&self, schema: &Value) -> Result<Map<String, Value>, InvalidCall> {
        let mut items = Map::new();
        let kind = type_of(schema);
        items.insert("type".to_owned(), kind.as_str().into());
        if !schema.is_object() {
            return Ok(items);
        }
        if let ("OBJECT", Value::Object(members)) = (&*kind, &schema["properties"]) {
            items.insert("properties".to_owned(), self.members(members)?.into());
        }
        if let ("ARRAY", Some(inner)) = (&*kind, schema.get("items")) {
            items.insert("items".to_owned(), self.cut(inner)?.into());
        }
        let description = [&schema["description"], &schema["title"]];
        if let Some(text) = description.into_iter().find(|text| !is_empty(text)) {
            items.insert("description".to_owned(), text.clone());
        }
        for name in ["enum", "required"] {
            if let Some(value) = schema.get(name) {
                items.insert(name.to_owned(), value.clone());
            }
        }
        if is_nullable(schema) {
            items.insert("nullable".to_owned(), true.into());
        }
        Ok(items)
    }
}

fn alternatives(schema: &Value) -> &[Value] {
    schema["anyOf"].as_array().map_or(&[], Vec::as_slice)
}

/// The alternative that a member which may be null comes down to.
fn chosen_alternative<'s>(alternatives: &'s [Value], kind: &str) -> Option<&'s Value> {
    let is_chosen = |one: &&Value| match kind {
        "ARRAY" | "OBJECT" => one["type"].as_str().map(str::to_uppercase).as_deref() == Some(kind),
        _ => one["type"] != "null",
    };
    alternatives.iter().rfind(is_chosen)
}

/// A type's name; of alternatives the last, and text where none is said.
fn type_of(schema: &Value) -> String {
    nullable_type_of(schema).unwrap_or_else(|| "STRING".to_owned())
}

fn nullable_type_of(schema: &Value) -> Option<String> {
    if schema.get("anyOf").is_some() {
        let mut kinds = alternatives(schema).iter().filter_map(nullable_type_of);
        return kinds.next_back();
    }
    let kind = schema["type"].as_str()?;
    (kind != "null").then(|| kind.to_uppercase())
}

/// Whether one of the alternatives has no type of its own, such as null.
fn is_nullable(schema: &Value) -> bool {
    let kinds = alternatives(schema).iter().map(nullable_type_of);
    kinds.into_iter().any(|kind| kind.is_none())
}

/// What Python takes for false.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// A value as Python prints it.
fn python_text(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => python_string(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(python_text).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                format!("{}: {}", python_string(name), python_text(value))
            };
            let members: Vec<String> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

fn python_string(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut written = String::from(quote);
    for letter in text.chars() {
        match letter {
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '\\' => written.push_str("\\\\"),
            letter if letter == quote => {
                written.push('\\');
                written.push(letter);
            }
            letter => written.push(letter),
        }
    }
    written.push(quote);
    written
}
