//! Metadata of a committed offset: which offsets above it are settled.
//!
//! The text is base64url of: version (1 byte), flags (1 byte), the base offset (varint), and
//! the lengths of alternating runs (varints, LEB128), the first run being unsettled and
//! starting at the base. Kafka keeps up to 4,096 characters of it (`offset.metadata.max.bytes`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::record::CommitPosition;

/// Longest metadata a broker takes unless it is configured lower, in characters.
pub const METADATA_CHARS_MAX: usize = 4096;

/// Smallest limit worth working with, in characters: version, flags, base and a few runs.
pub const METADATA_CHARS_MIN: usize = 32;

const VERSION: u8 = 1;
const FLAG_HAS_AVERAGES: u8 = 1;
const FLAG_SHARED: u8 = 2;

/// Which offsets above a commit position are settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    base: i64,
    /// The group has counted records of this partition, so its averages must exist.
    has_averages: bool,
    /// Records of other groups were seen in this partition.
    is_shared: bool,
    /// End (exclusive) of each run; runs alternate, the first is unsettled.
    ends: Vec<i64>,
}

/// Why a committed offset's metadata was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompletionError {
    /// Written by a newer version of this program.
    #[error("metadata of version {0}; this program reads version 1")]
    Version(u8),
    /// Not written by this program, or damaged.
    #[error("metadata is not a completion: {0}")]
    Malformed(&'static str),
}

impl Completion {
    /// Nothing settled above `position`.
    pub const fn at(position: CommitPosition) -> Self {
        Self { base: position.0, has_averages: false, is_shared: false, ends: Vec::new() }
    }

    /// Notes whether the partition has averages, so that their loss is noticed.
    #[must_use]
    pub const fn with_averages(mut self, has_averages: bool) -> Self {
        self.has_averages = has_averages;
        self
    }

    /// Notes whether other groups use the partition, so that it is never trimmed.
    #[must_use]
    pub const fn with_shared(mut self, is_shared: bool) -> Self {
        self.is_shared = is_shared;
        self
    }

    /// Whether other groups use the partition.
    pub const fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Whether averages must exist for this partition.
    pub const fn has_averages(&self) -> bool {
        self.has_averages
    }

    /// Extends the unsettled run up to `end` (exclusive). Ends must not decrease.
    pub(crate) fn unsettled_to(&mut self, end: i64) {
        self.extend(end, 1);
    }

    /// Extends the settled run up to `end` (exclusive). Ends must not decrease.
    pub(crate) fn settled_to(&mut self, end: i64) {
        self.extend(end, 0);
    }

    /// `parity` is the parity of `ends.len()` after which a run of the wanted kind is last.
    fn extend(&mut self, end: i64, parity: usize) {
        let start = self.ends.last().copied().unwrap_or(self.base);
        if end <= start {
            return;
        }
        let same_kind = self.ends_parity() == parity;
        match self.ends.last_mut() {
            Some(last) if same_kind => *last = end,
            None if parity == 0 => unreachable!("the first run of a completion is unsettled"),
            _ => self.ends.push(end),
        }
    }

    fn ends_parity(&self) -> usize {
        self.ends.len() % 2
    }

    /// Ranges (first, last) of settled offsets above `position`; empty when this completion
    /// belongs to another position, as after an offset reset from outside.
    pub fn settled_ranges(&self, position: CommitPosition) -> Vec<(i64, i64)> {
        if self.base != position.0 {
            return Vec::new();
        }
        self.ends.chunks_exact(2).map(|run| (run[0], run[1] - 1)).collect()
    }

    /// Length of the encoded bytes; the text has 4 characters for each 3 of them.
    pub fn encoded_len(&self) -> usize {
        let mut start = self.base;
        let mut len = 2 + varint_len(self.base.unsigned_abs());
        for &end in self.settled_ends() {
            len += varint_len(end.abs_diff(start));
            start = end;
        }
        len
    }

    /// Without a trailing unsettled run, which says nothing.
    fn settled_ends(&self) -> &[i64] {
        &self.ends[..self.ends.len() - self.ends_parity()]
    }

    /// Bytes that fit into `chars` characters of metadata.
    pub const fn bytes_for_chars(chars: usize) -> usize {
        chars / 4 * 3
    }

