//! Schemas as registries deliver them: what can be laid out is read, however it is spelled.

use codec::decode::Decoder;
use codec::encode::Encoder;
use codec::frame;
use codec::resolver::SchemaResolver;
use order_schemas::{ORDER_V1, OrderRecord};
use orders::Order;
use serde_json::Value;

/// Schemas that other libraries refuse for a name or a default, each an order and perhaps fields that we skip.
const DELIVERED: &str = include_str!("../data/writer-schemas.json");

/// Bytes of the fields behind the three of an order.
fn rest_of(name: &str) -> &'static [u8] {
    match name {
        "hyphen in a nested namespace" | "default of another type" => &[2],
        "default lacks a field" => b"\x02x",
        _ => &[],
    }
}

#[test]
fn orders_of_schemas_with_odd_names_and_defaults_are_read() {
    let schemas: serde_json::Map<String, Value> = serde_json::from_str(DELIVERED).unwrap();
    assert!(schemas.len() >= 4);
    for (name, schema) in schemas {
        let resolver = SchemaResolver::offline();
        resolver.insert(7, &schema.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let order = Order::new("o-1", "burger", 12.5);
        let mut value = Vec::new();
        Encoder::<OrderRecord>::with_schema(ORDER_V1, 7).unwrap().encode_into(&mut value, &order);
        assert_eq!(frame::schema_id(Some(&value)), Some(7));
        value.extend_from_slice(rest_of(&name));
        assert_eq!(Decoder::<OrderRecord>::new(resolver).decode(Some(&value)), Ok(order), "{name}");
    }
}
