//! Headers byte for byte as each tool writes them.

use pipeline::failure::{Failure, FailureReason};
use pipeline::headers::{Dialects, Hop, Origin as OwnOrigin};
use pipeline::record::{Timestamp, TimestampType};

use super::*;
use crate::dlq::dead_letter::DeadLetter;
use crate::dlq::record::{Header, Record};

const WRITTEN_MS: i64 = 1_795_256_952_843;

/// `1_795_256_952_843` as Spring writes it.
const WRITTEN_BYTES: &[u8] = &[0x00, 0x00, 0x01, 0xa1, 0xfd, 0xa7, 0x28, 0x0b];

fn record<'a>(headers: &[Header<'a>]) -> Record<'a> {
    Record { headers: headers.to_vec(), ..Record::default() }
}

fn text<'a>(name: &'a str, value: &'a str) -> Header<'a> {
    (name.as_bytes(), Some(value.as_bytes()))
}

/// What a golden record must say.
#[derive(Debug, PartialEq)]
struct Said<'a> {
    dialect: Dialect,
    place: (&'a str, Option<i32>, Option<i64>),
    timestamp_ms: Option<i64>,
    group: Option<&'a str>,
    class: Option<&'a str>,
    reason: Option<&'a str>,
    detail: Option<&'a str>,
    attempts: Option<u32>,
}

#[track_caller]
fn check(headers: &[Header<'_>], expected: &Said<'_>) {
    let letter = DeadLetter::read(record(headers));
    let origin = letter.origin.as_ref().expect("it names its origin");
    let said = Said {
        dialect: letter.dialect,
        place: (&origin.topic, origin.partition, origin.offset),
        timestamp_ms: origin.timestamp_ms,
        group: origin.group.as_deref(),
        class: letter.cause.class.as_deref(),
        reason: letter.cause.reason.as_deref(),
        detail: letter.cause.detail.as_deref(),
        attempts: letter.attempts,
    };
    assert_eq!(said, *expected);
}

const SPRING_TEXTS: [(&str, &str); 7] = [
    ("kafka_dlt-original-topic", "orders"),
    ("kafka_dlt-original-timestamp-type", "CreateTime"),
    ("kafka_dlt-original-consumer-group", "shop"),
    (
        "kafka_dlt-exception-fqcn",
        "org.springframework.kafka.listener.ListenerExecutionFailedException",
    ),
    ("kafka_dlt-exception-cause-fqcn", "java.lang.IllegalStateException"),
    ("kafka_dlt-exception-message", "Listener failed; no stock"),
    (
        "kafka_dlt-exception-stacktrace",
        "java.lang.IllegalStateException: no stock\n\tat shop.Stock",
    ),
];

fn spring_said() -> Said<'static> {
    Said {
        dialect: Dialect::Spring,
        place: ("orders", Some(2), Some(133)),
        timestamp_ms: Some(WRITTEN_MS),
        group: Some("shop"),
        class: Some("org.springframework.kafka.listener.ListenerExecutionFailedException"),
        reason: Some("java.lang.IllegalStateException"),
        detail: Some("Listener failed; no stock"),
        attempts: None,
    }
}

#[test]
fn springs_recoverer_is_read_in_its_binary_form() {
    let mut headers: Vec<Header<'_>> = SPRING_TEXTS.map(|(name, value)| text(name, value)).into();
    headers.extend([
        (b"kafka_dlt-original-partition".as_slice(), Some([0, 0, 0, 2].as_slice())),
        (b"kafka_dlt-original-offset", Some(&[0, 0, 0, 0, 0, 0, 0, 0x85])),
        (b"kafka_dlt-original-timestamp", Some(WRITTEN_BYTES)),
    ]);
    check(&headers, &spring_said());
}

#[test]
fn springs_names_are_read_with_numbers_in_text_as_other_libraries_write_them() {
    let mut headers: Vec<Header<'_>> = SPRING_TEXTS.map(|(name, value)| text(name, value)).into();
    headers.extend([
        text("kafka_dlt-original-partition", "2"),
        text("kafka_dlt-original-offset", "133"),
        text("kafka_dlt-original-timestamp", "1795256952843"),
    ]);
    check(&headers, &spring_said());
}

