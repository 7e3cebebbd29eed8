//! Looking at a dead letter of a cause that is known allocates nothing; what it costs does not grow unseen.

use allocations::allocations;
use ops::dlq::{DeadLetter, Dialect, Filter, Header, Record, Shown, Stats, Verdict};

fn text<'a>(name: &'a str, value: &'a str) -> Header<'a> {
    (name.as_bytes(), Some(value.as_bytes()))
}

/// A dead letter as this pipeline writes it, Spring's headers included.
fn own() -> Vec<Header<'static>> {
    vec![
        text("x-origin-topic", "orders"),
        text("x-origin-partition", "2"),
        text("x-origin-offset", "133"),
        text("x-origin-timestamp-ms", "1795256952843"),
        text("x-origin-timestamp-type", "CreateTime"),
        text("x-origin-group", "shop"),
        text("x-first-failed-at-ms", "1795256952843"),
        text("x-attempt", "4"),
        text("x-failure-class", "transient"),
        text("x-failure-reason", "handler"),
        text("x-failure-detail", "the shop has no stock of it"),
        text("x-fingerprint", "d0186006"),
        text("kafka_dlt-original-topic", "orders"),
        (b"kafka_dlt-original-partition", Some(&[0, 0, 0, 2])),
        (b"kafka_dlt-original-offset", Some(&[0, 0, 0, 0, 0, 0, 0, 133])),
        text("kafka_dlt-original-consumer-group", "shop"),
        text("kafka_dlt-exception-fqcn", "orders.transient"),
        text("kafka_dlt-exception-message", "handler: the shop has no stock of it"),
    ]
}

/// One as Spring writes it, whose cause has to be made of class and message.
fn of_spring() -> Vec<Header<'static>> {
    own().split_off(12)
}

#[test]
fn a_dead_letter_of_a_known_cause_is_read_judged_and_counted_without_an_allocation() {
    let mut stats = Stats::of(Shown::All);
    let filter = Filter { classes: vec!["transient".to_owned()], ..Filter::default() };
    for (headers, dialect, verdict, most) in [
        (own(), Dialect::Orders, Some(Verdict::Matches), 0),
        // The texts that its fingerprint is made of grow as they are put together.
        (of_spring(), Dialect::Spring, None, 7),
    ] {
        let value: Option<&[u8]> = Some(&[0, 0, 0, 0, 7, 2]); // framed, of schema 7
        let record = |headers| Record { written_ms: Some(1), value, headers, ..Record::default() };
        stats.add(&DeadLetter::read(record(headers.clone())), None);
        let again = record(headers);
        let found = allocations(|| {
            let letter = DeadLetter::read(again);
            assert_eq!(letter.dialect, dialect);
            assert!(verdict.is_none_or(|verdict| filter.judge(&letter) == verdict));
            stats.add(&letter, None);
        });
        assert!(found <= most, "{dialect}: {found} allocations");
    }
    let counts: Vec<u64> = stats.groups().iter().map(|group| group.count).collect();
    assert_eq!(counts, [2, 2]);
}
