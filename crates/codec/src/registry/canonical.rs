//! What a schema means, apart from how it is spelled.

use apache_avro::Schema;
use serde_json::{Map, Value};

/// Attributes that readers or writers act on. Avro's own canonical form keeps fewer: it drops
/// defaults, aliases and logical types, in which two schemas of a subject may well differ.
const MEANT: [&str; 13] = [
    "type",
    "name",
    "namespace",
    "aliases",
    "fields",
    "default",
    "symbols",
    "items",
    "values",
    "size",
    "logicalType",
    "precision",
    "scale",
];

/// Largest integer below which every integer is a double of its own.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A form that is equal for schemas which differ only in white space, order and spelling of
/// attributes, names with or without their namespace, documentation and foreign attributes.
/// `None` if it is no Avro schema, or not without others that it refers to.
pub(super) fn canonical(schema: &str) -> Option<Value> {
    let schema = Schema::parse_str(schema).ok()?;
    serde_json::to_value(&schema).ok().map(stripped)
}

fn stripped(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(stripped).collect(),
        Value::Object(attributes) => {
            let meant = attributes.into_iter().filter(|(key, _)| MEANT.contains(&key.as_str()));
            let meant = meant.map(|(key, value)| {
                let value = if key == "default" { default(value) } else { stripped(value) };
                (key, value)
            });
            Value::Object(meant.collect::<Map<_, _>>())
        }
        other => other,
    }
}

/// A default with `1.0` spelled as `1`; its keys are data and none is dropped.
fn default(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(default).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key, default(value))).collect()
        }
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < EXACT_MAX => {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^53")]
                let whole = float as i64;
                Value::from(whole)
            }
            _ => Value::Number(number),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use order_schemas::{ORDER_V1, ORDER_V2};

    const PLAIN: &str = r#"{"type":"record","name":"Order","namespace":"com.example",
        "fields":[{"name":"id","type":"string"},
                  {"name":"price","type":"float","default":1.0},
                  {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;

    #[test]
    fn schemas_that_differ_in_spelling_only_have_one_canonical_form() {
        let plain = canonical(PLAIN);
        assert!(plain.is_some());
        for spelled in [
            r#"{ "fields" : [ {"type":"string","name":"id","doc":"the id","order":"descending"},
                 {"default":1,"name":"price","type":{"type":"float"}},
                 {"name":"at","type":{"logicalType":"timestamp-millis","type":"long","x":1}} ],
                 "doc": "an order", "name":"com.example.Order", "type":"record" }"#,
            &PLAIN.replace("\"string\"", r#"{"type":"string","avro.java.string":"String"}"#),
        ] {
            assert_eq!(canonical(spelled), plain, "{spelled}");
        }
    }

    #[test]
    fn schemas_that_differ_in_what_readers_or_writers_do_have_different_forms() {
        let plain = canonical(PLAIN);
        for (what, with) in [
            ("\"default\":1.0", "\"default\":2.0"),
            (",\"default\":1.0", ""),
            ("\"name\":\"id\"", "\"name\":\"id\",\"aliases\":[\"key\"]"),
            ("timestamp-millis", "timestamp-micros"),
            ("\"float\"", "\"double\""),
            ("com.example", "com.example.orders"),
        ] {
            let other = PLAIN.replacen(what, with, 1);
            assert_ne!(other, PLAIN);
            assert!(canonical(&other).is_some(), "{other}");
            assert_ne!(canonical(&other), plain, "{other}");
        }
        assert_ne!(canonical(ORDER_V1), canonical(ORDER_V2));
        assert_eq!(canonical("not avro"), None);
    }
}
