//! Schema resolution agrees with apache-avro's where that is right, and with the
//! specification where it is not.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema_compatibility::SchemaCompatibility;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema};
use codec::decode::{DecodeError, Decoder};
use codec::frame;
use codec::resolver::SchemaResolver;
use codec::scalar::{AvroRecord, OutOfRange, Scalar};
use order_schemas::{ORDER_V1, ORDER_V2, OrderRecord};
use orders::Order;
use pipeline::failure::FailureReason;
use proptest::prelude::*;

use crate::decoding::any_order;

/// A record that keeps its fields as they come, one for each scalar type.
#[derive(Debug, PartialEq)]
struct Anything([String; 8]);

impl AvroRecord for Anything {
    type Value = Self;
    const SCHEMA: &'static str = r#"{
        "type": "record", "name": "Anything", "fields": [
            {"name": "long", "type": "long", "default": -1},
            {"name": "float", "type": "float", "default": 0.5},
            {"name": "double", "type": "double", "default": 0.25},
            {"name": "text", "type": "string", "default": "none", "aliases": ["words"]},
            {"name": "maybe", "type": ["null", "long"], "default": null},
            {"name": "color", "type": {
                "type": "enum", "name": "Color", "symbols": ["RED", "GREEN", "OTHER"], "default": "OTHER"
            }, "default": "RED"},
            {"name": "yes", "type": "boolean", "default": true},
            {"name": "blob", "type": ["bytes", "null"], "default": null}
        ]
    }"#;

    fn blank() -> Self {
        Self(Default::default())
    }

    fn set(value: &mut Self, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange> {
        assert_eq!(value.0[index], "", "each field is set once");
        value.0[index] = format!("{scalar:?}");
        Ok(())
    }
}

fn decode<T: AvroRecord>(writer: &str, datum: &[u8]) -> Result<T::Value, DecodeError> {
    let resolver = SchemaResolver::offline();
    resolver.insert(1, writer).unwrap();
    let value = [frame::header(1).as_slice(), datum].concat();
    Decoder::<T>::new(resolver).decode(Some(&value))
}

