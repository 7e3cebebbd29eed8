//! What is handed out.

use crate::chunk::Chunk;
use crate::record::{Record, last_header};

/// A record that still lies in the response that brought it.
pub struct Fetched<'a> {
    /// The one in front, which the record was taken from last.
    pub(super) chunk: &'a Chunk,
    pub(super) record: Record,
}

impl Fetched<'_> {
    /// Topic as text.
    pub fn topic(&self) -> &str {
        &self.chunk.partition.topic
    }

    /// The same for all records that this reader fetches from one topic.
    pub fn topic_id(&self) -> usize {
        self.chunk.partition.topic_id
    }

    /// Partition it was read from.
    pub fn partition(&self) -> i32 {
        self.chunk.partition.partition
    }

    /// Offset it was read at.
    pub fn offset(&self) -> i64 {
        self.record.offset
    }

    /// When it was written, in ms.
    pub fn timestamp(&self) -> i64 {
        self.record.timestamp
    }

    /// Key; `None` is a null key, not an empty one.
    pub fn key(&self) -> Option<&[u8]> {
        self.record.key.clone().map(|key| &self.chunk.records.bytes[key])
    }

    /// Value; `None` is a tombstone.
    pub fn value(&self) -> Option<&[u8]> {
        self.record.value.clone().map(|value| &self.chunk.records.bytes[value])
    }

    /// The last value of a header by name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        last_header(&self.chunk.records.bytes[self.record.headers.clone()], name.as_bytes())
    }
}

/// What one poll brought.
pub enum Polled<'a> {
    /// A record.
    Record(Fetched<'a>),
    /// A partition of this number was read to its end; of which topic is not said.
    End(i32),
    /// Nothing within the time.
    Nothing,
    /// The offset to read from does not exist (any more) in a partition.
    OutOfRange,
    /// Something to wait out; the reader tries again by itself.
    Away(String),
    /// Access is refused.
    Denied(String),
    /// The topic or partition does not exist.
    Missing(String),
}