#[test]
fn springs_retryable_topic_is_read_though_its_group_has_the_other_prefix() {
    let headers = [
        text("kafka_original-topic", "orders"),
        (b"kafka_original-partition", Some(&[0, 0, 0, 1])),
        (b"kafka_original-offset", Some(&[0, 0, 0, 0, 0, 0, 1, 0])),
        (b"kafka_original-timestamp", Some(WRITTEN_BYTES)),
        text("kafka_original-timestamp-type", "CreateTime"),
        text("kafka_dlt-original-consumer-group", "shop"),
        text("kafka_exception-fqcn", "shop.Refused"),
        text("kafka_exception-message", "no stock"),
        // One set more for each hop: the last one counts.
        (b"retry_topic-attempts", Some(&[0, 0, 0, 2])),
        (b"retry_topic-backoff-timestamp", Some(&[0x01, 0xa1, 0xfd, 0xa7, 0x28, 0x0b])),
        (b"retry_topic-attempts", Some(&[0, 0, 0, 4])),
    ];
    let expected = Said {
        dialect: Dialect::SpringRetryable,
        place: ("orders", Some(1), Some(256)),
        timestamp_ms: Some(WRITTEN_MS),
        group: Some("shop"),
        class: Some("shop.Refused"),
        reason: None,
        detail: Some("no stock"),
        attempts: Some(3),
    };
    check(&headers, &expected);
}

#[test]
fn kafka_connect_is_read() {
    let headers = [
        text("__connect.errors.topic", "orders"),
        text("__connect.errors.partition", "0"),
        text("__connect.errors.offset", "42"),
        text("__connect.errors.connector.name", "sink"),
        text("__connect.errors.task.id", "0"),
        text("__connect.errors.stage", "VALUE_CONVERTER"),
        text("__connect.errors.class.name", "io.confluent.connect.avro.AvroConverter"),
        text(
            "__connect.errors.exception.class.name",
            "org.apache.kafka.connect.errors.DataException",
        ),
        (b"__connect.errors.exception.message", None),
        text("__connect.errors.exception.stacktrace", ""),
    ];
    let expected = Said {
        dialect: Dialect::Connect,
        place: ("orders", Some(0), Some(42)),
        timestamp_ms: None,
        group: Some("sink"),
        class: Some("VALUE_CONVERTER"),
        reason: Some("org.apache.kafka.connect.errors.DataException"),
        detail: None,
        attempts: None,
    };
    check(&headers, &expected);
}

#[test]
fn kafka_streams_is_read_with_the_class_apart_from_the_message() {
    let headers = [
        text("__streams.errors.exception", "java.lang.RuntimeException: no stock"),
        text("__streams.errors.stacktrace", "java.lang.RuntimeException: no stock\n\tat shop"),
        text("__streams.errors.message", "no stock"),
        text("__streams.errors.topic", "orders"),
        text("__streams.errors.partition", "3"),
        text("__streams.errors.offset", "7"),
    ];
    let expected = Said {
        dialect: Dialect::Streams,
        place: ("orders", Some(3), Some(7)),
        timestamp_ms: None,
        group: None,
        class: Some("java.lang.RuntimeException"),
        reason: None,
        detail: Some("no stock"),
        attempts: None,
    };
    check(&headers, &expected);
}

#[test]
fn share_groups_are_read_with_their_deliveries() {
    let headers = [
        text("__dlq.errors.topic", "orders"),
        text("__dlq.errors.partition", "2"),
        text("__dlq.errors.offset", "41"),
        text("__dlq.errors.group", "shares"),
        text("__dlq.errors.delivery.count", "5"),
        text("__dlq.errors.message", "Offset delivery count exceeded the threshold."),
    ];
    let expected = Said {
        dialect: Dialect::ShareGroup,
        place: ("orders", Some(2), Some(41)),
        timestamp_ms: None,
        group: Some("shares"),
        class: None,
        reason: None,
        detail: Some("Offset delivery count exceeded the threshold."),
        attempts: Some(5),
    };
    check(&headers, &expected);
}

#[test]
fn smallrye_is_read() {
    let headers = [
        text("dead-letter-exception-class-name", "shop.Refused"),
        text("dead-letter-cause-class-name", "java.io.IOException"),
        text("dead-letter-reason", "no stock"),
        text("dead-letter-cause", "broken pipe"),
        text("dead-letter-topic", "orders"),
        text("dead-letter-partition", "1"),
        text("dead-letter-offset", "9"),
    ];
    let expected = Said {
        dialect: Dialect::SmallRye,
        place: ("orders", Some(1), Some(9)),
        timestamp_ms: None,
        group: None,
        class: Some("shop.Refused"),
        reason: Some("java.io.IOException"),
        detail: Some("no stock"),
        attempts: None,
    };
    check(&headers, &expected);
}

