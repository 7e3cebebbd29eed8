//! Every header of retries and dead letters, their keys, values and places.

use pipeline::failure::FailureReason;
use pipeline::record::Offset;

use super::super::report::Invariant::{I1, I2, I4, I6, I10};
use super::log::{Log, NOW_MS, Rec};
use super::{Green, Red, Row, expect, judge};

fn letter(log: &mut Log) -> &mut Rec {
    &mut log.dead_letters[1]
}

/// The retry of the order that is a dead letter as well.
fn retry(log: &mut Log) -> &mut Rec {
    &mut log.retries[2]
}

/// What is done to the header of a name.
type Damage = fn(&mut Rec, &str);

#[test]
fn each_header_of_a_dead_letter_is_checked() {
    let names = [
        "x-origin-topic",
        "x-origin-partition",
        "x-origin-offset",
        "x-origin-timestamp-ms",
        "x-origin-timestamp-type",
        "x-first-failed-at-ms",
        "x-attempt",
        "x-failure-class",
        "x-failure-reason",
        "x-failure-detail",
        "x-fingerprint",
        "kafka_dlt-original-topic",
        "kafka_dlt-original-partition",
        "kafka_dlt-original-offset",
        "kafka_dlt-original-timestamp",
        "kafka_dlt-original-timestamp-type",
        "kafka_dlt-original-consumer-group",
        "kafka_dlt-exception-fqcn",
        "kafka_dlt-exception-message",
        "trace",
    ];
    for name in names {
        let damages: [(&str, Damage); 5] = [
            ("is missing", |rec, name| rec.remove(name)),
            ("is there twice", |rec, name| rec.double(name)),
            ("is something else", |rec, name| *rec.header(name) = Some(b"4711".to_vec())),
            ("is no text", |rec, name| *rec.header(name) = Some(vec![0xff, 0xfe])),
            ("is null", |rec, name| *rec.header(name) = None),
        ];
        for (how, damage) in damages {
            let mut log = Log::right();
            damage(letter(&mut log), name);
            let what = format!("{name} {how}");
            expect(&what, &log.audit(true), Red(I10));
            expect(&what, &log.audit(false), Red(I10));
        }
    }
}

#[test]
fn each_header_of_a_retry_is_checked() {
    let names = [
        "x-origin-partition",
        "x-origin-timestamp-ms",
        "x-origin-timestamp-type",
        "x-first-failed-at-ms",
        "x-attempt",
        "x-due-at-ms",
        "x-failure-class",
        "x-failure-reason",
        "x-fingerprint",
        "retry_topic-attempts",
        "retry_topic-backoff-timestamp",
        "retry_topic-original-timestamp",
        "trace",
    ];
    for name in names {
        let damages: [(&str, Damage); 3] = [
            ("is missing", |rec, name| rec.remove(name)),
            ("is there twice", |rec, name| rec.double(name)),
            ("is something else", |rec, name| *rec.header(name) = Some(b"4711".to_vec())),
        ];
        for (how, damage) in damages {
            let mut log = Log::right();
            damage(retry(&mut log), name);
            let what = format!("{name} {how}");
            for with_outcomes in [true, false] {
                let report = log.audit(with_outcomes);
                assert!(!report.ok, "{what}: {}", report.table());
            }
        }
    }
    for name in ["x-origin-topic", "x-origin-offset", "x-origin-group"] {
        let mut log = Log::right();
        retry(&mut log).remove(name);
        assert!(!log.audit(true).ok && !log.audit(false).ok, "{name}");
    }
}

#[test]
fn a_dead_letter_is_the_order_that_came_in() {
    let rows: [Row; 12] = [
        ("another value", |l| letter(l).value = Some(b"other".to_vec()), Red(I10), Red(I10)),
        ("no value", |l| letter(l).value = None, Red(I10), Red(I10)),
        ("another key", |l| letter(l).key = Some(b"tea".to_vec()), Red(I10), Red(I10)),
        ("no key", |l| letter(l).key = None, Red(I10), Red(I10)),
        ("a header more", |l| letter(l).set("more", "1"), Red(I10), Red(I10)),
        ("a due time", |l| letter(l).set("x-due-at-ms", "5"), Red(I10), Red(I10)),
        (
            "a header that is Spring's and not ours",
            |l| letter(l).set("kafka_dlt-exception-stacktrace", "at"),
            Red(I10),
            Red(I10),
        ),
        (
            "half of Connect's headers",
            |l| letter(l).set("__connect.errors.topic", "orders"),
            Red(I10),
            Red(I10),
        ),
        (
            "it is not truncated",
            |l| letter(l).set("x-truncated", "orders/0/7 length=8 sha256=00"),
            Red(I10),
            Red(I10),
        ),
        (
            "it was redriven, garbled",
            |l| letter(l).set("x-redrive-count", "one"),
            Red(I10),
            Red(I10),
        ),
        (
            "it was redriven, and nothing came back",
            |l| letter(l).set("x-redrive-count", "1"),
            Red(I10),
            Red(I10),
        ),
        ("of another group", |l| letter(l).set("x-origin-group", "other"), Red(I1), Red(I4)),
    ];
    judge(&rows);
}

