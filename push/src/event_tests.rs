//! What a receiver reads of a record in a call with several, and what its answers mean.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::verdict::Speaks;

fn record(content: Content, bytes: &'static [u8]) -> Record<Body> {
    let header = |name: &str, value: &[u8]| (name.as_bytes().into(), Some(value.into()));
    Record {
        value: Arc::new(Body { content, bytes: Bytes::from_static(bytes) }),
        key: Some(b"tea".as_slice().into()),
        headers: vec![
            header("source", b"web & app"),
            header("source", b"2"),
            header("binary", b"\xff"),
            header("x-attempt", b"9"),
        ],
        topic: "payments".to_owned(),
        partition: 2,
        offset: 41,
        idempotency_key: "payments/2/41".to_owned(),
        timestamp_ms: 1_720_660_440_123,
        written_at_ms: 0,
        attempt: 3,
        redrives: 0,
    }
}

fn event(record: &Record<Body>) -> Value {
    serde_json::from_slice(&of(record)).expect("JSON")
}

#[test]
fn a_record_is_a_cloud_event_in_json_whose_attributes_are_of_its_types() {
    let expected = json!({
        "specversion": "1.0",
        "id": "payments/2/41",
        "source": "kafka://payments",
        "type": "kafka.record",
        "time": "2024-07-11T01:14:00.123Z",
        "partitionkey": "tea",
        "attempt": 3,
        "kafkatopic": "payments",
        "kafkapartition": 2,
        "kafkaoffset": "41",
        "kafkaheaders": "source=web%20%26%20app&source=2",
        "kafkaheadersomitted": 1,
        "datacontenttype": "application/json",
        "data": {"amount": 5},
    });
    let event = event(&record(Content::Json, b" {\"amount\": 5}\n"));
    assert_eq!(event, expected);
    for (name, value) in event.as_object().expect("an object") {
        let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        assert!(is_plain || name == "data_base64", "{name}");
        assert!(name == "data" || !(value.is_object() || value.is_array()), "{name}");
    }
}

#[test]
fn data_and_keys_that_are_no_json_are_base64_and_a_tombstone_has_none() {
    let mut bytes = record(Content::Bytes, &[0xff, 0]);
    bytes.key = Some([0xff, 0].into());
    let bytes = event(&bytes);
    assert_eq!(bytes["data_base64"], "/wA=");
    assert_eq!(bytes["datacontenttype"], "application/octet-stream");
    assert_eq!((&bytes["kafkakeybase64"], bytes.get("partitionkey")), (&json!("/wA="), None));
    let gone = event(&record(Content::Tombstone, b""));
    assert_eq!(gone["kafkatombstone"], true);
    assert_eq!((gone.get("data"), gone.get("datacontenttype")), (None, None));
}

#[test]
fn an_answer_has_a_status_for_each_record_in_their_order_or_says_nothing() {
    let asked = Url::parse("http://a/in").expect("an address");
    let read = |body: &str, records| {
        verdicts(body.as_bytes(), records, &asked, std::time::SystemTime::UNIX_EPOCH)
    };
    let all = read(
        r#"[200, {"status": 204}, {"status": 422, "title": "No such user", "more": 1},
            {"status": 503, "retryAfter": 30}, {"status": 429, "retryAfter": "7"}, 500]"#,
        6,
    )
    .expect("one for each");
    assert_eq!(all[..2], [Verdict::Done, Verdict::Done]);
    let Verdict::Refused { reason, detail } = &all[2] else { panic!("{all:?}") };
    assert_eq!(reason.as_str(), "http-422");
    assert_eq!(detail, "No such user (422 Unprocessable Entity)");
    for (at, seconds, of) in [
        (3, Some(30), Speaks::OfItself),
        (4, Some(7), Speaks::OfItself),
        (5, None, Speaks::OfTheRequest),
    ] {
        let Verdict::Unavailable { wait, speaks, .. } = &all[at] else { panic!("{all:?}") };
        assert_eq!((*wait, *speaks), (seconds.map(Duration::from_secs), of));
    }
    for (body, records) in
        [("[200]", 2), ("[200, 200]", 1), ("", 1), ("{}", 1), ("[\"200\"]", 1), ("[20]", 1)]
    {
        assert_eq!(read(body, records), None, "{body}");
    }
}
