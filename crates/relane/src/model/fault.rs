//! What the model does wrong on purpose, so that the simulation is seen to find it.

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

#[cfg(test)]
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

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

/// Plants a fault in the models of this thread.
#[cfg(test)]
pub(crate) fn plant(fault: Option<Fault>) {
    PLANTED.set(fault);
}

/// Whether the model is to do this wrong.
#[cfg(test)]
pub(crate) fn goes_wrong(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// Whether the model is to do this wrong: never, but in the engine's own tests.
#[cfg(not(test))]
pub(crate) const fn goes_wrong(_: Fault) -> bool {
    false
}