fn written(schema: &str, value: Value) -> Vec<u8> {
    let schema = Schema::parse_str(schema).unwrap();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

/// A writer schema with one field.
fn writer_of(field: &str, avro_type: &str) -> String {
    format!(
        r#"{{"type":"record","name":"Anything","fields":[{{"name":"{field}","type":{avro_type}}}]}}"#
    )
}

#[track_caller]
fn check(field: &str, avro_type: &str, value: Value, index: usize, expected: &str) {
    let schema = writer_of(field, avro_type);
    let datum = written(&schema, Value::Record(vec![(field.to_owned(), value)]));
    let Anything(found) = decode::<Anything>(&schema, &datum).unwrap();
    assert_eq!(found[index], expected);
}

#[test]
fn what_the_writer_lacks_is_filled_with_the_readers_defaults() {
    let empty = r#"{"type":"record","name":"Anything","fields":[]}"#;
    let Anything(found) = decode::<Anything>(empty, &[]).unwrap();
    let expected = [
        "Long(-1)",
        "Float(0.5)",
        "Double(0.25)",
        "String(\"none\")",
        "Null",
        "Symbol(0)",
        "Boolean(true)",
        "Null",
    ];
    assert_eq!(found, expected);
}

#[test]
fn numbers_are_widened() {
    check("long", "\"int\"", Value::Int(7), 0, "Long(7)");
    check("float", "\"int\"", Value::Int(7), 1, "Float(7.0)");
    check("float", "\"long\"", Value::Long(7), 1, "Float(7.0)");
    check("double", "\"int\"", Value::Int(7), 2, "Double(7.0)");
    check("double", "\"long\"", Value::Long(7), 2, "Double(7.0)");
    check("double", "\"float\"", Value::Float(0.5), 2, "Double(0.5)");
}

#[test]
fn strings_and_bytes_are_read_as_each_other() {
    check("text", "\"bytes\"", Value::Bytes(b"abc".to_vec()), 3, "String(\"abc\")");
    check("blob", "\"string\"", Value::String("a".to_owned()), 7, "Bytes([97])");
    let schema = writer_of("text", "\"bytes\"");
    let error = decode::<Anything>(&schema, &[2, 0xff]).unwrap_err();
    let DecodeError::Failed(failure) = error else { panic!("{error:?}") };
    assert_eq!(failure.reason, FailureReason::AvroDecode);
}

#[test]
fn a_field_is_found_by_the_readers_alias() {
    check("words", "\"string\"", Value::String("a".to_owned()), 3, "String(\"a\")");
}

#[test]
fn a_plain_writer_is_read_as_nullable_and_a_nullable_one_as_plain() {
    check("maybe", "\"long\"", Value::Long(7), 4, "Long(7)");
    check("maybe", "\"int\"", Value::Int(7), 4, "Long(7)");
    check("maybe", "\"null\"", Value::Null, 4, "Null");
    let both = r#"["null","long"]"#;
    check("long", both, Value::Union(1, Box::new(Value::Long(7))), 0, "Long(7)");
    let schema = writer_of("long", both);
    // The null branch: right bytes, but no long to be had.
    let error = decode::<Anything>(&schema, &[0]).unwrap_err();
    let DecodeError::Failed(failure) = error else { panic!("{error:?}") };
    assert_eq!(failure.reason, FailureReason::CannotResolve);
}

#[test]
fn enums_are_read_by_symbol_and_an_unknown_one_as_the_default() {
    let color = r#"{"type":"enum","name":"shop.Color","symbols":["BLUE","GREEN"]}"#;
    check("color", color, Value::Enum(1, "GREEN".to_owned()), 5, "Symbol(1)");
    check("color", color, Value::Enum(0, "BLUE".to_owned()), 5, "Symbol(2)");
}

#[test]
fn a_union_of_records_is_read_where_it_is_ours() {
    let schema = format!(
        r#"[{{"type":"record","name":"Other","fields":[]}},{}]"#,
        writer_of("long", "\"long\"")
    );
    let Anything(found) = decode::<Anything>(&schema, &[2, 14]).unwrap();
    assert_eq!(found[0], "Long(7)");
    let error = decode::<Anything>(&schema, &[0]).unwrap_err();
    let DecodeError::Failed(failure) = error else { panic!("{error:?}") };
    assert_eq!(failure.reason, FailureReason::CannotResolve);
}

#[test]
fn whether_two_types_resolve_is_as_apache_avro_says() {
    let types = [
        "\"null\"",
        "\"boolean\"",
        "\"int\"",
        "\"long\"",
        "\"float\"",
        "\"double\"",
        "\"bytes\"",
        "\"string\"",
        r#"["null","long"]"#,
        r#"["string","double"]"#,
        r#"{"type":"array","items":"long"}"#,
        r#"{"type":"map","values":"long"}"#,
        r#"{"type":"fixed","name":"F","size":4}"#,
        r#"{"type":"enum","name":"Color","symbols":["RED"]}"#,
        r#"{"type":"enum","name":"Size","symbols":["RED"]}"#,
    ];
    let reader = Schema::parse_str(Anything::SCHEMA).unwrap();
    for field in ["long", "float", "double", "text", "maybe", "color", "yes", "blob"] {
        for avro_type in types {
            let writer = writer_of(field, avro_type);
            let theirs =
                SchemaCompatibility::can_read(&Schema::parse_str(&writer).unwrap(), &reader);
            let ours = decode::<Anything>(&writer, &[]);
            let refused = matches!(
                &ours,
                Err(DecodeError::Failed(failure)) if failure.reason == FailureReason::CannotResolve
            );
            assert_eq!(refused, theirs.is_err(), "{field} {avro_type}: {ours:?}, {theirs:?}");
        }
    }
}

#[test]
fn a_logical_type_is_not_read_as_another() {
    let micros = r#"{"type":"long","logicalType":"timestamp-micros"}"#;
    let nullable = r#"["null",{"type":"long","logicalType":"timestamp-millis"}]"#;
    let schema = ORDER_V2.replace("timestamp-millis", "timestamp-micros");
    assert!(schema.contains("micros") && !nullable.contains("micros") && micros.contains("micros"));
    let datum = written(
        ORDER_V1,
        Value::Record(vec![
            ("orderId".to_owned(), Value::String("o".to_owned())),
            ("product".to_owned(), Value::String("p".to_owned())),
            ("price".to_owned(), Value::Float(1.0)),
        ]),
    );
    // userId null, quantity 1, createdAt in microseconds.
    let datum = [datum.as_slice(), &[0, 2, 2, 14]].concat();
    let error = decode::<OrderRecord>(&schema, &datum).unwrap_err();
    let DecodeError::Failed(failure) = error else { panic!("{error:?}") };
    assert_eq!(failure.reason, FailureReason::CannotResolve);
}

/// What a writer could have added: values of types that nobody reads.
const EXTRAS: &str = r#"[
    {"name": "null", "type": "null"},
    {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": "string"}}},
    {"name": "tree", "type": {"type": "record", "name": "Tree", "fields": [
        {"name": "size", "type": "double"},
        {"name": "branches", "type": {"type": "array", "items": "Tree"}}
    ]}},
    {"name": "again", "type": ["null", "Tree"]},
    {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 3}},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
    {"name": "net", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}
]"#;

