//! An Avro datum as JSON.
//!
//! A record is an object with its fields in their order, a union the value of its branch, an enum its symbol. `bytes`
//! and `fixed`, decimals among them, are base64; times are the number that was written. JSON has no word for a
//! number that is none: `"NaN"`, `"Infinity"` and `"-Infinity"` are texts.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use codec::any::{AsJson, JsonForm};

/// A datum.
pub(super) type Datum = AsJson<Form>;

/// See the module.
pub(super) enum Form {}

impl JsonForm for Form {
    fn bytes(bytes: &[u8]) -> String {
        BASE64_STANDARD.encode(bytes)
    }

    fn not_finite(number: f64) -> String {
        let text = if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        text.to_owned()
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
        datum.into_value().to_string()
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
