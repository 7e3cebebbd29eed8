//! What became of the attempts of a turn: for the outcome log, and for a stage that hears of them.

use kafka_io::reader::HeldRecord;
use pipeline::headers::Origin;
use pipeline::record::Offset;

use crate::stage::RecordId;

/// An attempt, as the outcome log and a stage are told of it.
#[derive(Debug)]
pub(crate) struct OutcomeEntry<N> {
    pub(crate) partition: i32,
    pub(crate) origin_partition: i32,
    pub(crate) origin_offset: Offset,
    pub(crate) key: Option<Box<[u8]>>,
    pub(crate) name: RecordId,
    pub(crate) attempt: u32,
    /// Index of the record's forward; `None` when it was counted, or is a duplicate.
    pub(crate) forward: Option<usize>,
    pub(crate) is_duplicate: bool,
    /// What the stage noted, if the record was handled well and somebody hears of it.
    pub(crate) note: Option<N>,
}

impl<N> OutcomeEntry<N> {
    /// Of a record that was not tried.
    pub(crate) fn untried(record: &HeldRecord, origin: &Origin, attempt: u32) -> Self {
        Self {
            partition: record.partition,
            origin_partition: origin.partition,
            origin_offset: Offset(origin.offset),
            key: record.key.clone(),
            name: RecordId::default(),
            attempt,
            forward: None,
            is_duplicate: false,
            note: None,
        }
    }
}
