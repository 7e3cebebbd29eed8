//! Where a dead letter goes back to, and why it does not.

use std::fmt;

use pipeline::headers as own;
use serde::Serialize;

use super::handled::Mark;
use crate::dlq::dead_letter::DeadLetter;
use crate::dlq::dialect::Dialect;
use crate::dlq::record::Header;

/// What a redrive goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Topic of dead letters.
    pub dlq_topic: String,
    /// Group whose dead letters of this pipeline are redriven.
    pub group: String,
    /// Its retry topic.
    pub retry_topic: String,
    /// Topic for dead letters of other tools, instead of the origin in their headers.
    pub to: Option<String>,
    /// A dead letter that has come back so often already stays.
    pub redrives_max: u32,
    /// Whether those that were discarded go back all the same.
    pub takes_discarded: bool,
}

/// What happens to dead letters that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// They go back.
    Redrive(Rules),
    /// They are marked as handled, and stay where they are.
    Discard,
}

impl Work {
    /// What happens to a dead letter of which the ledger says this, as far as it can tell itself.
    ///
    /// # Errors
    ///
    /// Returns why nothing happens to it.
    pub fn decide<'a>(
        &'a self,
        mark: Option<Mark>,
        letter: &'a DeadLetter<'_>,
    ) -> Result<Fate<'a>, Skip> {
        match (self, mark) {
            (_, Some(Mark::Redriven)) => Err(Skip::AlreadyRedriven),
            (Self::Discard, Some(Mark::Discarded)) => Err(Skip::Discarded),
            (Self::Discard, None) => Ok(Fate::Discarded),
            (Self::Redrive(rules), Some(Mark::Discarded)) if !rules.takes_discarded => {
                Err(Skip::Discarded)
            }
            (Self::Redrive(rules), _) => rules.target(letter).map(Fate::Back),
        }
    }
}

/// What happens to a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate<'a> {
    /// It goes back.
    Back(Target<'a>),
    /// It is marked as handled.
    Discarded,
}

/// Where a dead letter goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition: the number that the record had at its origin.
    pub partition: i32,
}

/// Why a dead letter that is meant stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    /// The ledger says that it went back before.
    AlreadyRedriven,
    /// The ledger says that it was discarded.
    Discarded,
    /// The group was replayed since: its order is read again.
    Replayed,
    /// The group was replayed since, to a point above its order.
    LeftOut,
    /// It has come back as often as is allowed.
    TooManyRedrives,
    /// Its value was too large for the topic of dead letters, and stands there no more.
    ValueLost,
    /// Another group gave it up: this one would pass it over.
    OtherGroup,
    /// No header says where it came from.
    NoOrigin,
    /// It would go to the topic that it lies in.
    SameTopic,
    /// The topic that it would go to does not exist.
    NoTopic,
    /// That topic has no partition of this number.
    NoPartition,
}

impl Skip {
    /// All, for tests of what is printed.
    #[cfg(test)]
    pub(super) const ALL: [Self; 11] = [
        Self::AlreadyRedriven,
        Self::Discarded,
        Self::Replayed,
        Self::LeftOut,
        Self::TooManyRedrives,
        Self::ValueLost,
        Self::OtherGroup,
        Self::NoOrigin,
        Self::SameTopic,
        Self::NoTopic,
        Self::NoPartition,
    ];

    /// Why, and what can be done about it.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::AlreadyRedriven => "already redriven, according to the ledger",
            Self::Discarded => "discarded, according to the ledger",
            Self::Replayed => "the group was replayed since: it reads these orders again",
            Self::LeftOut => "the group was replayed since, from a later point",
            Self::TooManyRedrives => "already redriven --max-redrives times",
            Self::ValueLost => "the value was truncated: send the original again",
            Self::OtherGroup => "dead-lettered by another group",
            Self::NoOrigin => "no header names their origin: set --to-topic",
            Self::SameTopic => "they would be sent to the topic they are already in",
            Self::NoTopic => "the target topic is missing: see --retry-topic, --to-topic",
            Self::NoPartition => "the target topic has no such partition",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why())
    }
}

