//! The headers of a request: the record as a CloudEvent in binary mode, and what of Kafka has no place there.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use relane::Record;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use service_kit::http::trace::{TRACEPARENT, TRACESTATE, TraceContext};

use crate::body::{Body, Content};
use crate::encoding::header_value;

/// Before the name of a header of the record's own.
const OF_THE_RECORD: &str = "kafka-header-";

/// Longest value that a key, or a header of the record's own, takes when it is encoded, in bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// Longest name of a header of the record's own, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// Most headers of the record's own that are passed on: Python's server takes 100 in all.
const RECORD_HEADERS_MAX: usize = 64;

/// Bytes of their names and values together: Node takes 16 KiB of headers in all, and many proxies 8.
const RECORD_HEADERS_BYTES_MAX: usize = 6 * 1024;

/// The headers of one attempt at a record. What stays the same at each attempt is all but `ce-attempt`.
pub(crate) fn of(record: &Record<Body>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    let mut add = |name: &'static str, value: Option<HeaderValue>| {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let text = |text: &str| header_value(text, usize::MAX);
    add("ce-specversion", text("1.0"));
    add("ce-id", text(&record.idempotency_key));
    add("ce-source", text(&format!("kafka://{}", record.topic)));
    add("ce-type", text("kafka.record"));
    add("ce-time", time(record.timestamp_ms).as_deref().and_then(text));
    add("ce-attempt", text(&record.attempt.to_string()));
    add("idempotency-key", text(&record.idempotency_key));
    add("kafka-topic", text(&record.topic));
    add("kafka-partition", text(&record.partition.to_string()));
    add("kafka-offset", text(&record.offset.to_string()));
    match record.value.content {
        Content::Json => add("content-type", text("application/json")),
        Content::Bytes => add("content-type", text("application/octet-stream")),
        Content::Tombstone => add("kafka-tombstone", text("true")),
    }
    if let Some(key) = record.key.as_deref() {
        let (name, value) = match std::str::from_utf8(key) {
            Ok(key) => ("ce-partitionkey", header_value(key, VALUE_BYTES_MAX)),
            Err(_) => {
                let encoded = BASE64_STANDARD.encode(key);
                ("kafka-key-base64", header_value(&encoded, VALUE_BYTES_MAX))
            }
        };
        let is_left_out = value.is_none();
        add(name, value);
        add("kafka-key-omitted", is_left_out.then(|| HeaderValue::from_static("true")));
    }
    if let Some(trace) = trace(record) {
        add(TRACEPARENT, text(&trace.traceparent()));
        add(TRACESTATE, trace.tracestate().and_then(|state| HeaderValue::from_str(state).ok()));
    }
    add_own(record, &mut headers);
    headers
}

/// When the record was written, as RFC 3339 has it; `None` where it has no time.
pub(crate) fn time(at_ms: i64) -> Option<String> {
    let at = Timestamp::from_millisecond(at_ms).ok().filter(|_| at_ms >= 0)?;
    Some(at.to_string())
}

/// The trace that the record belongs to, by its own headers.
pub(crate) fn trace(record: &Record<Body>) -> Option<TraceContext> {
    let last = |wanted: &str| {
        let named = record.own_headers().filter(|(name, _)| *name == wanted.as_bytes());
        named.last().and_then(|(_, value)| std::str::from_utf8(value?).ok())
    };
    TraceContext::parse(last(TRACEPARENT)?, last(TRACESTATE))
}

/// Adds the record's own headers, and says how many have no place. The prefix keeps every name apart from those that
/// HTTP goes by.
fn add_own(record: &Record<Body>, headers: &mut HeaderMap) {
    let (mut taken, mut bytes, mut left_out) = (0, 0, 0);
    for (name, value) in record.own_headers() {
        match own(name, value) {
            Some((name, value))
                if taken < RECORD_HEADERS_MAX
                    && bytes + name.as_str().len() + value.len() <= RECORD_HEADERS_BYTES_MAX =>
            {
                taken += 1;
                bytes += name.as_str().len() + value.len();
                headers.append(name, value);
            }
            _ => left_out += 1,
        }
    }
    if left_out > 0 {
        headers.insert("kafka-headers-omitted", HeaderValue::from(left_out));
    }
}

/// A header of the record's own; `None` for a value that is no text, or a name that HTTP does not take.
fn own(name: &[u8], value: Option<&[u8]>) -> Option<(HeaderName, HeaderValue)> {
    let name = [OF_THE_RECORD.as_bytes(), name].concat();
    let name = HeaderName::from_bytes(&name).ok()?;
    let is_named = (OF_THE_RECORD.len() + 1..=NAME_BYTES_MAX).contains(&name.as_str().len());
    let value = header_value(std::str::from_utf8(value?).ok()?, VALUE_BYTES_MAX)?;
    is_named.then_some((name, value))
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
