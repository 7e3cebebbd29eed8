//! Every header name of the path, and the only code that writes and reads them.
//!
//! A wire contract, read by other programs: names are never changed, only added. Values are
//! UTF-8 text except Spring's, which are binary.

use crate::failure::Failure;
use crate::record::{Timestamp, TimestampType};

/// Topic that the record was first read from.
pub const ORIGIN_TOPIC: &str = "x-origin-topic";
/// Partition that the record was first read from.
pub const ORIGIN_PARTITION: &str = "x-origin-partition";
/// Offset that the record was first read at.
pub const ORIGIN_OFFSET: &str = "x-origin-offset";
/// Timestamp of the record at its origin, in epoch milliseconds.
pub const ORIGIN_TIMESTAMP_MS: &str = "x-origin-timestamp-ms";
/// Kind of that timestamp.
pub const ORIGIN_TIMESTAMP_TYPE: &str = "x-origin-timestamp-type";
/// Group that first forwarded the record.
pub const ORIGIN_GROUP: &str = "x-origin-group";
/// When the first attempt failed, in epoch milliseconds.
pub const FIRST_FAILED_AT_MS: &str = "x-first-failed-at-ms";
/// Attempts made so far.
pub const ATTEMPT: &str = "x-attempt";
/// When the next attempt is due, in epoch milliseconds; on retry records only.
pub const DUE_AT_MS: &str = "x-due-at-ms";
/// Class of the last failure.
pub const FAILURE_CLASS: &str = "x-failure-class";
/// Reason of the last failure.
pub const FAILURE_REASON: &str = "x-failure-reason";
/// The last failure in words; at most [`DETAIL_BYTES_MAX`].
pub const FAILURE_DETAIL: &str = "x-failure-detail";
/// Groups failures of one cause: 8 hex digits.
pub const FINGERPRINT: &str = "x-fingerprint";
/// How often the record came back from the dead-letter topic.
pub const REDRIVE_COUNT: &str = "x-redrive-count";
/// Run that brought it back.
pub const REDRIVE_ID: &str = "x-redrive-id";
/// Stands for a value that the dead-letter topic refused for its size.
pub const TRUNCATED: &str = "x-truncated";

/// Longest failure detail, in bytes of UTF-8.
pub const DETAIL_BYTES_MAX: usize = 1024;

const LINEAGE: [&str; 7] = [
    ORIGIN_TOPIC,
    ORIGIN_PARTITION,
    ORIGIN_OFFSET,
    ORIGIN_TIMESTAMP_MS,
    ORIGIN_TIMESTAMP_TYPE,
    ORIGIN_GROUP,
    FIRST_FAILED_AT_MS,
];
const PER_HOP: [&str; 7] =
    [ATTEMPT, DUE_AT_MS, FAILURE_CLASS, FAILURE_REASON, FAILURE_DETAIL, FINGERPRINT, TRUNCATED];
const REDRIVE: [&str; 2] = [REDRIVE_COUNT, REDRIVE_ID];
const SPRING_RETRY: [&str; 3] =
    ["retry_topic-attempts", "retry_topic-backoff-timestamp", "retry_topic-original-timestamp"];
const SPRING_DEAD_LETTER: [&str; 8] = [
    "kafka_dlt-original-topic",
    "kafka_dlt-original-partition",
    "kafka_dlt-original-offset",
    "kafka_dlt-original-timestamp",
    "kafka_dlt-original-timestamp-type",
    "kafka_dlt-original-consumer-group",
    "kafka_dlt-exception-fqcn",
    "kafka_dlt-exception-message",
];
const CONNECT: [&str; 10] = [
    "__connect.errors.topic",
    "__connect.errors.partition",
    "__connect.errors.offset",
    "__connect.errors.connector.name",
    "__connect.errors.task.id",
    "__connect.errors.stage",
    "__connect.errors.class.name",
    "__connect.errors.exception.class.name",
    "__connect.errors.exception.message",
    "__connect.errors.exception.stacktrace",
];

/// Whether a header is one that the path itself writes, in any dialect: no header of the record's own.
pub fn is_of_the_path(name: &[u8]) -> bool {
    let groups: [&[&str]; 6] =
        [&LINEAGE, &PER_HOP, &REDRIVE, &SPRING_RETRY, &SPRING_DEAD_LETTER, &CONNECT];
    groups.iter().any(|names| names.iter().any(|known| known.as_bytes() == name))
}

