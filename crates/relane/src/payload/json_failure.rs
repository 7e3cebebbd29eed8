//! Why a value is not the JSON that was expected. None of it is quoted: it may be a secret.

use codec::decode::DecodeError;
use pipeline::failure::FailureReason;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::{failed, json_path};

/// Where in the text, which field, and what is wrong with it.
pub(super) fn of<T: DeserializeOwned>(value: &[u8], error: &serde_json::Error) -> DecodeError {
    let (line, column) = (error.line(), error.column());
    let at = format!("at line {line}, column {column}");
    let is_cut_off = error.classify() == Category::Eof;
    // A key that is no number where one is wanted, or a number out of range, has no category of its own.
    if error.classify() != Category::Data && !is_json(value) {
        let what = if is_cut_off { "JSON that is cut off" } else { "not JSON" };
        return failed(FailureReason::JsonDecode, format!("{what} {at}"));
    }
    let told = error.to_string();
    // serde_json adds it to what the type has said.
    let told = told.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&told);
    let what = what_differs(told, &json_path::of::<T>(value, told));
    failed(FailureReason::JsonShape, format!("JSON of another shape {at}: {what}"))
}

fn is_json(value: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(value).is_ok()
}

/// What serde and `serde_json` call what stands in a value. Types may put other words in this place, the value among
/// them.
const KINDS: [&str; 8] =
    ["boolean", "integer", "floating point", "string", "null", "sequence", "map", "unit"];

/// What serde says of a shape, without what it quotes of the value: names of fields that the type has, and kinds. `path`
/// leads to what does not fit; it is empty for the value as a whole, and where it is not known.
fn what_differs(told: &str, path: &str) -> String {
    let field = |start| told.strip_prefix(start).and_then(|rest| rest.split_once('`'));
    let within = if path.is_empty() { String::new() } else { format!("{path}.") };
    if let Some((name, _)) = field("missing field `") {
        return format!("field {within}{name} is missing");
    }
    if let Some((name, _)) = field("duplicate field `") {
        return format!("field {within}{name} is there twice");
    }
    let of = if path.is_empty() { String::new() } else { format!("{path}: ") };
    let kind = told.strip_prefix("invalid type: ").or_else(|| told.strip_prefix("invalid value: "));
    // The type's words come last; before them stands the value, which may have the same words in it.
    let expected = told.rsplit_once(", expected ").map(|(_, expected)| expected);
    let kind = kind.and_then(|told| KINDS.into_iter().find(|kind| told.starts_with(kind)));
    match (kind, expected) {
        (Some(kind), Some(expected)) => format!("{of}{kind} where {expected} is expected"),
        _ => format!("{of}it does not fit the type"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[test]
    fn words_of_a_type_that_may_be_the_value_are_left_out() {
        let told = "invalid value: 4711, expected one of: 1, 2";
        assert_eq!(what_differs(told, ""), "it does not fit the type");
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parcel {
        #[serde(rename = "grams")]
        _grams: u32,
        #[serde(default, rename = "sender")]
        _sender: Option<Sender>,
        #[serde(default, rename = "items")]
        _items: Vec<Item>,
        #[serde(default, rename = "labels")]
        _labels: BTreeMap<String, Item>,
        #[serde(default, rename = "kind")]
        _kind: Option<Kind>,
        #[serde(default, rename = "codes")]
        _codes: BTreeMap<u32, u8>,
    }

    #[derive(Debug, Deserialize)]
    struct Sender(#[expect(dead_code, reason = "only whether it can be read counts")] Address);

    #[derive(Debug, Deserialize)]
    struct Address {
        #[serde(rename = "street")]
        _street: String,
    }

    #[derive(Debug, Deserialize)]
    struct Item {
        #[serde(rename = "price")]
        _price: f64,
        #[serde(default, rename = "sizes")]
        _sizes: (u8, u8),
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        #[serde(rename = "letter")]
        Letter,
        #[serde(rename = "box")]
        Box {
            #[serde(rename = "litres")]
            _litres: u32,
        },
    }

    /// What is said of a value that is no parcel.
    fn told(value: &str) -> String {
        let error = serde_json::from_str::<Parcel>(value).expect_err(value);
        match of::<Parcel>(value.as_bytes(), &error) {
            DecodeError::Failed(failure) => failure.detail,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn json_of_another_shape_names_the_field_in_the_words_of_the_type_and_never_the_value() {
        for (value, what) in [
            ("{}", "column 2: field grams is missing"),
            (r#"{"grams": 1, "grams": 2}"#, ": field grams is there twice"),
            (r#"{"grams": "s3cret"}"#, ": grams: string where u32 is expected"),
            (r#"{"grams": -4711}"#, ": grams: integer where u32 is expected"),
            (r#"{"s3cret": 1}"#, ": it does not fit the type"),
            // A type whose fields have names also reads them by their places.
            (r#"["s3cret"]"#, ": [0]: string where u32 is expected"),
            (
                r#"{"grams": 1, "sender": {"street": 4711}}"#,
                ": sender.street: integer where a string is expected",
            ),
            (r#"{"grams": 1, "sender": {}}"#, ": field sender.street is missing"),
            (
                r#"{"grams": 1, "items": [{"price": 1}, {"price": "s3cret"}]}"#,
                ": items[1].price: string where f64 is expected",
            ),
            (r#"{"grams": 1, "items": [{}]}"#, ": field items[0].price is missing"),
            (
                r#"{"grams": 1, "items": [{"price": 1, "sizes": [1, 300]}]}"#,
                ": items[0].sizes[1]: integer where u8 is expected",
            ),
        ] {
            let told = told(value);
            assert!(told.ends_with(what), "{told}");
            assert!(!told.contains("s3cret") && !told.contains("4711"), "{told}");
        }
    }

    #[test]
    fn a_key_that_is_the_values_own_is_not_told_and_its_place_is() {
        for (value, what) in [
            (
                r#"{"grams": 1, "labels": {"s3cret": {"price": null}}}"#,
                ": labels.*.price: null where f64 is expected",
            ),
            (
                // Also where it is called as a field is.
                r#"{"grams": 1, "labels": {"price": 4711}}"#,
                ": labels.*: integer where struct Item is expected",
            ),
            (r#"{"grams": 1, "codes": {"s3cret": 1}}"#, ": it does not fit the type"),
            (r#"{"grams": 1, "codes": {"4711": "s3cret"}}"#, ": string where u8 is expected"),
            (
                r#"{"grams": 1, "kind": {"box": {"litres": "s3cret"}}}"#,
                ": kind: string where u32 is expected",
            ),
            (r#"{"grams": 1, "kind": "s3cret"}"#, ": kind: it does not fit the type"),
        ] {
            let told = told(value);
            assert!(told.ends_with(what), "{told}");
            assert!(!told.contains("s3cret") && !told.contains("4711"), "{told}");
        }
        let fine = r#"{"grams": 1, "kind": "letter", "codes": {"7": 1}}"#;
        assert!(serde_json::from_str::<Parcel>(fine).is_ok());
    }
}
