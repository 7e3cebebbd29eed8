//! Where a record is: partition, offset, commit position, and when it was written.

use std::fmt;

/// Number of a partition. The same number names the same slice of every topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub i32);

/// Offset of one record within its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

/// Position a group resumes from: the lowest offset that is not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitPosition(pub i64);

impl Partition {
    /// Index into a table that has one entry for each partition.
    ///
    /// # Panics
    ///
    /// Panics for a negative number, which no broker hands out.
    pub fn index(self) -> usize {
        usize::try_from(self.0).expect("partition numbers start at 0")
    }
}

impl Offset {
    /// The position to commit once this record, and everything below it, is settled.
    pub const fn next(self) -> CommitPosition {
        CommitPosition(self.0 + 1)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for CommitPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the timestamp of a record means; Kafka's own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// Set by the producer.
    CreateTime,
    /// Set by the broker.
    LogAppendTime,
    /// The record has none.
    NoTimestampType,
}

impl TimestampType {
    /// The name as Kafka and Spring write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateTime => "CreateTime",
            Self::LogAppendTime => "LogAppendTime",
            Self::NoTimestampType => "NoTimestampType",
        }
    }

    /// Reads a name back.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::CreateTime, Self::LogAppendTime, Self::NoTimestampType]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// When a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// Milliseconds since the Unix epoch; -1 for none.
    pub ms: i64,
    /// Who set it.
    pub kind: TimestampType,
}
