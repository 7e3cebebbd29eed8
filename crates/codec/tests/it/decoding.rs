//! Every way of failing has its reason; everything else is read as it was written.

use std::borrow::Cow;

use codec::decode::{DecodeError, Decoder};
use codec::encode::Encoder;
use codec::resolver::SchemaResolver;
use codec::scalar::{AvroRecord, Fields};
use order_schemas::{ORDER_V1, ORDER_V2, OrderRecord, PRODUCT_AVERAGE_V1};
use order_schemas::{OrderOutcome, OrderOutcomeRef, Outcome, ProductAverage, ProductAverageRef};
use orders::{Amount, Order};
use pipeline::failure::{Failure, FailureReason};
use proptest::prelude::*;

use crate::fault_injection::{Scripted, ScriptedRegistry, impatient, json};

fn knows(schemas: &[(u32, &str)]) -> SchemaResolver {
    let resolver = SchemaResolver::offline();
    for (id, schema) in schemas {
        resolver.insert(*id, schema).unwrap();
    }
    resolver
}

fn encoded<T: AvroRecord, F: Fields<T>>(encoder: &Encoder<T>, value: &F) -> Vec<u8> {
    let mut buffer = Vec::new();
    encoder.encode_into(&mut buffer, value);
    buffer
}

#[track_caller]
fn check_failed(schemas: &[(u32, &str)], value: Option<&[u8]>, reason: FailureReason) -> Failure {
    let error = Decoder::<OrderRecord>::new(knows(schemas)).decode(value).unwrap_err();
    let DecodeError::Failed(failure) = error else { panic!("{error:?} blames nobody") };
    assert_eq!(failure.reason, reason, "{failure:?}");
    failure
}

#[test]
fn each_way_of_failing_has_its_reason() {
    use FailureReason as R;
    let v1 = [(1, ORDER_V1)];
    let good = encoded(
        &Encoder::<OrderRecord>::with_schema(ORDER_V1, 1).unwrap(),
        &Order::new("o", "p", 1.5),
    );
    check_failed(&v1, None, R::NoValue);
    check_failed(&v1, Some(&[]), R::TooShort);
    check_failed(&v1, Some(&[0, 0, 0, 1]), R::TooShort);
    check_failed(&v1, Some(b"\x01234567890"), R::BadMagic);
    check_failed(&v1, Some(&[0, 0, 0, 0, 1]), R::AvroDecode);
    check_failed(&v1, Some(&good[..good.len() - 1]), R::AvroDecode);
    check_failed(&v1, Some(&[good.as_slice(), &[0]].concat()), R::TrailingBytes);
    check_failed(&v1, Some(&[0, 0, 0, 0, 2]), R::SchemaNotFound);
    check_failed(&v1, Some(&[0, 0xff, 0xff, 0xff, 0xff, 1]), R::SchemaNotFound);
    check_failed(&[(1, "\"string\"")], Some(&good), R::CannotResolve);
    check_failed(&[(1, PRODUCT_AVERAGE_V1)], Some(&good), R::CannotResolve);

    let failure = check_failed(&v1, Some(&[0, 0, 0, 0, 1, 2, 0xff]), R::AvroDecode);
    assert_eq!(failure.schema_id, Some(1));
    assert_eq!(failure.detail, "a string that is not UTF-8 at byte 2 of the datum");
}

#[tokio::test]
async fn a_registry_that_is_away_blames_nobody() {
    let server = ScriptedRegistry::start([json("503 Service Unavailable", "{}")]).await;
    let resolver = SchemaResolver::new(impatient(&server.url), tokio::runtime::Handle::current());
    let mut decoder = Decoder::<OrderRecord>::new(resolver.clone());
    let value = encoded(&Encoder::<OrderRecord>::with_id(9), &Order::new("o", "p", 1.5));
    let pending = DecodeError::Unresolved { schema_id: 9, away: None };
    assert_eq!(decoder.decode(Some(&value)), Err(pending));
    resolver.resolve(9).await;
    let away = decoder.decode(Some(&value)).unwrap_err();
    let DecodeError::Unresolved { schema_id: 9, away: Some(detail) } = away else {
        panic!("{away:?}")
    };
    assert!(detail.contains("503") && detail.contains(&server.url), "{detail}");

    server.then(json("200 OK", &serde_json::json!({ "schema": ORDER_V2 }).to_string()));
    resolver.forget_transient();
    resolver.get(9);
    while resolver.is_away().is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(decoder.decode(Some(&value)), Ok(Order::new("o", "p", 1.5)));
}

