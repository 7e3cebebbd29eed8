//! What retention has taken is not proven, and never green by silence.

use serde_json::Value;
use testkit::{Cluster, Finished};

use crate::rig::{Log, audit, expect_violation, verdict};

/// Exit 4 without a violation, exit 0 where that is allowed; names what is missing.
#[track_caller]
fn expect_unprovable(log: &Log, with_outcomes: bool, invariants: &[&str], below: &str) {
    let run = |flags: &[&str]| -> (Finished, Value) {
        let finished = audit(&log.pipeline, with_outcomes, flags);
        let report = finished.stats();
        (finished, report)
    };
    let (finished, report) = run(&[]);
    assert_eq!((finished.code, &report["ok"]), (Some(4), &Value::Bool(true)), "{report:#}");
    assert_eq!(report["proven"], false);
    for invariant in invariants {
        let verdict = verdict(&report, invariant);
        assert_eq!(verdict["state"], "unprovable", "{report:#}");
        assert!(verdict["unprovable"].to_string().contains(below), "{report:#}");
    }
    assert_eq!(run(&["--allow-unprovable"]).0.code, Some(0));
}

#[test]
fn deleted_orders_are_unprovable_below_the_first_that_is_left() {
    let log = Log::new(Cluster::shared().pipeline(1));
    log.send();
    log.pipeline.delete_records_below(&log.pipeline.orders, 0, 4);
    let below = format!("below {}/0@4", log.pipeline.orders);
    for with_outcomes in [true, false] {
        expect_unprovable(&log, with_outcomes, &["I1", "I4"], &below);
    }
}

#[test]
fn deleted_dead_letters_are_unprovable_and_do_not_hide_a_wrong_sum() {
    let log = Log::new(Cluster::shared().pipeline(1));
    log.send();
    log.pipeline.delete_records_below(&log.pipeline.dlq, 0, 2);
    let below = format!("below {}/0@2", log.pipeline.dlq);
    expect_unprovable(&log, true, &["I1", "I2", "I10"], &below);
    expect_unprovable(&log, false, &["I1", "I4"], "");
    let mut log = Log::new(Cluster::shared().pipeline(1));
    log.averages[1] = log.average("cake", &[1, 1, 5, 5, 9, 9]);
    log.send();
    log.pipeline.delete_records_below(&log.pipeline.dlq, 0, 2);
    assert_eq!(audit(&log.pipeline, false, &["--allow-unprovable"]).code, Some(4));
}

#[test]
fn orders_that_were_deleted_before_they_were_settled_are_lost() {
    let mut log = Log::new(Cluster::shared().pipeline(1));
    log.main = pipeline::window::Window::new(pipeline::record::CommitPosition(0));
    (0..8).for_each(|offset| log.main.settle_new(pipeline::record::Offset(offset)));
    log.averages = vec![log.average("tea", &[0, 2, 4]), log.average("cake", &[1, 5])];
    log.outcomes.retain(|(_, told)| told.origin_offset < 8);
    log.send();
    log.pipeline.delete_records_below(&log.pipeline.orders, 0, 9);
    let finished = audit(&log.pipeline, true, &["--allow-unprovable"]);
    let report = finished.stats();
    assert_eq!(finished.code, Some(4), "{report:#}");
    expect_violation(&report, "I1", (&log.pipeline.orders, 8), "8 to 8 were deleted");
}

#[test]
fn an_outcome_log_that_was_switched_on_later_proves_no_more_than_it_tells() {
    let mut log = Log::new(Cluster::shared().pipeline(1));
    log.outcomes.retain(|(_, told)| told.origin_offset >= 8);
    log.send();
    let below = format!("below {}/0@8", log.pipeline.orders);
    expect_unprovable(&log, true, &["I2"], &below);
    assert_eq!(audit(&log.pipeline, false, &[]).code, Some(0), "the sums are right");
}

#[test]
fn settled_retries_that_were_trimmed_take_nothing_from_the_proof() {
    let log = Log::new(Cluster::shared().pipeline(1));
    log.send();
    log.pipeline.delete_records_below(&log.pipeline.retry, 0, 1);
    crate::rig::expect_green(&log.pipeline, &[]);
}
