//! What changed between two versions of a record's schema.

use serde::Serialize;
use serde_json::Value;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `added`, `removed`, `type`, `default`, `aliases`, `name` or `kind`.
    pub what: &'static str,
    /// Field that changed; none where it is the record.
    pub field: Option<String>,
    /// What was there.
    pub before: Option<String>,
    /// What is there.
    pub after: Option<String>,
    /// What it means for those who read.
    pub means: &'static str,
}

const ADDED_BARE: &str = "new readers cannot read old records: the field has no default";
const ADDED: &str = "new readers fill old records with the default";
const REMOVED_BARE: &str = "old readers cannot read new records: the field had no default";
const REMOVED: &str = "old readers fill new records with their default";
const TYPE: &str = "each reader must be able to widen the other's type";
const DEFAULT: &str = "only records without the field are read differently";
const DEFAULT_GONE: &str = "new readers cannot read records without the field";
const ALIASES: &str = "readers also find the field under these names";
const NAME: &str = "records with different names are incompatible, whatever their fields";
const KIND: &str = "a schema that is not a record is only compared as a whole";

/// The changes from one schema to the other, in the order of the fields; none where they mean the same.
#[must_use]
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    let (Some(old), Some(new)) = (fields(before), fields(after)) else {
        if before != after {
            found.push(change("kind", None, Some(text(before)), Some(text(after)), KIND));
        }
        return found;
    };
    if before["name"] != after["name"] {
        let name = |schema: &Value| Some(text(&schema["name"]));
        found.push(change("name", None, name(before), name(after), NAME));
    }
    for field in old {
        let name = name_of(field);
        match new.iter().find(|other| name_of(other) == name) {
            None => {
                let means = if field.get("default").is_some() { REMOVED } else { REMOVED_BARE };
                found.push(change("removed", Some(name), Some(described(field)), None, means));
            }
            Some(other) => compare(name, field, other, &mut found),
        }
    }
    for field in new.iter().filter(|field| !old.iter().any(|o| name_of(o) == name_of(field))) {
        let means = if field.get("default").is_some() { ADDED } else { ADDED_BARE };
        let name = Some(name_of(field));
        found.push(change("added", name, None, Some(described(field)), means));
    }
    found
}

fn compare(name: &str, old: &Value, new: &Value, found: &mut Vec<Change>) {
    let of = |field: &Value, part: &str| field.get(part).map(text);
    if plain(&old["type"]) != plain(&new["type"]) {
        found.push(change("type", Some(name), of(old, "type"), of(new, "type"), TYPE));
    }
    if old.get("default") != new.get("default") {
        let means = if new.get("default").is_some() { DEFAULT } else { DEFAULT_GONE };
        found.push(change("default", Some(name), of(old, "default"), of(new, "default"), means));
    }
    if old.get("aliases") != new.get("aliases") {
        let (before, after) = (of(old, "aliases"), of(new, "aliases"));
        found.push(change("aliases", Some(name), before, after, ALIASES));
    }
}

fn change(
    what: &'static str,
    field: Option<&str>,
    before: Option<String>,
    after: Option<String>,
    means: &'static str,
) -> Change {
    Change { what, field: field.map(str::to_owned), before, after, means }
}

/// Fields of a record; none where the schema is none.
fn fields(schema: &Value) -> Option<&Vec<Value>> {
    let is_record = schema["type"] == "record";
    schema["fields"].as_array().filter(|_| is_record)
}

fn name_of(field: &Value) -> &str {
    field["name"].as_str().unwrap_or_default()
}

/// Type and default of a field.
fn described(field: &Value) -> String {
    let default = field.get("default").map(|default| format!(" = {}", text(default)));
    format!("{}{}", text(&field["type"]), default.unwrap_or_default())
}

/// A type without what is said for people: `{"type": "int"}` is `"int"`.
fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(object) => {
            let kept: serde_json::Map<String, Value> = object
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "doc" | "namespace"))
                .map(|(key, value)| (key.clone(), plain(value)))
                .collect();
            match (kept.len(), kept.get("type")) {
                (1, Some(Value::String(name))) => Value::String(name.clone()),
                _ => Value::Object(kept),
            }
        }
        Value::Array(all) => Value::Array(all.iter().map(plain).collect()),
        other => other.clone(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(fields: Value) -> Value {
        json!({"type": "record", "name": "Click", "fields": fields})
    }

    fn told(before: Value, after: Value) -> Vec<(&'static str, String)> {
        let all = changes(&record(before), &record(after));
        all.into_iter().map(|one| (one.what, one.field.unwrap_or_default())).collect()
    }

    #[test]
    fn fields_that_come_and_go_and_change_are_told() {
        let before = json!([
            {"name": "url", "type": "string"},
            {"name": "user", "type": "int", "default": 1},
            {"name": "tag", "type": "string", "default": ""},
            {"name": "price", "type": "int"}
        ]);
        let after = json!([
            {"name": "url", "type": "string", "doc": "where"},
            {"name": "user", "type": "int", "default": 2},
            {"name": "tag", "type": "string"},
            {"name": "price", "type": "long", "aliases": ["cost"]},
            {"name": "at", "type": ["null", "long"], "default": null}
        ]);
        let expected = [
            ("default", "user"),
            ("default", "tag"),
            ("type", "price"),
            ("aliases", "price"),
            ("added", "at"),
        ];
        let expected: Vec<_> = expected.map(|(what, field)| (what, field.to_owned())).to_vec();
        assert_eq!(told(before, after), expected);
    }

    #[test]
    fn what_a_change_means_depends_on_defaults() {
        let bare = json!([{"name": "a", "type": "int"}]);
        let filled = json!([{"name": "a", "type": "int", "default": 0}]);
        let means = |before: &Value, after: &Value| {
            changes(&record(before.clone()), &record(after.clone()))[0].means
        };
        assert_eq!(means(&json!([]), &bare), ADDED_BARE);
        assert_eq!(means(&json!([]), &filled), ADDED);
        assert_eq!(means(&bare, &json!([])), REMOVED_BARE);
        assert_eq!(means(&filled, &json!([])), REMOVED);
        assert_eq!(means(&filled, &bare), DEFAULT_GONE);
    }

    #[test]
    fn spelling_is_no_change_and_a_name_is_one() {
        let plain = json!([{"name": "a", "type": "int"}]);
        let spelled = json!([{"name": "a", "type": {"type": "int", "doc": "x"}, "doc": "y"}]);
        assert_eq!(told(plain.clone(), spelled), []);
        let mut other = record(plain.clone());
        other["name"] = "Tap".into();
        assert_eq!(changes(&record(plain), &other)[0].what, "name");
        assert_eq!(changes(&json!("int"), &json!("long"))[0].what, "kind");
        assert_eq!(changes(&json!("int"), &json!("int")), []);
    }
}