#[test]
fn karafka_is_read_though_it_says_nothing_of_the_failure() {
    let headers = [
        text("source_topic", "orders"),
        text("source_partition", "1"),
        text("source_offset", "9"),
        text("source_consumer_group", "app"),
        text("source_attempts", "3"),
    ];
    let expected = Said {
        dialect: Dialect::Karafka,
        place: ("orders", Some(1), Some(9)),
        timestamp_ms: None,
        group: Some("app"),
        class: None,
        reason: None,
        detail: None,
        attempts: Some(3),
    };
    check(&headers, &expected);
    let somebodys = DeadLetter::read(record(&headers[..1]));
    assert_eq!(somebodys.dialect, Dialect::Unknown, "one name alone may be anybody's");
}

/// Headers of a dead letter as the pipeline itself writes them.
fn own_headers(offset: i64, connect: bool) -> Vec<(&'static str, Vec<u8>)> {
    let origin = OwnOrigin {
        topic: "orders".to_owned(),
        partition: 2,
        offset,
        timestamp: Timestamp { ms: WRITTEN_MS, kind: TimestampType::CreateTime },
        group: "shop".to_owned(),
    };
    let failure = Failure {
        reason: FailureReason::NegativePrice,
        schema_id: Some(7),
        detail: "price is below zero".to_owned(),
    };
    let hop = Hop {
        origin: &origin,
        carries_lineage: false,
        carries_first_failed: false,
        attempt: 1,
        failure: Some(&failure),
        now_ms: WRITTEN_MS,
    };
    hop.to_dead_letter(Dialects { connect, name: "orders" }, true).add
}

fn borrowed<'a>(headers: &'a [(&'static str, Vec<u8>)]) -> Vec<Header<'a>> {
    headers.iter().map(|(name, value)| (name.as_bytes(), Some(value.as_slice()))).collect()
}

#[test]
fn our_own_dead_letters_are_ours_though_they_speak_springs_and_connects_dialect_too() {
    let expected = Said {
        dialect: Dialect::Orders,
        place: ("orders", Some(2), Some(133)),
        timestamp_ms: Some(WRITTEN_MS),
        group: Some("shop"),
        class: Some("invalid"),
        reason: Some("negative-price"),
        detail: Some("price is below zero"),
        attempts: Some(1),
    };
    for connect in [false, true] {
        let own = own_headers(133, connect);
        check(&borrowed(&own), &expected);
        let letter = DeadLetter::read(record(&borrowed(&own)));
        let written = pipeline::failure::fingerprint("invalid", "negative-price", Some(7));
        assert_eq!(letter.fingerprint, written, "as x-fingerprint says, without the value");
    }
}

#[test]
fn of_two_tools_the_one_that_gave_it_up_last_is_believed() {
    let own = own_headers(133, false);
    let mut headers = borrowed(&own);
    // A connector reads our dead letters, and gives one of them up again.
    headers.extend([
        text("__connect.errors.topic", "orders-dlq"),
        text("__connect.errors.partition", "0"),
        text("__connect.errors.offset", "5"),
    ]);
    let letter = DeadLetter::read(record(&headers));
    assert_eq!(letter.dialect, Dialect::Connect);
    assert_eq!(letter.origin.expect("named").topic, "orders-dlq");
    // An order that a Spring service had given up before it came to us.
    let mut headers = vec![
        text("__streams.errors.topic", "raw"),
        text("__streams.errors.partition", "0"),
        text("__streams.errors.offset", "5"),
    ];
    headers.extend(borrowed(&own));
    assert_eq!(DeadLetter::read(record(&headers)).dialect, Dialect::Orders);
}

#[test]
fn numbers_that_no_topic_has_are_left_open() {
    for (partition, offset) in [("-1", "-7"), ("many", ""), ("99999999999", "x")] {
        let headers = [
            text("__dlq.errors.topic", "orders"),
            text("__dlq.errors.partition", partition),
            text("__dlq.errors.offset", offset),
        ];
        let origin = DeadLetter::read(record(&headers)).origin.expect("named");
        assert_eq!((origin.partition, origin.offset), (None, None), "{partition} {offset}");
    }
}

#[test]
fn messages_that_name_the_record_share_a_fingerprint_and_others_do_not() {
    let print = |class: &str, message: &str| {
        let headers = [
            text("kafka_dlt-original-topic", "orders"),
            text("kafka_dlt-original-partition", "1"),
            text("kafka_dlt-exception-fqcn", class),
            text("kafka_dlt-exception-message", message),
        ];
        DeadLetter::read(record(&headers)).fingerprint
    };
    assert_eq!(print("A", "order 17 has no stock"), print("A", "order 18 has no stock"));
    assert_ne!(print("A", "order 17 has no stock"), print("B", "order 17 has no stock"));
    assert_ne!(print("A", "order 17 has no stock"), print("A", "order 17 has no price"));
}
