//! What `model apply` is going to do: pure, from what a file says and a server has.

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::file::{KEY_PLACE, MEMBERS, written};
use super::text;

/// One configuration, and what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) action: Action,
    /// Where a key is that goes along.
    pub(super) key_place: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    Create(Map<String, Value>),
    Update { id: String, changes: Vec<Change> },
    Keep,
    Delete { id: String },
}

/// A member before and after.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) member: &'static str,
    pub(super) before: Value,
    pub(super) after: Value,
}

/// What else is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wishes {
    /// Rows that the file does not name go.
    pub(super) prune: bool,
    /// Rows that are there already get their keys anew.
    pub(super) replace_keys: bool,
}

/// Makes the plan: the file's entries in their order, then what goes.
///
/// An entry takes the row of its name that is as it wants to be; else one that is archived,
/// or not, as it wants to be; else any. No row is taken twice. So a second run with the same
/// file finds every entry's row as it should be, and nothing to do, even where several
/// archived rows have one name.
pub(super) fn plan(entries: &[Value], own: &[Value], wishes: Wishes) -> Vec<Step> {
    let fits: [fn(&Value, &Value) -> bool; 3] = [
        |entry, row| changes(entry, row).is_empty(),
        |entry, row| is_archived(entry) == is_archived(row),
        |_, _| true,
    ];
    let mut taken: Vec<Option<usize>> = vec![None; entries.len()];
    for fits in fits {
        for (number, entry) in entries.iter().enumerate() {
            if taken[number].is_none() {
                taken[number] = own.iter().enumerate().position(|(index, row)| {
                    row["name"] == entry["name"]
                        && fits(entry, row)
                        && !taken.contains(&Some(index))
                });
            }
        }
    }
    let kept = entries.iter().zip(&taken).map(|(entry, row)| {
        let row = row.and_then(|index| own.get(index));
        row.map_or_else(|| create(entry), |row| update(entry, row, wishes))
    });
    let others = own
        .iter()
        .enumerate()
        .filter(|(index, _)| wishes.prune && !taken.contains(&Some(*index)));
    let others = others.map(|(_, row)| Step {
        name: text(&row["name"]),
        action: Action::Delete {
            id: text(&row["id"]),
        },
        key_place: None,
    });
    kept.chain(others).collect()
}

fn is_archived(row: &Value) -> bool {
    row["is_archived"] == true
}

fn key_place(entry: &Value) -> Option<String> {
    entry[KEY_PLACE].as_str().map(str::to_owned)
}

fn create(entry: &Value) -> Step {
    Step {
        name: text(&entry["name"]),
        action: Action::Create(written(entry)),
        key_place: key_place(entry),
    }
}

fn update(entry: &Value, row: &Value, wishes: Wishes) -> Step {
    let changes = changes(entry, row);
    let key_place = key_place(entry).filter(|_| wishes.replace_keys);
    let action = if changes.is_empty() && key_place.is_none() {
        Action::Keep
    } else {
        let id = text(&row["id"]);
        Action::Update { id, changes }
    };
    Step {
        name: text(&entry["name"]),
        action,
        key_place,
    }
}

/// What a row lacks to be as an entry says. A member that the entry leaves out is cleared.
fn changes(entry: &Value, row: &Value) -> Vec<Change> {
    let changes = MEMBERS.into_iter().filter_map(|member| {
        let after = match (member, &entry[member]) {
            ("is_computer_use_model" | "is_archived", Value::Null) => json!(false),
            (_, wanted) => wanted.clone(),
        };
        let before = row[member].clone();
        (!is_same(&before, &after)).then_some(Change {
            member,
            before,
            after,
        })
    });
    changes.collect()
}

/// A server that is given the temperature 1 shows 1.0. Inside of `additional_params` both
/// are kept as they are, since a provider may tell them apart.
fn is_same(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Number(before), Value::Number(after)) => before.as_f64() == after.as_f64(),
        _ => before == after,
    }
}

