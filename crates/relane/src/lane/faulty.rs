//! Bugs that tests plant, so that an audit of the log is seen to find them. No part of the product: it
//! is there for the engine's own unit tests and with the feature `failpoints`, which no release has.
//!
//! A bug is done by a decorator around the handles, or by a stage or settings that are wrong. The code of
//! a lane knows of none.

pub(crate) mod handles;

/// A bug that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Offsets are committed before the turn is written.
    OffsetsFirst,
    /// Offsets are committed after the transaction, and not in it.
    OffsetsOutside,
    /// Dead letters are not part of the transaction.
    DeadLettersOutside,
    /// State is not part of the transaction: it is applied before it is committed.
    StateOutside,
    /// What was settled above the committed offset is forgotten at a restart.
    CompletionIgnored,
    /// What the state notes of it is forgotten.
    NotedIgnored,
    /// A turn that has no state to write notes nothing.
    NoteNeedsState,
    /// A retry does not raise the attempt.
    AttemptKept,
    /// Dead letters go to the next partition.
    WrongPartition,
    /// How many were dead-lettered is not noted with the offsets.
    TallyForgotten,
    /// Sums pass through a float: a stage that is wrong.
    FloatSum,
    /// Duplicates are counted, whatever the settings say: a stage that is wrong.
    DedupeOff,
    /// What waits behind a dead letter goes on, whatever the settings say: settings that are wrong.
    FollowersKept,
}

impl Bug {
    const NAMES: [(&str, Self); 13] = [
        ("offsets-first", Self::OffsetsFirst),
        ("offsets-outside", Self::OffsetsOutside),
        ("dead-letters-outside", Self::DeadLettersOutside),
        ("state-outside", Self::StateOutside),
        ("completion-ignored", Self::CompletionIgnored),
        ("noted-ignored", Self::NotedIgnored),
        ("note-needs-state", Self::NoteNeedsState),
        ("attempt-kept", Self::AttemptKept),
        ("wrong-partition", Self::WrongPartition),
        ("tally-forgotten", Self::TallyForgotten),
        ("float-sum", Self::FloatSum),
        ("dedupe-off", Self::DedupeOff),
        ("followers-kept", Self::FollowersKept),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, bug)| *bug)
    }
}

/// The bug that is planted in this process: `ORDERS_PLANTED_BUG=NAME`.
#[cfg(not(test))]
pub fn planted() -> Option<Bug> {
    static PLANTED: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    *PLANTED.get_or_init(|| Bug::named(&std::env::var("ORDERS_PLANTED_BUG").ok()?))
}

#[cfg(test)]
pub(crate) use crate::lane::simulation::planted::planted;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::simulation::planted::BUGS;

    #[test]
    fn every_bug_has_a_name_of_its_own() {
        for (name, bug) in &Bug::NAMES {
            assert_eq!(Bug::named(name), Some(*bug));
            assert!(BUGS.contains(bug), "{name}");
        }
        assert_eq!((Bug::named("none"), BUGS.len()), (None, Bug::NAMES.len()));
    }
}
