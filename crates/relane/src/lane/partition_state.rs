//! What a lane keeps of one partition that it owns.

use std::collections::BTreeMap;

use kafka_io::reader::HeldRecord;
use pipeline::completion::Completion;
use pipeline::dedupe::Dedupe;
use pipeline::record::{CommitPosition, Offset};
use pipeline::waiting::{Sequence, Waiting};
use pipeline::window::Window;

use crate::clock::Instant;
use crate::lane::checkpoint::Checkpoint;
use crate::lane::limits::{RESTORE_OVERDUE, WAITING_OVERHEAD_BYTES};
use crate::lane::pending::PendingRecord;
use crate::lane::unread::Unread;
use crate::settings::KeyOrdering;

/// How far a partition has come since it was assigned.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The committed offsets are asked for again at this instant: a transaction of the
    /// previous owner may be undecided.
    AskOffsets {
        again_at: Instant,
        /// When it was asked for last; the one that waits longest comes first.
        asked_at: Option<Instant>,
    },
    /// Reads its state back, up to this end.
    LoadState { until: i64 },
    /// Reads what waits in its retry partition, up to this end.
    LoadRetries { until: i64 },
    /// Takes part in turns.
    Active,
    /// Its offsets, topics and state do not agree; the lane ends once it knows all of these.
    Refused,
    /// Stands still until an operator acts.
    Stopped { reason: StopReason, detail: String },
}

/// Why a partition stands still; the label of `partitions_paused`.
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

/// A group whose records were found in a retry partition of this one.
#[derive(Debug)]
pub(crate) struct Stranger {
    pub(crate) group: Box<str>,
    pub(crate) is_told: bool,
}

impl Stranger {
    pub(crate) fn new(group: &str) -> Self {
        Self { group: group.into(), is_told: false }
    }
}

/// Offset as it was last committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastCommit {
    pub(crate) position: CommitPosition,
    pub(crate) metadata: String,
}

/// One owned partition number: main, retry and state of the same slice.
#[derive(Debug)]
pub(crate) struct PartitionState<T> {
    pub(crate) partition: i32,
    pub(crate) phase: Phase,
    /// When its restore is overdue, to say once what it waits for.
    pub(crate) overdue_at: Option<Instant>,
    /// What its overdue restore waits for, in words.
    pub(crate) waits_for: Option<String>,
    pub(crate) main: Window,
    pub(crate) retry: Window,
    pub(crate) waiting: Waiting<PendingRecord>,
    /// Records that wait as well, and were not read back yet.
    pub(crate) unread: Unread,
    /// Main records that are held in memory: their schema is not known yet, or one of their
    /// key comes first.
    pub(crate) unresolved: BTreeMap<Offset, HeldRecord>,
    /// Ids of the last records, where duplicates are looked for.
    pub(crate) dedupe: Option<Dedupe>,
    /// The main record that no later one may be judged before: its schema is not known yet.
    pub(crate) awaiting_dedupe: Option<HeldRecord>,
    pub(crate) state: T,
    pub(crate) has_state: bool,
    /// State records that were fetched and are not decoded yet.
    pub(crate) state_unread: Vec<HeldRecord>,
    /// The offsets that are noted with the state.
    pub(crate) checkpoint: Checkpoint,
    /// Records of other groups were seen in the retry partition.
    pub(crate) is_shared: bool,
    /// Whose the first of them was, since the partition was assigned.
    pub(crate) stranger: Option<Stranger>,
    /// The tally that stands with its committed offset may be newer than the lane's own.
    pub(crate) takes_tally: bool,
    pub(crate) committed_main: Option<LastCommit>,
    pub(crate) committed_retry: Option<LastCommit>,
    pub(crate) committed_at: Option<Instant>,
    /// A key has as many followers as it may, so that main is not read.
    pub(crate) is_full: bool,
    /// The reader fetches the main partition.
    pub(crate) reads_main: bool,
    /// First offset of the main partition when its offsets were read.
    pub(crate) main_low: i64,
    /// First offset of the retry partition when its offsets were read.
    pub(crate) retry_low: i64,
    /// End of the retry partition when its offsets were read.
    pub(crate) retry_load_until: i64,
    /// Everything up to the end of this run was fetched (`--exit-at-end`).
    pub(crate) main_done: bool,
    /// Something was settled or counted in this turn.
    pub(crate) dirty: bool,
}

impl<T: Default> PartitionState<T> {
    /// Says once what an overdue restore waits for, and keeps it for who asks.
    pub(crate) fn note_overdue(&mut self, words: String) {
        tracing::warn!(partition = self.partition, "{words}");
        self.overdue_at = None;
        self.waits_for = Some(words);
    }