impl Step {
    /// The verb that people read.
    pub(super) const fn verb(&self) -> &'static str {
        match self.action {
            Action::Create(_) => "create",
            Action::Update { .. } => "update",
            Action::Keep => "keep",
            Action::Delete { .. } => "delete",
        }
    }

    /// The body of its request, and the key where one goes along.
    ///
    /// # Errors
    /// When the key is not where the file says.
    pub(super) fn body(
        &self,
        read: impl FnOnce(&str) -> anyhow::Result<String>,
    ) -> anyhow::Result<Value> {
        let mut body = match &self.action {
            Action::Create(members) => members.clone(),
            Action::Update { changes, .. } => changes
                .iter()
                .map(|change| (change.member.to_owned(), change.after.clone()))
                .collect(),
            Action::Keep | Action::Delete { .. } => Map::new(),
        };
        if let Some(place) = &self.key_place {
            let key = read(place).with_context(|| format!("`{}`", self.name))?;
            body.insert("api_key".to_owned(), json!(key));
        }
        Ok(Value::Object(body))
    }

    /// For people: the step, and under it every member that changes.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{:<6}  {}", self.verb(), self.name)];
        match &self.action {
            Action::Create(members) => {
                let members = members.iter().filter(|(member, _)| *member != "name");
                lines.extend(members.map(|(member, value)| format!("        + {member}: {value}")));
            }
            Action::Update { changes, .. } => {
                for change in changes {
                    differences(change.member, &change.before, &change.after, &mut lines);
                }
            }
            Action::Keep | Action::Delete { .. } => {}
        }
        if let Some(place) = &self.key_place {
            lines.push(format!("        + api_key: from {place}"));
        }
        lines
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let mut step = json!({"action": self.verb(), "name": self.name});
        match &self.action {
            Action::Create(members) => step["members"] = json!(members),
            Action::Update { id, changes } => {
                step["id"] = json!(id);
                let changes = changes.iter().map(|change| {
                    let change_json = json!({"before": change.before, "after": change.after});
                    (change.member.to_owned(), change_json)
                });
                step["changes"] = Value::Object(changes.collect());
            }
            Action::Delete { id } => step["id"] = json!(id),
            Action::Keep => {}
        }
        if let Some(place) = &self.key_place {
            step[KEY_PLACE] = json!(place);
        }
        step
    }
}

