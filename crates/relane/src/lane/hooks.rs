//! Where tests make a lane die or do wrong. Without the feature `test-hooks` there is nothing here:
//! no variable is read, and every branch on a planted bug is gone. The engine's own unit tests
//! plant bugs and pass fail points in their simulation.
//!
//! `ORDERS_FAIL_POINT=NAME[:N]` aborts the process at the N-th pass (the first, if not said);
//! `ORDERS_PLANTED_BUG=NAME` plants a bug that an audit of the log must find.

/// A moment of a turn at which the process may be made to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailPoint {
    /// The turn has its records; nothing is written.
    AfterPoll,
    /// The transaction is begun.
    AfterBegin,
    /// Everything of the turn is written and acknowledged, nothing is committed.
    AfterProduce,
    /// The offsets are part of the transaction.
    AfterOffsets,
    /// The commit is on its way; its answer has not come, or just now.
    CommitSent,
    /// The transaction is committed; the lane does not know it yet.
    CommitReturned,
    /// Partitions are being taken away.
    InRevoke,
    /// A partition has its committed offsets, and reads its state back next.
    InRestore,
}

/// A bug that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Offsets are committed before the turn is written.
    OffsetsFirst,
    /// Offsets are committed after the transaction, and not in it.
    OffsetsOutside,
    /// Dead letters are not part of the transaction.
    DeadLettersOutside,
    /// Averages are not part of the transaction: state is applied before it is committed.
    StateOutside,
    /// What was settled above the committed offset is forgotten at a restart.
    CompletionIgnored,
    /// What the averages note of it is forgotten.
    NotedIgnored,
    /// A turn that has no state to write notes nothing.
    NoteNeedsState,
    /// A retry does not raise the attempt.
    AttemptKept,
    /// Dead letters go to the next partition.
    WrongPartition,
    /// Sums pass through a float.
    FloatSum,
    /// Duplicates are counted, whatever `--dedupe` says.
    DedupeOff,
    /// How many were dead-lettered is not noted with the offsets.
    TallyForgotten,
    /// What waits behind a dead letter goes on, whatever `--on-dead-letter` says.
    FollowersKept,
}

/// Whether a stage is to write its sums through a float, which is a bug.
pub fn sums_are_floats() -> bool {
    is_planted(Bug::FloatSum)
}

/// What a handler is to meet downstream for this key: nothing, unless a test says so with
/// `ORDERS_DOWNSTREAM_FAILS=PREFIX:SECONDS`, for keys that begin with it and for that long, or
/// `PREFIX:FILE`, for as long as there is such a file.
pub fn downstream_failure(key: &str) -> Option<String> {
    fails_downstream(key).then(|| "the downstream failed, as a test asks".to_owned())
}

/// Lets a handler panic or block for this key, where a test says so: `ORDERS_HANDLER_PANICS=PREFIX`
/// for each key that begins with it, `ORDERS_HANDLER_BLOCKS=PREFIX:SECONDS` for the first one.
pub fn handler_meets(key: &str) {
    meets(key);
}

#[cfg(all(feature = "test-hooks", not(test)))]
mod switched_on {
    use std::path::PathBuf;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use super::{Bug, FailPoint};

    /// A commit on one machine takes about a millisecond: this dies within it.
    const COMMIT_UNDER_WAY: Duration = Duration::from_micros(400);

    fn variable(name: &str) -> String {
        std::env::var(name).unwrap_or_default()
    }

    /// Whether this bug is planted.
    pub(crate) fn is_planted(bug: Bug) -> bool {
        static NAME: OnceLock<String> = OnceLock::new();
        let name = match bug {
            Bug::OffsetsFirst => "offsets-first",
            Bug::OffsetsOutside => "offsets-outside",
            Bug::DeadLettersOutside => "dead-letters-outside",
            Bug::StateOutside => "state-outside",
            Bug::CompletionIgnored => "completion-ignored",
            Bug::NotedIgnored => "noted-ignored",
            Bug::NoteNeedsState => "note-needs-state",
            Bug::AttemptKept => "attempt-kept",
            Bug::WrongPartition => "wrong-partition",
            Bug::FloatSum => "float-sum",
            Bug::DedupeOff => "dedupe-off",
            Bug::TallyForgotten => "tally-forgotten",
            Bug::FollowersKept => "followers-kept",
        };
        NAME.get_or_init(|| variable("ORDERS_PLANTED_BUG")) == name
    }

