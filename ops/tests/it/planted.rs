//! Logs made by hand with one thing wrong: the program names it. What each field does is shown in
//! `ops/src/audit/damage`, without a server.

use order_schemas::Outcome;
use pipeline::record::{CommitPosition, Offset};
use pipeline::window::Window;
use serde_json::Value;
use testkit::{Cluster, Input, Role};

use crate::rig::{Log, audit, expect_green, expect_violation, red, verdict};

/// Changes a right log, audits it, and expects exit 4. With the outcome log if asked.
#[track_caller]
fn planted(with_outcomes: bool, change: impl FnOnce(&mut Log)) -> (Log, Value) {
    let mut log = Log::new(Cluster::shared().pipeline(2));
    change(&mut log);
    log.send();
    let finished = audit(&log.pipeline, with_outcomes, &[]);
    let report = finished.stats();
    assert_eq!((finished.code, &report["ok"]), (Some(4), &Value::Bool(false)), "{report:#}");
    (log, report)
}

#[test]
fn a_right_log_made_by_hand_is_green() {
    let log = Log::new(Cluster::shared().pipeline(2));
    log.send();
    expect_green(&log.pipeline, &[]);
    let finished = audit(&log.pipeline, true, &["--order", "key"]);
    let report = finished.stats();
    assert_eq!(finished.code, Some(0), "{report:#}");
    let view = &report["partitions"][0];
    let counts = ["settled", "counted", "waiting", "dead_lettered", "retry_depth"];
    assert_eq!(counts.map(|name| view[name].as_i64()), [10, 7, 1, 2, 1].map(Some), "{report:#}");
}

#[test]
fn a_missing_dead_letter_is_named() {
    let (log, report) = planted(true, |log| drop(log.dead_letters.remove(1)));
    expect_violation(&report, "I1", (&log.pipeline.orders, 7), "no dead letter");
    assert_eq!(red(&report), ["I1"]);
}

#[test]
fn without_outcomes_a_missing_dead_letter_shows_in_the_sums() {
    let (log, report) = planted(false, |log| drop(log.dead_letters.remove(1)));
    expect_violation(&report, "I1", (&log.pipeline.orders, 10), "8 should be counted");
    let violation = &verdict(&report, "I4")["violations"][0];
    assert_eq!(violation["product"], "cake", "{report:#}");
    let notes = verdict(&report, "I1")["notes"].to_string();
    assert!(notes.contains("only sums per partition and product are compared"), "{notes}");
}

#[test]
fn a_doubled_outcome_is_named() {
    let (log, report) =
        planted(true, |log| log.outcomes.push(log.outcome(5, 2, Outcome::Succeeded)));
    expect_violation(&report, "I2", (&log.pipeline.outcomes, 12), "after its end");
    expect_violation(&report, "I2", (&log.pipeline.orders, 5), "after its end");
}

#[test]
fn a_committed_offset_past_an_order_that_is_nowhere_is_named() {
    let nowhere = |log: &mut Log| {
        log.outcomes.retain(|(_, told)| told.origin_offset != 8);
        log.averages[0] = log.average("tea", &[0, 2, 4]);
    };
    let (log, report) = planted(true, nowhere);
    for invariant in ["I1", "I6"] {
        expect_violation(&report, invariant, (&log.pipeline.orders, 8), "");
    }
    let (log, report) = planted(false, nowhere);
    expect_violation(&report, "I1", (&log.pipeline.orders, 10), "averages count 6");
    assert_eq!(red(&report), ["I1", "I4", "I6"]);
}

#[test]
fn an_altered_dead_letter_is_named() {
    for alter in [
        |letter: &mut Input| letter.value.as_mut().unwrap()[10] ^= 1,
        |letter: &mut Input| letter.key = Some(b"other".to_vec()),
        |letter: &mut Input| letter.headers.push((b"trace".to_vec(), Some(b"1".to_vec()))),
    ] {
        let (log, report) = planted(false, |log| alter(&mut log.dead_letters[1]));
        expect_violation(&report, "I10", (&log.pipeline.dlq, 1), "differ from the original record");
        expect_violation(
            &report,
            "I10",
            (&log.pipeline.orders, 7),
            "differ from the original record",
        );
        assert_eq!(red(&report), ["I10"]);
    }
}

