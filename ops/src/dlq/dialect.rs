//! The headers by which tools say why a record was given up, and where it came from.
//!
//! | dialect | who writes it | origin | numbers |
//! |---|---|---|---|
//! | orders | this pipeline, and all that `relane` runs | `x-origin-*` | text |
//! | spring | Spring's `DeadLetterPublishingRecoverer` | `kafka_dlt-original-*` | binary; other libraries write text |
//! | spring-retryable | Spring's `@RetryableTopic` | `kafka_original-*` | binary; the same |
//! | connect | Kafka Connect | `__connect.errors.*` | text |
//! | streams | Kafka Streams | `__streams.errors.*` | text |
//! | share-group | brokers, for share groups | `__dlq.errors.*` | text |
//! | smallrye | SmallRye, Quarkus | `dead-letter-*` | text |
//! | karafka | Karafka | `source_*` | text |

use std::borrow::Cow;
use std::fmt;

use pipeline::headers as own;

use super::record::Named;

/// Which tool's headers a dead letter is read by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// `x-*`: this pipeline, and every pipeline of its engine.
    Orders,
    /// `kafka_dlt-*`: Spring's `DeadLetterPublishingRecoverer`.
    Spring,
    /// `kafka_*` and `retry_topic-*`: Spring's `@RetryableTopic`.
    SpringRetryable,
    /// `__connect.errors.*`: Kafka Connect.
    Connect,
    /// `__streams.errors.*`: Kafka Streams.
    Streams,
    /// `__dlq.errors.*`: brokers, for share groups.
    ShareGroup,
    /// `dead-letter-*`: SmallRye.
    SmallRye,
    /// `source_*`: Karafka.
    Karafka,
    /// None that is known: nothing says where the record came from.
    Unknown,
}

impl Dialect {
    /// Every dialect that has headers.
    pub const KNOWN: [Self; 8] = [
        Self::Orders,
        Self::Spring,
        Self::SpringRetryable,
        Self::Connect,
        Self::Streams,
        Self::ShareGroup,
        Self::SmallRye,
        Self::Karafka,
    ];