    /// Whether the downstream is to fail for this key now.
    pub(crate) fn fails_downstream(key: &str) -> bool {
        static WANTED: OnceLock<Option<(String, While)>> = OnceLock::new();
        let wanted = WANTED.get_or_init(|| {
            let text = variable("ORDERS_DOWNSTREAM_FAILS");
            let (prefix, lasts) = text.split_once(':')?;
            let lasts = match lasts.parse() {
                Ok(seconds) => While::Before(Instant::now() + Duration::from_secs(seconds)),
                Err(_) => While::Exists(lasts.into()),
            };
            Some((prefix.to_owned(), lasts))
        });
        let fails = |(prefix, lasts): &(String, While)| {
            key.starts_with(prefix.as_str())
                && match lasts {
                    While::Before(until) => Instant::now() < *until,
                    While::Exists(file) => file.exists(),
                }
        };
        wanted.as_ref().is_some_and(fails)
    }

    /// Panics or blocks, if it is to for this key.
    pub(crate) fn meets(key: &str) {
        static PANICS: OnceLock<String> = OnceLock::new();
        static BLOCKS: OnceLock<Option<(String, Duration)>> = OnceLock::new();
        static HAS_BLOCKED: AtomicBool = AtomicBool::new(false);
        let prefix = PANICS.get_or_init(|| variable("ORDERS_HANDLER_PANICS"));
        assert!(prefix.is_empty() || !key.starts_with(prefix), "as a test asks");
        let blocks = BLOCKS.get_or_init(|| {
            let text = variable("ORDERS_HANDLER_BLOCKS");
            let (prefix, seconds) = text.split_once(':')?;
            Some((prefix.to_owned(), Duration::from_secs(seconds.parse().ok()?)))
        });
        let is_to_block =
            |prefix: &str| key.starts_with(prefix) && !HAS_BLOCKED.swap(true, Ordering::Relaxed);
        if let Some((prefix, time)) = blocks
            && is_to_block(prefix)
        {
            tracing::warn!(?time, "the handler blocks, as a test asks");
            std::thread::sleep(*time);
        }
    }

    /// How long the downstream is to fail.
    enum While {
        Before(Instant),
        Exists(PathBuf),
    }

    /// Aborts the process if it is to die here, at this pass. Turns that settle nothing, and only
    /// move offsets past markers, do not count.
    pub(crate) fn pass(point: FailPoint, settles: bool) {
        static WANTED: OnceLock<(String, u64)> = OnceLock::new();
        static PASSES: AtomicU64 = AtomicU64::new(0);
        let (name, nth) = WANTED.get_or_init(|| {
            let text = variable("ORDERS_FAIL_POINT");
            let (name, nth) = text.split_once(':').unwrap_or((&text, "1"));
            (name.to_owned(), nth.parse().unwrap_or(1))
        });
        let here = match point {
            FailPoint::AfterPoll => "after-poll",
            FailPoint::AfterBegin => "after-begin",
            FailPoint::AfterProduce => "after-produce",
            FailPoint::AfterOffsets => "after-offsets",
            FailPoint::CommitSent => "commit-sent",
            FailPoint::CommitReturned => "commit-returned",
            FailPoint::InRevoke => "in-revoke",
            FailPoint::InRestore => "in-restore",
        };
        if !settles || name != here || PASSES.fetch_add(1, Ordering::Relaxed) + 1 != *nth {
            return;
        }
        tracing::warn!(here, "fail point: the process aborts");
        if point == FailPoint::CommitSent {
            // The caller sends the commit next, and waits for its answer.
            std::thread::spawn(|| {
                std::thread::sleep(COMMIT_UNDER_WAY);
                std::process::abort();
            });
            return;
        }
        std::process::abort();
    }
}

#[cfg(all(not(feature = "test-hooks"), not(test)))]
mod switched_off {
    use super::{Bug, FailPoint};

    pub(crate) const fn is_planted(_: Bug) -> bool {
        false
    }

    pub(crate) const fn pass(_: FailPoint, _: bool) {}

    pub(crate) const fn fails_downstream(_: &str) -> bool {
        false
    }

    pub(crate) const fn meets(_: &str) {}
}

#[cfg(test)]
use crate::lane::simulation::planted::{fails_downstream, meets};
#[cfg(test)]
pub(crate) use crate::lane::simulation::planted::{is_planted, pass};
#[cfg(all(not(feature = "test-hooks"), not(test)))]
use switched_off::{fails_downstream, meets};
#[cfg(all(not(feature = "test-hooks"), not(test)))]
pub(crate) use switched_off::{is_planted, pass};
#[cfg(all(feature = "test-hooks", not(test)))]
use switched_on::{fails_downstream, meets};
#[cfg(all(feature = "test-hooks", not(test)))]
pub(crate) use switched_on::{is_planted, pass};