/// Objects are compared member by member, so that one changed parameter is one line.
fn differences(path: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        lines.push(match (before, after) {
            (Value::Null, after) => format!("        + {path}: {after}"),
            (before, Value::Null) => format!("        - {path}: {before}"),
            (before, after) => format!("        ~ {path}: {before} -> {after}"),
        });
        return;
    };
    let added = new.keys().filter(|name| !old.contains_key(*name));
    for name in old.keys().chain(added) {
        let side = |members: &Map<String, Value>| members.get(name).cloned().unwrap_or_default();
        let (before, after) = (side(old), side(new));
        if before != after {
            differences(&format!("{path}.{name}"), &before, &after, lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(name: &str) -> Value {
        json!({"name": name, "provider": "openai", "model": "m"})
    }

    /// As a server shows it.
    fn row(id: &str, entry: &Value) -> Value {
        let mut row = json!({"id": id, "is_archived": false, "is_computer_use_model": false});
        for member in MEMBERS {
            if !entry[member].is_null() || row[member].is_null() {
                row[member] = entry[member].clone();
            }
        }
        for member in ["temperature", "timeout_seconds"] {
            if let Some(number) = row[member].as_f64() {
                row[member] = json!(number);
            }
        }
        row
    }

    fn with(mut entry: Value, member: &str, value: Value) -> Value {
        entry[member] = value;
        entry
    }

    fn verbs(steps: &[Step]) -> Vec<String> {
        let verbs = steps
            .iter()
            .map(|step| format!("{} {}", step.verb(), step.name));
        verbs.collect()
    }

    const PRUNE: Wishes = Wishes {
        prune: true,
        replace_keys: false,
    };

    #[test]
    fn a_plan_says_what_changes_member_by_member() {
        let before = with(
            entry("b"),
            "additional_params",
            json!({"top_p": 0.9, "stop": ["x"], "model_kwargs": {"seed": 7, "user": "u"}}),
        );
        let after = with(
            with(entry("b"), "temperature", json!(1)),
            "additional_params",
            json!({"stop": ["x"], "model_kwargs": {"seed": 8, "user": "u"}, "n": 1}),
        );
        let own = [
            row("1", &entry("a")),
            row("2", &before),
            row("3", &entry("c")),
        ];
        let steps = plan(&[entry("a"), after, entry("d")], &own, PRUNE);
        assert_eq!(
            verbs(&steps),
            ["keep a", "update b", "create d", "delete c"]
        );
        let lines = steps[1].lines();
        assert_eq!(
            lines,
            [
                "update  b",
                "        + temperature: 1",
                "        - additional_params.top_p: 0.9",
                "        ~ additional_params.model_kwargs.seed: 7 -> 8",
                "        + additional_params.n: 1",
            ]
        );
        assert_eq!(
            steps[3].json(),
            json!({"action": "delete", "name": "c", "id": "3"})
        );
        let unpruned = plan(&[], &own, Wishes::default());
        assert_eq!(unpruned, []);
    }

    #[test]
    fn a_key_goes_along_with_a_new_row_and_otherwise_only_on_request() {
        let keyed = with(entry("a"), KEY_PLACE, json!("env:A"));
        let read = |place: &str| Ok(format!("key at {place}"));
        let created = plan(std::slice::from_ref(&keyed), &[], Wishes::default());
        assert_eq!(created[0].body(read).unwrap()["api_key"], "key at env:A");
        let own = [row("1", &keyed)];
        let again = plan(std::slice::from_ref(&keyed), &own, Wishes::default());
        assert_eq!(again[0].action, Action::Keep);
        let wishes = Wishes {
            replace_keys: true,
            ..Wishes::default()
        };
        let replaced = plan(&[keyed], &own, wishes);
        assert_eq!(replaced[0].verb(), "update");
        assert_eq!(
            replaced[0].body(read).unwrap(),
            json!({"api_key": "key at env:A"})
        );
        assert!(replaced[0].body(|_| anyhow::bail!("not there")).is_err());
    }

    #[test]
    fn an_archived_row_is_found_again() {
        let archived = with(entry("a"), "is_archived", json!(true));
        let own = [row("1", &entry("a")), row("2", &archived)];
        let both = plan(&[archived.clone(), entry("a")], &own, PRUNE);
        assert_eq!(verbs(&both), ["keep a", "keep a"]);
        let revived = plan(&[entry("a")], &own[1..], PRUNE);
        assert_eq!(
            revived[0].body(|_| unreachable!()).unwrap(),
            json!({"is_archived": false})
        );
        let retired = plan(&[archived], &own[..1], PRUNE);
        assert_eq!(
            retired[0].body(|_| unreachable!()).unwrap(),
            json!({"is_archived": true})
        );
    }

    fn entries() -> impl Strategy<Value = Vec<Value>> {
        let members = (
            0_u8..5,
            any::<bool>(),
            prop::option::of(0_i32..3),
            any::<bool>(),
        );
        prop::collection::vec(members, 0..8).prop_map(|entries| {
            let mut active = std::collections::HashSet::new();
            let entries = entries
                .into_iter()
                .filter_map(|(name, archived, number, flag)| {
                    if !archived && !active.insert(name) {
                        return None;
                    }
                    let mut entry = entry(&format!("n{name}"));
                    entry["is_archived"] = json!(archived);
                    entry["temperature"] = json!(number);
                    entry["is_computer_use_model"] = json!(flag);
                    Some(entry)
                });
            entries.collect()
        })
    }

    /// What a server has after a plan was carried out.
    fn carried_out(own: &[Value], steps: &[Step], run: &str) -> Vec<Value> {
        let mut own = own.to_vec();
        for (number, step) in steps.iter().enumerate() {
            match &step.action {
                Action::Create(members) => {
                    let id = format!("{run} {number}");
                    own.push(row(&id, &Value::Object(members.clone())));
                }
                Action::Update { id, changes } => {
                    let row = own.iter_mut().find(|row| row["id"] == *id).unwrap();
                    for change in changes {
                        row[change.member] = change.after.clone();
                    }
                }
                Action::Delete { id } => own.retain(|row| row["id"] != *id),
                Action::Keep => {}
            }
        }
        own
    }

    proptest! {
        #[test]
        fn a_second_run_has_nothing_to_do(before in entries(), wanted in entries(), prune: bool) {
            let own = carried_out(&[], &plan(&before, &[], Wishes::default()), "first");
            let wishes = Wishes { prune, ..Wishes::default() };
            let own = carried_out(&own, &plan(&wanted, &own, wishes), "second");
            let again = plan(&wanted, &own, wishes);
            prop_assert!(again.iter().all(|step| step.action == Action::Keep), "{again:?}");
            if prune {
                prop_assert_eq!(own.len(), wanted.len());
            }
        }
    }
}
