//! Records of the retry and dead-letter topics: their lineage, and whether they are still the
//! order that came in.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use kafka_io::native::RecordHeaders;
use kafka_io::reader::HeldRecord;
use pipeline::failure::{FailureClass, FailureReason};
use pipeline::headers::{self, Lineage};
use sha2::Digest as _;

/// Starts of the names that other tools' dialects use; a hop writes them anew.
const DIALECTS: [&[u8]; 3] = [b"kafka_dlt-", b"retry_topic-", b"__connect.errors."];

/// Names that a hop writes.
const OURS: [&str; 16] = [
    headers::ORIGIN_TOPIC,
    headers::ORIGIN_PARTITION,
    headers::ORIGIN_OFFSET,
    headers::ORIGIN_TIMESTAMP_MS,
    headers::ORIGIN_TIMESTAMP_TYPE,
    headers::ORIGIN_GROUP,
    headers::FIRST_FAILED_AT_MS,
    headers::ATTEMPT,
    headers::DUE_AT_MS,
    headers::FAILURE_CLASS,
    headers::FAILURE_REASON,
    headers::FAILURE_DETAIL,
    headers::FINGERPRINT,
    headers::REDRIVE_COUNT,
    headers::REDRIVE_ID,
    headers::TRUNCATED,
];

/// Names that stand on every forwarded record, once.
const EXPECTED: [&str; 7] = [
    headers::ORIGIN_TOPIC,
    headers::ORIGIN_PARTITION,
    headers::ORIGIN_OFFSET,
    headers::ORIGIN_TIMESTAMP_MS,
    headers::ORIGIN_TIMESTAMP_TYPE,
    headers::ORIGIN_GROUP,
    headers::ATTEMPT,
];

/// Names that stand on every dead letter besides.
const EXPECTED_OF_THE_DEAD: [&str; 8] = [
    headers::FAILURE_CLASS,
    headers::FAILURE_REASON,
    headers::FINGERPRINT,
    "kafka_dlt-original-topic",
    "kafka_dlt-original-partition",
    "kafka_dlt-original-offset",
    "kafka_dlt-exception-fqcn",
    "kafka_dlt-exception-message",
];

/// What a forwarded record must agree on with the order that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Likeness {
    /// Hash of key, value, headers that are not ours, and timestamp.
    Whole(u64),
    /// The value was too large: hash of its length and the start of its SHA-256.
    Truncated(u64),
}

/// What the audit keeps of a forwarded record until it meets the order: 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trace {
    /// Offset of the order on the main topic.
    pub(crate) origin: i64,
    pub(crate) likeness: Likeness,
    /// Where the forwarded record lies; below zero (`-1 - offset`) in the dead-letter topic.
    at: i64,
}

impl Trace {
    pub(crate) fn new(origin: i64, likeness: Likeness, is_dead: bool, offset: i64) -> Self {
        Self { origin, likeness, at: if is_dead { -1 - offset } else { offset } }
    }

    pub(crate) const fn is_dead(self) -> bool {
        self.at < 0
    }

    pub(crate) const fn offset(self) -> i64 {
        if self.at < 0 { -1 - self.at } else { self.at }
    }

    /// Whether two traces say the same of the same order.
    pub(crate) fn repeats(self, other: Self) -> bool {
        (self.origin, self.likeness) == (other.origin, other.likeness)
    }
}

fn is_ours(name: &[u8]) -> bool {
    OURS.iter().any(|ours| ours.as_bytes() == name)
        || DIALECTS.iter().any(|start| name.starts_with(start))
}

fn whole(record: &HeldRecord, timestamp_ms: i64) -> Likeness {
    let mut hasher = DefaultHasher::new();
    (&record.key, &record.value, timestamp_ms).hash(&mut hasher);
    let headers = record.headers.iter().flat_map(RecordHeaders::iter);
    headers.filter(|(name, _)| !is_ours(name)).for_each(|header| header.hash(&mut hasher));
    Likeness::Whole(hasher.finish())
}