fn any_tree() -> impl Strategy<Value = Value> {
    let node = |branches: Vec<Value>| {
        Value::Record(vec![
            ("size".to_owned(), Value::Double(1.5)),
            ("branches".to_owned(), Value::Array(branches)),
        ])
    };
    let leaf = Just(node(Vec::new()));
    leaf.prop_recursive(4, 20, 3, move |tree| prop::collection::vec(tree, 0..3).prop_map(node))
}

fn any_extras() -> impl Strategy<Value = Vec<Value>> {
    let words = prop::collection::vec(".{0,5}".prop_map(Value::String), 0..4);
    let tags = prop::collection::hash_map("[a-z]{1,3}", words.prop_map(Value::Array), 0..3);
    (tags, any_tree(), proptest::option::of(any_tree()), any::<bool>(), any::<[u8; 3]>()).prop_map(
        |(tags, tree, again, is_b, hash)| {
            vec![
                Value::Null,
                Value::Map(tags),
                tree,
                again.map_or(Value::Union(0, Box::new(Value::Null)), |tree| {
                    Value::Union(1, Box::new(tree))
                }),
                Value::Fixed(3, hash.to_vec()),
                Value::Enum(u32::from(is_b), if is_b { "B" } else { "A" }.to_owned()),
                Value::Decimal(Decimal::from(vec![1, 2])),
            ]
        },
    )
}

/// A writer schema of fields in any order, some of ours left out, and a value of it.
fn any_writer() -> impl Strategy<Value = (String, Value, Order)> {
    let fields = {
        let mut fields = field_list(ORDER_V2);
        fields.extend(serde_json::from_str::<Vec<serde_json::Value>>(EXTRAS).unwrap());
        fields
    };
    let without = prop::collection::vec(any::<bool>(), 3);
    (any_order(), any_extras(), without, Just(fields).prop_shuffle()).prop_filter_map(
        "a name is used before it is defined",
        |(order, extras, without, fields)| {
            let names: Vec<_> = fields.iter().map(|field| field["name"].clone()).collect();
            let place = |name: &str| names.iter().position(|known| known == name);
            (place("tree") < place("again")).then_some(())?;
            let mut kept = order.clone();
            let mut schema_fields = Vec::new();
            let mut record = Vec::new();
            for field in fields {
                let name = field["name"].as_str().unwrap().to_owned();
                let value = match name.as_str() {
                    "userId" if without[0] => {
                        kept.user_id = None;
                        continue;
                    }
                    "quantity" if without[1] => {
                        kept.quantity = 1;
                        continue;
                    }
                    "createdAt" if without[2] => {
                        kept.created_at_ms = None;
                        continue;
                    }
                    name => value_of(name, &order, &extras),
                };
                schema_fields.push(field);
                record.push((name, value));
            }
            let schema = serde_json::json!({
                "type": "record", "name": "Order", "namespace": "com.example.elsewhere",
                "fields": schema_fields,
            });
            Some((schema.to_string(), Value::Record(record), kept))
        },
    )
}

