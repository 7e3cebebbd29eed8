//! What retention, compaction and the registry have taken: never green, and not red.

use super::super::report::Invariant::{I1, I2, I4, I10};
use super::log::Log;
use super::{Green, Red, Unprovable, expect};
use crate::audit::orders_read::Value;

/// Takes an order out of the topic of orders, as compaction does.
fn compact(log: &mut Log, offsets: &[i64]) {
    log.orders.retain(|(rec, _)| !offsets.contains(&rec.offset));
}

#[test]
fn a_compacted_topic_of_orders_is_unprovable_and_not_red() {
    for gone in [&[][..], &[0], &[0, 2, 4], &[3], &[5, 7]] {
        for with_outcomes in [true, false] {
            let mut log = Log::right();
            log.compacted = vec!["orders"];
            compact(&mut log, gone);
            let report = log.audit(with_outcomes);
            expect(&format!("{gone:?} {with_outcomes}"), &report, Unprovable(I1));
            assert!(report.verdict(I1).unprovable[0].contains("orders is compacted"));
        }
    }
}

#[test]
fn what_is_wrong_in_a_compacted_topic_is_red_all_the_same() {
    let mut log = Log::right();
    log.compacted = vec!["orders"];
    compact(&mut log, &[0]);
    log.averages = vec![log.average("tea", &[2, 2, 2, 4, 8]), log.average("cake", &[1, 5, 9])];
    expect("more is counted than is gone", &log.audit(false), Red(I4));
    let mut log = Log::right();
    log.compacted = vec!["orders"];
    log.dead_letters.pop();
    expect("a dead letter is missing", &log.audit(true), Red(I1));
}

#[test]
fn a_compacted_topic_of_dead_letters_or_outcomes_is_unprovable() {
    for with_outcomes in [true, false] {
        let mut log = Log::right();
        log.compacted = vec!["orders-dlq"];
        log.dead_letters.pop();
        expect("dead letters", &log.audit(with_outcomes), Unprovable(I1));
    }
    let mut log = Log::right();
    log.compacted = vec!["outcomes"];
    log.outcomes.truncate(3);
    expect("outcomes", &log.audit(true), Unprovable(I2));
}

#[test]
fn a_counted_order_whose_schema_is_gone_is_unprovable_and_not_red() {
    for with_outcomes in [true, false] {
        let mut log = Log::right();
        log.orders[2].1 = Value::SchemaGone;
        expect("one of tea", &log.audit(with_outcomes), Unprovable(I4));
        log.orders[5].1 = Value::SchemaGone;
        expect("one that was retried", &log.audit(with_outcomes), Unprovable(I4));
        log.averages[1] = log.average("cake", &[1, 5, 9, 9, 9]);
        expect("more than are gone", &log.audit(with_outcomes), Red(I4));
        let mut log = Log::right();
        log.orders[2].1 = Value::SchemaGone;
        log.averages = vec![log.average("tea", &[0, 2, 4, 8]), log.average("cake", &[1, 5, 5, 9])];
        expect("one is gone, and each product has one more", &log.audit(with_outcomes), Red(I4));
        let mut log = Log::right();
        log.orders[3].1 = Value::SchemaGone;
        log.orders[6].1 = Value::SchemaGone;
        log.orders[7].1 = Value::SchemaGone;
        expect("dead letters and a waiting one", &log.audit(with_outcomes), Green);
    }
}

#[test]
fn a_partition_that_begins_with_something_that_is_no_order_is_green() {
    let mut log = Log::right();
    // Orders 0 to 2 were of a transaction that was aborted.
    log.orders.drain(..3);
    log.outcomes.retain(|(_, told)| told.origin_offset >= 3);
    log.averages = vec![];
    let (tea, cake) = ([4, 8], [5, 9]);
    log.averages = vec![log.average("tea", &tea), log.average("cake", &cake)];
    expect("with the outcome log", &log.audit(true), Green);
    expect("without", &log.audit(false), Green);
}

#[test]
fn a_gap_is_named_as_wide_as_it_is() {
    let mut log = Log::right();
    log.main = pipeline::window::Window::new(pipeline::record::CommitPosition(0));
    log.main.hold(pipeline::record::Offset(0));
    (1..10).for_each(|offset| log.main.settle_new(pipeline::record::Offset(offset)));
    log.averages = vec![log.average("tea", &[2, 4, 8]), log.average("cake", &[1, 5, 9])];
    log.outcomes.remove(0);
    log.lows[0] = 10;
    for with_outcomes in [true, false] {
        let report = log.audit(with_outcomes);
        expect("order 0", &report, Red(I1));
        let lost = &report.verdict(I1).violations;
        assert_eq!(lost[0].what, "offsets 0 to 0 were deleted before they were settled");
    }
}

#[test]
fn deleted_dead_letters_and_retries_take_from_the_proof_what_they_told() {
    let mut log = Log::right();
    log.lows[2] = 2;
    expect("dead letters", &log.audit(true), Unprovable(I10));
    expect("dead letters", &log.audit(false), Unprovable(I1));
    let mut log = Log::right();
    log.lows[1] = 1;
    expect("a settled retry", &log.audit(true), Green);
    expect("a settled retry", &log.audit(false), Green);
    let mut log = Log::right();
    log.lows[3] = 5;
    expect("outcomes", &log.audit(true), Unprovable(I2));
}