    /// Its name in results.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Spring => "spring",
            Self::SpringRetryable => "spring-retryable",
            Self::Connect => "connect",
            Self::Streams => "streams",
            Self::ShareGroup => "share-group",
            Self::SmallRye => "smallrye",
            Self::Karafka => "karafka",
            Self::Unknown => "unknown",
        }
    }

    /// Tells by whose headers a record is to be read: those of the tool that gave it up last.
    ///
    /// Tools add their headers after those that are there, so the last name of an origin topic tells.
    /// This pipeline writes Spring's headers, and on request Connect's, after its own and about the same
    /// origin: such a record is its own.
    #[must_use]
    pub fn of(headers: &Named<'_, '_>) -> Self {
        let mut places = [None; Self::KNOWN.len()];
        for (at, (name, value)) in headers.all().iter().enumerate() {
            // The names of all origin topics end like this: most headers are passed over here.
            if value.is_none() || !name.ends_with(b"topic") {
                continue;
            }
            let is_its = |dialect: &Self| {
                let names = dialect.names();
                // A header of this name alone may be anybody's.
                names.topic.as_bytes() == *name && headers.last(names.partition).is_some()
            };
            if let Some(found) = Self::KNOWN.iter().position(is_its) {
                places[found] = Some(at);
            }
        }
        let placed = Self::KNOWN.into_iter().zip(places);
        let last = placed.filter_map(|(dialect, place)| Some((place?, dialect))).max();
        let Some((_, last)) = last else { return Self::Unknown };
        let is_ours = places[0].is_some() && headers.last(own::FAILURE_CLASS).is_some();
        let may_be_ours = matches!(last, Self::Orders | Self::Spring | Self::Connect);
        let is_same_place =
            last == Self::Orders || last.place(headers) == Self::Orders.place(headers);
        if is_ours && may_be_ours && is_same_place { Self::Orders } else { last }
    }

    /// Origin as topic, partition and offset.
    fn place<'a>(self, headers: &Named<'_, 'a>) -> (Option<&'a [u8]>, Option<i64>, Option<i64>) {
        let names = self.names();
        let topic = headers.last(names.topic);
        (topic, self.int32(headers, names.partition), self.int64(headers, names.offset))
    }

    fn is_binary(self) -> bool {
        matches!(self, Self::Spring | Self::SpringRetryable)
    }

    fn int32(self, headers: &Named<'_, '_>, name: &str) -> Option<i64> {
        if self.is_binary() { headers.binary::<4>(name) } else { headers.decimal(name) }
    }

    fn int64(self, headers: &Named<'_, '_>, name: &str) -> Option<i64> {
        if self.is_binary() { headers.binary::<8>(name) } else { headers.decimal(name) }
    }

    /// Where the record came from, as the headers of this dialect say; none where they name no topic.
    #[must_use]
    pub fn origin<'a>(self, headers: &Named<'_, 'a>) -> Option<Origin<'a>> {
        let names = self.names();
        let topic = headers.text(names.topic).filter(|topic| !topic.is_empty())?;
        let partition = self.int32(headers, names.partition);
        let offset = self.int64(headers, names.offset);
        let timestamp_ms = self.int64(headers, names.timestamp);
        Some(Origin {
            topic,
            partition: partition.and_then(|number| i32::try_from(number).ok()).filter(|p| *p >= 0),
            offset: offset.filter(|offset| *offset >= 0),
            timestamp_ms: timestamp_ms.filter(|ms| *ms >= 0),
            group: headers.text(names.group).filter(|group| !group.is_empty()),
        })
    }

    /// Why the record was given up, as the headers of this dialect say.
    #[must_use]
    pub fn cause<'a>(self, headers: &Named<'_, 'a>) -> Cause<'a> {
        let names = self.names();
        let class = headers.first_text(names.class);
        let class = if self == Self::Streams { class.map(without_message) } else { class };
        Cause {
            class,
            reason: headers.first_text(names.reason),
            detail: headers.first_text(names.detail),
        }
    }

    /// Attempts that were made, where the dialect says so.
    #[must_use]
    pub fn attempts(self, headers: &Named<'_, '_>) -> Option<u32> {
        let name = self.names().attempts;
        let number = match self {
            // Counts the delivery that would have come next.
            Self::SpringRetryable => headers.binary::<4>(name)?.checked_sub(1)?,
            _ => headers.decimal(name)?,
        };
        u32::try_from(number).ok()
    }

    const fn names(self) -> &'static Names {
        match self {
            Self::Orders => &ORDERS,
            Self::Spring => &SPRING,
            Self::SpringRetryable => &SPRING_RETRYABLE,
            Self::Connect => &CONNECT,
            Self::Streams => &STREAMS,
            Self::ShareGroup => &SHARE_GROUP,
            Self::SmallRye => &SMALLRYE,
            Self::Karafka => &KARAFKA,
            Self::Unknown => &NONE,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Streams writes class and message into one header, as Java prints an exception.
fn without_message(exception: Cow<'_, str>) -> Cow<'_, str> {
    let end = exception.find([':', ' ', '\n']).unwrap_or(exception.len());
    match exception {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(text) => Cow::Owned(text[..end].to_owned()),
    }
}

/// Where a dead letter was read before it was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Topic.
    pub topic: Cow<'a, str>,
    /// Partition.
    pub partition: Option<i32>,
    /// Offset.
    pub offset: Option<i64>,
    /// Timestamp of the record there, in epoch milliseconds.
    pub timestamp_ms: Option<i64>,
    /// The consumer group, or the connector, that gave it up.
    pub group: Option<Cow<'a, str>>,
}

/// Why a record was given up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cause<'a> {
    /// What kind of failure it is: a class of the pipeline, the exception that a framework caught, or
    /// the stage of a connector.
    pub class: Option<Cow<'a, str>>,
    /// What lies beneath: a reason of the pipeline, or the exception at the root.
    pub reason: Option<Cow<'a, str>>,
    /// In words.
    pub detail: Option<Cow<'a, str>>,
}