#[test]
fn the_attempt_and_the_reason_of_a_dead_letter_are_those_that_were_told() {
    let rows: [Row; 8] = [
        (
            "an attempt too high",
            |l| l.dead_letters[1] = l.dead_letter_of(7, 3, FailureReason::Simulated),
            Red(I10),
            Red(I10),
        ),
        (
            "an attempt too low",
            |l| l.dead_letters[1] = l.dead_letter_of(7, 1, FailureReason::Simulated),
            Red(I10),
            Red(I10),
        ),
        (
            "a second attempt of one that was never retried",
            |l| l.dead_letters[0] = l.dead_letter_of(3, 2, FailureReason::NegativePrice),
            Red(I10),
            Red(I10),
        ),
        (
            "a class that blames a good value",
            |l| l.dead_letters[1] = l.dead_letter_of(7, 2, FailureReason::BadMagic),
            Red(I10),
            Red(I10),
        ),
        (
            "another rule than the one it breaks",
            |l| l.dead_letters[0] = l.dead_letter_of(3, 1, FailureReason::EmptyProduct),
            Red(I10),
            Red(I10),
        ),
        (
            "a failure on request of a bad value",
            |l| l.dead_letters[0] = l.dead_letter_of(3, 1, FailureReason::Simulated),
            Red(I10),
            Red(I10),
        ),
        (
            "another class of the registry's",
            |l| l.dead_letters[1] = l.dead_letter_of(7, 2, FailureReason::SchemaNotFound),
            Red(I10),
            Green,
        ),
        (
            "another time of its first failure",
            |l| letter(l).set("x-first-failed-at-ms", &(NOW_MS - 1).to_string()),
            Red(I10),
            Red(I10),
        ),
    ];
    judge(&rows);
}

#[test]
fn records_that_are_missing_or_doubled_are_found() {
    let rows: [Row; 9] = [
        ("a dead letter is missing", |l| drop(l.dead_letters.remove(1)), Red(I1), Red(I4)),
        (
            "the dead letter of a bad value is missing",
            |l| drop(l.dead_letters.remove(0)),
            Red(I1),
            Red(I1),
        ),
        (
            "a dead letter twice",
            |l| {
                let again = l.dead_letters[1].clone();
                l.dead_letters.push(again);
            },
            Red(I2),
            Red(I2),
        ),
        (
            "a dead letter of a counted order",
            |l| {
                let forged = l.dead_letter_of(2, 1, FailureReason::Handler);
                l.dead_letters.push(forged);
            },
            Red(I2),
            Red(I4),
        ),
        (
            "a dead letter of one that waits",
            |l| {
                let forged = l.dead_letter_of(6, 2, FailureReason::Handler);
                l.dead_letters.push(forged);
            },
            Red(I2),
            Red(I2),
        ),
        (
            "a dead letter of no order",
            |l| {
                letter(l).set("x-origin-offset", "70");
                *letter(l).header("kafka_dlt-original-offset") =
                    Some(70_i64.to_be_bytes().to_vec());
            },
            Red(I6),
            Red(I6),
        ),
        ("the waiting record is missing", |l| drop(l.retries.remove(1)), Red(I1), Red(I4)),
        (
            "a retry of a counted order waits",
            |l| {
                let again = l.retry_of(2, 1, 5);
                l.retries.push(again);
                l.retry.hold(Offset(3));
            },
            Red(I2),
            Red(I4),
        ),
        (
            "one waits twice",
            |l| {
                let again = l.retry_of(6, 2, 5);
                l.retries.push(again);
                l.retry.hold(Offset(3));
            },
            Red(I2),
            Red(I2),
        ),
    ];
    judge(&rows);
}

#[test]
fn attempts_of_retries_follow_each_other() {
    let more = |log: &mut Log, attempt, due| {
        log.retries.push(log.retry_of(7, attempt, due));
        log.retry.hold(Offset(3));
        log.retry.settle(Offset(3));
        log.averages = vec![log.average("tea", &[0, 2, 4, 8]), log.average("cake", &[1, 5, 9])];
    };
    for attempt in [0, 1, 3] {
        let mut log = Log::right();
        more(&mut log, attempt, 9_000);
        expect(&format!("attempt {attempt} after 1"), &log.audit(false), Red(I10));
    }
    let mut log = Log::right();
    more(&mut log, 1, 1_000);
    expect("a copy that was moved to the tail", &log.audit(true), Green);
    let mut log = Log::right();
    log.retries[0] = log.retry_of(5, 2, 1_000);
    expect("the first one is the second", &log.audit(true), Red(I10));
    expect("the first one is the second", &log.audit(false), Red(I10));
}