impl Rules {
    /// Where a dead letter goes, as far as it can tell itself.
    ///
    /// # Errors
    ///
    /// Returns why it stays.
    pub fn target<'a>(&'a self, letter: &'a DeadLetter<'_>) -> Result<Target<'a>, Skip> {
        if letter.redrives >= self.redrives_max {
            return Err(Skip::TooManyRedrives);
        }
        let target = match letter.dialect {
            Dialect::Orders => self.own_target(letter)?,
            _ => self.others_target(letter)?,
        };
        if target.topic == self.dlq_topic { Err(Skip::SameTopic) } else { Ok(target) }
    }

    /// Into the group's retry topic, so that no other group sees the record again.
    fn own_target(&self, letter: &DeadLetter<'_>) -> Result<Target<'_>, Skip> {
        if letter.record.last(own::TRUNCATED).is_some() {
            return Err(Skip::ValueLost);
        }
        let origin = letter.origin.as_ref().ok_or(Skip::NoOrigin)?;
        // Without a whole lineage the record would start anew, as another one.
        let (Some(partition), Some(_), Some(group)) =
            (origin.partition, origin.offset, origin.group.as_deref())
        else {
            return Err(Skip::NoOrigin);
        };
        if group != self.group {
            return Err(Skip::OtherGroup);
        }
        Ok(Target { topic: &self.retry_topic, partition })
    }

    /// Where its tool says that it came from, or where the user says; never guessed.
    fn others_target<'a>(&'a self, letter: &'a DeadLetter<'_>) -> Result<Target<'a>, Skip> {
        let origin = letter.origin.as_ref();
        let partition = origin.and_then(|origin| origin.partition);
        match (&self.to, origin, partition) {
            (Some(topic), _, partition) => {
                Ok(Target { topic, partition: partition.unwrap_or(letter.record.partition) })
            }
            (None, Some(origin), Some(partition)) => Ok(Target { topic: &origin.topic, partition }),
            (None, ..) => Err(Skip::NoOrigin),
        }
    }
}

impl Target<'_> {
    /// Checks that the target is there; `partitions` are those of its topic, `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// Returns what is missing.
    pub fn check(&self, partitions: Option<i32>) -> Result<(), Skip> {
        match partitions {
            None => Err(Skip::NoTopic),
            Some(count) if self.partition >= count => Err(Skip::NoPartition),
            Some(_) => Ok(()),
        }
    }
}

/// Names that are written anew where a dead letter of ours goes back.
const PER_HOP: [&str; 8] = [
    own::ATTEMPT,
    own::DUE_AT_MS,
    own::FAILURE_CLASS,
    own::FAILURE_REASON,
    own::FAILURE_DETAIL,
    own::FINGERPRINT,
    own::REDRIVE_COUNT,
    own::REDRIVE_ID,
];

/// Names that are written anew on any other.
const REDRIVE: [&str; 2] = [own::REDRIVE_COUNT, own::REDRIVE_ID];

/// Headers of a record that goes back: all that it has, in their order and byte for byte, but for how
/// often and by which run it came back, and for ours the attempts, which begin anew.
#[must_use]
pub fn headers(letter: &DeadLetter<'_>, redrive_id: &str, now_ms: i64) -> Vec<OwnedHeader> {
    let is_ours = letter.dialect == Dialect::Orders;
    let replaced: &[&str] = if is_ours { &PER_HOP } else { &REDRIVE };
    let is_kept =
        |(name, _): &&Header<'_>| !replaced.iter().any(|replaced| replaced.as_bytes() == *name);
    let kept = letter.record.headers.iter().filter(is_kept);
    let mut headers: Vec<OwnedHeader> =
        kept.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect();
    let mut add = |name: &str, value: String| {
        headers.push((name.as_bytes().to_vec(), Some(value.into_bytes())));
    };
    if is_ours {
        add(own::ATTEMPT, "0".to_owned());
        add(own::DUE_AT_MS, now_ms.to_string());
    }
    add(own::REDRIVE_COUNT, letter.redrives.saturating_add(1).to_string());
    add(own::REDRIVE_ID, redrive_id.to_owned());
    headers
}

/// Name and value of a header.
pub type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
