//! What one response brought of one partition, record by record.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;

use crate::aborted::Aborted;
use crate::batch::{Fault, HEADER_BYTES, Header, check};
use crate::compression::uncompressed;
use crate::record::{Record, Records};

/// A partition that is read.
pub(crate) struct Partition {
    pub(crate) topic: Rc<str>,
    /// The same for all partitions of one topic, and for no other.
    pub(crate) topic_id: usize,
    pub(crate) partition: i32,
    /// The offset after what was handed out last; `None` before the first record or end.
    pub(crate) position: Cell<Option<i64>>,
}

/// Batches of one partition that are still to be read.
pub(crate) struct Chunk {
    pub(crate) partition: Rc<Partition>,
    /// Batches that were not begun.
    batches: Bytes,
    /// The batch in hand.
    pub(crate) records: Records,
    aborted: Aborted,
    /// The first offset that was asked for: a batch may begin below it.
    from: i64,
}

impl Chunk {
    pub(crate) fn new(
        partition: Rc<Partition>,
        batches: Bytes,
        aborted: Aborted,
        from: i64,
    ) -> Self {
        Self { partition, batches, records: Records::default(), aborted, from }
    }

    /// Takes the next record; `None` at the end of the chunk. After a fault nothing more comes.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Record>, Fault> {
        loop {
            match self.records.next() {
                Some(Ok(record)) if record.offset < self.from => {}
                Some(record) => return record.map(Some),
                None if self.next_batch()? => {}
                None => return Ok(None),
            }
        }
    }

    /// Begins the next batch of records that is not part of an aborted transaction; `false` if there is none.
    fn next_batch(&mut self) -> Result<bool, Fault> {
        while let Some(header) = Header::read(&self.batches)? {
            let batch = self.batches.split_to(header.bytes);
            check(&batch)?;
            self.aborted.reach(&header); // also to a marker: compaction may have left nothing before it
            if header.is_control() {
                self.end_transaction(&header, batch)?;
            } else if !self.aborted.covers(&header) {
                let records = uncompressed(&header, batch.slice(HEADER_BYTES..))?;
                self.records = Records::new(&header, records);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the marker of a transaction's end. Its key is a version and a kind: 0 for an abort.
    fn end_transaction(&mut self, header: &Header, batch: Bytes) -> Result<(), Fault> {
        let mut records = Records::new(header, uncompressed(header, batch.slice(HEADER_BYTES..))?);
        if let Some(marker) = records.next().transpose()?
            && let Some(key) = marker.key
            && let [_, _, 0, 0, ..] = records.bytes[key]
        {
            self.aborted.end(header.producer_id);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
