//! What a failed message carries of its past: the headers of the wire contract, as on Kafka.
//!
//! A queue has no partitions and offsets, so `x-origin-partition` and `x-origin-offset` are
//! missing; the message's own id takes their place. Everything else has the same name, meaning
//! and text.

use std::borrow::Cow;

use lapin::types::{AMQPValue, FieldTable, LongString};
use pipeline::failure::Failure;
use pipeline::headers as names;
use pipeline::record::TimestampType;

/// What RabbitMQ adds when it moves a message by itself. On a message that is sent on, it would
/// be taken for a cycle at some later hop, and the message dropped.
const OF_THE_BROKER: [&str; 8] = [
    "x-death",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
    "x-delivery-count",
];

/// Of the last failed attempt; gone when a message comes back from the dead letters.
const OF_THE_HOP: [&str; 6] = [
    names::ATTEMPT,
    names::DUE_AT_MS,
    names::FAILURE_CLASS,
    names::FAILURE_REASON,
    names::FAILURE_DETAIL,
    names::FINGERPRINT,
];

/// What a message says of its past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// Failed attempts so far.
    pub attempts: u32,
    /// How often it was redriven.
    pub redrive_count: u32,
}

/// A failed attempt.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    /// The queue that it was read from.
    pub queue: &'a str,
    /// Why.
    pub failure: &'a Failure,
    /// Attempts, this one included.
    pub attempt: u32,
    /// When the message was made, by its own word, in milliseconds since the Unix epoch.
    pub made_at_ms: Option<i64>,
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

impl Past {
    /// Reads it; a message without any is new.
    pub fn of(headers: &FieldTable) -> Self {
        let number = |name| text(headers, name).and_then(|text| text.parse().ok()).unwrap_or(0);
        Self { attempts: number(names::ATTEMPT), redrive_count: number(names::REDRIVE_COUNT) }
    }
}

