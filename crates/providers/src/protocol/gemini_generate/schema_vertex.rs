//! JSON schemas as `ChatVertexAI` writes them: members that Vertex AI knows stay, types go
//! by number, and an alternative that is null means that a member may be left out.

use serde_json::{Map, Value};

use super::references;
use super::types::type_number;
use crate::error::InvalidCall;
use crate::json::invalid;

/// Members of a schema that Vertex AI knows and that go as they are.
const KNOWN: [&str; 17] = [
    "format",
    "title",
    "description",
    "nullable",
    "default",
    "minItems",
    "maxItems",
    "enum",
    "propertyOrdering",
    "required",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
];

/// The schema in Vertex AI's words.
///
/// # Errors
/// When it says what Vertex AI has no words for.
pub(super) fn written(schema: &Value, path: &str) -> Result<Value, InvalidCall> {
    let whole = references::resolved(schema, path)?;
    Writer { path }.schema(&whole).map(Value::Object)
}

struct Writer<'a> {
    path: &'a str,
}

impl Writer<'_> {
    fn schema(&self, schema: &Value) -> Result<Map<String, Value>, InvalidCall> {
        let Value::Object(members) = schema else {
            return Err(invalid(self.path, "holds a schema that is no object"));
        };
        let mut written = Map::new();
        for (name, value) in members {
            match name.as_str() {
                "items" => {
                    written.insert(name.clone(), self.schema(value)?.into());
                }
                "properties" => {
                    let mut all = Map::new();
                    for (name, member) in value.as_object().into_iter().flatten() {
                        all.insert(name.clone(), self.schema(member)?.into());
                    }
                    if !all.is_empty() {
                        written.insert(name.clone(), all.into());
                    }
                }
                "type" => {
                    written.insert(name.clone(), self.type_number(value)?);
                }
                "allOf" => return self.schema(value.get(0).unwrap_or(&Value::Null)),
                "anyOf" => self.alternatives(value, &mut written)?,
                "enum" if !is_list_of_texts(value) => {
                    return Err(invalid(
                        self.path,
                        "holds an `enum` of something else than strings, which Gemini does not take",
                    ));
                }
                "example" => {
                    written.insert(name.clone(), value.clone());
                }
                known if KNOWN.contains(&known) => {
                    let value = if is_count(known) {
                        value
                            .as_u64()
                            .map_or(value.clone(), |count| count.to_string().into())
                    } else {
                        value.clone()
                    };
                    written.insert(name.clone(), value);
                }
                _ => {}
            }
        }
        self.relax_required(members, &mut written);
        Ok(written)
    }

    /// A single alternative is the schema itself.
    fn alternatives(
        &self,
        value: &Value,
        written: &mut Map<String, Value>,
    ) -> Result<(), InvalidCall> {
        let all = value.as_array().map_or(&[][..], Vec::as_slice);
        let real: Vec<&Value> = all.iter().filter(|one| one["type"] != "null").collect();
        match &real[..] {
            [] => {}
            [only] => written.extend(self.schema(only)?),
            several => {
                let several: Result<Vec<Value>, InvalidCall> = several
                    .iter()
                    .map(|one| self.schema(one).map(Value::Object))
                    .collect();
                written.insert("anyOf".to_owned(), several?.into());
            }
        }
        Ok(())
    }

    /// A member that may be null need not be there.
    fn relax_required(&self, given: &Map<String, Value>, written: &mut Map<String, Value>) {
        let may_be_null = |name: &str| {
            let alternatives = given
                .get("properties")
                .map(|members| &members[name]["anyOf"]);
            let alternatives = alternatives.and_then(Value::as_array);
            alternatives.is_some_and(|all| all.iter().any(|one| one["type"] == "null"))
        };
        if let Some(Value::Array(required)) = written.get_mut("required") {
            required.retain(|name| !name.as_str().is_some_and(may_be_null));
            if required.is_empty() {
                written.shift_remove("required");
            }
        }
    }

    fn type_number(&self, kind: &Value) -> Result<Value, InvalidCall> {
        let number = kind.as_str().and_then(type_number);
        let problem = || {
            invalid(
                self.path,
                "holds a schema of several types or an unknown one",
            )
        };
        number.map(Value::from).ok_or_else(problem)
    }
}

/// Protocol buffers write counts as texts.
fn is_count(name: &str) -> bool {
    name.starts_with("min") && name != "minimum" || name.starts_with("max") && name != "maximum"
}

fn is_list_of_texts(value: &Value) -> bool {
    let items = value.as_array();
    items.is_some_and(|items| items.iter().all(Value::is_string))
}