fn field_list(schema: &str) -> Vec<serde_json::Value> {
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    schema["fields"].as_array().unwrap().clone()
}

fn value_of(name: &str, order: &Order, extras: &[Value]) -> Value {
    let nullable = |value: Option<Value>| match value {
        Some(value) => Value::Union(1, Box::new(value)),
        None => Value::Union(0, Box::new(Value::Null)),
    };
    match name {
        "orderId" => Value::String(order.order_id.clone()),
        "product" => Value::String(order.product.clone()),
        "price" => Value::Float(order.price),
        "userId" => nullable(order.user_id.clone().map(Value::String)),
        "quantity" => Value::Int(order.quantity),
        "createdAt" => nullable(order.created_at_ms.map(Value::TimestampMillis)),
        extra => {
            let names = ["null", "tags", "tree", "again", "hash", "kind", "net"];
            extras[names.iter().position(|known| *known == extra).unwrap()].clone()
        }
    }
}

/// The order in apache-avro's resolved value.
fn order_of(value: Value) -> Order {
    let Value::Record(fields) = value else { panic!("{value:?}") };
    let mut order = Order::new("", "", 0.0);
    for (name, value) in fields {
        let value = match value {
            Value::Union(_, value) => *value,
            value => value,
        };
        match (name.as_str(), value) {
            ("orderId", Value::String(text)) => order.order_id = text,
            ("product", Value::String(text)) => order.product = text,
            ("price", Value::Float(price)) => order.price = price,
            ("userId", Value::String(text)) => order.user_id = Some(text),
            ("userId" | "createdAt", Value::Null) => {}
            ("quantity", Value::Int(quantity)) => order.quantity = quantity,
            ("createdAt", Value::TimestampMillis(ms)) => order.created_at_ms = Some(ms),
            (name, value) => panic!("{name}: {value:?}"),
        }
    }
    order
}

proptest! {
    #[test]
    fn any_writer_is_read_as_apache_avro_resolves_it((schema, value, expected) in any_writer()) {
        let datum = written(&schema, value);
        prop_assert_eq!(decode::<OrderRecord>(&schema, &datum), Ok(expected.clone()));

        let writer = Schema::parse_str(&schema).unwrap();
        let reader = Schema::parse_str(ORDER_V2).unwrap();
        let resolving =
            GenericDatumReader::builder(&writer).reader_schema(&reader).build().unwrap();
        let value = resolving.read_value(&mut datum.as_slice()).unwrap();
        prop_assert_eq!(order_of(value), expected);
    }

    #[test]
    fn what_is_cut_off_anywhere_is_refused((schema, value, _) in any_writer(), cut in any::<prop::sample::Index>()) {
        let datum = written(&schema, value);
        let cut = cut.index(datum.len());
        let error = decode::<OrderRecord>(&schema, &datum[..cut]).unwrap_err();
        let DecodeError::Failed(failure) = error else { panic!("{error:?}") };
        prop_assert_eq!(failure.reason, FailureReason::AvroDecode);
    }

    #[test]
    fn what_is_written_here_apache_avro_reads(order in any_order()) {
        let mut value = Vec::new();
        codec::encode::Encoder::<OrderRecord>::with_id(1).encode_into(&mut value, &order);
        let schema = Schema::parse_str(ORDER_V2).unwrap();
        let reader = GenericDatumReader::builder(&schema).build().unwrap();
        let mut datum = &value[frame::HEADER_BYTES..];
        prop_assert_eq!(order_of(reader.read_value(&mut datum).unwrap()), order);
        prop_assert_eq!(datum.len(), 0);
    }
}
