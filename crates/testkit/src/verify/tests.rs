use std::borrow::Cow;

use order_schemas::OrderVersion;
use order_schemas::{OrderOutcome, Outcome, ProductAverage};
use orders::Amount;

use super::*;

/// An order of price 1.5 under schema 7, written by hand.
fn value(order_id: &str) -> Vec<u8> {
    let len = u8::try_from(2 * order_id.len()).unwrap();
    [&[0, 0, 0, 0, 7, len], order_id.as_bytes(), &[2, b'p', 0, 0, 0xc0, 0x3f]].concat()
}

fn rules() -> Rules {
    let schemas = [(7, OrderVersion::V1)].into();
    Rules { max_retries: 1, failure_rate: 0.5, failure_seed: 42, schemas, writers_killed: false }
}

/// The first id that fails just so often.
fn id_that_fails(times: u32) -> String {
    let fails = |id: &String| {
        (1..=2).take_while(|attempt| crate::oracle::fails(id, *attempt, 42, 0.5)).count()
            == times as usize
    };
    (0..1_000).map(|n| format!("{n:03}")).find(fails).unwrap()
}

fn record(offset: i64, value: Vec<u8>) -> LogRecord {
    LogRecord {
        partition: 0,
        offset,
        timestamp_ms: 1_000,
        timestamp_type: "CreateTime",
        key: Some(b"p".to_vec()),
        value: Some(value),
        headers: vec![(b"trace".to_vec(), Some(vec![0xff]))],
    }
}

fn outcome(origin_offset: i64, order_id: &str, attempt: i32, outcome: Outcome) -> OutcomeEntry {
    let failed = outcome != Outcome::Succeeded;
    let outcome = OrderOutcome {
        order_id: order_id.to_owned(),
        product: "p".to_owned(),
        origin_partition: 0,
        origin_offset,
        attempt,
        outcome,
        failure_class: failed.then_some(Cow::Borrowed("transient")),
        settled_at_ms: 2_000,
    };
    OutcomeEntry { partition: 0, offset: 0, timestamp_ms: 2_000, outcome }
}

fn with_headers(mut record: LogRecord, headers: &[(&str, &[u8])]) -> LogRecord {
    let owned =
        headers.iter().map(|(name, value)| (name.as_bytes().to_vec(), Some(value.to_vec())));
    record.headers.extend(owned);
    record
}

fn retry_of(order: &LogRecord) -> LogRecord {
    let offset = order.offset.to_string();
    let headers: [(&str, &[u8]); 4] = [
        ("x-origin-partition", b"0"),
        ("x-origin-offset", offset.as_bytes()),
        ("x-attempt", b"1"),
        ("x-due-at-ms", b"3000"),
    ];
    with_headers(order.clone(), &headers)
}

fn dead_letter_of(order: &LogRecord) -> LogRecord {
    let offset = order.offset.to_string();
    let fingerprint = format!("{:08x}", crc32fast::hash(b"transient/simulated/7"));
    let headers: [(&str, &[u8]); 20] = [
        ("x-origin-topic", b"orders"),
        ("x-origin-partition", b"0"),
        ("x-origin-offset", offset.as_bytes()),
        ("x-origin-timestamp-ms", b"1000"),
        ("x-origin-timestamp-type", b"CreateTime"),
        ("x-origin-group", b"group"),
        ("x-first-failed-at-ms", b"1000"),
        ("x-attempt", b"2"),
        ("x-failure-class", b"transient"),
        ("x-failure-reason", b"simulated"),
        ("x-failure-detail", b"words"),
        ("x-fingerprint", fingerprint.as_bytes()),
        ("kafka_dlt-original-topic", b"orders"),
        ("kafka_dlt-original-partition", &[0; 4]),
        ("kafka_dlt-original-offset", &order.offset.to_be_bytes()),
        ("kafka_dlt-original-timestamp", &[0, 0, 0, 0, 0, 0, 3, 0xe8]),
        ("kafka_dlt-original-timestamp-type", b"CreateTime"),
        ("kafka_dlt-original-consumer-group", b"group"),
        ("kafka_dlt-exception-fqcn", b"orders.transient"),
        ("kafka_dlt-exception-message", b"simulated: words"),
    ];
    with_headers(order.clone(), &headers)
}