#[test]
fn an_order_that_ends_before_one_of_its_key_breaks_the_order() {
    let swap = |log: &mut Log| log.outcomes.swap(2, 4);
    let mut log = Log::new(Cluster::shared().pipeline(1));
    swap(&mut log);
    log.send();
    let finished = audit(&log.pipeline, true, &["--order", "key"]);
    let report = finished.stats();
    assert_eq!((finished.code, red(&report)), (Some(4), vec!["I5"]), "{report:#}");
    expect_violation(&report, "I5", (&log.pipeline.orders, 2), "offset 4");
    assert_eq!(verdict(&report, "I5")["violation_count"], 1, "{report:#}");
    let unordered = audit(&log.pipeline, true, &[]);
    assert_eq!(unordered.code, Some(0), "order is judged where it is promised only");
}

#[test]
fn averages_ahead_of_the_offsets_and_outcomes_of_unsettled_orders_are_named() {
    let mut log = Log::new(Cluster::shared().pipeline(1));
    log.send();
    log.main = Window::new(CommitPosition(0));
    (0..8).for_each(|offset| log.main.settle_new(Offset(offset)));
    log.commit();
    let report = audit(&log.pipeline, true, &[]).stats();
    expect_violation(&report, "I6", (&log.pipeline.averages, 0), "covers orders up to 10");
    expect_violation(&report, "I6", (&log.pipeline.orders, 8), "will run again");
    let report = audit(&log.pipeline, false, &[]).stats();
    expect_violation(&report, "I6", (&log.pipeline.averages, 1), "covers orders up to 10");
}

#[test]
fn a_duplicate_that_was_counted_is_red_where_dedupe_is_promised() {
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let orders: Vec<Input> =
        (0..4).map(|n| encoder.input(0, ["a", "b"][n % 2], "tea", 0.1)).collect();
    pipeline.send(&pipeline.orders, &orders);
    let mut log = Log::empty(pipeline);
    (0..4).for_each(|offset| log.main.settle_new(Offset(offset)));
    log.averages = vec![log.average("tea", &[0, 0, 0, 0])];
    log.outcomes = (0..4).map(|n| log.outcome_of(["a", "b"][n % 2], n as i64)).collect();
    log.send();
    for with_outcomes in [true, false] {
        assert_eq!(audit(&log.pipeline, with_outcomes, &[]).code, Some(0));
        assert_eq!(audit(&log.pipeline, with_outcomes, &["--dedupe", "1"]).code, Some(0));
        let finished = audit(&log.pipeline, with_outcomes, &["--dedupe", "2"]);
        let report = finished.stats();
        assert_eq!(finished.code, Some(4), "{report:#}");
        assert!(red(&report).contains(&"I2"), "{report:#}");
    }
}

#[test]
fn at_least_once_allows_repeats_and_no_loss() {
    let mut log = Log::new(Cluster::shared().pipeline(1));
    log.dead_letters.push(log.dead_letters[1].clone());
    log.outcomes.push(log.outcome(8, 1, Outcome::Succeeded));
    log.averages[0] = log.average("tea", &[0, 2, 4, 8, 8]);
    log.send();
    for with_outcomes in [true, false] {
        assert_eq!(audit(&log.pipeline, with_outcomes, &[]).code, Some(4));
        let finished = audit(&log.pipeline, with_outcomes, &["--at-least-once"]);
        let report = finished.stats();
        assert_eq!(finished.code, Some(0), "{report:#}");
        let notes = verdict(&report, "I2")["notes"].to_string();
        assert!(notes.contains("repeats"), "{report:#}");
    }
    let mut log = Log::new(Cluster::shared().pipeline(1));
    log.averages[0] = log.average("tea", &[0, 2, 4]);
    log.send();
    assert_eq!(audit(&log.pipeline, false, &["--at-least-once"]).code, Some(4));
}