/// How a dead letter speaks to other tools, besides our own headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dialects<'a> {
    /// Kafka Connect's `__connect.errors.*`.
    pub connect: bool,
    /// What class names begin with, as a Java package: `NAME.malformed`. Empty for the class alone.
    pub name: &'a str,
}

impl Dialects<'_> {
    /// A class name below the pipeline's name.
    fn class_name(&self, class: &str) -> String {
        if self.name.is_empty() { class.to_owned() } else { format!("{}.{class}", self.name) }
    }
}

/// Where and when a record was first read, carried unchanged through every hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Topic it was read from.
    pub topic: String,
    /// Partition it was read from.
    pub partition: i32,
    /// Offset it was read at.
    pub offset: i64,
    /// Its timestamp there.
    pub timestamp: Timestamp,
    /// The group that forwarded it first.
    pub group: String,
}

/// What a record in the retry topic carries of its past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// Where it came from.
    pub origin: Origin,
    /// Attempts made so far.
    pub attempt: u32,
    /// When the next attempt is due, in epoch milliseconds.
    pub due_at_ms: i64,
    /// How often it was redriven.
    pub redrive_count: u32,
    /// Whether the time of the first failure is noted.
    pub has_first_failed: bool,
}

impl Lineage {
    /// Reads the lineage of a record; `None` if it has none, or not a whole one. `last` gives
    /// the last value of a header by name.
    pub fn read<'a>(last: impl Fn(&str) -> Option<&'a [u8]>) -> Option<Self> {
        let text = |name: &str| std::str::from_utf8(last(name)?).ok();
        let partition = text(ORIGIN_PARTITION)?.parse().ok().filter(|p: &i32| *p >= 0)?;
        let offset = text(ORIGIN_OFFSET)?.parse().ok().filter(|o: &i64| *o >= 0)?;
        let number = |name: &str| text(name).and_then(|value| value.parse::<i64>().ok());
        let kind = text(ORIGIN_TIMESTAMP_TYPE).and_then(TimestampType::parse);
        let timestamp = Timestamp {
            ms: number(ORIGIN_TIMESTAMP_MS).unwrap_or(-1),
            kind: kind.unwrap_or(TimestampType::NoTimestampType),
        };
        let count = |name: &str| number(name).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        Some(Self {
            origin: Origin {
                topic: text(ORIGIN_TOPIC)?.to_owned(),
                partition,
                offset,
                timestamp,
                group: text(ORIGIN_GROUP)?.to_owned(),
            },
            attempt: count(ATTEMPT),
            due_at_ms: number(DUE_AT_MS).unwrap_or(0),
            redrive_count: count(REDRIVE_COUNT),
            has_first_failed: last(FIRST_FAILED_AT_MS).is_some(),
        })
    }
}

/// Changes to a record's headers at a hop: everything else stays byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEdit {
    /// Names to take out, every occurrence.
    pub remove: Vec<&'static str>,
    /// Headers to add, each once.
    pub add: Vec<(&'static str, Vec<u8>)>,
}

impl HeaderEdit {
    fn text(&mut self, name: &'static str, value: impl ToString) {
        self.add.push((name, value.to_string().into_bytes()));
    }

    /// Bytes that the added headers take, names and values.
    pub fn added_bytes(&self) -> usize {
        self.add.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

/// A failed attempt on its way to the retry or dead-letter topic.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'a> {
    /// Where the record first came from.
    pub origin: &'a Origin,
    /// Whether the record already carries that as headers that can be trusted.
    pub carries_lineage: bool,
    /// Whether it also notes its first failure.
    pub carries_first_failed: bool,
    /// Attempts made, this one included.
    pub attempt: u32,
    /// Why it failed; `None` for a record that was not tried and waits behind its key.
    pub failure: Option<&'a Failure>,
    /// Now, in epoch milliseconds.
    pub now_ms: i64,
}

impl Hop<'_> {
    /// Header changes for a record that goes to the retry topic.
    pub fn to_retry(&self, due_at_ms: i64) -> HeaderEdit {
        let mut edit = self.common();
        edit.remove.extend(SPRING_RETRY);
        edit.text(DUE_AT_MS, due_at_ms);
        let next_delivery = i32::try_from(self.attempt.saturating_add(1)).unwrap_or(i32::MAX);
        let [attempts, due, original] = SPRING_RETRY;
        edit.add.push((attempts, next_delivery.to_be_bytes().to_vec()));
        edit.add.push((due, minimal_be(due_at_ms)));
        edit.add.push((original, minimal_be(self.origin.timestamp.ms)));
        edit
    }

