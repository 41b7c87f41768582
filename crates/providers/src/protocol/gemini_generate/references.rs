//! References inside a JSON schema, which Gemini does not follow: each is replaced by what
//! it refers to. One that refers to itself ends there.

use serde_json::{Map, Value};

use crate::error::InvalidCall;
use crate::json::invalid;

/// How many values a schema may come to. References can multiply without end.
const MAX_VALUES: usize = 20_000;

/// The schema without references.
///
/// # Errors
/// When one leads nowhere, or the result is too large.
pub(super) fn resolved(schema: &Value, path: &str) -> Result<Value, InvalidCall> {
    let mut resolver = Resolver {
        whole: schema,
        path,
        following: Vec::new(),
        values: 0,
    };
    resolver.value(schema)
}

struct Resolver<'a> {
    whole: &'a Value,
    path: &'a str,
    following: Vec<&'a str>,
    values: usize,
}

impl<'a> Resolver<'a> {
    fn value(&mut self, value: &'a Value) -> Result<Value, InvalidCall> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(invalid(self.path, "holds a schema that is too large"));
        }
        match value {
            Value::Object(members) => match members.get("$ref").and_then(Value::as_str) {
                Some(reference) => self.reference(reference, members),
                None => self.members(members).map(Value::Object),
            },
            Value::Array(items) => {
                let items: Result<_, _> = items.iter().map(|item| self.value(item)).collect();
                items.map(Value::Array)
            }
            other => Ok(other.clone()),
        }
    }

    /// What a reference stands for; what is written beside it counts more.
    fn reference(
        &mut self,
        reference: &'a str,
        members: &'a Map<String, Value>,
    ) -> Result<Value, InvalidCall> {
        let mut found = Value::Object(Map::new());
        if !self.following.contains(&reference) {
            let target = self.target(reference)?;
            self.following.push(reference);
            found = self.value(target)?;
            self.following.pop();
        }
        let beside = self.members(members)?;
        match &mut found {
            Value::Object(found) => found.extend(beside),
            _ if beside.is_empty() => {}
            other => *other = Value::Object(beside),
        }
        Ok(found)
    }

    fn members(
        &mut self,
        members: &'a Map<String, Value>,
    ) -> Result<Map<String, Value>, InvalidCall> {
        let mut written = Map::new();
        for (name, value) in members {
            // Definitions are only there to be referred to.
            let is_left_out = matches!(name.as_str(), "$ref" | "$defs");
            if !is_left_out {
                written.insert(name.clone(), self.value(value)?);
            }
        }
        Ok(written)
    }

    fn target(&self, reference: &str) -> Result<&'a Value, InvalidCall> {
        let found = reference
            .strip_prefix('#')
            .and_then(|pointer| self.whole.pointer(pointer));
        found.ok_or_else(|| {
            let problem = format!("refers to `{reference}`, which is not in the schema");
            invalid(self.path, &problem)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_replaced_and_circles_end() {
        let schema = json!({
            "properties": {"a": {"$ref": "#/$defs/N", "description": "here"}},
            "$defs": {"N": {"description": "N", "properties": {"n": {"$ref": "#/$defs/N"}}}},
        });
        let expected =
            json!({"properties": {"a": {"description": "here", "properties": {"n": {}}}}});
        assert_eq!(resolved(&schema, "tools").unwrap(), expected);
    }

    #[test]
    fn what_leads_nowhere_or_grows_without_end_is_refused() {
        let lost = json!({"$ref": "#/$defs/N"});
        assert!(resolved(&lost, "tools").is_err());
        let mut definitions = Map::new();
        for level in 0..30 {
            let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
            definitions.insert(level.to_string(), json!({"allOf": [next, next, next]}));
        }
        definitions.insert("30".to_owned(), json!({}));
        let bomb = json!({"$ref": "#/$defs/0", "$defs": definitions});
        assert!(resolved(&bomb, "tools").is_err());
    }
}