    pub(crate) fn new(partition: i32, now: Instant, order: KeyOrdering) -> Self {
        let start = CommitPosition(0);
        Self {
            partition,
            phase: Phase::AskOffsets { again_at: now, asked_at: None },
            overdue_at: Some(now + RESTORE_OVERDUE),
            waits_for: None,
            main: Window::new(start),
            retry: Window::new(start),
            waiting: order.waiting(),
            unread: Unread::default(),
            unresolved: BTreeMap::new(),
            dedupe: None,
            awaiting_dedupe: None,
            state: T::default(),
            has_state: false,
            state_unread: Vec::new(),
            checkpoint: Checkpoint::default(),
            is_shared: false,
            stranger: None,
            takes_tally: false,
            committed_main: None,
            committed_retry: None,
            committed_at: None,
            is_full: false,
            reads_main: false,
            main_low: 0,
            retry_low: 0,
            retry_load_until: 0,
            main_done: false,
            dirty: false,
        }
    }

    /// Lets a record of the retry partition wait; its window holds it already.
    pub(crate) fn wait(&mut self, offset: Offset, due_at_ms: i64, pending: PendingRecord) {
        let bytes = pending.record.bytes();
        let key = pending.record.key.clone().filter(|_| self.waiting.keeps_order());
        let sequence =
            key.as_deref().zip(pending.place).map(|(key, origin)| Sequence { key, origin });
        self.waiting.insert_sequenced(offset, due_at_ms, bytes, pending, sequence);
    }

    /// Records that wait in the retry partition: those that were read, and those that were only
    /// written so far.
    pub(crate) fn waits(&self) -> usize {
        self.waiting.len() + self.unread.len()
    }

    /// Records that a restore may still find in the retry partition, at most.
    pub(crate) fn unloaded(&self) -> usize {
        let until = match self.phase {
            Phase::LoadState { .. } | Phase::LoadRetries { .. } => self.retry_load_until,
            Phase::AskOffsets { .. } | Phase::Active | Phase::Refused | Phase::Stopped { .. } => 0,
        };
        usize::try_from(until - self.retry.top()).unwrap_or(0)
    }

    /// Bytes of what waits, and of what is held until its schema is known.
    pub(crate) fn held_bytes(&self) -> usize {
        let unresolved: usize = self.unresolved.values().map(HeldRecord::bytes).sum();
        let overhead = self.waits() * WAITING_OVERHEAD_BYTES;
        self.waiting.bytes() + self.unread.bytes() + overhead + unresolved
    }

    /// Keeps a main record in memory: its schema is not known, or one of its key comes first.
    pub(crate) fn hold_main(&mut self, record: HeldRecord) {
        self.hold_in_order(record.key.as_deref(), record.offset);
        self.unresolved.insert(record.offset, record);
    }

    /// Takes in a main record that stays unsettled: later ones of its key stay behind it.
    pub(crate) fn hold_in_order(&mut self, key: Option<&[u8]>, offset: Offset) {
        self.main.hold(offset);
        self.waiting.hold_main(key.map(|key| Sequence { key, origin: offset }));
    }

    /// Whether a record of the same key as a waiting one is on its way to retry.
    pub(crate) fn expects_more_of_key(&self, offset: Offset) -> bool {
        let pending = self.waiting.get(offset).map(|(_, pending)| pending);
        let placed = pending.filter(|pending| pending.place.is_some());
        let key = placed.and_then(|pending| pending.record.key.as_ref());
        key.is_some_and(|key| self.waiting.expects(key))
    }

    pub(crate) const fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active)
    }

    /// Whether its offsets, state or retries are still to be read.
    pub(crate) const fn is_restoring(&self) -> bool {
        matches!(
            self.phase,
            Phase::AskOffsets { .. } | Phase::LoadState { .. } | Phase::LoadRetries { .. }
        )
    }

    /// Completion of the main window, with the note whether state must exist.
    pub(crate) fn main_completion(&self) -> Completion {
        self.main.completion().with_averages(self.has_state)
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

    /// Whether nothing waits, and nothing fetched is held.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.waiting.is_empty() && self.awaiting_dedupe.is_none() && self.main.unsettled() == 0
    }

    /// Whether nothing fetched is left to do and everything fetched is committed.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_active()
            && self.main_done
            && self.waiting.is_empty()
            && self.main.unsettled() == 0
            && !self.is_ahead_of_commit()
    }
}
