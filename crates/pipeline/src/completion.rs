//! Metadata of a committed offset: which offsets above it are settled.
//!
//! The text is base64url of: version (1 byte), flags (1 byte), the base offset (varint), and
//! the lengths of alternating runs (varints, LEB128), the first run being unsettled and
//! starting at the base. Kafka keeps up to 4,096 characters of it (`offset.metadata.max.bytes`).
//!
//! Version 2 has the three numbers of a [`Tally`] between base and runs. It is written only where
//! there is a tally to carry: a program that reads version 1 would take them for runs, and
//! refuses it instead.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::record::CommitPosition;
use crate::tally::Tally;

/// Longest metadata a broker takes unless it is configured lower, in characters.
pub const METADATA_CHARS_MAX: usize = 4096;

/// Smallest limit worth working with, in characters: version, flags, base and a few runs.
pub const METADATA_CHARS_MIN: usize = 32;

const VERSION: u8 = 1;
const VERSION_WITH_TALLY: u8 = 2;
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
    /// How near the lane was to its limit of dead letters.
    tally: Option<Tally>,
    /// End (exclusive) of each run; runs alternate, the first is unsettled.
    ends: Vec<i64>,
}

/// Why a committed offset's metadata was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompletionError {
    /// Written by a newer version of this program.
    #[error("metadata of version {0}; this program reads versions 1 and 2")]
    Version(u8),
    /// Not written by this program, or damaged.
    #[error("metadata is not a completion: {0}")]
    Malformed(&'static str),
}

impl Completion {
    /// Nothing settled above `position`.
    pub const fn at(position: CommitPosition) -> Self {
        let ends = Vec::new();
        Self { base: position.0, has_averages: false, is_shared: false, tally: None, ends }
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

    /// Carries a tally, if it says something and the result stays within `limit_bytes`: the runs
    /// must travel, and it is ballast.
    #[must_use]
    pub fn with_tally(mut self, tally: Option<Tally>, limit_bytes: usize) -> Self {
        self.tally = tally.filter(|tally| !tally.is_trivial());
        if self.encoded_len() > limit_bytes {
            self.tally = None;
        }
        self
    }

    /// The tally that was committed with `position`. As with the runs, that of another position
    /// says nothing.
    pub fn tally(&self, position: CommitPosition) -> Option<Tally> {
        self.tally.filter(|_| self.base == position.0)
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

    /// Whether anything above the position is settled.
    pub fn has_settled(&self) -> bool {
        !self.settled_ends().is_empty()
    }

    /// Whether this completion was written for `position`.
    pub const fn belongs_to(&self, position: CommitPosition) -> bool {
        self.base == position.0
    }

    /// Ranges (first, last) of settled offsets above `position`; empty when this completion
    /// belongs to another position, as after an offset reset from outside.
    pub fn settled_ranges(&self, position: CommitPosition) -> Vec<(i64, i64)> {
        if !self.belongs_to(position) {
            return Vec::new();
        }
        self.ends.chunks_exact(2).map(|run| (run[0], run[1] - 1)).collect()
    }

    /// Length of the encoded bytes; the text has 4 characters for each 3 of them.
    pub fn encoded_len(&self) -> usize {
        let mut start = self.base;
        let mut len = 2 + varint_len(self.base.unsigned_abs());
        len += self.tally.map_or(0, |tally| numbers(tally).map(varint_len).iter().sum());
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
        bytes.push(if self.tally.is_some() { VERSION_WITH_TALLY } else { VERSION });
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        bytes.push(flag(self.has_averages, FLAG_HAS_AVERAGES) | flag(self.is_shared, FLAG_SHARED));
        push_varint(&mut bytes, self.base.unsigned_abs());
        for number in self.tally.map(numbers).iter().flatten() {
            push_varint(&mut bytes, *number);
        }
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
        if !matches!(version, VERSION | VERSION_WITH_TALLY) {
            return Err(CompletionError::Version(version));
        }
        let (&flags, mut rest) =
            rest.split_first().ok_or(CompletionError::Malformed("no flags"))?;
        let mut end = take_varint(&mut rest)?;
        let mut completion = Self::at(CommitPosition(end));
        completion.has_averages = flags & FLAG_HAS_AVERAGES != 0;
        completion.is_shared = flags & FLAG_SHARED != 0;
        if version == VERSION_WITH_TALLY {
            completion.tally = Some(take_tally(&mut rest)?);
        }
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

/// The numbers of a tally, as they are written.
fn numbers(tally: Tally) -> [u64; 3] {
    [u64::from(tally.consecutive()), tally.records() as u64, tally.dead() as u64]
}

fn take_tally(bytes: &mut &[u8]) -> Result<Tally, CompletionError> {
    let [consecutive, records, dead] =
        [take_varint(bytes)?, take_varint(bytes)?, take_varint(bytes)?];
    let small = |number| usize::try_from(number).ok();
    let tally = u32::try_from(consecutive).ok().zip(small(records)).zip(small(dead));
    let tally = tally.and_then(|((row, records), dead)| Tally::new(row, records, dead));
    let tally = tally.filter(|tally| !tally.is_trivial());
    tally.ok_or(CompletionError::Malformed("impossible tally"))
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
#[path = "completion_tests.rs"]
mod tests;
