//! Values of any schema: what apache-avro writes is read as serde types, and hostile bytes are refused.

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use codec::any::AnyDecoder;
use codec::decode::DecodeError;
use codec::resolver::SchemaResolver;
use pipeline::failure::{Failure, FailureReason};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

const ID: u32 = 7;

const VISIT: &str = r#"{"type": "record", "name": "Visit", "namespace": "web", "fields": [
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "unused", "type": {"type": "map", "values": {"type": "array", "items": "double"}}},
    {"name": "page", "type": {"type": "record", "name": "Page", "fields": [
        {"name": "url", "type": "string"},
        {"name": "size", "type": ["null", "int"]},
        {"name": "parent", "type": ["null", "Page"]}]}},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["VIEW", "CLICK"]}},
    {"name": "tags", "type": {"type": "map", "values": "string"}},
    {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
    {"name": "weights", "type": {"type": "array", "items": "float"}},
    {"name": "detail", "type": ["string", "long"]}]}"#;

#[derive(Debug, PartialEq, Deserialize)]
struct Page {
    url: String,
    size: Option<u32>,
    parent: Option<Box<Page>>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    View,
    Click,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Detail {
    Text(String),
    Number(i64),
}

#[derive(Debug, PartialEq, Deserialize)]
struct Millis(i64);

#[derive(Debug, PartialEq, Deserialize)]
struct Visit {
    at: Millis,
    page: Page,
    kind: Kind,
    tags: BTreeMap<String, String>,
    hash: [u8; 4],
    weights: Vec<f64>,
    detail: Detail,
    #[serde(default)]
    added_later: bool,
}

fn value(kind: &str, detail: Value) -> Value {
    let record = |fields: Vec<(&str, Value)>| {
        Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let some = |branch, value| Value::Union(branch, Box::new(value));
    let page = |url: &str, size, parent| {
        record(vec![("url", Value::String(url.to_owned())), ("size", size), ("parent", parent)])
    };
    let parent = page("/", some(0, Value::Null), some(0, Value::Null));
    let branch = u32::from(!matches!(detail, Value::String(_)));
    record(vec![
        ("at", Value::TimestampMillis(1_700_000_000_000)),
        ("unused", Value::Map([("a".to_owned(), Value::Array(vec![Value::Double(0.5)]))].into())),
        ("page", page("/orders", some(1, Value::Int(12)), some(1, parent))),
        ("kind", Value::Enum(u32::from(kind == "CLICK"), kind.to_owned())),
        ("tags", Value::Map([("lang".to_owned(), Value::String("de".to_owned()))].into())),
        ("hash", Value::Fixed(4, vec![1, 2, 3, 4])),
        ("weights", Value::Array(vec![Value::Float(0.25), Value::Float(-2.0)])),
        ("detail", some(branch, detail)),
    ])
}

fn framed(schema: &str, value: Value) -> Vec<u8> {
    let schema = Schema::parse_str(schema).unwrap();
    let mut framed = codec::frame::header(ID).to_vec();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    framed.extend(writer.write_value_to_vec(value).unwrap());
    framed
}

fn decode<T: DeserializeOwned>(schema: &str, framed: &[u8]) -> Result<T, Failure> {
    let resolver = SchemaResolver::offline();
    resolver.insert(ID, schema).unwrap();
    AnyDecoder::new(resolver).decode(Some(framed)).map_err(|error| match error {
        DecodeError::Failed(failure) => failure,
        other @ DecodeError::Unresolved { .. } => panic!("{other}"),
    })
}

#[test]
fn a_nested_value_is_read_as_it_was_written() {
    for (kind, wanted, detail, number) in [
        ("VIEW", Kind::View, Value::String("x".to_owned()), Detail::Text("x".to_owned())),
        ("CLICK", Kind::Click, Value::Long(-3), Detail::Number(-3)),
    ] {
        let visit: Visit = decode(VISIT, &framed(VISIT, value(kind, detail))).unwrap();
        let parent = Page { url: "/".to_owned(), size: None, parent: None };
        let page =
            Page { url: "/orders".to_owned(), size: Some(12), parent: Some(Box::new(parent)) };
        let wanted = Visit {
            at: Millis(1_700_000_000_000),
            page,
            kind: wanted,
            tags: BTreeMap::from([("lang".to_owned(), "de".to_owned())]),
            hash: [1, 2, 3, 4],
            weights: vec![0.25, -2.0],
            detail: number,
            added_later: false,
        };
        assert_eq!(visit, wanted);
    }
}

#[test]
fn a_value_without_a_record_around_it_is_read_too() {
    assert_eq!(decode::<i64>("\"int\"", &framed("\"int\"", Value::Int(-7))), Ok(-7));
    let all = r#"{"type": "array", "items": ["null", "string"]}"#;
    let items = vec![
        Value::Union(0, Box::new(Value::Null)),
        Value::Union(1, Box::new(Value::String("a".to_owned()))),
    ];
    let read = decode::<Vec<Option<String>>>(all, &framed(all, Value::Array(items)));
    assert_eq!(read, Ok(vec![None, Some("a".to_owned())]));
}

#[test]
fn blocks_with_their_size_are_read() {
    let longs = r#"{"type": "array", "items": "long"}"#;
    // Two blocks: two items in two bytes, and one.
    let value = [0, 0, 0, 0, 7, 3, 4, 2, 4, 2, 6, 0];
    assert_eq!(decode::<Vec<i64>>(longs, &value), Ok(vec![1, 2, 3]));
}

#[test]
fn a_tuple_takes_an_array_of_its_length_and_what_follows_it_is_read_as_it_was_written() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Place {
        point: (f64, f64),
        n: i64,
    }
    let schema = r#"{"type": "record", "name": "Place", "fields": [
        {"name": "point", "type": {"type": "array", "items": "double"}}, {"name": "n", "type": "long"}]}"#;
    let place = |numbers: &[f64]| {
        let point = Value::Array(numbers.iter().map(|number| Value::Double(*number)).collect());
        let fields = vec![("point".to_owned(), point), ("n".to_owned(), Value::Long(7))];
        decode::<Place>(schema, &framed(schema, Value::Record(fields)))
    };
    assert_eq!(place(&[0.5, 2.0]), Ok(Place { point: (0.5, 2.0), n: 7 }));
    for numbers in [&[0.5][..], &[0.5, 2.0, 3.0]] {
        let failure = place(numbers).unwrap_err();
        assert_eq!(failure.reason, FailureReason::CannotResolve, "{numbers:?}: {failure:?}");
    }
    let six = [0, 0, 0, 0, 7, 12, 1, 2, 3, 4, 5, 6];
    let failure = decode::<[u8; 4]>("\"bytes\"", &six).unwrap_err();
    assert_eq!(failure.reason, FailureReason::CannotResolve);
    assert_eq!(decode::<[u8; 6]>("\"bytes\"", &six), Ok([1, 2, 3, 4, 5, 6]));
}

