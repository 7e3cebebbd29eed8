//! What is done wrong on purpose, so that the simulation is seen to find it.

use std::cell::Cell;

use crate::lane::faulty::Bug;

/// Something that the model's broker, network or clients do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Requests of an older epoch are taken for those of the current one.
    FencingOff,
    /// Offsets of a member that is not in the group's generation are taken.
    GenerationUnchecked,
    /// The metadata of committed offsets is not given back.
    MetadataForgotten,
    /// A writer whose coordinator was lost is used again.
    WriterKept,
    /// A restore reads up to the last stable offset, and not to the end.
    StableEnd,
    /// Committed offsets are told while a transaction over them is undecided.
    UnstableOffsets,
    /// Readers see records of aborted and undecided transactions.
    ReadUncommitted,
    /// A request that is sent again is written again.
    IdempotenceOff,
    /// Records are written as they come, in no transaction.
    RecordsOutside,
    /// A commit that is told to have happened is lost.
    CommitLost,
}

impl Fault {
    pub(crate) const ALL: [Self; 10] = [
        Self::FencingOff,
        Self::GenerationUnchecked,
        Self::MetadataForgotten,
        Self::WriterKept,
        Self::StableEnd,
        Self::UnstableOffsets,
        Self::ReadUncommitted,
        Self::IdempotenceOff,
        Self::RecordsOutside,
        Self::CommitLost,
    ];
}

/// Bugs that can be planted in the lane itself.
pub(crate) const BUGS: [Bug; 13] = [
    Bug::OffsetsFirst,
    Bug::OffsetsOutside,
    Bug::DeadLettersOutside,
    Bug::StateOutside,
    Bug::CompletionIgnored,
    Bug::NotedIgnored,
    Bug::NoteNeedsState,
    Bug::AttemptKept,
    Bug::WrongPartition,
    Bug::FloatSum,
    Bug::DedupeOff,
    Bug::TallyForgotten,
    Bug::FollowersKept,
];

/// What is wrong in a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Planted {
    #[default]
    Nothing,
    Lane(Bug),
    Model(Fault),
}

thread_local! {
    static PLANTED: Cell<Planted> = const { Cell::new(Planted::Nothing) };
}

/// Plants something in the schedules of this thread.
pub(crate) fn plant(planted: Planted) {
    PLANTED.set(planted);
}

/// Whether the model is to do this wrong.
pub(crate) fn goes_wrong(fault: Fault) -> bool {
    PLANTED.get() == Planted::Model(fault)
}

/// The bug that is planted in the schedules of this thread.
pub(crate) fn planted() -> Option<Bug> {
    match PLANTED.get() {
        Planted::Lane(bug) => Some(bug),
        Planted::Nothing | Planted::Model(_) => None,
    }
}