/// Three orders: counted at once, counted at the second attempt, given up.
fn sound() -> Logs {
    let ids = [0, 1, 2].map(id_that_fails);
    let orders: Vec<_> = (0..).zip(&ids).map(|(offset, id)| record(offset, value(id))).collect();
    let sum = Amount::from_ten_thousandths(30_000);
    let average =
        ProductAverage { product: "p".into(), count: 2, sum, average: 1.5, updated_at_ms: 2_000 };
    let headers = [("x-group", "group"), ("x-main-offset", "3")]
        .map(|(name, value)| (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())));
    Logs {
        orders_topic: "orders".into(),
        group: "group".into(),
        retries: vec![retry_of(&orders[1]), retry_of(&orders[2])],
        retries_trimmed: false,
        dead_letters: vec![dead_letter_of(&orders[2])],
        averages: vec![AverageEntry {
            partition: 0,
            offset: 0,
            key: Some(b"p".to_vec()),
            headers: headers.to_vec(),
            average,
        }],
        outcomes: vec![
            outcome(0, &ids[0], 1, Outcome::Succeeded),
            outcome(1, &ids[1], 1, Outcome::Retried),
            outcome(2, &ids[2], 1, Outcome::Retried),
            outcome(1, &ids[1], 2, Outcome::Succeeded),
            outcome(2, &ids[2], 2, Outcome::DeadLettered),
        ],
        offsets: vec![Progress {
            topic: "orders".into(),
            partition: 0,
            end: 3,
            committed: Some(3),
        }],
        orders,
    }
}