/// The right log, with order 7 brought back from the dead letters and settled again.
fn redriven(log: &mut Log) {
    let again = log.retry_of(7, 0, 3_000).with_header("x-redrive-count", Some(b"1"));
    log.retries.push(again.with_header("x-redrive-id", Some(b"run-1")));
    log.retry.hold(Offset(3));
    log.retry.settle(Offset(3));
}

#[test]
fn a_redriven_order_counts_once_and_keeps_its_dead_letter() {
    let mut log = Log::new(Cluster::shared().pipeline(1));
    redriven(&mut log);
    log.outcomes.push(log.outcome(7, 1, Outcome::Succeeded));
    log.averages[1] = log.average("cake", &[1, 5, 9, 7]);
    log.send();
    expect_green(&log.pipeline, &[]);
    assert_eq!(audit(&log.pipeline, true, &["--order", "key"]).code, Some(0));
}

#[test]
fn an_order_whose_schema_was_deleted_is_unprovable_and_not_red() {
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let orders: Vec<Input> = (0..4)
        .map(|n| {
            let mut input = encoder.input(0, &format!("o-{n}"), ["tea", "cake"][n % 2], 0.1);
            let value = input.value.as_mut().expect("an order");
            if n == 2 {
                value[1..5].copy_from_slice(&1_999_999_999_u32.to_be_bytes());
            }
            input
        })
        .collect();
    pipeline.send(&pipeline.orders, &orders);
    let mut log = Log::empty(pipeline);
    (0..4).for_each(|offset| log.main.settle_new(Offset(offset)));
    log.averages = vec![log.average("tea", &[0, 0]), log.average("cake", &[0, 0])];
    log.outcomes = (0..4).map(|n| log.outcome(n, 1, Outcome::Succeeded)).collect();
    log.send();
    for with_outcomes in [true, false] {
        let finished = audit(&log.pipeline, with_outcomes, &[]);
        let report = finished.stats();
        assert_eq!((finished.code, &report["ok"]), (Some(4), &Value::Bool(true)), "{report:#}");
        assert_eq!(verdict(&report, "I4")["state"], "unprovable", "{report:#}");
    }
}

#[test]
fn a_topic_of_orders_that_is_compacted_is_unprovable() {
    let changes = [(Role::Orders, "cleanup.policy", "compact,delete")];
    let log = Log::new(Cluster::shared().pipeline_with(1, &changes));
    log.send();
    for with_outcomes in [true, false] {
        let finished = audit(&log.pipeline, with_outcomes, &[]);
        let report = finished.stats();
        assert_eq!((finished.code, &report["ok"]), (Some(4), &Value::Bool(true)), "{report:#}");
        let told = verdict(&report, "I1")["unprovable"].to_string();
        assert!(told.contains("is compacted"), "{told}");
    }
}

#[test]
fn a_partition_that_begins_with_an_aborted_transaction_is_green() {
    let pipeline = Cluster::shared().pipeline(1);
    pipeline.send_aborted(&pipeline.orders, &[Input::new(0, None, Some(b"never was"))]);
    let encoder = pipeline.orders_v1();
    let order = |n: usize| encoder.input(0, &format!("o-{n}"), ["tea", "cake"][n % 2], 0.1);
    pipeline.send(&pipeline.orders, &(0..4).map(order).collect::<Vec<_>>());
    let mut log = Log::empty(pipeline);
    let first = log.orders[0].offset;
    assert!(first > 0, "what was aborted and its marker stand before it");
    log.main.pass(first);
    (first..first + 4).for_each(|offset| log.main.settle_new(Offset(offset)));
    log.averages = vec![log.average("tea", &[0, 0]), log.average("cake", &[0, 0])];
    log.outcomes = (0..4).map(|n| log.outcome(n, 1, Outcome::Succeeded)).collect();
    log.outcomes.iter_mut().for_each(|(_, told)| told.origin_offset += first);
    log.send();
    expect_green(&log.pipeline, &[]);
}
