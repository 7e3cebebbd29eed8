//! The one form in which a lane keeps a record that is tried later, or that failed.

use kafka_io::reader::HeldRecord;
use pipeline::headers::Origin;
use pipeline::record::Offset;
use pipeline::waiting::Sequence;

/// A record that is not settled yet, with its past: it waits for its due time, or is on its way to
/// the retry or dead-letter topic.
#[derive(Debug)]
pub(crate) struct PendingRecord {
    pub(crate) record: HeldRecord,
    pub(crate) origin: Origin,
    /// Attempts made so far.
    pub(crate) attempt: u32,
    pub(crate) redrive_count: u32,
    /// Origin offset, where the record has a place in the order of its key.
    pub(crate) place: Option<Offset>,
    /// The origin stands in the record's headers and can be trusted.
    pub(crate) carries_lineage: bool,
    pub(crate) carries_first_failed: bool,
}

impl PendingRecord {
    /// A record that has no past: nothing was tried, and its headers tell nothing of it.
    pub(crate) const fn first(record: HeldRecord, origin: Origin) -> Self {
        Self {
            record,
            origin,
            attempt: 0,
            redrive_count: 0,
            place: None,
            carries_lineage: false,
            carries_first_failed: false,
        }
    }

    /// A main record on its first attempt: it has a place in the order of its key.
    pub(crate) fn of_main(record: HeldRecord, origin: Origin) -> Self {
        let place = record.key.is_some().then_some(record.offset);
        Self { place, ..Self::first(record, origin) }
    }

    /// Its place in the order of its key.
    pub(crate) fn sequence(&self) -> Option<Sequence<'_>> {
        let key = self.record.key.as_deref();
        key.zip(self.place).map(|(key, origin)| Sequence { key, origin })
    }
}
