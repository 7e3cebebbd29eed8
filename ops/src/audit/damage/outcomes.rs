//! Every field of the outcome log, entries that are missing and entries that are forged.

use order_schemas::Outcome;

use super::super::report::Invariant::{I1, I2, I4, I6, I10};
use super::log::{Log, NOW_MS};
use super::{Green, Red, Row, Unprovable, expect, judge};

fn entry(log: &mut Log, at: usize) -> &mut order_schemas::OrderOutcome {
    &mut log.outcomes[at].1
}

#[test]
fn each_field_of_an_outcome_is_checked() {
    let rows: [Row; 18] = [
        ("another order id", |l| entry(l, 0).order_id = "o-2".into(), Red(I10), Green),
        ("no order id", |l| entry(l, 1).order_id = String::new(), Red(I10), Green),
        ("another product", |l| entry(l, 2).product = "cake".into(), Red(I10), Green),
        ("another key", |l| l.outcomes[2].0.key = Some(b"cake".to_vec()), Red(I10), Green),
        ("no key", |l| l.outcomes[2].0.key = None, Red(I10), Green),
        ("another partition", |l| entry(l, 2).origin_partition = 1, Red(I10), Green),
        ("an offset of another order", |l| entry(l, 2).origin_offset = 4, Red(I1), Green),
        ("an offset below zero", |l| entry(l, 2).origin_offset = -4, Red(I1), Green),
        ("an offset that is not settled", |l| entry(l, 2).origin_offset = 40, Red(I6), Green),
        ("an attempt too high", |l| entry(l, 2).attempt = 2, Red(I1), Green),
        ("no attempt", |l| entry(l, 2).attempt = 0, Red(I10), Green),
        ("an attempt below zero", |l| entry(l, 2).attempt = -1, Red(I10), Green),
        (
            "a failure of a counted order",
            |l| entry(l, 2).failure_class = Some("transient".into()),
            Red(I10),
            Green,
        ),
        ("no failure of a retry", |l| entry(l, 5).failure_class = None, Red(I10), Green),
        (
            "a retry of a bad value",
            |l| entry(l, 5).failure_class = Some("invalid".into()),
            Red(I10),
            Green,
        ),
        (
            "another class than the dead letter's",
            |l| entry(l, 10).failure_class = Some("malformed".into()),
            Red(I10),
            Green,
        ),
        ("settled never", |l| entry(l, 2).settled_at_ms = 0, Red(I10), Green),
        (
            "settled in a hundred years",
            |l| entry(l, 2).settled_at_ms = NOW_MS + 3_155_760_000_000,
            Red(I10),
            Green,
        ),
    ];
    judge(&rows);
}

/// Claims an outcome that has no failure.
fn is_well(log: &mut Log, at: usize, outcome: Outcome) {
    let entry = entry(log, at);
    entry.outcome = outcome;
    entry.failure_class = None;
}

/// Claims an outcome that has one.
fn failed(log: &mut Log, at: usize, outcome: Outcome) {
    let entry = entry(log, at);
    entry.outcome = outcome;
    entry.failure_class = Some("transient".into());
}

#[test]
fn each_outcome_that_is_claimed_is_looked_for() {
    let rows: [Row; 12] = [
        ("counted, and it is a dead letter", |l| is_well(l, 3, Outcome::Succeeded), Red(I2), Green),
        ("counted, and it waits", |l| is_well(l, 6, Outcome::Succeeded), Red(I2), Green),
        ("retried, and it was counted", |l| failed(l, 2, Outcome::Retried), Red(I1), Green),
        (
            "dead-lettered, and it was counted",
            |l| failed(l, 2, Outcome::DeadLettered),
            Red(I1),
            Green,
        ),
        (
            "dead-lettered, and it waits",
            |l| entry(l, 6).outcome = Outcome::DeadLettered,
            Red(I1),
            Green,
        ),
        (
            "dead-lettered, and counted later",
            |l| entry(l, 5).outcome = Outcome::DeadLettered,
            Red(I2),
            Green,
        ),
        (
            "a duplicate, and it was counted",
            |l| entry(l, 2).outcome = Outcome::Duplicate,
            Red(I1),
            Green,
        ),
        ("a duplicate, and it waits", |l| is_well(l, 6, Outcome::Duplicate), Red(I2), Green),
        (
            "a duplicate, and it is a dead letter",
            |l| is_well(l, 3, Outcome::Duplicate),
            Red(I1),
            Green,
        ),
        ("something unknown", |l| entry(l, 2).outcome = Outcome::Unknown, Red(I10), Green),
        (
            "a retry between, which never was",
            |l| {
                let mut again = l.outcome(2, 1, Outcome::Retried);
                again.1.attempt = 1;
                entry(l, 2).attempt = 2;
                l.outcomes.insert(2, again);
            },
            Red(I10),
            Green,
        ),
        (
            "a dead letter at another attempt, retries and all",
            |l| {
                l.outcomes[10].1.attempt = 3;
                let between = l.outcome(7, 2, Outcome::Retried);
                l.outcomes.insert(10, between);
            },
            Red(I10),
            Green,
        ),
    ];
    judge(&rows);
}

