//! What a lane keeps of one partition that it owns.

use std::collections::BTreeMap;
use std::time::Instant;

use kafka_io::reader::HeldRecord;
use pipeline::averages::Averages;
use pipeline::completion::Completion;
use pipeline::headers::Origin;
use pipeline::record::{CommitPosition, Offset};
use pipeline::waiting::Waiting;
use pipeline::window::Window;

use crate::lane::limits::RESTORE_OVERDUE;

/// How far a partition has come since it was assigned.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The committed offsets are asked for again at this instant: a transaction of the
    /// previous owner may be undecided.
    AskOffsets { again_at: Instant },
    /// Reads its averages back, up to this end.
    LoadAverages { until: i64 },
    /// Reads what waits in its retry partition, up to this end.
    LoadRetries { until: i64 },
    /// Takes part in turns.
    Active,
    /// Stands still until an operator acts.
    Stopped { reason: StopReason, detail: String },
}

/// Why a partition stands still; the label of `orders_partitions_paused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// Records were deleted before they were read.
    RetentionGap,
    /// The partition lacks its counterpart in another topic.
    MissingPartition,
}

impl StopReason {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RetentionGap => "retention-gap",
            Self::MissingPartition => "missing-partition",
        }
    }
}

/// A record that waits for its due time.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) record: HeldRecord,
    pub(crate) origin: Origin,
    /// Attempts made so far.
    pub(crate) attempt: u32,
    pub(crate) redrive_count: u32,
    /// The origin stands in the record's headers and can be trusted.
    pub(crate) carries_lineage: bool,
    pub(crate) carries_first_failed: bool,
}

impl Waiter {
    /// A record that has no past: nothing was tried, and its headers tell nothing of it.
    pub(crate) const fn first(record: HeldRecord, origin: Origin) -> Self {
        Self {
            record,
            origin,
            attempt: 0,
            redrive_count: 0,
            carries_lineage: false,
            carries_first_failed: false,
        }
    }
}

/// Positions that the averages say were committed with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Noted {
    pub(crate) main: Option<i64>,
    pub(crate) retry: Option<i64>,
}

/// Offset as it was last committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastCommit {
    pub(crate) position: CommitPosition,
    pub(crate) metadata: String,
}

/// One owned partition number: main, retry and averages of the same slice.
#[derive(Debug)]
pub(crate) struct Owned {
    pub(crate) partition: i32,
    pub(crate) phase: Phase,
    /// When its restore is overdue, to say once what it waits for.
    pub(crate) overdue_at: Option<Instant>,
    pub(crate) main: Window,
    pub(crate) retry: Window,
    pub(crate) waiting: Waiting<Waiter>,
    /// Main records whose schema is not known yet.
    pub(crate) unresolved: BTreeMap<Offset, HeldRecord>,
    pub(crate) averages: Averages,
    pub(crate) has_averages: bool,
    /// Averages records that were fetched and are not decoded yet.
    pub(crate) averages_unread: Vec<HeldRecord>,
    /// Highest main and retry positions noted with the averages.
    pub(crate) noted: Noted,
    /// Records of other groups were seen in the retry partition.
    pub(crate) is_shared: bool,
    pub(crate) committed_main: Option<LastCommit>,
    pub(crate) committed_retry: Option<LastCommit>,
    pub(crate) committed_at: Option<Instant>,
    /// The reader fetches the main partition.
    pub(crate) reads_main: bool,
    /// End of the retry partition when its offsets were read.
    pub(crate) retry_load_until: i64,
    /// Everything up to the end of this run was fetched (`--exit-at-end`).
    pub(crate) main_done: bool,
    /// Something was settled or counted in this turn.
    pub(crate) dirty: bool,
}

impl Owned {
    pub(crate) fn new(partition: i32, now: Instant) -> Self {
        let start = CommitPosition(0);
        Self {
            partition,
            phase: Phase::AskOffsets { again_at: now },
            overdue_at: Some(now + RESTORE_OVERDUE),
            main: Window::new(start),
            retry: Window::new(start),
            waiting: Waiting::default(),
            unresolved: BTreeMap::new(),
            averages: Averages::default(),
            has_averages: false,
            averages_unread: Vec::new(),
            noted: Noted::default(),
            is_shared: false,
            committed_main: None,
            committed_retry: None,
            committed_at: None,
            reads_main: false,
            retry_load_until: 0,
            main_done: false,
            dirty: false,
        }
    }

    pub(crate) const fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active)
    }

    /// Completion of the main window, with the note whether averages must exist.
    pub(crate) fn main_completion(&self) -> Completion {
        self.main.completion().with_averages(self.has_averages)
    }

    /// Completion of the retry window, with the note whether it may ever be trimmed.
    pub(crate) fn retry_completion(&self) -> Completion {
        self.retry.completion().with_shared(self.is_shared)
    }

    /// Whether the group's offsets lag behind what is settled here.
    pub(crate) fn is_ahead_of_commit(&self) -> bool {
        let position = |last: &Option<LastCommit>| last.as_ref().map(|last| last.position);
        self.is_active()
            && (position(&self.committed_main) != Some(self.main.position())
                || position(&self.committed_retry) != Some(self.retry.position()))
    }

    /// Whether nothing fetched is left to do and everything fetched is committed.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_active()
            && self.main_done
            && self.waiting.is_empty()
            && self.unresolved.is_empty()
            && !self.is_ahead_of_commit()
    }
}