fn truncated(length: u64, digest_start: [u8; 8]) -> Likeness {
    let mut hasher = DefaultHasher::new();
    (length, digest_start).hash(&mut hasher);
    Likeness::Truncated(hasher.finish())
}

/// What a record forwarded from this order has to look like, value and all or truncated.
pub(crate) fn looks_like(order: &HeldRecord, wanted: Likeness) -> bool {
    match wanted {
        Likeness::Whole(_) => whole(order, order.timestamp.ms) == wanted,
        Likeness::Truncated(_) => {
            let value = order.value.as_deref().unwrap_or_default();
            let digest = sha2::Sha256::digest(value);
            let start = digest.first_chunk().copied().unwrap_or_default();
            truncated(value.len() as u64, start) == wanted
        }
    }
}

/// What a forwarded record says that its order looked like.
pub(crate) fn likeness(record: &HeldRecord, lineage: &Lineage) -> Result<Likeness, String> {
    let Some(text) = record.header(headers::TRUNCATED) else {
        return Ok(whole(record, lineage.origin.timestamp.ms));
    };
    let read = || {
        let text = std::str::from_utf8(text).ok()?;
        let (_, rest) = text.split_once(" length=")?;
        let (length, hex) = rest.split_once(" sha256=")?;
        let start = u64::from_str_radix(hex.get(..16)?, 16).ok()?;
        Some(truncated(length.parse().ok()?, start.to_be_bytes()))
    };
    read().ok_or_else(|| format!("{} cannot be read", headers::TRUNCATED))
}

/// Checks the headers that a hop writes: there once, and in agreement with each other.
pub(crate) fn check_headers(
    record: &HeldRecord,
    lineage: &Lineage,
    is_dead: bool,
) -> Result<(), String> {
    let further: &[&str] = if is_dead { &EXPECTED_OF_THE_DEAD } else { &[headers::DUE_AT_MS] };
    for name in EXPECTED.iter().chain(further) {
        let all = record.headers.iter().flat_map(RecordHeaders::iter);
        let count = all.filter(|(found, _)| *found == name.as_bytes()).count();
        if count != 1 {
            return Err(format!("{name} stands there {count} times instead of once"));
        }
    }
    if !is_dead {
        return Ok(());
    }
    if lineage.attempt == 0 && text(record, headers::FAILURE_REASON) != "predecessor-dead" {
        return Err("a dead letter without an attempt".to_owned());
    }
    let (class, reason) =
        (text(record, headers::FAILURE_CLASS), text(record, headers::FAILURE_REASON));
    let known = FailureReason::ALL.iter().find(|known| known.as_str() == reason);
    if known.is_none_or(|known| known.class().as_str() != class) {
        return Err(format!("no failure is called {class:?}/{reason:?}"));
    }
    let spring = [
        ("kafka_dlt-original-topic", lineage.origin.topic.as_bytes().to_vec()),
        ("kafka_dlt-original-partition", lineage.origin.partition.to_be_bytes().to_vec()),
        ("kafka_dlt-original-offset", lineage.origin.offset.to_be_bytes().to_vec()),
        ("kafka_dlt-exception-fqcn", format!("orders.{class}").into_bytes()),
    ];
    for (name, wanted) in spring {
        if record.header(name) != Some(&wanted) {
            return Err(format!("{name} does not say what x-origin-* and x-failure-class say"));
        }
    }
    Ok(())
}

fn text<'a>(record: &'a HeldRecord, name: &str) -> &'a str {
    record.header(name).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
}

/// Whether a dead letter says that its value can never be an order.
pub(crate) fn says_bad_value(record: &HeldRecord) -> bool {
    let class = text(record, headers::FAILURE_CLASS);
    [FailureClass::Malformed, FailureClass::Invalid].iter().any(|bad| bad.as_str() == class)
}
