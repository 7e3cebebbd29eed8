//! What is reported is what lies in the topic.

use std::collections::BTreeMap;
use std::time::Duration;

use codec::decode::Decoder;
use codec::frame;
use codec::resolver::SchemaResolver;
use order_schemas::OrderRecord;
use orders::Order;
use producer::generate::{Generator, GeneratorSettings};
use producer::source::Defect;
use serde_json::{Value, json};

use crate::harness::{Record, records, run, topic};

/// Decodes records that were written with `schema`.
fn decoded(records: &[Record], schema: &str) -> Vec<Order> {
    let resolver = SchemaResolver::offline();
    let id = frame::schema_id(records[0].value.as_deref()).expect("a frame");
    resolver.insert(id, schema).expect("our own schema");
    let mut decoder = Decoder::<OrderRecord>::new(resolver);
    records.iter().map(|record| decoder.decode(record.value.as_deref()).unwrap()).collect()
}

#[test]
fn every_delivery_line_is_a_record_and_every_record_has_its_line() {
    let topic = topic(3);
    let args = ["--topic", &topic, "--count", "500", "--interval", "0ms", "--seed", "11"];
    let finished = run(&[&args[..], &["-o", "jsonl", "--key", "order-id"]].concat());
    finished.expect_code(0);
    let records = records(&topic);
    let orders = decoded(&records, order_schemas::ORDER_V1);
    let place = |line: &Value| (line["partition"].as_i64(), line["offset"].as_i64());
    let mut lines = finished.json_lines();
    lines.sort_by_key(place);
    let expected: Vec<Value> = records
        .iter()
        .zip(&orders)
        .map(|(record, order)| {
            json!({"partition": record.partition, "offset": record.offset, "key": record.key,
                   "order_id": order.order_id})
        })
        .collect();
    assert_eq!(lines, expected);
    assert_eq!(records.len(), 500);
    assert!(records.iter().zip(&orders).all(|(record, order)| record.key == order.order_id));
    let partitions: Vec<i32> = records.iter().map(|record| record.partition).collect();
    assert!((0..3).all(|partition| partitions.contains(&partition)));
    assert!(finished.stderr.contains("sent 500, acknowledged 500, failed 0"), "{finished:?}");
}

#[test]
fn the_same_seed_sends_the_same_orders() {
    let sent = |seed: &str| {
        let topic = topic(3);
        let args = ["--topic", &topic, "--count", "200", "--interval", "0ms", "--quiet"];
        let finished = run(&[&args[..], &["--seed", seed]].concat());
        finished.expect_code(0);
        assert_eq!(finished.stdout, "sent 200, acknowledged 200, failed 0");
        let body = |record: Record| (record.partition, record.offset, record.key, record.value);
        records(&topic).into_iter().map(body).collect::<Vec<_>>()
    };
    assert_eq!(sent("5"), sent("5"));
    assert_ne!(sent("5"), sent("6"));
}

#[test]
fn planted_bad_orders_are_those_that_the_seed_says() {
    let topic = topic(1);
    let args = ["--topic", &topic, "--count", "1000", "--interval", "0ms", "--seed", "3", "-q"];
    let rates = ["--negative-rate", "0.1", "--malformed-rate", "0.05", "--products", "7"];
    run(&[&args[..], &rates].concat()).expect_code(0);
    let settings = GeneratorSettings {
        negative_rate: 0.1,
        malformed_rate: 0.05,
        products: 7.try_into().unwrap(),
        ..GeneratorSettings::with_seed(3)
    };
    let expected: Vec<_> = Generator::new(settings).take(1_000).collect();
    let records = records(&topic);
    let resolver = SchemaResolver::offline();
    let id = records
        .iter()
        .find_map(|record| frame::schema_id(record.value.as_deref()).filter(|id| *id > 0))
        .unwrap();
    resolver.insert(id, order_schemas::ORDER_V1).unwrap();
    let mut decoder = Decoder::<OrderRecord>::new(resolver);
    let mut defects: BTreeMap<String, usize> = BTreeMap::new();
    // One partition keeps the order of sending.
    for (record, expected) in records.iter().zip(&expected) {
        let decoded = decoder.decode(record.value.as_deref());
        match expected.defect {
            None => {
                let order = decoded.unwrap();
                assert_eq!(order.order_id, expected.order.order_id);
                assert_eq!(order.price.to_bits(), expected.order.price.to_bits());
            }
            Some(defect) => {
                assert!(decoded.is_err(), "{defect:?} {record:?}");
                *defects.entry(format!("{defect:?}")).or_default() += 1;
            }
        }
    }
    assert_eq!((records.len(), defects.len()), (1_000, Defect::ALL.len()), "{defects:?}");
    assert!(expected.iter().any(|outgoing| outgoing.order.price < 0.0));
}

#[test]
fn schema_version_two_carries_user_quantity_and_time() {
    let topic = topic(1);
    let args = ["--topic", &topic, "--count", "10", "--interval", "0ms", "-q"];
    run(&[&args[..], &["--schema-version", "2"]].concat()).expect_code(0);
    for order in decoded(&records(&topic), order_schemas::ORDER_V2) {
        assert!(order.user_id.is_some() && order.created_at_ms.is_some(), "{order:?}");
        assert!((1..=5).contains(&order.quantity), "{order:?}");
    }
}

#[test]
fn a_rate_is_kept() {
    let topic = topic(1);
    let args = ["--topic", &topic, "--rate", "20/s", "--count", "41", "-q"];
    let finished = run(&args);
    finished.expect_code(0);
    let range = Duration::from_secs(2)..Duration::from_secs(10);
    assert!(range.contains(&finished.duration), "{finished:?}");
}

#[test]
fn json_output_is_one_object_with_the_numbers() {
    let topic = topic(1);
    let args = ["--topic", &topic, "--count", "7", "--interval", "0ms", "--seed", "1"];
    let finished = run(&[&args[..], &["-o", "json"]].concat());
    finished.expect_code(0);
    let expected = json!({"sent": 7, "acknowledged": 7, "failed": 0, "rejected": 0, "seed": 1});
    assert_eq!(finished.json_lines(), [expected]);
}
