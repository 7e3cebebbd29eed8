//! A record as a CloudEvent in JSON, for calls with several records, and what such a call is answered.
//!
//! A call has an array of them ([batched content mode]). Its answer is about all of them, or is a 207 with an array that
//! has a status for each.
//!
//! [batched content mode]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#33-batched-content-mode

use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use relane::Record;
use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::body::{Body, Content};
use crate::headers::{time, trace};
use crate::verdict::{Answer, Verdict, judge, shown_title};

/// Media type of a call with several records.
pub(crate) const BATCH_TYPE: &str = "application/cloudevents-batch+json; charset=utf-8";

/// What a form encodes; a space as %20, which every reader takes.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The attributes of a record, which are of CloudEvents' types: text, whole numbers of 32 bits, and truth.
#[derive(Serialize)]
struct Attributes<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitionkey: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kafkakeybase64: Option<String>,
    attempt: u32,
    kafkatopic: &'a str,
    kafkapartition: i32,
    kafkaoffset: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kafkaheaders: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kafkaheadersomitted: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kafkatombstone: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<&'static str>,
}

/// A record as JSON.
pub(crate) fn of(record: &Record<Body>) -> Bytes {
    let key = record.key.as_deref().map(|key| std::str::from_utf8(key).map_err(|_| key));
    let (kafkaheaders, omitted) = own_headers(record);
    let trace = trace(record);
    let Body { content, bytes } = &*record.value;
    let attributes = Attributes {
        specversion: "1.0",
        id: &record.idempotency_key,
        source: format!("kafka://{}", record.topic),
        kind: "kafka.record",
        time: time(record.timestamp_ms),
        partitionkey: key.and_then(Result::ok),
        kafkakeybase64: key.and_then(Result::err).map(|key| BASE64_STANDARD.encode(key)),
        attempt: record.attempt,
        kafkatopic: &record.topic,
        kafkapartition: record.partition,
        kafkaoffset: record.offset.to_string(),
        kafkaheaders,
        kafkaheadersomitted: Some(omitted).filter(|omitted| *omitted > 0),
        kafkatombstone: (*content == Content::Tombstone).then_some(true),
        traceparent: trace.as_ref().map(|trace| trace.traceparent()),
        tracestate: trace.as_ref().and_then(|trace| trace.tracestate()).map(str::to_owned),
        datacontenttype: match content {
            Content::Json => Some("application/json"),
            Content::Bytes => Some("application/octet-stream"),
            Content::Tombstone => None,
        },
    };
    let mut event = serde_json::to_vec(&attributes).expect("texts and numbers");
    event.pop(); // the last brace: the data come before it
    match content {
        Content::Json => {
            event.extend_from_slice(b",\"data\":");
            event.extend_from_slice(bytes);
        }
        Content::Bytes => {
            event.extend_from_slice(b",\"data_base64\":\"");
            event.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes());
            event.push(b'"');
        }
        Content::Tombstone => {}
    }
    event.push(b'}');
    event.into()
}

/// The record's own headers that are text, in the form of a query, and how many are none. An attribute is one text, and
/// its name has no room for theirs.
fn own_headers(record: &Record<Body>) -> (Option<String>, u32) {
    let encoded = |text| utf8_percent_encode(text, FORM);
    let (mut all, mut omitted) = (Vec::new(), 0);
    for (name, value) in record.own_headers() {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        match text(name).zip(value.and_then(text)) {
            Some((name, value)) => all.push(format!("{}={}", encoded(name), encoded(value))),
            None => omitted += 1,
        }
    }
    (Some(all.join("&")).filter(|_| !all.is_empty()), omitted)
}

/// What is answered for one record: a status, or more.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Item {
    Status(u16),
    Told {
        status: u16,
        #[serde(default)]
        title: Option<String>,
        #[serde(default, rename = "retryAfter")]
        retry_after: Option<RetryAfter>,
    },
}

/// As the header has it, or as a number of seconds.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RetryAfter {
    Seconds(u64),
    Text(String),
}

impl Item {
    fn verdict(self, asked: &Url, now: SystemTime) -> Option<Verdict> {
        let (status, title, retry_after) = match self {
            Self::Status(status) => (status, None, None),
            Self::Told { status, title, retry_after } => (status, title, retry_after),
        };
        let retry_after = retry_after.map(|it| match it {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::Text(text) => text,
        });
        let answer = Answer {
            status: StatusCode::from_u16(status).ok()?,
            retry_after: retry_after.as_deref(),
            location: None,
            title: title.as_deref().and_then(shown_title),
        };
        Some(judge(&answer, asked, now))
    }
}

/// Verdicts on each of so many records, by the body of a 207; `None` where it does not have one for each.
pub(crate) fn verdicts(
    body: &[u8],
    records: usize,
    asked: &Url,
    now: SystemTime,
) -> Option<Vec<Verdict>> {
    let items: Vec<Item> = serde_json::from_slice(body).ok()?;
    let verdicts: Vec<Verdict> =
        items.into_iter().map(|item| item.verdict(asked, now)).collect::<Option<_>>()?;
    (verdicts.len() == records).then_some(verdicts)
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
