//! Record batches as they lie in a response (format 2, since Kafka 0.11): headers, checksums, no copies.

use std::fmt;

/// Bytes of a batch's header, with the offset and length before it.
pub const HEADER_BYTES: usize = 61;

/// Bytes before what the length of a batch counts.
const PREFIX_BYTES: usize = 12;

/// Where the checksum's bytes begin: behind the checksum.
const CHECKED_FROM: usize = 21;

/// The one format that is read.
const MAGIC: u8 = 2;

/// What is wrong with bytes that should be batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A length or count that cannot be.
    Length,
    /// A format before 0.11, or one that is not known.
    Format(u8),
    /// The checksum is that of other bytes.
    Checksum,
    /// The compression is unknown, or cannot be undone.
    Compression,
    /// A record ends outside of its batch.
    Record,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("a batch of an impossible length"),
            Self::Format(magic) => write!(f, "a batch of format {magic}"),
            Self::Checksum => f.write_str("a batch whose checksum is wrong"),
            Self::Compression => f.write_str("a batch that cannot be decompressed"),
            Self::Record => f.write_str("a record that ends outside of its batch"),
        }
    }
}

impl std::error::Error for Fault {}

/// The header of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Offset from which those of records are counted.
    pub base_offset: i64,
    /// Bytes of the whole batch.
    pub bytes: usize,
    /// Offset of the last record that it had when it was written; compaction keeps it.
    pub last_offset: i64,
    /// Time from which those of records are counted, in ms.
    pub base_timestamp: i64,
    /// The latest time in it, in ms.
    pub max_timestamp: i64,
    /// Who wrote it; −1 for a producer without idempotence.
    pub producer_id: i64,
    /// Records that are left in it.
    pub count: i32,
    attributes: i16,
}

impl Header {
    /// Reads the header of the first batch; `None` where it is cut off, as the last one of a response may be.
    ///
    /// # Errors
    ///
    /// Fails for another format and for impossible lengths.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, Fault> {
        let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = i32_at(head, 8);
        let magic = head[16];
        if magic != MAGIC {
            return Err(Fault::Format(magic));
        }
        let bytes_of_it = usize::try_from(length).map_err(|_| Fault::Length)? + PREFIX_BYTES;
        let (base_offset, delta) = (i64_at(head, 0), i32_at(head, 23));
        let last_offset = base_offset.checked_add(delta.into()).ok_or(Fault::Length)?;
        let count = i32_at(head, 57);
        if bytes_of_it < HEADER_BYTES || base_offset < 0 || delta < 0 || count < 0 {
            return Err(Fault::Length);
        }
        if bytes.len() < bytes_of_it {
            return Ok(None);
        }
        Ok(Some(Self {
            base_offset,
            bytes: bytes_of_it,
            last_offset,
            base_timestamp: i64_at(head, 27),
            max_timestamp: i64_at(head, 35),
            producer_id: i64_at(head, 43),
            count,
            attributes: i16::from_be_bytes([head[21], head[22]]),
        }))
    }

    /// The number of the compression; 0 for none.
    pub fn compression(&self) -> i16 {
        self.attributes & 0x07
    }

    /// Whether all records have the time at which the broker wrote them.
    pub fn has_append_time(&self) -> bool {
        self.attributes & 0x08 != 0
    }

    /// Whether it is part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }

    /// Whether it holds the end of a transaction instead of records.
    pub fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }
}

/// Checks the checksum of a batch, given its bytes from its start to its end.
///
/// # Errors
///
/// Fails if it is wrong.
pub fn check(batch: &[u8]) -> Result<(), Fault> {
    let stated = batch[CHECKED_FROM - 4..].first_chunk().ok_or(Fault::Length)?;
    let is_right = crc32c::crc32c(&batch[CHECKED_FROM..]) == u32::from_be_bytes(*stated);
    is_right.then_some(()).ok_or(Fault::Checksum)
}

/// The offset after the last whole batch; `None` if there is none.
///
/// # Errors
///
/// As [`Header::read`].
pub fn end(mut batches: &[u8]) -> Result<Option<i64>, Fault> {
    let mut end = None;
    while let Some(header) = Header::read(batches)? {
        end = Some(header.last_offset.checked_add(1).ok_or(Fault::Length)?);
        batches = &batches[header.bytes..];
    }
    Ok(end)
}

fn i64_at(head: &[u8; HEADER_BYTES], at: usize) -> i64 {
    i64::from_be_bytes(*head[at..].first_chunk().expect("inside of the header"))
}

fn i32_at(head: &[u8; HEADER_BYTES], at: usize) -> i32 {
    i32::from_be_bytes(*head[at..].first_chunk().expect("inside of the header"))
}
