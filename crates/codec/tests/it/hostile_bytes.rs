//! Nothing that stands in a record or a schema stops the program.

use std::time::{Duration, Instant};

use codec::decode::{DecodeError, Decoder};
use codec::encode::Encoder;
use codec::frame;
use codec::resolver::SchemaResolver;
use codec::writer_schema::WriterSchema;
use order_schemas::{ORDER_OUTCOME_V1, ORDER_V1, ORDER_V2, OrderRecord, PRODUCT_AVERAGE_V1};
use order_schemas::{OrderOutcome, ProductAverage};
use pipeline::failure::FailureReason;
use proptest::prelude::*;

use crate::decoding::any_order;

/// Longest that the worst value of a mebibyte may take, on a slow machine without optimization.
const WORST_CASE: Duration = Duration::from_secs(10);

fn resolver() -> SchemaResolver {
    let resolver = SchemaResolver::offline();
    for (id, schema) in
        [(1, ORDER_V1), (2, ORDER_V2), (3, PRODUCT_AVERAGE_V1), (4, ORDER_OUTCOME_V1)]
    {
        resolver.insert(id, schema).unwrap();
    }
    resolver
}

#[track_caller]
fn check_refused(extra_type: &str, extra: &[u8]) {
    let schema = format!(
        r#"{{"type":"record","name":"Order","fields":[
            {{"name":"orderId","type":"string"}},
            {{"name":"product","type":"string"}},
            {{"name":"price","type":"float"}},
            {{"name":"extra","type":{extra_type}}}
        ]}}"#
    );
    let resolver = SchemaResolver::offline();
    resolver.insert(1, &schema).unwrap();
    let datum = [&frame::header(1), b"\x02o\x02p\0\0\0\0".as_slice(), extra].concat();
    let start = Instant::now();
    let error = Decoder::<OrderRecord>::new(resolver).decode(Some(&datum)).unwrap_err();
    assert!(start.elapsed() < WORST_CASE, "{extra_type}");
    let DecodeError::Failed(failure) = error else { panic!("{error:?}") };
    assert_eq!(failure.reason, FailureReason::AvroDecode, "{extra_type}: {failure:?}");
}

/// A varint of the largest count there is.
const HUGE: [u8; 10] = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
/// A varint of the lowest one.
const LOWEST: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];

#[test]
fn a_length_that_the_bytes_do_not_hold_is_refused() {
    for length in [HUGE, LOWEST] {
        check_refused("\"string\"", &length);
        check_refused("\"bytes\"", &length);
        check_refused(r#"{"type":"array","items":"int"}"#, &length);
        check_refused(r#"{"type":"map","values":"int"}"#, &length);
        check_refused(r#"["null","int"]"#, &length);
        check_refused(r#"{"type":"enum","name":"E","symbols":["A"]}"#, &length);
    }
    check_refused("\"long\"", &[0xff; 11]);
    check_refused("\"int\"", &HUGE);
    check_refused("\"boolean\"", &[2]);
    check_refused(r#"{"type":"fixed","name":"F","size":4611686018427387904}"#, &[0; 9]);
}

#[test]
fn values_that_cost_no_bytes_do_not_take_for_ever() {
    check_refused(r#"{"type":"array","items":"null"}"#, &HUGE);
    check_refused(
        r#"{"type":"array","items":{"type":"record","name":"Empty","fields":[]}}"#,
        &HUGE,
    );
    // Each level doubles the one below: 2^40 nulls.
    let doubled = (0..40).fold("\"null\"".to_owned(), |inner, level| {
        format!(
            r#"{{"type":"record","name":"L{level}","fields":[{{"name":"a","type":{inner}}},{{"name":"b","type":"{}"}}]}}"#,
            if level == 0 { "null".to_owned() } else { format!("L{}", level - 1) }
        )
    });
    check_refused(&doubled, &[]);
}

#[test]
fn a_type_that_nests_in_itself_does_not_exhaust_the_stack() {
    let list =
        r#"{"type":"record","name":"List","fields":[{"name":"next","type":["null","List"]}]}"#;
    check_refused(list, &vec![2; 1 << 20]);
    let tree = r#"{"type":"record","name":"Tree","fields":[{"name":"t","type":{"type":"array","items":"Tree"}}]}"#;
    check_refused(tree, &vec![2; 1 << 20]);
    let endless = r#"{"type":"record","name":"Endless","fields":[{"name":"e","type":"Endless"}]}"#;
    check_refused(endless, &[]);
}

#[test]
fn a_schema_that_nests_without_end_is_not_avro() {
    for (open, close) in [
        (r#"{"type":"array","items":"#, "}"),
        (r#"{"type":"#, "}"),
        (r#"["null","#, "]"),
        (r#"{"type":"map","values":"#, "}"),
    ] {
        for depth in [100, 10_000] {
            let schema = format!("{}\"int\"{}", open.repeat(depth), close.repeat(depth));
            // Either is fine; ending the program is not.
            let _ = WriterSchema::parse(&schema, &[]);
        }
    }
    let wide = vec!["\"int\""; 30_000].join(r#"},{"name":"f","type":"#);
    let wide = format!(r#"{{"type":"record","name":"W","fields":[{{"name":"f","type":{wide}}}]}}"#);
    assert!(WriterSchema::parse(&wide, &[]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_never_panic(mut value: Vec<u8>, id in 0_u8..6, is_framed in any::<bool>()) {
        if is_framed && value.len() >= frame::HEADER_BYTES {
            value[..frame::HEADER_BYTES].copy_from_slice(&frame::header(id.into()));
        }
        let _ = Decoder::<OrderRecord>::new(resolver()).decode(Some(&value));
        let _ = Decoder::<ProductAverage>::new(resolver()).decode(Some(&value));
        let _ = Decoder::<OrderOutcome>::new(resolver()).decode(Some(&value));
    }

    #[test]
    fn a_record_with_flipped_bits_never_panics(
        order in any_order(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8), 1..5),
    ) {
        let mut value = Vec::new();
        Encoder::<OrderRecord>::with_id(2).encode_into(&mut value, &order);
        for (at, bit) in flips {
            let at = at.index(value.len());
            value[at] ^= 1_u8 << bit;
        }
        let _ = Decoder::<OrderRecord>::new(resolver()).decode(Some(&value));
    }

    #[test]
    fn a_schema_with_changed_bytes_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), " -~"), 1..4),
        value in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut schema = ORDER_V2.as_bytes().to_vec();
        for (at, text) in changes {
            let at = at.index(schema.len());
            schema[at] = text.as_bytes()[0];
        }
        let schema = String::from_utf8(schema).unwrap();
        let resolver = SchemaResolver::offline();
        if resolver.insert(1, &schema).is_ok() {
            let value = [frame::header(1).as_slice(), &value].concat();
            let _ = Decoder::<OrderRecord>::new(resolver).decode(Some(&value));
        }
    }
}
