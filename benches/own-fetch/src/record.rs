//! Records of one batch, as ranges of its bytes.

use std::ops::Range;

use bytes::Bytes;

use crate::batch::{Fault, Header};

/// Where the parts of a record lie in the bytes of its batch.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) offset: i64,
    /// In ms.
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Range<usize>>,
    pub(crate) value: Option<Range<usize>>,
    /// The number of headers, and the headers.
    pub(crate) headers: Range<usize>,
}

/// The records of a batch that are still to be read.
#[derive(Default)]
pub(crate) struct Records {
    /// The records, uncompressed.
    pub(crate) bytes: Bytes,
    at: usize,
    left: i32,
    base_offset: i64,
    base_timestamp: i64,
    append_time: Option<i64>,
}

impl Records {
    pub(crate) fn new(header: &Header, bytes: Bytes) -> Self {
        let append_time = header.has_append_time().then_some(header.max_timestamp);
        let (left, base_offset) = (header.count, header.base_offset);
        let base_timestamp = header.base_timestamp;
        Self { bytes, at: 0, left, base_offset, base_timestamp, append_time }
    }

    /// Takes the next record.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Result<Record, Fault>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let record = self.read();
        if record.is_err() {
            self.left = 0; // behind it nothing can be found
        }
        Some(record)
    }

    fn read(&mut self) -> Result<Record, Fault> {
        let length = take_varint(&self.bytes, &mut self.at)?;
        let start = self.at;
        let length = usize::try_from(length).map_err(|_| Fault::Record)?;
        let end = start.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(Fault::Record)?;
        let bytes = &self.bytes[..end];
        let mut at = start + 1; // behind the attributes, which mean nothing
        let timestamp = take_varint(bytes, &mut at)?;
        let delta = take_varint(bytes, &mut at)?;
        let key = take_part(bytes, &mut at)?;
        let value = take_part(bytes, &mut at)?;
        self.at = end;
        Ok(Record {
            offset: self.base_offset.wrapping_add(delta),
            timestamp: self.append_time.unwrap_or(self.base_timestamp.wrapping_add(timestamp)),
            key,
            value,
            headers: at..end,
        })
    }
}

/// The value of the last header of a name, in what [`Record::headers`] spans.
pub(crate) fn last_header<'a>(headers: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut at = 0;
    let count = take_varint(headers, &mut at).ok()?;
    let mut found = None;
    for _ in 0..count {
        let its_name = take_part(headers, &mut at).ok()??;
        let value = take_part(headers, &mut at).ok()?;
        if headers[its_name] == *name {
            found = value.map(|value| &headers[value]);
        }
    }
    found
}

/// Takes a key or a value: its length, −1 for null, and its bytes.
#[inline]
fn take_part(bytes: &[u8], at: &mut usize) -> Result<Option<Range<usize>>, Fault> {
    let length = take_varint(bytes, at)?;
    let Ok(length) = usize::try_from(length) else { return Ok(None) };
    let end = at.checked_add(length).filter(|end| *end <= bytes.len()).ok_or(Fault::Record)?;
    let part = *at..end;
    *at = end;
    Ok(Some(part))
}

/// Takes a number: 7 bits a byte, the lowest first, its sign in the lowest bit.
#[inline]
fn take_varint(bytes: &[u8], at: &mut usize) -> Result<i64, Fault> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or(Fault::Record)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    Err(Fault::Record)
}
