//! Dead letters that lost a part, that carry other tools' headers, and those of records which another
//! program put into the retry topic.

use pipeline::failure::FailureReason;
use pipeline::headers::{Dialects, Origin};
use pipeline::record::{Offset, Timestamp, TimestampType};

use super::super::report::Invariant::{I2, I10};
use super::log::{Log, NOW_MS, OURS, Rec};
use super::{Damage, Green, Red, expect};

fn letter(log: &mut Log) -> &mut Rec {
    &mut log.dead_letters[1]
}

#[test]
fn connects_names_are_checked_where_they_are_written_and_kept_where_they_came_in() {
    let dialects = Dialects { connect: true, ..OURS };
    let mut log = Log::right();
    log.dead_letters[1] = log.dead_letter_in(7, 2, FailureReason::Simulated, dialects, true);
    expect("as they are written", &log.audit(true), Green);
    *letter(&mut log).header("__connect.errors.offset") = Some(b"8".to_vec());
    expect("another offset", &log.audit(true), Red(I10));
    let mut log = Log::right();
    log.orders[7].0.set("__connect.errors.topic", "elsewhere");
    log.retries[2] = log.retry_of(7, 1, 1_000);
    log.dead_letters[1] = log.dead_letter_of(7, 2, FailureReason::Simulated);
    expect("as they came in", &log.audit(true), Green);
    letter(&mut log).set("__connect.errors.topic", "orders");
    expect("changed on the way", &log.audit(true), Red(I10));
}

/// The dead letter of order 7 as it is written where the broker takes no larger one.
fn truncated(log: &mut Log, is_bare: bool) {
    let value = log.orders[7].0.value.clone().unwrap_or_default();
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&value);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("orders/0/7 length={} sha256={hex}", value.len());
    let is_tombstone = log.orders[7].0.value.is_none();
    let mut letter = log.dead_letter_in(7, 2, FailureReason::Simulated, OURS, false);
    letter.set("x-truncated", &text);
    letter.value = (!is_tombstone).then(|| text.into_bytes());
    if is_bare {
        letter.remove("trace");
    }
    log.dead_letters[1] = letter;
}

#[test]
fn a_truncated_dead_letter_says_what_it_was() {
    for is_bare in [false, true] {
        let mut log = Log::right();
        truncated(&mut log, is_bare);
        expect("as it is written", &log.audit(true), Green);
        let damages: [Damage<Rec>; 6] = [
            ("the end of its hash", |rec| {
                let Some(text) = rec.value.clone() else { return };
                let mut text = String::from_utf8(text).expect("text");
                text.replace_range(text.len() - 1.., if text.ends_with('0') { "1" } else { "0" });
                rec.set("x-truncated", &text);
                rec.value = Some(text.into_bytes());
            }),
            ("its value only", |rec| rec.value = Some(b"other".to_vec())),
            ("its text only", |rec| rec.set("x-truncated", "orders/0/7 length=1 sha256=0")),
            ("its key", |rec| rec.key = Some(b"other".to_vec())),
            ("its header", |rec| rec.set("trace", "other")),
            ("its time", |rec| {
                rec.set("x-origin-timestamp-ms", "5");
                *rec.header("kafka_dlt-original-timestamp") = Some(5_i64.to_be_bytes().to_vec());
            }),
        ];
        for (what, damage) in damages {
            let mut log = Log::right();
            truncated(&mut log, is_bare);
            damage(letter(&mut log));
            expect(what, &log.audit(false), Red(I10));
        }
    }
}