/// Plants a fault and expects exactly the violations that it is.
#[track_caller]
fn found(plant: impl FnOnce(&mut Logs)) -> String {
    let mut logs = sound();
    plant(&mut logs);
    let violations = check(&logs, &rules());
    assert!(!violations.is_empty(), "the fault was not found");
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_sound_pipeline_has_no_violation() {
    assert_eq!(check(&sound(), &rules()), []);
    let totals = totals(&sound(), &rules());
    assert_eq!(
        (totals.orders, totals.succeeded, totals.retried, totals.dead_lettered),
        (3, 2, 2, 1)
    );
    assert_eq!(totals.products, [("p".to_owned(), (2, 30_000))].into());
}

#[test]
fn a_missing_a_doubled_and_a_wrong_outcome_are_found() {
    assert!(
        found(|logs| drop(logs.outcomes.remove(0))).starts_with("outcomes of order (0, 0): []")
    );
    let doubled = found(|logs| logs.outcomes.push(logs.outcomes[3].clone()));
    assert!(doubled.starts_with("outcomes of order (0, 1)"), "{doubled}");
    assert!(found(|logs| logs.outcomes[4].outcome.outcome = Outcome::Succeeded).contains("(0, 2)"));
    assert!(found(|logs| logs.outcomes.swap(1, 3)).contains("order (0, 1)"));
    assert!(found(|logs| logs.outcomes[0].outcome.origin_offset = 9).contains("no such order"));
    assert!(found(|logs| logs.outcomes[0].partition = 1).contains("order of partition 0"));
    assert!(found(|logs| logs.outcomes[4].outcome.failure_class = None).contains("class None"));
    assert!(found(|logs| logs.outcomes[3].outcome.settled_at_ms = 1).contains("back in time"));
}

#[test]
fn a_wrong_sum_count_or_average_is_found() {
    fn average(logs: &mut Logs) -> &mut ProductAverage {
        &mut logs.averages[0].average
    }
    let sum = found(|logs| average(logs).sum = Amount::from_ten_thousandths(30_001));
    assert!(sum.contains("2 orders of 3.0001 instead of 2 orders of 3.0000"), "{sum}");
    assert!(found(|logs| average(logs).count = 3).contains("3 orders"));
    assert!(found(|logs| average(logs).average = 1.500_000_1).contains("not 1.5"));
    assert!(found(|logs| logs.averages.clear()).contains("absent instead of 2 orders"));
    let falls = found(|logs| {
        let mut again = logs.averages[0].clone();
        again.average.count -= 1;
        logs.averages.push(again);
    });
    assert!(falls.contains("count falls"), "{falls}");
    assert!(found(|logs| logs.averages[0].key = None).contains("the key is not the product"));
    assert!(found(|logs| drop(logs.averages[0].headers.remove(0))).contains("headers"));
}

#[test]
fn a_missing_doubled_or_altered_dead_letter_is_found() {
    fn letter(logs: &mut Logs) -> &mut LogRecord {
        &mut logs.dead_letters[0]
    }
    assert!(found(|logs| logs.dead_letters.clear()).contains("0 instead of 1"));
    let doubled = found(|logs| logs.dead_letters.push(logs.dead_letters[0].clone()));
    assert!(doubled.contains("2 instead of 1"), "{doubled}");
    assert!(found(|logs| letter(logs).key = None).contains("key or value"));
    assert!(found(|logs| letter(logs).value.as_mut().unwrap()[0] = 1).contains("key or value"));
    assert!(found(|logs| letter(logs).partition = 1).contains("partition 1"));
    assert!(found(|logs| letter(logs).headers[0].1 = None).contains("instead of"));
    for index in 1..sound().dead_letters[0].headers.len() {
        let name = String::from_utf8(sound().dead_letters[0].headers[index].0.clone()).unwrap();
        if ["x-origin-partition", "x-origin-offset"].contains(&name.as_str()) {
            continue; // without them it cannot be matched at all
        }
        let doubled = found(|logs| {
            let again = letter(logs).headers[index].clone();
            letter(logs).headers.push(again);
        });
        assert!(doubled.contains(&name), "{name}: {doubled}");
    }
    let due = (b"x-due-at-ms".to_vec(), Some(b"1".to_vec()));
    assert!(found(|logs| letter(logs).headers.push(due)).contains("does not belong"));
}

#[test]
fn a_missing_altered_or_needless_retry_is_found() {
    assert!(found(|logs| drop(logs.retries.remove(0))).contains("none after attempt 1"));
    assert!(found(|logs| logs.retries[0].value = None).contains("not the order that came in"));
    let needless = found(|logs| logs.retries.push(retry_of(&logs.orders[0])));
    assert!(needless.contains("no such attempt had to fail"), "{needless}");
}

#[test]
fn a_retry_that_was_moved_to_the_tail_is_no_violation() {
    let mut logs = sound();
    logs.retries.push(logs.retries[0].clone());
    assert_eq!(check(&logs, &rules()), []);
}

#[test]
fn an_offset_before_the_end_is_found() {
    assert!(found(|logs| logs.offsets[0].committed = Some(2)).starts_with("orders/0"));
    assert!(found(|logs| logs.offsets[0].committed = None).starts_with("orders/0"));
}

#[test]
fn after_a_kill_a_marker_may_follow_the_committed_offset_but_no_record() {
    let mut logs = sound();
    logs.offsets[0].end = 4; // a marker that the broker wrote late
    assert_eq!(check(&logs, &rules()).len(), 1);
    assert_eq!(check(&logs, &rules().after_kills()), []);
    logs.offsets[0].committed = Some(2); // the record at 2 is not settled
    assert_eq!(check(&logs, &rules().after_kills()).len(), 1);
}

#[test]
fn printed_statistics_must_be_those_of_the_orders() {
    let totals = totals(&sound(), &rules());
    let printed = serde_json::json!({
        "consumed": 3, "succeeded": 2, "retried": 2, "dead_lettered": 1, "waiting": 0,
        "overall": {"count": 2, "sum": "3.0000", "average": 1.5},
        "products": [{"product": "p", "count": 2, "sum": "3.0000", "average": 1.5}],
    });
    totals.expect_stats(&printed);
    let mut wrong = printed;
    wrong["overall"]["sum"] = "3.0001".into();
    assert!(std::panic::catch_unwind(|| totals.expect_state(&wrong)).is_err());
}