#[test]
fn entries_that_are_missing_or_doubled_are_found() {
    let rows: [Row; 7] = [
        ("a counted order's", |l| drop(l.outcomes.remove(4)), Red(I1), Green),
        (
            "the first attempt of one that was counted",
            |l| drop(l.outcomes.remove(5)),
            Red(I1),
            Green,
        ),
        (
            "the last attempt of one that was counted",
            |l| drop(l.outcomes.remove(9)),
            Red(I1),
            Green,
        ),
        ("that of a waiting order", |l| drop(l.outcomes.remove(6)), Red(I10), Green),
        ("that of a dead letter", |l| drop(l.outcomes.remove(3)), Red(I2), Green),
        (
            "one twice",
            |l| {
                let again = l.outcome(5, 2, Outcome::Succeeded);
                l.outcomes.push(again);
            },
            Red(I2),
            Green,
        ),
        ("all of them", |l| l.outcomes.clear(), Unprovable(I2), Green),
    ];
    judge(&rows);
}

#[test]
fn an_outcome_of_an_offset_that_holds_no_order_is_red() {
    let mut log = Log::right();
    // Offset 9 is a marker, and the last order stands behind it.
    log.orders[9].0.offset = 10;
    log.outcomes[11].1.origin_offset = 10;
    log.main.settle_new(pipeline::record::Offset(10));
    log.averages = vec![log.average("tea", &[0, 2, 4, 8]), log.average("cake", &[1, 5, 9])];
    expect("with a marker", &log.audit(true), Green);
    let mut forged = log.outcome(9, 1, Outcome::Succeeded);
    forged.1.origin_offset = 9;
    log.outcomes.push(forged);
    expect("of the marker", &log.audit(true), Red(I1));
}

/// Four orders with the ids that are given; those that are not counted are told to be duplicates.
fn with_ids(ids: [&str; 4], counted: &[u8]) -> Log {
    let mut log = Log::of([0, 2, 4, 6].into_iter().zip(ids.map(str::to_owned)));
    for at in 0..4 {
        log.main.settle_new(pipeline::record::Offset(at));
        let is_counted = counted.iter().any(|counted| i64::from(*counted) == at);
        let outcome = if is_counted { Outcome::Succeeded } else { Outcome::Duplicate };
        let entry = log.outcome(at, 1, outcome);
        log.outcomes.push(entry);
    }
    let counted: Vec<u8> = counted.iter().map(|at| at * 2).collect();
    log.averages = vec![log.average("tea", &counted)];
    log
}

#[test]
fn a_duplicate_is_a_claim_about_the_topic_of_orders() {
    let honest = || with_ids(["a", "b", "a", "b"], &[0, 1]);
    expect("no window is named", &honest().audit(true), Unprovable(I1));
    let mut log = honest();
    log.flags.dedupe = Some(2);
    expect("the window is named", &log.audit(true), Green);
    expect("the window is named, without the log", &log.audit(false), Green);
    log.flags.dedupe = Some(1);
    expect("the window is smaller", &log.audit(true), Red(I1));
    for dedupe in [None, Some(10)] {
        let mut log = with_ids(["a", "b", "c", "d"], &[0, 1, 3]);
        log.flags.dedupe = dedupe;
        expect("no id came before", &log.audit(true), Red(I1));
        let mut log = with_ids(["a", "b", "c", "d"], &[0, 1]);
        log.flags.dedupe = dedupe;
        expect("two of them", &log.audit(true), Red(I1));
        let mut log = with_ids(["a", "b", "b", "a"], &[1, 2, 3]);
        log.flags.dedupe = dedupe;
        expect("it comes later", &log.audit(true), Red(I1));
    }
    let mut log = with_ids(["a", "b", "a", "b"], &[0, 1, 2, 3]);
    log.flags.dedupe = Some(2);
    expect("duplicates were counted", &log.audit(true), Red(I2));
    expect("duplicates were counted, without the log", &log.audit(false), Red(I4));
}

#[test]
fn the_order_that_a_duplicate_repeats_may_be_deleted() {
    for dedupe in [None, Some(2)] {
        let mut log = with_ids(["a", "b", "a", "b"], &[0, 1]);
        log.flags.dedupe = dedupe;
        log.lows[0] = 2;
        expect("both are deleted", &log.audit(true), Unprovable(I1));
    }
    let mut log = with_ids(["a", "b", "a", "b"], &[0, 1]);
    log.flags.dedupe = Some(2);
    log.lows[0] = 1;
    expect("one is deleted, without the log", &log.audit(false), Unprovable(I4));
}

#[test]
fn the_log_may_have_been_switched_on_later() {
    let mut log = Log::right();
    log.outcomes.retain(|(_, told)| told.origin_offset >= 8 || told.attempt > 1);
    expect(
        "retries of before are told from their second attempt on",
        &log.audit(true),
        Unprovable(I2),
    );
    // Order 6 waited untried behind order 4 when it was switched on.
    let mut log = Log::right();
    log.retries[1] = log.retry_of(6, 0, 1_000);
    log.retries.push(log.retry_of(6, 1, 2_000));
    log.retry.hold(pipeline::record::Offset(3));
    log.retry.settle(pipeline::record::Offset(1));
    log.averages = vec![log.average("tea", &[0, 2, 4, 8]), log.average("cake", &[1, 5, 9])];
    log.outcomes.retain(|(_, told)| told.origin_offset >= 9);
    let late = log.outcome(6, 1, Outcome::Retried);
    log.outcomes.insert(0, late);
    expect("one that had waited untried does not count", &log.audit(true), Unprovable(I2));
}

#[test]
fn a_damage_of_the_log_is_no_damage_of_at_least_once() {
    let mut log = Log::right();
    log.flags.at_least_once = Some(true);
    let again = log.outcome(8, 1, Outcome::Succeeded);
    log.outcomes.push(again);
    expect("a repeat", &log.audit(true), Green);
    log.outcomes[0].1.order_id = "o-9".into();
    expect("another name", &log.audit(true), Red(I10));
}
