//! Records of inventory and notification keep what they are given, and what they mean.

use codec::decode::Decoder;
use codec::encode::Encoder;
use codec::resolver::SchemaResolver;
use codec::scalar::{AvroRecord, Fields};
use order_schemas::{InventoryResult, InventoryStatus, Notification};
use orders::{FailureReason, InventoryOutcome, Order};
use proptest::prelude::*;

use crate::decoding::any_order;

/// Writes a value with one schema and reads it with the latest.
fn passed_through<T: AvroRecord<Value = T> + Fields<T>>(value: &T) -> T {
    let resolver = SchemaResolver::offline();
    resolver.insert(7, T::SCHEMA).unwrap();
    let mut bytes = Vec::new();
    Encoder::<T>::with_id(7).encode_into(&mut bytes, value);
    Decoder::<T>::new(resolver).decode(Some(&bytes)).unwrap()
}

fn any_inventory_outcome() -> impl Strategy<Value = InventoryOutcome> {
    let reasons = FailureReason::ALL.map(InventoryOutcome::Failed);
    prop::sample::select([&[InventoryOutcome::Reserved], reasons.as_slice()].concat())
}

proptest! {
    #[test]
    fn a_decision_is_read_as_it_was_written(
        order in any_order(), outcome in any_inventory_outcome(), decided_at_ms: i64,
    ) {
        let result = InventoryResult::new(&order, outcome, decided_at_ms);
        let read = passed_through(&result);
        prop_assert_eq!(&read, &result);
        prop_assert_eq!(read.outcome(), Some(outcome));
        prop_assert_eq!(read.order(), order);
    }

    #[test]
    fn a_notification_is_read_as_it_was_written(
        order in any_order(), outcome in any_inventory_outcome(),
    ) {
        let notification = Notification::new(&order, outcome);
        prop_assert_eq!(passed_through(&notification), notification);
    }
}

#[test]
fn a_decision_of_a_later_version_is_none_that_this_one_takes_for_its_own() {
    let order = Order::new("o-1", "burger", 8.99);
    let mut result =
        InventoryResult::new(&order, InventoryOutcome::Failed(FailureReason::OutOfStock), 7);
    result.reason = Some("tired".into());
    assert_eq!(passed_through(&result).outcome(), None);
    result.reason = None;
    assert_eq!(passed_through(&result).outcome(), None);

    let later = InventoryResult::SCHEMA.replace(r#""FAILED","#, r#""FAILED", "BACKORDERED","#);
    let resolver = SchemaResolver::offline();
    resolver.insert(7, &later).unwrap();
    let mut bytes = Vec::new();
    result.status = InventoryStatus::Unknown;
    Encoder::<InventoryResult>::with_id(7).encode_into(&mut bytes, &result);
    // Symbol 2 is what the later writer calls BACKORDERED.
    let read = Decoder::<InventoryResult>::new(resolver).decode(Some(&bytes)).unwrap();
    assert_eq!((read.status, read.outcome()), (InventoryStatus::Unknown, None));
}
