//! With a known plan, decoding allocates what the record owns and encoding nothing.

use allocations::allocations;
use codec::decode::Decoder;
use codec::encode::Encoder;
use codec::resolver::SchemaResolver;
use order_schemas::{ORDER_V1, ORDER_V2, OrderRecord};
use order_schemas::{OrderOutcome, OrderOutcomeRef, Outcome, ProductAverage, ProductAverageRef};
use orders::{Amount, Order, average, simulate, validate};

/// Writers of version 2, of version 1, and of a version that adds what nobody reads.
fn writers() -> [(u32, String); 3] {
    let extra = r#"{"name":"extra","type":{"type":"map","values":["null","string"]}}"#;
    let later = ORDER_V1.replace(
        r#"{"name": "price", "type": "float"}"#,
        &format!(r#"{{"name": "price", "type": "float"}},{extra}"#),
    );
    assert_ne!(later, ORDER_V1);
    [(1, ORDER_V1.to_owned()), (2, ORDER_V2.to_owned()), (3, later)]
}

fn values() -> [Vec<u8>; 3] {
    let order = Order {
        user_id: Some("user-1".to_owned()),
        quantity: 2,
        created_at_ms: Some(1),
        ..Order::new("order-1", "burger", 12.35)
    };
    let [mut v1, mut v2] = [Vec::new(), Vec::new()];
    Encoder::<OrderRecord>::with_schema(ORDER_V1, 1).unwrap().encode_into(&mut v1, &order);
    Encoder::<OrderRecord>::with_id(2).encode_into(&mut v2, &order);
    // One block of two entries: "a" to "text", "b" to null.
    let mut later = [v1.as_slice(), b"\x04\x02a\x02\x08text\x02b\x00\x00"].concat();
    later[4] = 3;
    [v1, v2, later]
}

#[test]
fn decoding_with_a_known_plan_allocates_the_owned_strings_only() {
    let resolver = SchemaResolver::offline();
    for (id, schema) in writers() {
        resolver.insert(id, &schema).unwrap();
    }
    let mut decoder = Decoder::<OrderRecord>::new(resolver);
    for (value, strings) in values().iter().zip([2, 3, 2]) {
        decoder.decode(Some(value)).unwrap();
        let found = allocations(|| drop(decoder.decode(Some(value)).unwrap()));
        assert_eq!(found, strings);
    }
    // Alternating writers, too: each plan is found again.
    let twice = [values(), values()].concat();
    let found = allocations(|| {
        for value in &twice {
            drop(decoder.decode(Some(value)).unwrap());
        }
    });
    assert_eq!(found, 2 * (2 + 3 + 2));
}

#[test]
fn validating_and_adding_up_allocates_nothing() {
    let order = Order::new("order-1", "burger", 12.35);
    let mut sum = Amount::ZERO;
    let found = allocations(|| {
        sum += validate(&order).unwrap();
        assert!(average(sum, 1).is_some());
        simulate::fails(&order.order_id, 1, 42, 1, 0.5);
    });
    assert_eq!(found, 0);
}

#[test]
fn encoding_into_a_buffer_that_is_large_enough_allocates_nothing() {
    let [order, average, outcome] = [
        Encoder::<OrderRecord>::with_id(1).schema_id(),
        Encoder::<ProductAverage>::with_id(2).schema_id(),
        Encoder::<OrderOutcome>::with_id(3).schema_id(),
    ];
    let orders = Encoder::<OrderRecord>::with_id(order);
    let averages = Encoder::<ProductAverage>::with_id(average);
    let outcomes = Encoder::<OrderOutcome>::with_id(outcome);
    let order = Order::new("order-1", "burger", 12.35);
    let average = ProductAverageRef {
        product: "burger",
        count: 7,
        sum: Amount::from_ten_thousandths(-1),
        average: 1.5,
        updated_at_ms: 1,
    };
    let outcome = OrderOutcomeRef {
        order_id: "order-1",
        product: "burger",
        origin_partition: 1,
        origin_offset: 2,
        attempt: 3,
        outcome: Outcome::Retried,
        failure_class: Some("transient"),
        settled_at_ms: 4,
    };
    let mut buffer = Vec::with_capacity(1_024);
    let found = allocations(|| {
        orders.encode_into(&mut buffer, &order);
        averages.encode_into(&mut buffer, &average);
        outcomes.encode_into(&mut buffer, &outcome);
    });
    assert_eq!(found, 0);
    assert!(!buffer.is_empty());
}