/// Names of a dialect's headers; empty where it has none. Of several, the first that is there counts.
struct Names {
    topic: &'static str,
    partition: &'static str,
    offset: &'static str,
    timestamp: &'static str,
    group: &'static str,
    attempts: &'static str,
    class: &'static [&'static str],
    reason: &'static [&'static str],
    detail: &'static [&'static str],
}

const NONE: Names = Names {
    topic: "",
    partition: "",
    offset: "",
    timestamp: "",
    group: "",
    attempts: "",
    class: &[],
    reason: &[],
    detail: &[],
};

const ORDERS: Names = Names {
    topic: own::ORIGIN_TOPIC,
    partition: own::ORIGIN_PARTITION,
    offset: own::ORIGIN_OFFSET,
    timestamp: own::ORIGIN_TIMESTAMP_MS,
    group: own::ORIGIN_GROUP,
    attempts: own::ATTEMPT,
    class: &[own::FAILURE_CLASS],
    reason: &[own::FAILURE_REASON],
    detail: &[own::FAILURE_DETAIL],
};

const SPRING: Names = Names {
    topic: "kafka_dlt-original-topic",
    partition: "kafka_dlt-original-partition",
    offset: "kafka_dlt-original-offset",
    timestamp: "kafka_dlt-original-timestamp",
    group: "kafka_dlt-original-consumer-group",
    class: &["kafka_dlt-exception-fqcn", "kafka_dlt-key-exception-fqcn"],
    reason: &["kafka_dlt-exception-cause-fqcn"],
    detail: &["kafka_dlt-exception-message", "kafka_dlt-key-exception-message"],
    ..NONE
};

const SPRING_RETRYABLE: Names = Names {
    topic: "kafka_original-topic",
    partition: "kafka_original-partition",
    offset: "kafka_original-offset",
    timestamp: "kafka_original-timestamp",
    group: "kafka_dlt-original-consumer-group", // with "dlt-", unlike the others
    attempts: "retry_topic-attempts",
    class: &["kafka_exception-fqcn", "kafka_key-exception-fqcn"],
    reason: &["kafka_exception-cause-fqcn"],
    detail: &["kafka_exception-message", "kafka_key-exception-message"],
};

const CONNECT: Names = Names {
    topic: "__connect.errors.topic",
    partition: "__connect.errors.partition",
    offset: "__connect.errors.offset",
    group: "__connect.errors.connector.name",
    class: &["__connect.errors.stage"],
    reason: &["__connect.errors.exception.class.name"],
    detail: &["__connect.errors.exception.message"],
    ..NONE
};

const STREAMS: Names = Names {
    topic: "__streams.errors.topic",
    partition: "__streams.errors.partition",
    offset: "__streams.errors.offset",
    class: &["__streams.errors.exception"],
    detail: &["__streams.errors.message"],
    ..NONE
};

const SHARE_GROUP: Names = Names {
    topic: "__dlq.errors.topic",
    partition: "__dlq.errors.partition",
    offset: "__dlq.errors.offset",
    group: "__dlq.errors.group",
    attempts: "__dlq.errors.delivery.count",
    detail: &["__dlq.errors.message"],
    ..NONE
};

const SMALLRYE: Names = Names {
    topic: "dead-letter-topic",
    partition: "dead-letter-partition",
    offset: "dead-letter-offset",
    class: &["dead-letter-exception-class-name"],
    reason: &["dead-letter-cause-class-name"],
    detail: &["dead-letter-reason", "dead-letter-cause"],
    ..NONE
};

const KARAFKA: Names = Names {
    topic: "source_topic",
    partition: "source_partition",
    offset: "source_offset",
    group: "source_consumer_group",
    attempts: "source_attempts",
    ..NONE
};

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
