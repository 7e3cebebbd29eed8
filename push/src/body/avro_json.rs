//! An Avro datum as JSON.
//!
//! A record is an object with its fields in their order, a union the value of its branch, an enum its symbol. `bytes`
//! and `fixed`, decimals among them, are base64; times are the number that was written. JSON has no word for a
//! number that is none: `"NaN"`, `"Infinity"` and `"-Infinity"` are texts.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A datum.
pub(super) struct Datum(Value);

impl Datum {
    /// As JSON text.
    pub(super) fn into_json(self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }
}

fn number(number: f64) -> Value {
    let text = if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    Number::from_f64(number).map_or_else(|| Value::from(text), Value::Number)
}

impl<'de> Deserialize<'de> for Datum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    /// A float has fewer digits than the double that is equal to it: `0.1` stays `0.1`.
    fn visit_f32<E>(self, value: f32) -> Result<Value, E> {
        Ok(number(value.to_string().parse().unwrap_or_else(|_| f64::from(value))))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::from(BASE64_STANDARD.encode(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new(); // how many come is not believed
        while let Some(Datum(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Datum(value))) = entries.next_entry::<String, Datum>()? {
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use codec::any::AnyDecoder;
    use codec::resolver::SchemaResolver;

    use super::*;

    fn json(schema: &str, datum: &[u8]) -> String {
        let resolver = SchemaResolver::offline();
        resolver.insert(1, schema).expect("a schema");
        let framed = [&codec::frame::header(1)[..], datum].concat();
        let datum: Datum = AnyDecoder::new(resolver).decode(Some(&framed)).expect("it fits");
        String::from_utf8(datum.into_json()).expect("JSON is text")
    }

    #[test]
    fn each_type_of_avro_has_one_form_in_json() {
        for (schema, datum, text) in [
            (r#""null""#, &[][..], "null"),
            (r#""boolean""#, &[1], "true"),
            (r#""int""#, &[1], "-1"),
            (
                r#""long""#,
                &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
                "9223372036854775807",
            ),
            (r#""float""#, &0.1_f32.to_le_bytes(), "0.1"),
            (r#""float""#, &f32::NEG_INFINITY.to_le_bytes(), r#""-Infinity""#),
            (r#""double""#, &0.1_f64.to_le_bytes(), "0.1"),
            (r#""double""#, &f64::NAN.to_le_bytes(), r#""NaN""#),
            (r#""double""#, &f64::INFINITY.to_le_bytes(), r#""Infinity""#),
            (r#""string""#, &[6, b'a', b'"', b'b'], r#""a\"b""#),
            (r#""bytes""#, &[4, 0, 255], r#""AP8=""#),
            (r#"{"type": "fixed", "name": "F", "size": 3}"#, b"abc", r#""YWJj""#),
            (r#"{"type": "enum", "name": "E", "symbols": ["A", "B"]}"#, &[2], r#""B""#),
            (r#"{"type": "array", "items": "int"}"#, &[4, 2, 4, 0], "[1,2]"),
            (r#"{"type": "map", "values": "int"}"#, &[2, 2, b'k', 2, 0], r#"{"k":1}"#),
            (r#"["null", "string"]"#, &[0], "null"),
            (r#"["null", "string"]"#, &[2, 2, b'x'], r#""x""#),
            (
                r#"{"type": "record", "name": "R", "fields": [
                    {"name": "z", "type": "int"},
                    {"name": "a", "type": {"type": "record", "name": "S", "fields": []}}]}"#,
                &[2],
                r#"{"z":1,"a":{}}"#,
            ),
        ] {
            assert_eq!(json(schema, datum), text, "{schema}");
        }
    }
}