    /// Header changes for a dead letter. `with_detail` is off when the record was refused for
    /// its size: the words go first.
    pub fn to_dead_letter(&self, dialects: Dialects<'_>, with_detail: bool) -> HeaderEdit {
        let mut edit = self.common();
        edit.remove.extend(SPRING_RETRY);
        edit.remove.extend(SPRING_DEAD_LETTER);
        if !with_detail {
            edit.add.retain(|(name, _)| *name != FAILURE_DETAIL);
        }
        let Some(failure) = self.failure else { return edit };
        let detail = if with_detail { cut(&failure.detail) } else { "" };
        let reason = failure.reason.as_str();
        let class = dialects.class_name(failure.class().as_str());
        let message = format!("{reason}: {detail}");
        self.add_spring(&mut edit, &class, &message);
        if dialects.connect {
            let by = dialects.class_name("consumer");
            self.add_connect(&mut edit, failure, [&by, &class, &message]);
        }
        edit
    }

    fn common(&self) -> HeaderEdit {
        let mut edit = HeaderEdit::default();
        edit.remove.extend(PER_HOP);
        if !self.carries_lineage {
            edit.remove.extend(LINEAGE);
            edit.remove.extend(REDRIVE);
            let Origin { topic, partition, offset, timestamp, group } = self.origin;
            edit.text(ORIGIN_TOPIC, topic);
            edit.text(ORIGIN_PARTITION, partition);
            edit.text(ORIGIN_OFFSET, offset);
            edit.text(ORIGIN_TIMESTAMP_MS, timestamp.ms);
            edit.text(ORIGIN_TIMESTAMP_TYPE, timestamp.kind.as_str());
            edit.text(ORIGIN_GROUP, group);
        }
        edit.text(ATTEMPT, self.attempt);
        let Some(failure) = self.failure else { return edit };
        if !(self.carries_lineage && self.carries_first_failed) {
            edit.text(FIRST_FAILED_AT_MS, self.now_ms);
        }
        edit.text(FAILURE_CLASS, failure.class().as_str());
        edit.text(FAILURE_REASON, failure.reason.as_str());
        edit.text(FAILURE_DETAIL, cut(&failure.detail));
        edit.text(FINGERPRINT, format!("{:08x}", failure.fingerprint()));
        edit
    }

    /// Spring's `DeadLetterPublishingRecoverer` set, binary as Spring writes it.
    fn add_spring(&self, edit: &mut HeaderEdit, class: &str, message: &str) {
        let Origin { topic, partition, offset, timestamp, group } = self.origin;
        let values: [Vec<u8>; 8] = [
            topic.clone().into_bytes(),
            partition.to_be_bytes().to_vec(),
            offset.to_be_bytes().to_vec(),
            timestamp.ms.to_be_bytes().to_vec(),
            timestamp.kind.as_str().into(),
            group.clone().into_bytes(),
            class.into(),
            message.into(),
        ];
        edit.add.extend(SPRING_DEAD_LETTER.into_iter().zip(values));
    }

    /// Kafka Connect's set, all text. There is no connector: its names stand for the group.
    fn add_connect(&self, edit: &mut HeaderEdit, failure: &Failure, texts: [&String; 3]) {
        edit.remove.extend(CONNECT);
        let [by, class, message] = texts.map(Clone::clone);
        let Origin { topic, partition, offset, group, .. } = self.origin;
        let stage = if failure.class().is_transient() { "TASK_PUT" } else { "VALUE_CONVERTER" };
        let values = [
            topic.clone(),
            partition.to_string(),
            offset.to_string(),
            group.clone(),
            partition.to_string(),
            stage.to_owned(),
            by,
            class,
            message,
            String::new(),
        ];
        edit.add.extend(CONNECT.into_iter().zip(values.map(String::into_bytes)));
    }
}

/// Cuts a detail to [`DETAIL_BYTES_MAX`] at a character.
fn cut(detail: &str) -> &str {
    &detail[..detail.floor_char_boundary(DETAIL_BYTES_MAX)]
}

/// Shortest big-endian two's complement form, as Java's `BigInteger.toByteArray`.
fn minimal_be(value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let redundant = |i: &usize| {
        let negative = bytes[i + 1] & 0x80 != 0;
        bytes[*i] == if negative { 0xff } else { 0 }
    };
    let skip = (0..7).take_while(redundant).count();
    bytes[skip..].to_vec()
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
