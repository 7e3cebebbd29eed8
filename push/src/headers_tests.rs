//! What a receiver reads of a record in the headers.

use std::sync::Arc;

use bytes::Bytes;

use super::*;

fn record(key: Option<&[u8]>, own: &[(&[u8], Option<&[u8]>)]) -> Record<Body> {
    let body = Body { content: Content::Json, bytes: Bytes::from_static(b"{}") };
    let owned = |(name, value): &(&[u8], Option<&[u8]>)| ((*name).into(), value.map(Into::into));
    Record {
        value: Arc::new(body),
        key: key.map(Into::into),
        headers: own.iter().map(owned).collect(),
        topic: "payments".to_owned(),
        partition: 2,
        offset: 41,
        idempotency_key: "payments/2/41".to_owned(),
        timestamp_ms: 1_720_660_440_123,
        written_at_ms: 1_720_660_440_123,
        attempt: 3,
        redrives: 0,
    }
}

/// Names and values in the order of the names.
fn told(record: &Record<Body>) -> Vec<(String, String)> {
    let headers = of(record);
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.to_str().expect("visible ASCII").to_owned())
    };
    let mut all: Vec<_> = headers.iter().map(pair).collect();
    all.sort();
    all
}

fn value(record: &Record<Body>, name: &str) -> Option<String> {
    told(record).into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

#[test]
fn a_record_is_a_cloud_event_in_binary_mode() {
    let expected = [
        ("ce-attempt", "3"),
        ("ce-id", "payments/2/41"),
        ("ce-partitionkey", "tea"),
        ("ce-source", "kafka://payments"),
        ("ce-specversion", "1.0"),
        ("ce-time", "2024-07-11T01:14:00.123Z"),
        ("ce-type", "kafka.record"),
        ("content-type", "application/json"),
        ("idempotency-key", "payments/2/41"),
        ("kafka-offset", "41"),
        ("kafka-partition", "2"),
        ("kafka-topic", "payments"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(told(&record(Some(b"tea"), &[])), expected);
}

#[test]
fn a_key_is_text_or_base64_and_one_that_is_too_long_is_said_to_be_left_out() {
    for (key, name, told) in [
        (Some(&b""[..]), "ce-partitionkey", Some("")),
        (Some(b"a b"), "ce-partitionkey", Some("a%20b")),
        (Some(&[0xff, 0]), "kafka-key-base64", Some("/wA=")),
        (Some(&[0xff, 0]), "ce-partitionkey", None),
        (None, "ce-partitionkey", None),
        (None, "kafka-key-omitted", None),
        (Some(&[b'x'; VALUE_BYTES_MAX]), "kafka-key-omitted", None),
        (Some(&[b'x'; VALUE_BYTES_MAX + 1]), "kafka-key-omitted", Some("true")),
        (Some(&[b'x'; VALUE_BYTES_MAX + 1]), "ce-partitionkey", None),
    ] {
        assert_eq!(value(&record(key, &[]), name).as_deref(), told, "{key:?} {name}");
    }
}

#[test]
fn own_headers_that_are_text_are_passed_on_under_a_prefix_and_the_rest_is_counted() {
    let own: &[(&[u8], Option<&[u8]>)] = &[
        (b"Source", Some(b"web")),
        (b"Source", Some(b"app 2")),
        (b"connection", Some(b"close")),
        (b"transfer-encoding", Some(b"chunked")),
        (b"host", Some(b"evil")),
        (b"x", Some(b"a\r\nhost: evil")),
        (b"no name", Some(b"1")),
        (b"a:b", Some(b"1")),
        (b"", Some(b"1")),
        (b"null", None),
        (b"binary", Some(&[0xff])),
        (b"x-attempt", Some(b"2")),
        (b"x-failure-detail", Some(b"what was said before")),
        (b"retry_topic-attempts", Some(&[0, 0, 0, 3])),
        (b"kafka_dlt-exception-message", Some(b"x")),
    ];
    let told = told(&record(None, own));
    let of_record: Vec<(&str, &str)> = told
        .iter()
        .filter(|(name, _)| name.starts_with("kafka-header"))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let expected = [
        ("kafka-header-connection", "close"),
        ("kafka-header-host", "evil"),
        ("kafka-header-source", "app%202"),
        ("kafka-header-source", "web"),
        ("kafka-header-transfer-encoding", "chunked"),
        ("kafka-header-x", "a%0D%0Ahost:%20evil"),
        ("kafka-headers-omitted", "5"),
    ];
    assert_eq!(of_record, expected);
    for name in ["connection", "host", "transfer-encoding", "x-attempt"] {
        assert!(told.iter().all(|(known, _)| known != name), "{name}");
    }
}

#[test]
fn own_headers_stay_below_what_servers_take() {
    let many: Vec<(&[u8], Option<&[u8]>)> = vec![(b"n", Some(b"1")); RECORD_HEADERS_MAX + 3];
    let many = record(None, &many);
    assert_eq!(of(&many).get_all("kafka-header-n").iter().count(), RECORD_HEADERS_MAX);
    assert_eq!(value(&many, "kafka-headers-omitted").as_deref(), Some("3"));
    let long = [b'x'; RECORD_HEADERS_BYTES_MAX / 2];
    let long = record(None, &[(b"a", Some(&long)), (b"b", Some(&long)), (b"c", Some(b"1"))]);
    assert_eq!(value(&long, "kafka-headers-omitted").as_deref(), Some("1"), "the second one");
    assert_eq!(value(&long, "kafka-header-c").as_deref(), Some("1"));
}

#[test]
fn a_trace_goes_on_and_what_is_none_is_passed_on_as_any_other_header() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let with = |parent: &str| {
        record(None, &[(b"traceparent", Some(parent.as_bytes())), (b"tracestate", Some(b"a=1"))])
    };
    let right = with(PARENT);
    assert_eq!(value(&right, "traceparent").as_deref(), Some(PARENT));
    assert_eq!(value(&right, "tracestate").as_deref(), Some("a=1"));
    assert_eq!(value(&right, "kafka-header-traceparent").as_deref(), Some(PARENT));
    let wrong = with("00-0-0-01");
    assert_eq!((value(&wrong, "traceparent"), value(&wrong, "tracestate")), (None, None));
    assert_eq!(value(&wrong, "kafka-header-traceparent").as_deref(), Some("00-0-0-01"));
    assert_eq!(value(&wrong, "kafka-header-tracestate").as_deref(), Some("a=1"));
}

#[test]
fn a_tombstone_has_no_content_type_and_says_that_it_is_one() {
    let mut record = record(Some(b"k"), &[]);
    record.value = Arc::new(Body { content: Content::Tombstone, bytes: Bytes::new() });
    assert_eq!(value(&record, "kafka-tombstone").as_deref(), Some("true"));
    assert_eq!(value(&record, "content-type"), None);
    record.timestamp_ms = -1;
    assert_eq!(value(&record, "ce-time"), None, "it has no time");
}