#[tokio::test]
async fn what_is_no_avro_schema_blames_the_record() {
    let protobuf = r#"{"schemaType":"PROTOBUF","schema":"syntax = \"proto3\";"}"#;
    let not_found = r#"{"error_code":40403,"message":"Schema not found"}"#;
    for (answer, reason) in [
        (json("200 OK", protobuf), FailureReason::NotAvro),
        (json("404 Not Found", not_found), FailureReason::SchemaNotFound),
    ] {
        let server = ScriptedRegistry::start([answer, Scripted::Silence]).await;
        let runtime = tokio::runtime::Handle::current();
        let resolver = SchemaResolver::new(impatient(&server.url), runtime);
        resolver.resolve(9).await;
        let error =
            Decoder::<OrderRecord>::new(resolver).decode(Some(&[0, 0, 0, 0, 9])).unwrap_err();
        let DecodeError::Failed(failure) = error else { panic!("{error:?}") };
        assert_eq!((failure.reason, failure.schema_id), (reason, Some(9)));
    }
}

#[test]
fn writers_of_several_schemas_alternate_on_one_topic() {
    let mut decoder = Decoder::<OrderRecord>::new(knows(&[(1, ORDER_V1), (2, ORDER_V2)]));
    let v1 = Encoder::<OrderRecord>::with_schema(ORDER_V1, 1).unwrap();
    let v2 = Encoder::<OrderRecord>::with_id(2);
    for round in 0..10 {
        let order = Order {
            user_id: Some("u".to_owned()),
            quantity: 3,
            created_at_ms: Some(round),
            ..Order::new(format!("o-{round}"), "p", 1.5)
        };
        let without = Order::new(format!("o-{round}"), "p", 1.5);
        assert_eq!(decoder.decode(Some(&encoded(&v2, &order))), Ok(order.clone()));
        assert_eq!(decoder.decode(Some(&encoded(&v1, &order))), Ok(without));
    }
}

#[test]
fn a_value_may_be_a_mebibyte_long() {
    let order = Order::new("o".repeat(1 << 20), "p", 1.5);
    let value = encoded(&Encoder::<OrderRecord>::with_id(2), &order);
    assert_eq!(
        Decoder::<OrderRecord>::new(knows(&[(2, ORDER_V2)])).decode(Some(&value)),
        Ok(order)
    );
}

#[test]
fn bytes_on_the_wire_are_those_of_the_specification() {
    let v1 = Encoder::<OrderRecord>::with_schema(ORDER_V1, 258).unwrap();
    let value = encoded(&v1, &Order::new("o-1", "tea", 1.5));
    assert_eq!(value, b"\x00\x00\x00\x01\x02\x06o-1\x06tea\x00\x00\xc0\x3f");
    assert_eq!(v1.schema_id(), 258);

    // Decimals: two's complement, big-endian, in as few bytes as keep the sign.
    for (sum, bytes) in [
        (0, &[0x00][..]),
        (127, &[0x7f]),
        (128, &[0x00, 0x80]),
        (-1, &[0xff]),
        (-128, &[0x80]),
        (-129, &[0xff, 0x7f]),
        (i128::MAX, &i128::MAX.to_be_bytes()),
        (i128::MIN, &i128::MIN.to_be_bytes()),
    ] {
        let average = ProductAverageRef {
            product: "",
            count: 0,
            sum: Amount::from_ten_thousandths(sum),
            average: 0.0,
            updated_at_ms: 0,
        };
        let value = encoded(&Encoder::<ProductAverage>::with_id(1), &average);
        assert_eq!(usize::from(value[7]), bytes.len() * 2, "{sum}");
        assert_eq!(&value[8..8 + bytes.len()], bytes, "{sum}");
    }
}