/// A header as text, whatever kind of text or number it is.
pub fn text<'a>(headers: &'a FieldTable, name: &str) -> Option<Cow<'a, str>> {
    match headers.inner().get(name)? {
        AMQPValue::LongString(value) => std::str::from_utf8(value.as_bytes()).ok().map(Into::into),
        AMQPValue::ShortString(value) => Some(Cow::Borrowed(value.as_str())),
        AMQPValue::LongLongInt(number) => Some(number.to_string().into()),
        AMQPValue::LongInt(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// Sets a header to a text.
pub fn set(headers: &mut FieldTable, name: &str, value: impl ToString) {
    let value = LongString::from(value.to_string());
    headers.insert(name.into(), AMQPValue::LongString(value));
}

impl Failed<'_> {
    /// Headers of the message that waits for its next attempt.
    pub fn to_retry(self, before: &FieldTable, due_at_ms: i64) -> FieldTable {
        let mut headers = self.common(without(before, &OF_THE_BROKER));
        set(&mut headers, names::DUE_AT_MS, due_at_ms);
        headers
    }

    /// Headers of the dead letter. What RabbitMQ has added stays to be read.
    pub fn to_dead_letter(self, before: &FieldTable) -> FieldTable {
        self.common(without(before, &[names::DUE_AT_MS]))
    }

    fn common(self, mut headers: FieldTable) -> FieldTable {
        if text(&headers, names::ORIGIN_TOPIC).is_none() {
            set(&mut headers, names::ORIGIN_TOPIC, self.queue);
            set(&mut headers, names::ORIGIN_GROUP, self.queue);
            let kind = match self.made_at_ms {
                Some(_) => TimestampType::CreateTime,
                None => TimestampType::NoTimestampType,
            };
            set(&mut headers, names::ORIGIN_TIMESTAMP_MS, self.made_at_ms.unwrap_or(-1));
            set(&mut headers, names::ORIGIN_TIMESTAMP_TYPE, kind.as_str());
        }
        if text(&headers, names::FIRST_FAILED_AT_MS).is_none() {
            set(&mut headers, names::FIRST_FAILED_AT_MS, self.now_ms);
        }
        let detail = &self.failure.detail;
        let detail = &detail[..detail.floor_char_boundary(names::DETAIL_BYTES_MAX)];
        set(&mut headers, names::ATTEMPT, self.attempt);
        set(&mut headers, names::FAILURE_CLASS, self.failure.class().as_str());
        set(&mut headers, names::FAILURE_REASON, self.failure.reason.as_str());
        set(&mut headers, names::FAILURE_DETAIL, detail);
        set(&mut headers, names::FINGERPRINT, format!("{:08x}", self.failure.fingerprint()));
        headers
    }
}

/// Headers of a dead letter that goes back to its work queue.
pub fn redriven(before: &FieldTable, redrive_id: &str) -> FieldTable {
    let count = Past::of(before).redrive_count.saturating_add(1);
    let mut headers = without(&without(before, &OF_THE_BROKER), &OF_THE_HOP);
    set(&mut headers, names::REDRIVE_COUNT, count);
    set(&mut headers, names::REDRIVE_ID, redrive_id);
    headers
}

/// Headers but for some.
pub fn without(headers: &FieldTable, names: &[&str]) -> FieldTable {
    let mut kept = FieldTable::default();
    for (name, value) in headers.inner() {
        if !names.contains(&name.as_str()) {
            kept.insert(name.clone(), value.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use pipeline::failure::FailureReason;

    use super::*;

    fn failure(reason: FailureReason) -> Failure {
        Failure { reason, schema_id: Some(7), detail: "é".repeat(600) }
    }

    fn failed(failure: &Failure, attempt: u32) -> Failed<'_> {
        let made_at_ms = Some(1_000);
        Failed { queue: "orders.inventory", failure, attempt, made_at_ms, now_ms: 5_000 }
    }

    fn foreign() -> FieldTable {
        let mut headers = FieldTable::default();
        set(&mut headers, "traceparent", "00-ab");
        headers.insert("x-death".into(), AMQPValue::FieldArray(Default::default()));
        headers
    }

    #[track_caller]
    fn check(headers: &FieldTable, expected: &[(&str, Option<&str>)]) {
        for (name, value) in expected {
            assert_eq!(text(headers, name).as_deref(), *value, "{name}");
        }
    }

    #[test]
    fn a_first_failure_notes_where_and_when_and_why() {
        let failure = failure(FailureReason::Simulated);
        let headers = failed(&failure, 1).to_retry(&foreign(), 7_000);
        check(
            &headers,
            &[
                ("x-origin-topic", Some("orders.inventory")),
                ("x-origin-timestamp-ms", Some("1000")),
                ("x-origin-timestamp-type", Some("CreateTime")),
                ("x-first-failed-at-ms", Some("5000")),
                ("x-attempt", Some("1")),
                ("x-due-at-ms", Some("7000")),
                ("x-failure-class", Some("transient")),
                ("x-failure-reason", Some("simulated")),
                ("traceparent", Some("00-ab")),
            ],
        );
        assert_eq!(text(&headers, "x-failure-detail").unwrap().len(), 1_024);
        assert!(!headers.inner().contains_key("x-death"));
        assert_eq!(Past::of(&headers), Past { attempts: 1, redrive_count: 0 });
    }

    #[test]
    fn later_hops_keep_the_origin_and_replace_the_rest() {
        let failure = failure(FailureReason::Handler);
        let first = failed(&failure, 1).to_retry(&foreign(), 7_000);
        let later = Failed { queue: "other", now_ms: 9_000, ..failed(&failure, 2) };
        let headers = later.to_dead_letter(&first);
        check(
            &headers,
            &[
                ("x-origin-topic", Some("orders.inventory")),
                ("x-first-failed-at-ms", Some("5000")),
                ("x-attempt", Some("2")),
                ("x-due-at-ms", None),
                ("x-failure-reason", Some("handler")),
            ],
        );
    }

    #[test]
    fn a_redriven_message_begins_anew_and_counts_its_redrives() {
        let failure = failure(FailureReason::Handler);
        let dead = failed(&failure, 4).to_dead_letter(&foreign());
        let once = redriven(&dead, "run-1");
        check(
            &once,
            &[
                ("x-attempt", None),
                ("x-failure-class", None),
                ("x-redrive-count", Some("1")),
                ("x-redrive-id", Some("run-1")),
                ("x-origin-topic", Some("orders.inventory")),
                ("traceparent", Some("00-ab")),
            ],
        );
        assert!(!once.inner().contains_key("x-death"));
        assert_eq!(Past::of(&redriven(&once, "run-2")).redrive_count, 2);
    }
}
