//! Dead letters: the order byte for byte, and where it came from and why, for us and for Spring.

use std::collections::BTreeMap;

use super::{Expected, Fates, Findings, Logs, Origin};
use crate::oracle::End;
use crate::reading::LogRecord;

/// Longest `x-failure-detail`, in bytes.
const DETAIL_BYTES_MAX: usize = 1024;

/// Names that the product owns on a dead letter, and so never trusts on an order.
const OURS: [&str; 27] = [
    "x-origin-topic",
    "x-origin-partition",
    "x-origin-offset",
    "x-origin-timestamp-ms",
    "x-origin-timestamp-type",
    "x-origin-group",
    "x-first-failed-at-ms",
    "x-attempt",
    "x-due-at-ms",
    "x-failure-class",
    "x-failure-reason",
    "x-failure-detail",
    "x-fingerprint",
    "x-redrive-count",
    "x-redrive-id",
    "x-truncated",
    "retry_topic-attempts",
    "retry_topic-backoff-timestamp",
    "retry_topic-original-timestamp",
    "kafka_dlt-original-topic",
    "kafka_dlt-original-partition",
    "kafka_dlt-original-offset",
    "kafka_dlt-original-timestamp",
    "kafka_dlt-original-timestamp-type",
    "kafka_dlt-original-consumer-group",
    "kafka_dlt-exception-fqcn",
    "kafka_dlt-exception-message",
];

pub(super) fn check(fates: &Fates<'_>, logs: &Logs, findings: &mut Findings) {
    let mut letters: BTreeMap<Origin, Vec<&LogRecord>> = BTreeMap::new();
    for letter in &logs.dead_letters {
        letters.entry(letter.origin()).or_default().push(letter);
    }
    for (origin, expected) in fates {
        let found = letters.remove(origin).unwrap_or_default();
        let wanted = usize::from(matches!(expected.fate.end, End::Dead { .. }));
        if found.len() != wanted {
            let what = format!("{} instead of {wanted}", found.len());
            findings.add(format!("dead letters of order {origin:?}"), what);
        }
        for letter in found {
            if let Err(what) = compare(expected, letter, logs) {
                findings.add(format!("dead letter of order {origin:?}"), what);
            }
        }
    }
    for origin in letters.keys() {
        findings.add(format!("dead letter of {origin:?}"), "no such order came in");
    }
}

fn compare(expected: &Expected<'_>, letter: &LogRecord, logs: &Logs) -> Result<(), String> {
    let order = expected.record;
    if letter.partition != order.partition {
        return Err(format!("it lies on partition {}", letter.partition));
    }
    if (&letter.key, &letter.value) != (&order.key, &order.value) {
        return Err("key or value are not those that came in".to_owned());
    }
    let is_passed = |name: &[u8]| !OURS.iter().any(|ours| ours.as_bytes() == name);
    let passed = |record: &LogRecord| -> Vec<_> {
        record.headers.iter().filter(|(name, _)| is_passed(name)).cloned().collect()
    };
    if passed(letter) != passed(order) {
        return Err(format!("headers {:?} instead of {:?}", passed(letter), passed(order)));
    }
    let End::Dead { class, reason } = expected.fate.end else { return Ok(()) };
    let [Some(detail)] = letter.headers_named("x-failure-detail")[..] else {
        return Err("x-failure-detail is not there once".to_owned());
    };
    if detail.len() > DETAIL_BYTES_MAX || std::str::from_utf8(detail).is_err() {
        return Err(format!("x-failure-detail of {} bytes, or not UTF-8", detail.len()));
    }
    for (name, value) in wanted_headers(expected, (class, reason), detail, logs) {
        let found = letter.headers_named(name);
        if found != [Some(value.as_slice())] {
            return Err(format!("{name} is {found:?} instead of {value:?}"));
        }
    }
    for name in
        ["x-due-at-ms", "retry_topic-attempts", "retry_topic-backoff-timestamp", "x-truncated"]
    {
        if !letter.headers_named(name).is_empty() {
            return Err(format!("{name} does not belong on a dead letter"));
        }
    }
    let first_failed = letter.header_number("x-first-failed-at-ms");
    if letter.headers_named("x-first-failed-at-ms").len() != 1 || first_failed > letter.timestamp_ms
    {
        return Err(format!(
            "x-first-failed-at-ms is {first_failed}, written {}",
            letter.timestamp_ms
        ));
    }
    Ok(())
}

/// Headers whose values follow from the order: each must be there once.
fn wanted_headers(
    expected: &Expected<'_>,
    (class, reason): (&str, &str),
    detail: &[u8],
    logs: &Logs,
) -> Vec<(&'static str, Vec<u8>)> {
    let order = expected.record;
    let id = order
        .value
        .as_deref()
        .and_then(frame_schema_id)
        .map_or("-".to_owned(), |id| id.to_string());
    let fingerprint = crc32fast::hash(format!("{class}/{reason}/{id}").as_bytes());
    let text = |text: &dyn std::fmt::Display| text.to_string().into_bytes();
    let message = [reason.as_bytes(), b": ", detail].concat();
    vec![
        ("x-origin-topic", text(&logs.orders_topic)),
        ("x-origin-partition", text(&order.partition)),
        ("x-origin-offset", text(&order.offset)),
        ("x-origin-timestamp-ms", text(&order.timestamp_ms)),
        ("x-origin-timestamp-type", text(&order.timestamp_type)),
        ("x-origin-group", text(&logs.group)),
        ("x-attempt", text(&expected.fate.attempts)),
        ("x-failure-class", text(&class)),
        ("x-failure-reason", text(&reason)),
        ("x-fingerprint", format!("{fingerprint:08x}").into_bytes()),
        ("kafka_dlt-original-topic", text(&logs.orders_topic)),
        ("kafka_dlt-original-partition", order.partition.to_be_bytes().to_vec()),
        ("kafka_dlt-original-offset", order.offset.to_be_bytes().to_vec()),
        ("kafka_dlt-original-timestamp", order.timestamp_ms.to_be_bytes().to_vec()),
        ("kafka_dlt-original-timestamp-type", text(&order.timestamp_type)),
        ("kafka_dlt-original-consumer-group", text(&logs.group)),
        ("kafka_dlt-exception-fqcn", format!("orders.{class}").into_bytes()),
        ("kafka_dlt-exception-message", message),
    ]
}

/// Schema id of a value that is framed.
fn frame_schema_id(value: &[u8]) -> Option<u32> {
    let (magic, rest) = value.split_first()?;
    let (id, _) = rest.split_first_chunk::<4>()?;
    (*magic == 0).then(|| u32::from_be_bytes(*id))
}