#[test]
fn a_schema_that_lacks_nothing_but_knows_more_than_the_record_cannot_be_written() {
    let more = ORDER_V1.replace("\"orderId\"", "\"other\"");
    assert!(Encoder::<OrderRecord>::with_schema(&more, 1).is_err());
    let other_type = ORDER_V1.replace("\"float\"", "\"double\"");
    assert!(Encoder::<OrderRecord>::with_schema(&other_type, 1).is_err());
    assert!(Encoder::<OrderRecord>::with_schema(PRODUCT_AVERAGE_V1, 1).is_err());
}

pub(crate) fn any_order() -> impl Strategy<Value = Order> {
    let user_id = proptest::option::of(".{0,20}");
    (".{0,40}", ".{0,40}", any::<f32>(), user_id, any::<i32>(), any::<Option<i64>>()).prop_map(
        |(order_id, product, price, user_id, quantity, created_at_ms)| Order {
            // A price that equals itself, so that orders can be compared.
            price: if price.is_nan() { 0.0 } else { price },
            ..Order { order_id, product, price, user_id, quantity, created_at_ms }
        },
    )
}

fn any_outcome() -> impl Strategy<Value = OrderOutcome> {
    let outcome = prop::sample::select(vec![
        Outcome::Succeeded,
        Outcome::Retried,
        Outcome::DeadLettered,
        Outcome::Duplicate,
        Outcome::Unknown,
    ]);
    let class = proptest::option::of("[a-z-]{1,20}".prop_map(Cow::Owned));
    (".{0,9}", ".{0,9}", any::<(i32, i64, i32, i64)>(), outcome, class).prop_map(
        |(order_id, product, numbers, outcome, failure_class)| {
            let (origin_partition, origin_offset, attempt, settled_at_ms) = numbers;
            OrderOutcome {
                order_id,
                product,
                origin_partition,
                origin_offset,
                attempt,
                outcome,
                failure_class,
                settled_at_ms,
            }
        },
    )
}

proptest! {
    #[test]
    fn an_order_is_read_as_it_was_written(order in any_order()) {
        let value = encoded(&Encoder::<OrderRecord>::with_id(2), &order);
        let mut decoder = Decoder::<OrderRecord>::new(knows(&[(2, ORDER_V2)]));
        prop_assert_eq!(decoder.decode(Some(&value)), Ok(order));
    }

    #[test]
    fn an_average_is_read_as_it_was_written(
        product in ".{0,40}",
        (count, sum, average, updated_at_ms) in (any::<i64>(), any::<i128>(), any::<i32>(), any::<i64>()),
    ) {
        let (sum, average) = (Amount::from_ten_thousandths(sum), f64::from(average));
        let owned = ProductAverage { product: product.clone(), count, sum, average, updated_at_ms };
        let borrowed = ProductAverageRef { product: &product, count, sum, average, updated_at_ms };
        let encoder = Encoder::<ProductAverage>::with_id(1);
        let value = encoded(&encoder, &borrowed);
        prop_assert_eq!(&value, &encoded(&encoder, &owned));
        let mut decoder = Decoder::<ProductAverage>::new(knows(&[(1, ProductAverage::SCHEMA)]));
        prop_assert_eq!(decoder.decode(Some(&value)), Ok(owned));
    }

    #[test]
    fn an_outcome_is_read_as_it_was_written(outcome in any_outcome()) {
        let borrowed = OrderOutcomeRef {
            order_id: &outcome.order_id,
            product: &outcome.product,
            origin_partition: outcome.origin_partition,
            origin_offset: outcome.origin_offset,
            attempt: outcome.attempt,
            outcome: outcome.outcome,
            failure_class: outcome.failure_class.as_deref(),
            settled_at_ms: outcome.settled_at_ms,
        };
        let encoder = Encoder::<OrderOutcome>::with_id(1);
        let value = encoded(&encoder, &borrowed);
        prop_assert_eq!(&value, &encoded(&encoder, &outcome));
        let mut decoder = Decoder::<OrderOutcome>::new(knows(&[(1, OrderOutcome::SCHEMA)]));
        prop_assert_eq!(decoder.decode(Some(&value)), Ok(outcome));
    }
}