#[test]
fn a_tombstone_that_lost_its_headers_says_so() {
    let tombstone = |log: &mut Log| {
        log.orders[7].0.value = None;
        log.orders[7].1 = crate::audit::orders_read::Value::Bad(FailureReason::NoValue);
        log.retries[2] = log.retry_of(7, 0, 1_000);
        log.outcomes.retain(|(_, told)| told.origin_offset != 7);
        let mut told = log.outcome(7, 1, order_schemas::Outcome::DeadLettered);
        told.1.failure_class = Some("malformed".into());
        log.outcomes.push(told);
        truncated(log, true);
        let letter = log.dead_letter_in(7, 1, FailureReason::NoValue, OURS, false);
        let text = log.dead_letters[1].header("x-truncated").clone();
        log.dead_letters[1] = letter;
        log.dead_letters[1].remove("trace");
        text
    };
    let mut log = Log::right();
    let text = tombstone(&mut log).expect("it is there");
    expect("without a word", &log.audit(true), Red(I10));
    letter(&mut log).set("x-truncated", std::str::from_utf8(&text).expect("text"));
    for with_outcomes in [true, false] {
        let report = log.audit(with_outcomes);
        assert!(report.verdict(I10).ok, "{}", report.table());
    }
    letter(&mut log).value = Some(text);
    expect("a tombstone stays one", &log.audit(true), Red(I10));
}

/// A record that another program put into the retry topic, retried and dead-lettered.
fn with_stranger(log: &mut Log) {
    let mut stranger = Rec::new("rice", b"stranger");
    stranger.set("trace", "s");
    let origin = Origin {
        topic: "orders-retry".to_owned(),
        partition: 0,
        offset: 3,
        timestamp: Timestamp { ms: NOW_MS, kind: TimestampType::CreateTime },
        group: "order-consumer".to_owned(),
    };
    let reason = Some(FailureReason::Simulated);
    let retry = log.hop_of(&stranger, &origin, 1, reason, |hop| hop.to_retry(5));
    let letter = log.hop_of(&stranger, &origin, 2, reason, |hop| hop.to_dead_letter(OURS, true));
    log.retries.extend([stranger, retry]);
    log.dead_letters.push(letter);
    for offset in [3, 4] {
        log.retry.hold(Offset(offset));
        log.retry.settle(Offset(offset));
    }
    log.averages = vec![log.average("tea", &[0, 2, 4, 8]), log.average("cake", &[1, 5, 9])];
    for (attempt, outcome) in
        [(1, order_schemas::Outcome::Retried), (2, order_schemas::Outcome::DeadLettered)]
    {
        let (mut rec, mut told) = log.outcome(4, attempt, outcome);
        rec.key = Some(b"rice".to_vec());
        (told.order_id, told.product) = ("stranger".to_owned(), "rice".to_owned());
        told.origin_offset = 3;
        log.outcomes.push((rec, told));
    }
}

#[test]
fn a_record_of_another_program_is_an_order_of_its_own() {
    let mut log = Log::right();
    with_stranger(&mut log);
    expect("a stranger", &log.audit(true), Green);
    expect("a stranger", &log.audit(false), Green);
    let damages: [Damage<Log>; 5] = [
        ("its value", |l| l.dead_letters[2].value = Some(b"other".to_vec())),
        ("its dead letter twice", |l| {
            let again = l.dead_letters[2].clone();
            l.dead_letters.push(again);
        }),
        ("its dead letter is missing", |l| drop(l.dead_letters.pop())),
        ("its attempt", |l| l.dead_letters[2].set("x-attempt", "3")),
        ("its place", |l| {
            l.dead_letters[2].set("x-origin-offset", "2");
            *l.dead_letters[2].header("kafka_dlt-original-offset") =
                Some(2_i64.to_be_bytes().to_vec());
        }),
    ];
    for (what, damage) in damages {
        let mut log = Log::right();
        with_stranger(&mut log);
        damage(&mut log);
        for with_outcomes in [true, false] {
            let report = log.audit(with_outcomes);
            assert!(!report.ok, "{what}: {}", report.table());
        }
    }
    let mut log = Log::right();
    with_stranger(&mut log);
    log.outcomes.pop();
    expect("its end is not told", &log.audit(true), Red(I2));
}