    /// The metadata text.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        bytes.push(VERSION);
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        bytes.push(flag(self.has_averages, FLAG_HAS_AVERAGES) | flag(self.is_shared, FLAG_SHARED));
        push_varint(&mut bytes, self.base.unsigned_abs());
        let mut start = self.base;
        for &end in self.settled_ends() {
            push_varint(&mut bytes, end.abs_diff(start));
            start = end;
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads metadata back. Empty text, as other tools write it, is "nothing settled above".
    ///
    /// # Errors
    ///
    /// Fails when the text is not of this program or of a version it does not know.
    pub fn decode(text: &str, position: CommitPosition) -> Result<Self, CompletionError> {
        if text.is_empty() {
            return Ok(Self::at(position));
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| CompletionError::Malformed("not base64url"))?;
        let (&version, rest) =
            bytes.split_first().ok_or(CompletionError::Malformed("no version"))?;
        if version != VERSION {
            return Err(CompletionError::Version(version));
        }
        let (&flags, mut rest) =
            rest.split_first().ok_or(CompletionError::Malformed("no flags"))?;
        let mut end = take_varint(&mut rest)?;
        let mut completion = Self::at(CommitPosition(end));
        completion.has_averages = flags & FLAG_HAS_AVERAGES != 0;
        completion.is_shared = flags & FLAG_SHARED != 0;
        while !rest.is_empty() {
            let length = take_varint(&mut rest)?;
            if length == 0 {
                return Err(CompletionError::Malformed("empty run"));
            }
            end = end.checked_add(length).ok_or(CompletionError::Malformed("offset overflow"))?;
            completion.ends.push(end);
        }
        if completion.ends_parity() != 0 {
            return Err(CompletionError::Malformed("odd number of runs"));
        }
        Ok(completion)
    }
}

/// Bytes of the LEB128 form of `value`.
pub(crate) const fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Result<i64, CompletionError> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(CompletionError::Malformed("cut-off run"))?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return i64::try_from(value).map_err(|_| CompletionError::Malformed("run too long"));
        }
    }
    Err(CompletionError::Malformed("run too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Completion {
        let mut completion =
            Completion::at(CommitPosition(1000)).with_averages(true).with_shared(true);
        completion.unsettled_to(1003);
        completion.settled_to(1300);
        completion.unsettled_to(1301);
        completion.settled_to(1302);
        completion
    }

    #[test]
    fn a_completion_survives_its_text_form() {
        let completion = sample();
        let text = completion.encode();
        assert_eq!(
            text.len(),
            completion.encoded_len().div_ceil(3) * 4 - (3 - completion.encoded_len() % 3) % 3
        );
        assert_eq!(Completion::decode(&text, CommitPosition(1000)), Ok(completion));
    }

    #[test]
    fn settled_ranges_are_first_and_last() {
        assert_eq!(sample().settled_ranges(CommitPosition(1000)), [(1003, 1299), (1301, 1301)]);
    }

    #[test]
    fn a_completion_of_another_position_says_nothing() {
        assert_eq!(sample().settled_ranges(CommitPosition(999)), []);
    }

    #[test]
    fn foreign_metadata_is_an_error_and_empty_metadata_is_not() {
        let at = |text: &str| Completion::decode(text, CommitPosition(5));
        assert_eq!(at(""), Ok(Completion::at(CommitPosition(5))));
        assert!(matches!(at("hello world!"), Err(CompletionError::Malformed(_))));
        let newer = URL_SAFE_NO_PAD.encode([9, 0, 5]);
        assert_eq!(at(&newer), Err(CompletionError::Version(9)));
        let cut = URL_SAFE_NO_PAD.encode([1, 0, 5, 3, 0x80]);
        assert!(matches!(at(&cut), Err(CompletionError::Malformed("cut-off run"))));
        let odd = URL_SAFE_NO_PAD.encode([1, 0, 5, 3]);
        assert!(matches!(at(&odd), Err(CompletionError::Malformed("odd number of runs"))));
        let endless =
            URL_SAFE_NO_PAD.encode([1, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
        assert!(at(&endless).is_err());
    }

    #[test]
    fn varint_length_is_the_number_of_bytes_written() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), i64::MAX as u64] {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            assert_eq!(bytes.len(), varint_len(value), "{value}");
            assert_eq!(take_varint(&mut bytes.as_slice()).map(i64::unsigned_abs), Ok(value));
        }
    }
}