#[test]
fn what_does_not_fit_the_type_names_the_types_and_never_the_value() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "it is never read")]
    struct Wrong {
        page: Page,
        missing: String,
    }
    let secret = framed(VISIT, value("VIEW", Value::String("s3cret".to_owned())));
    let failure = decode::<Wrong>(VISIT, &secret).unwrap_err();
    assert_eq!(failure.reason, FailureReason::CannotResolve);
    assert!(failure.detail.contains("missing"), "{failure:?}");
    let failure = decode::<u8>("\"string\"", &[0, 0, 0, 0, 7, 12, 115, 51, 99, 114, 101, 116]);
    let failure = failure.unwrap_err();
    assert_eq!(failure.detail, "a string where u8 is expected");
    #[derive(Debug, Deserialize)]
    enum Other {
        Elsewhere,
    }
    let text = framed("\"string\"", Value::String("s3cret".to_owned()));
    let failure = decode::<Other>("\"string\"", &text).unwrap_err();
    assert!(!failure.detail.contains("s3cret"), "{failure:?}");
}

#[test]
fn hostile_bytes_are_refused_before_they_cost_memory_or_stack() {
    let nulls = r#"{"type": "array", "items": "null"}"#;
    let many = [0, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let failure = decode::<Vec<()>>(nulls, &many).unwrap_err();
    assert_eq!(failure.reason, FailureReason::AvroDecode);
    let list =
        r#"{"type": "record", "name": "L", "fields": [{"name": "n", "type": ["null", "L"]}]}"#;
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "it is never read")]
    struct List {
        n: Option<Box<List>>,
    }
    let deep = [vec![0, 0, 0, 0, 7], vec![2; 100_000], vec![0]].concat();
    let failure = decode::<List>(list, &deep).unwrap_err();
    assert_eq!(failure.reason, FailureReason::AvroDecode, "{failure:?}");
    let good = framed(VISIT, value("VIEW", Value::Long(1)));
    for end in 5..good.len() {
        let failure = decode::<Visit>(VISIT, &good[..end]).unwrap_err();
        assert_eq!(failure.reason, FailureReason::AvroDecode, "{end}: {failure:?}");
    }
    let failure = decode::<Visit>(VISIT, &[good.as_slice(), &[0]].concat()).unwrap_err();
    assert_eq!(failure.reason, FailureReason::TrailingBytes);
    let failure = decode::<String>("\"string\"", &[0, 0, 0, 0, 7, 2, 0xff]).unwrap_err();
    assert_eq!(failure.reason, FailureReason::AvroDecode);
}
