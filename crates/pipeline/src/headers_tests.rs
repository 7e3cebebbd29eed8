use super::*;
use crate::failure::FailureReason;

const OURS: Dialects<'_> = Dialects { connect: false, name: "orders" };

fn origin() -> Origin {
    Origin {
        topic: "orders".into(),
        partition: 3,
        offset: 4711,
        timestamp: Timestamp { ms: 1_700_000_000_123, kind: TimestampType::CreateTime },
        group: "order-consumer".into(),
    }
}

fn failure() -> Failure {
    Failure { reason: FailureReason::Simulated, schema_id: Some(7), detail: "on request".into() }
}

fn hop<'a>(origin: &'a Origin, failure: &'a Failure) -> Hop<'a> {
    Hop {
        origin,
        carries_lineage: false,
        carries_first_failed: false,
        attempt: 2,
        failure: Some(failure),
        now_ms: 1_700_000_009_999,
    }
}

fn value<'a>(edit: &'a HeaderEdit, name: &str) -> Option<&'a [u8]> {
    let mut values = edit.add.iter().filter(|(added, _)| *added == name);
    let value = values.next().map(|(_, value)| value.as_slice());
    assert!(values.next().is_none(), "{name} stands twice");
    value
}

#[test]
fn a_record_that_waits_untried_behind_its_key_carries_no_failure() {
    let (origin, failure) = (origin(), failure());
    let hop = Hop { attempt: 0, failure: None, ..hop(&origin, &failure) };
    let edit = hop.to_retry(5);
    assert_eq!(value(&edit, ATTEMPT), Some(&b"0"[..]));
    assert!(Lineage::read(|name| value(&edit, name)).is_some_and(|read| !read.has_first_failed));
    for name in [FAILURE_CLASS, FAILURE_REASON, FAILURE_DETAIL, FINGERPRINT, FIRST_FAILED_AT_MS] {
        assert_eq!(value(&edit, name), None, "{name}");
    }
}

#[test]
fn a_lineage_survives_a_hop_through_the_retry_topic() {
    let (origin, failure) = (origin(), failure());
    let edit = hop(&origin, &failure).to_retry(1_700_000_012_345);
    let read = Lineage::read(|name| value(&edit, name));
    let expected = Lineage {
        origin: origin.clone(),
        attempt: 2,
        due_at_ms: 1_700_000_012_345,
        redrive_count: 0,
        has_first_failed: true,
    };
    assert_eq!(read, Some(expected));
}

#[test]
fn springs_retry_headers_have_springs_bytes() {
    let (origin, failure) = (origin(), failure());
    let edit = hop(&origin, &failure).to_retry(1_700_000_012_345);
    assert_eq!(value(&edit, "retry_topic-attempts"), Some([0, 0, 0, 3].as_slice()));
    let due = 1_700_000_012_345_i64.to_be_bytes();
    assert_eq!(value(&edit, "retry_topic-backoff-timestamp"), Some(&due[2..]));
    assert_eq!(value(&edit, "retry_topic-backoff-timestamp").unwrap().len(), 6);
    let original = 1_700_000_000_123_i64.to_be_bytes();
    assert_eq!(value(&edit, "retry_topic-original-timestamp"), Some(&original[2..]));
}

#[test]
fn a_dead_letter_speaks_springs_dialect_in_binary() {
    let (origin, failure) = (origin(), failure());
    let edit = hop(&origin, &failure).to_dead_letter(OURS, true);
    let check =
        |name: &str, expected: &[u8]| assert_eq!(value(&edit, name), Some(expected), "{name}");
    check("kafka_dlt-original-topic", b"orders");
    check("kafka_dlt-original-partition", &[0, 0, 0, 3]);
    check("kafka_dlt-original-offset", &4711_i64.to_be_bytes());
    check("kafka_dlt-original-timestamp", &1_700_000_000_123_i64.to_be_bytes());
    check("kafka_dlt-original-timestamp-type", b"CreateTime");
    check("kafka_dlt-original-consumer-group", b"order-consumer");
    check("kafka_dlt-exception-fqcn", b"orders.transient");
    check("kafka_dlt-exception-message", b"simulated: on request");
    check(FAILURE_CLASS, b"transient");
    check(FAILURE_REASON, b"simulated");
    check(FINGERPRINT, format!("{:08x}", crc32fast::hash(b"transient/simulated/7")).as_bytes());
    check(FIRST_FAILED_AT_MS, b"1700000009999");
}

