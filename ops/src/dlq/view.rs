//! Dead letters as JSON. Names are an interface: they are added, not renamed.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

use super::dead_letter::DeadLetter;
use super::redrive::Mark;
use super::value::Reading;

/// What `list` tells of a dead letter.
#[derive(Debug, serde::Serialize)]
pub(super) struct Summary<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    dialect: &'static str,
    class: Option<&'a str>,
    reason: Option<&'a str>,
    detail: Option<&'a str>,
    fingerprint: String,
    attempts: Option<u32>,
    redrives: u32,
    schema_id: Option<u32>,
    #[serde(flatten)]
    key: Bytes<'a>,
    value_bytes: Option<usize>,
    origin: Option<OriginView<'a>>,
    /// What was done about it; absent where nothing was, or nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    handled: Option<Mark>,
}

/// All of it, as `show` and `export` tell it.
#[derive(Debug, serde::Serialize)]
pub(super) struct Whole<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    headers: Vec<HeaderView<'a>>,
    /// The value for people; absent where it was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    /// Why there is no `value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_error: Option<String>,
    /// The value byte for byte; null for a tombstone.
    value_base64: Option<String>,
}

#[derive(Debug, serde::Serialize)]
struct OriginView<'a> {
    topic: &'a str,
    partition: Option<i32>,
    offset: Option<i64>,
    timestamp_ms: Option<i64>,
    group: Option<&'a str>,
}

#[derive(Debug, serde::Serialize)]
struct HeaderView<'a> {
    key: Cow<'a, str>,
    #[serde(flatten)]
    value: Bytes<'a>,
}

/// Bytes as text where they are text, and in base64 under another name where they are not.
#[derive(Debug)]
struct Bytes<'a> {
    bytes: Option<&'a [u8]>,
    name: &'static str,
    name_base64: &'static str,
}

impl<'a> Bytes<'a> {
    const fn key(bytes: Option<&'a [u8]>) -> Self {
        Self { bytes, name: "key", name_base64: "key_base64" }
    }

    const fn value(bytes: Option<&'a [u8]>) -> Self {
        Self { bytes, name: "value", name_base64: "value_base64" }
    }
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self.bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            None => map.serialize_entry(self.name, &())?,
            Some((_, Ok(text))) => map.serialize_entry(self.name, text)?,
            Some((bytes, Err(_))) => {
                map.serialize_entry(self.name_base64, &BASE64.encode(bytes))?;
            }
        }
        map.end()
    }
}

impl<'a> Summary<'a> {
    pub(super) fn of(topic: &'a str, letter: &'a DeadLetter<'_>) -> Self {
        let (record, cause) = (&letter.record, &letter.cause);
        Self {
            topic,
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.written_ms,
            dialect: letter.dialect.as_str(),
            class: cause.class.as_deref(),
            reason: cause.reason.as_deref(),
            detail: cause.detail.as_deref(),
            fingerprint: format!("{:08x}", letter.fingerprint),
            attempts: letter.attempts,
            redrives: letter.redrives,
            schema_id: letter.schema_id,
            key: Bytes::key(record.key),
            value_bytes: record.value.map(<[u8]>::len),
            origin: letter.origin.as_ref().map(|origin| OriginView {
                topic: &origin.topic,
                partition: origin.partition,
                offset: origin.offset,
                timestamp_ms: origin.timestamp_ms,
                group: origin.group.as_deref(),
            }),
            handled: None,
        }
    }

    /// The same, with what was done about it.
    pub(super) fn marked(self, handled: Option<Mark>) -> Self {
        Self { handled, ..self }
    }
}

impl<'a> Whole<'a> {
    /// `reading` is what was read of the value, `None` where nothing was.
    pub(super) fn of(topic: &'a str, letter: &'a DeadLetter<'_>, reading: Option<Reading>) -> Self {
        let (value, value_error) = match reading {
            None => (None, None),
            Some(Reading::Null) => (Some(Value::Null), None),
            Some(Reading::Json(json)) => (Some(json), None),
            Some(Reading::Text(text)) => (Some(text.into()), None),
            Some(Reading::Bytes(why)) => (None, Some(why)),
        };
        let header = |(name, value): &(&'a [u8], Option<&'a [u8]>)| HeaderView {
            key: String::from_utf8_lossy(name),
            value: Bytes::value(*value),
        };
        Self {
            summary: Summary::of(topic, letter),
            headers: letter.record.headers.iter().map(header).collect(),
            value,
            value_error,
            value_base64: letter.record.value.map(|bytes| BASE64.encode(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dlq::record::Record;

    #[test]
    fn a_dead_letter_is_told_whole_and_no_byte_is_lost() {
        let letter = DeadLetter::read(Record {
            partition: 2,
            offset: 133,
            written_ms: Some(1_000),
            key: Some(&[0xff]),
            value: Some(b"{\"a\":1}"),
            headers: vec![
                (b"__dlq.errors.topic", Some(b"orders")),
                (b"__dlq.errors.partition", Some(b"1")),
                (b"__dlq.errors.offset", Some(b"9")),
                (b"bytes", Some(&[0xfe, 0])),
                (b"null", None),
            ],
        });
        let whole = Whole::of("orders-dlq", &letter, Some(Reading::Json(json!({"a": 1}))));
        let told = serde_json::to_value(&whole).expect("it is JSON");
        let expected = json!({
            "topic": "orders-dlq", "partition": 2, "offset": 133, "timestamp_ms": 1000,
            "dialect": "share-group", "class": null, "reason": null, "detail": null,
            "fingerprint": told["fingerprint"], "attempts": null, "redrives": 0, "schema_id": null,
            "key_base64": "/w==", "value_bytes": 7,
            "origin": {"topic": "orders", "partition": 1, "offset": 9, "timestamp_ms": null, "group": null},
            "headers": [
                {"key": "__dlq.errors.topic", "value": "orders"},
                {"key": "__dlq.errors.partition", "value": "1"},
                {"key": "__dlq.errors.offset", "value": "9"},
                {"key": "bytes", "value_base64": "/gA="},
                {"key": "null", "value": null},
            ],
            "value": {"a": 1}, "value_base64": "eyJhIjoxfQ=="
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn a_value_that_was_not_read_is_absent_and_a_tombstone_is_null() {
        let letter = DeadLetter::read(Record::default());
        let told =
            |reading| serde_json::to_value(Whole::of("t", &letter, reading)).expect("it is JSON");
        assert_eq!(told(None).get("value"), None);
        assert_eq!(told(Some(Reading::Null))["value"], Value::Null);
        assert_eq!(told(Some(Reading::Bytes("why".to_owned())))["value_error"], "why");
    }
}
