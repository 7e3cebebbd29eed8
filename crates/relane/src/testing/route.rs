//! Records of a test, and what became of them.

use std::time::Duration;

use pipeline::failure::FailureClass;
use pipeline::headers::{FAILURE_CLASS, FAILURE_DETAIL, FAILURE_REASON, Lineage};

use crate::model::broker::Broker;
use crate::model::log::{Stored, Topic};

/// Where a record lies in the main topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinates {
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
}

/// A record as it lies in a topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TestRecord {
    /// Its partition.
    pub partition: i32,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Names and values of its headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl TestRecord {
    /// The last value of a header, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(of, _)| of == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }

    pub(super) fn of(partition: i32, stored: &Stored) -> Self {
        let headers = stored.headers.iter().map(|(name, value)| {
            (String::from_utf8_lossy(name).into_owned(), value.as_deref().map(<[u8]>::to_vec))
        });
        Self {
            partition,
            key: stored.key.as_deref().map(<[u8]>::to_vec),
            value: stored.value.as_deref().map(<[u8]>::to_vec),
            headers: headers.collect(),
        }
    }

    pub(super) fn into_stored(self, timestamp_ms: i64) -> Stored {
        let headers = self.headers.into_iter().map(|(name, value)| {
            (name.into_bytes().into_boxed_slice(), value.map(Vec::into_boxed_slice))
        });
        Stored {
            key: self.key.map(Vec::into_boxed_slice),
            value: self.value.map(Vec::into_boxed_slice),
            headers: headers.collect(),
            timestamp_ms,
        }
    }
}

/// Why a record failed, as the headers of its retry or dead letter say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureNote {
    /// Its class, which decides whether it is tried again.
    pub class: FailureClass,
    /// What went wrong, in a word of `x-failure-reason`.
    pub reason: String,
    /// The same in words.
    pub detail: String,
}

impl FailureNote {
    fn of(record: &Stored) -> Option<Self> {
        let text = |name| String::from_utf8_lossy(record.header(name).unwrap_or_default());
        let class = text(FAILURE_CLASS);
        Some(Self {
            class: FailureClass::ALL.into_iter().find(|known| known.as_str() == class)?,
            reason: text(FAILURE_REASON).into_owned(),
            detail: text(FAILURE_DETAIL).into_owned(),
        })
    }
}

/// What became of a record, by what is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Nothing yet: it was not read, its handler is at work, or the pipeline waits for something. So is a record that was
    /// never sent.
    Unsettled,
    /// It was handled well, or is a duplicate.
    Settled {
        /// Attempts that it took.
        attempts: u32,
    },
    /// It failed, and waits in the retry topic.
    Retried {
        /// Attempts made so far.
        attempts: u32,
        /// How long until the next one; zero where it is due.
        due_in: Duration,
        /// Why the last one failed.
        failure: FailureNote,
    },
    /// It waits in the retry topic, untried, behind another record of its key.
    Behind,
    /// It lies in the dead-letter topic.
    DeadLettered {
        /// Attempts made; 0 for one that was given up with one of its key.
        attempts: u32,
        /// Why it was given up.
        failure: FailureNote,
    },
}

impl Route {
    /// Why it failed, where it waits for a retry or is a dead letter.
    #[must_use]
    pub const fn failure(&self) -> Option<&FailureNote> {
        match self {
            Self::Retried { failure, .. } | Self::DeadLettered { failure, .. } => Some(failure),
            Self::Unsettled | Self::Settled { .. } | Self::Behind => None,
        }
    }

    /// How long until its next attempt, where it waits for one.
    #[must_use]
    pub const fn due_in(&self) -> Option<Duration> {
        match self {
            Self::Retried { due_in, .. } => Some(*due_in),
            _ => None,
        }
    }

    pub(super) fn of(broker: &Broker, record: Coordinates, now_ms: i64) -> Self {
        let Coordinates { partition, offset } = record;
        let of_record = |topic| {
            let log = &broker.logs[&(topic, partition)];
            let read = |(at, stored): (i64, std::rc::Rc<Stored>)| {
                let lineage = Lineage::read(|name| stored.header(name))?;
                (lineage.origin.offset == offset).then_some((at, lineage, stored))
            };
            log.committed().filter_map(read).last()
        };
        if let Some((_, lineage, letter)) = of_record(Topic::DeadLetter)
            && let Some(failure) = FailureNote::of(&letter)
        {
            return Self::DeadLettered { attempts: lineage.attempt, failure };
        }
        let retry = of_record(Topic::Retry);
        if let Some((at, lineage, stored)) = &retry
            && !broker.is_settled((Topic::Retry, partition), *at)
        {
            let due_in_ms = u64::try_from(lineage.due_at_ms - now_ms).unwrap_or(0);
            return FailureNote::of(stored).map_or(Self::Behind, |failure| Self::Retried {
                attempts: lineage.attempt,
                due_in: Duration::from_millis(due_in_ms),
                failure,
            });
        }
        if !broker.is_settled((Topic::Main, partition), offset) {
            return Self::Unsettled;
        }
        Self::Settled { attempts: retry.map_or(0, |(_, lineage, _)| lineage.attempt) + 1 }
    }
}
