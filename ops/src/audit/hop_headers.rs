//! The headers that a hop writes: there once, and in agreement with each other.

use kafka_io::native::RecordHeaders;
use kafka_io::reader::HeldRecord;
use pipeline::failure::{FailureClass, FailureReason, ReasonName, fingerprint as fingerprint_of};
use pipeline::headers::{self, Lineage};
use pipeline::record::TimestampType;

use super::times;

/// Where in the retry or dead-letter topic a hop lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hop {
    Retry,
    DeadLetter,
}

/// Whose a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A hop writes it anew, on retries and dead letters.
    Ours,
    /// The same, on dead letters only.
    SpringDeadLetter,
    /// The same, where the consumer is asked to.
    Connect,
    /// It is the order's.
    Foreign,
}

const ORIGIN: [&str; 6] = [
    headers::ORIGIN_TOPIC,
    headers::ORIGIN_PARTITION,
    headers::ORIGIN_OFFSET,
    headers::ORIGIN_TIMESTAMP_MS,
    headers::ORIGIN_TIMESTAMP_TYPE,
    headers::ORIGIN_GROUP,
];

/// Names that stand on each record that failed.
const FAILED: [&str; 4] = [
    headers::FIRST_FAILED_AT_MS,
    headers::FAILURE_CLASS,
    headers::FAILURE_REASON,
    headers::FINGERPRINT,
];

const FURTHER: [&str; 6] = [
    headers::ATTEMPT,
    headers::DUE_AT_MS,
    headers::FAILURE_DETAIL,
    headers::REDRIVE_COUNT,
    headers::REDRIVE_ID,
    headers::TRUNCATED,
];

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

/// All of them, with whose they are.
const GROUPS: [(&[&str], Kind); 6] = [
    (&ORIGIN, Kind::Ours),
    (&FAILED, Kind::Ours),
    (&FURTHER, Kind::Ours),
    (&SPRING_RETRY, Kind::Ours),
    (&SPRING_DEAD_LETTER, Kind::SpringDeadLetter),
    (&CONNECT, Kind::Connect),
];

/// A header in which other programs name the schema of a value.
const SCHEMA_ID: &[u8] = b"__value_schema_id";

const CLASSES: [FailureClass; 6] = [
    FailureClass::Malformed,
    FailureClass::UnknownSchema,
    FailureClass::IncompatibleSchema,
    FailureClass::Invalid,
    FailureClass::Transient,
    FailureClass::Refused,
];

/// Stands for any reason of a handler's own.
const OWN_REASON: ReasonName = ReasonName::of("own-reason");

/// A permanent reason of a handler's own, and a transient one, whatever they are called.
pub(crate) const OWN_REASONS: [FailureReason; 2] =
    [FailureReason::Permanent(OWN_REASON), FailureReason::Transient(OWN_REASON)];

/// Place of a class in the contract's order.
pub(crate) fn class_place(class: FailureClass) -> u8 {
    (0..).zip(CLASSES).find(|(_, known)| *known == class).map_or(u8::MAX, |(place, _)| place)
}

/// The class of that name.
pub(crate) fn class_of(name: &str) -> Option<FailureClass> {
    CLASSES.into_iter().find(|class| class.as_str() == name)
}

/// Whose the header of this name is.
pub(crate) fn kind(name: &[u8]) -> Kind {
    let found = GROUPS.iter().find(|(names, _)| names.iter().any(|n| n.as_bytes() == name));
    found.map_or(Kind::Foreign, |(_, kind)| *kind)
}

/// The headers of a record that a hop may have written.
pub(crate) struct HopHeaders<'a> {
    record: &'a HeldRecord,
    /// In the record's order, with null values as empty ones.
    found: Vec<(&'static str, &'a [u8])>,
    names_schema: bool,
}

impl<'a> HopHeaders<'a> {
    pub(crate) fn of(record: &'a HeldRecord) -> Self {
        let mut found = Vec::with_capacity(24);
        let mut names_schema = false;
        for (name, value) in record.headers.iter().flat_map(RecordHeaders::iter) {
            let known = GROUPS.iter().flat_map(|(names, _)| *names);
            if let Some(known) = known.copied().find(|known| known.as_bytes() == name) {
                found.push((known, value.unwrap_or_default()));
            }
            names_schema |= name == SCHEMA_ID;
        }
        Self { record, found, names_schema }
    }

    fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.found.iter().rev().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }

    /// The last value of a header, if it is text.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.value(name)?).ok()
    }

    /// The failure that it names; one of [`OWN_REASONS`] for one of a handler's own.
    pub(crate) fn reason(&self) -> Option<FailureReason> {
        let name = self.text(headers::FAILURE_REASON)?;
        let known = FailureReason::ALL.into_iter().find(|known| known.as_str() == name);
        known.or_else(|| {
            let class = self.text(headers::FAILURE_CLASS)?;
            let own = OWN_REASONS.into_iter().find(|own| own.class().as_str() == class)?;
            ReasonName::is_one(name).then_some(own)
        })
    }

    fn expect(&self, names: &[&str], times: std::ops::RangeInclusive<usize>) -> Result<(), String> {
        for name in names {
            let count = self.found.iter().filter(|(found, _)| found == name).count();
            if !times.contains(&count) {
                let wanted = if *times.end() == 0 { "not at all" } else { "once" };
                return Err(format!("{name} is there {count} times instead of {wanted}"));
            }
        }
        Ok(())
    }

    /// Checks all that can be known from the record alone.
    pub(crate) fn check(&self, lineage: &Lineage, hop: Hop) -> Result<(), String> {
        let is_dead = hop == Hop::DeadLetter;
        // What brings a record back decides what else it carries.
        let is_loose = !is_dead && lineage.redrive_count > 0 && lineage.attempt == 0;
        let has_failed = is_dead || lineage.attempt > 0;
        self.expect(&ORIGIN, 1..=1)?;
        self.expect(&[headers::ATTEMPT], 1..=1)?;
        self.expect(&FURTHER, 0..=1)?;
        self.check_numbers(lineage)?;
        if is_dead {
            self.expect(&[headers::DUE_AT_MS], 0..=0)?;
            self.expect(&SPRING_RETRY, 0..=0)?;
            self.expect(&SPRING_DEAD_LETTER, 1..=1)?;
        } else {
            self.expect(&[headers::DUE_AT_MS], 1..=1)?;
            self.expect(&[headers::TRUNCATED], 0..=0)?;
            if !is_loose {
                self.expect(&SPRING_RETRY, 1..=1)?;
                self.check_spring_retry(lineage)?;
            }
        }
        if is_loose {
            return Ok(());
        }
        if !has_failed {
            let none = [&FAILED[1..], &[headers::FAILURE_DETAIL]].concat();
            return self.expect(&none, 0..=0);
        }
        self.expect(&FAILED, 1..=1)?;
        self.check_failure(lineage, hop)?;
        if is_dead { self.check_spring_dead_letter(lineage) } else { Ok(()) }
    }

    /// Numbers are written in one way only.
    fn check_numbers(&self, lineage: &Lineage) -> Result<(), String> {
        let origin = &lineage.origin;
        let numbers = [
            (headers::ORIGIN_PARTITION, i64::from(origin.partition)),
            (headers::ORIGIN_OFFSET, origin.offset),
            (headers::ORIGIN_TIMESTAMP_MS, origin.timestamp.ms),
            (headers::ATTEMPT, i64::from(lineage.attempt)),
            (headers::DUE_AT_MS, lineage.due_at_ms),
            (headers::REDRIVE_COUNT, i64::from(lineage.redrive_count)),
        ];
        for (name, number) in numbers {
            if self.value(name).is_some() && self.text(name) != Some(&number.to_string()) {
                return Err(format!("{name} is not a number"));
            }
        }
        let kind = self.text(headers::ORIGIN_TIMESTAMP_TYPE).and_then(TimestampType::parse);
        if kind.is_none() {
            return Err(format!("{} is not known", headers::ORIGIN_TIMESTAMP_TYPE));
        }
        if self.value(headers::FIRST_FAILED_AT_MS).is_none() {
            return Ok(());
        }
        let text = self.text(headers::FIRST_FAILED_AT_MS).unwrap_or_default();
        let failed_at_ms = text.parse().ok().filter(|ms: &i64| ms.to_string() == text);
        if !failed_at_ms.is_some_and(|ms| times::is_possible(ms, self.record.timestamp)) {
            return Err(format!("{} is {text:?}", headers::FIRST_FAILED_AT_MS));
        }
        Ok(())
    }

    fn check_spring_retry(&self, lineage: &Lineage) -> Result<(), String> {
        let attempts = i32::try_from(lineage.attempt.saturating_add(1)).unwrap_or(i32::MAX);
        let wanted = [
            attempts.to_be_bytes().to_vec(),
            shortest(lineage.due_at_ms),
            shortest(lineage.origin.timestamp.ms),
        ];
        for (name, wanted) in SPRING_RETRY.into_iter().zip(wanted) {
            if self.value(name) != Some(&wanted) {
                return Err(format!("{name} contradicts the x-* headers"));
            }
        }
        Ok(())
    }

    fn check_failure(&self, lineage: &Lineage, hop: Hop) -> Result<(), String> {
        let class = self.text(headers::FAILURE_CLASS).unwrap_or_default();
        let Some(reason) = self.reason().filter(|reason| reason.class().as_str() == class) else {
            let reason = self.text(headers::FAILURE_REASON).unwrap_or_default();
            return Err(format!("there is no failure {class:?}/{reason:?}"));
        };
        if hop == Hop::Retry && !reason.class().is_transient() {
            return Err(format!("{class} is not retried"));
        }
        let may_be_untried =
            matches!(reason, FailureReason::PredecessorDead | FailureReason::TooLargeToRetry);
        if lineage.attempt == 0 && !may_be_untried {
            return Err("a dead letter without an attempt".to_owned());
        }
        if let Some(detail) = self.value(headers::FAILURE_DETAIL)
            && (detail.len() > headers::DETAIL_BYTES_MAX || std::str::from_utf8(detail).is_err())
        {
            return Err(format!("{} is too long or not text", headers::FAILURE_DETAIL));
        }
        let fingerprint = self.text(headers::FINGERPRINT).unwrap_or_default();
        let name = self.text(headers::FAILURE_REASON).unwrap_or_default();
        let print_of = |schema_id| format!("{:08x}", fingerprint_of(class, name, schema_id));
        let framed = codec::frame::schema_id(self.record.value.as_deref());
        let is_right = if self.value(headers::TRUNCATED).is_some() || self.names_schema {
            // Its schema stands elsewhere, or went with its value.
            fingerprint.len() == 8 && u32::from_str_radix(fingerprint, 16).is_ok()
        } else {
            fingerprint == print_of(None) || (framed.is_some() && fingerprint == print_of(framed))
        };
        if !is_right {
            return Err(format!("{} is not that of the failure", headers::FINGERPRINT));
        }
        Ok(())
    }

    fn message(&self) -> String {
        let text = |name| self.text(name).unwrap_or_default();
        format!("{}: {}", text(headers::FAILURE_REASON), text(headers::FAILURE_DETAIL))
    }

    fn check_spring_dead_letter(&self, lineage: &Lineage) -> Result<(), String> {
        let origin = &lineage.origin;
        let class = self.text(headers::FAILURE_CLASS).unwrap_or_default();
        let wanted: [Vec<u8>; 8] = [
            origin.topic.as_bytes().to_vec(),
            origin.partition.to_be_bytes().to_vec(),
            origin.offset.to_be_bytes().to_vec(),
            origin.timestamp.ms.to_be_bytes().to_vec(),
            origin.timestamp.kind.as_str().into(),
            origin.group.as_bytes().to_vec(),
            format!("orders.{class}").into_bytes(),
            self.message().into_bytes(),
        ];
        for (name, wanted) in SPRING_DEAD_LETTER.into_iter().zip(wanted) {
            if self.value(name) != Some(&wanted) {
                return Err(format!("{name} contradicts the x-* headers"));
            }
        }
        Ok(())
    }

    /// Whether Connect's names stand there as the consumer writes them, all of them.
    pub(crate) fn speaks_connect(&self, lineage: &Lineage) -> bool {
        let origin = &lineage.origin;
        let class = self.text(headers::FAILURE_CLASS).unwrap_or_default();
        let is_transient = class == FailureClass::Transient.as_str();
        let wanted = [
            origin.topic.clone(),
            origin.partition.to_string(),
            origin.offset.to_string(),
            origin.group.clone(),
            origin.partition.to_string(),
            if is_transient { "TASK_PUT" } else { "VALUE_CONVERTER" }.to_owned(),
            "orders.consumer".to_owned(),
            format!("orders.{class}"),
            self.message(),
            String::new(),
        ];
        self.expect(&CONNECT, 1..=1).is_ok()
            && CONNECT.iter().zip(wanted).all(|(name, wanted)| {
                self.value(name).is_some_and(|value| value == wanted.as_bytes())
            })
    }
}

/// Shortest big-endian two's complement form, as Java's `BigInteger.toByteArray`.
fn shortest(value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let is_needed = |at: usize| bytes[at] != sign || (bytes[at + 1] ^ sign) & 0x80 != 0;
    let start = (0..7).find(|at| is_needed(*at)).unwrap_or(7);
    bytes[start..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_java_writes_them() {
        for (value, expected) in [
            (0, vec![0]),
            (127, vec![127]),
            (128, vec![0, 128]),
            (-1, vec![255]),
            (-129, vec![255, 127]),
            (1_700_000_000_123, 1_700_000_000_123_i64.to_be_bytes()[2..].to_vec()),
        ] {
            assert_eq!(shortest(value), expected, "{value}");
        }
    }

    #[test]
    fn names_are_ours_by_the_letter() {
        assert_eq!(kind(b"x-attempt"), Kind::Ours);
        assert_eq!(kind(b"X-Attempt"), Kind::Foreign);
        assert_eq!(kind(b"kafka_dlt-original-topic"), Kind::SpringDeadLetter);
        assert_eq!(kind(b"kafka_dlt-exception-stacktrace"), Kind::Foreign);
    }
}