#[test]
fn due_time_and_springs_retry_headers_end_at_the_dead_letter_topic() {
    let (origin, failure) = (origin(), failure());
    let edit = hop(&origin, &failure).to_dead_letter(OURS, true);
    for name in [DUE_AT_MS, "retry_topic-attempts", "retry_topic-backoff-timestamp"] {
        assert!(edit.remove.contains(&name) && value(&edit, name).is_none(), "{name}");
    }
}

#[test]
fn what_is_added_was_first_removed_so_that_each_name_stands_once() {
    let (origin, failure) = (origin(), failure());
    let hop = hop(&origin, &failure);
    let dialects = Dialects { connect: true, ..OURS };
    for edit in [hop.to_retry(5), hop.to_dead_letter(dialects, true)] {
        for (name, _) in &edit.add {
            assert!(edit.remove.contains(name), "{name} could stand twice");
            assert!(value(&edit, name).is_some());
        }
    }
}

#[test]
fn a_trusted_lineage_is_not_written_again() {
    let (origin, failure) = (origin(), failure());
    let hop = Hop { carries_lineage: true, carries_first_failed: true, ..hop(&origin, &failure) };
    let edit = hop.to_dead_letter(OURS, true);
    for name in LINEAGE.iter().chain(&REDRIVE) {
        assert!(!edit.remove.contains(name) && value(&edit, name).is_none(), "{name}");
    }
}

#[test]
fn names_of_ours_on_a_main_topic_record_are_replaced() {
    let (origin, failure) = (origin(), failure());
    let edit = hop(&origin, &failure).to_retry(5);
    for name in LINEAGE.iter().chain(&PER_HOP).chain(&REDRIVE) {
        assert!(edit.remove.contains(name), "{name}");
    }
    assert_eq!(value(&edit, REDRIVE_COUNT), None);
}

#[test]
fn a_lineage_that_is_not_whole_is_none() {
    let (origin, failure) = (origin(), failure());
    let edit = hop(&origin, &failure).to_retry(5);
    for missing in [ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, ORIGIN_GROUP] {
        let read = Lineage::read(|name| if name == missing { None } else { value(&edit, name) });
        assert_eq!(read, None, "without {missing}");
        let garbled = |name: &str| {
            if name == missing { Some([0xff, 0xfe].as_slice()) } else { value(&edit, name) }
        };
        assert_eq!(Lineage::read(garbled), None, "garbled {missing}");
    }
}

#[test]
fn a_long_detail_is_cut_at_a_character() {
    let (origin, mut failure) = (origin(), failure());
    failure.detail = "é".repeat(2000);
    let edit = hop(&origin, &failure).to_retry(5);
    let detail = value(&edit, FAILURE_DETAIL).unwrap();
    assert_eq!(detail.len(), DETAIL_BYTES_MAX);
    assert!(std::str::from_utf8(detail).is_ok());
}

#[test]
fn minimal_form_is_that_of_java() {
    for (value, expected) in [
        (0_i64, vec![0]),
        (127, vec![127]),
        (128, vec![0, 128]),
        (-1, vec![255]),
        (-128, vec![128]),
        (-129, vec![255, 127]),
        (i64::MAX, i64::MAX.to_be_bytes().to_vec()),
        (i64::MIN, i64::MIN.to_be_bytes().to_vec()),
    ] {
        assert_eq!(minimal_be(value), expected, "{value}");
    }
}
