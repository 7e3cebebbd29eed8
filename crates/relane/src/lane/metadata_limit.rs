//! How long the metadata of a committed offset may get, and what follows from it.

use pipeline::completion::{Completion, METADATA_CHARS_MAX, METADATA_CHARS_MIN};

use crate::lane::limits::{unresolved_max, unsettled_max};

/// Longest offset metadata that the broker is known to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MetadataLimit {
    chars: usize,
    /// Records of one partition that may wait for their schema; each may cost a run.
    pub(crate) unresolved_max: usize,
    /// Main records of one partition that may be unsettled.
    pub(crate) unsettled_max: usize,
}

impl MetadataLimit {
    pub(crate) fn new() -> Self {
        Self::of(METADATA_CHARS_MAX)
    }

    fn of(chars: usize) -> Self {
        let limit_bytes = Completion::bytes_for_chars(chars);
        Self {
            chars,
            unresolved_max: unresolved_max(limit_bytes),
            unsettled_max: unsettled_max(limit_bytes),
        }
    }

    /// Bytes that a completion may take.
    pub(crate) fn bytes(self) -> usize {
        Completion::bytes_for_chars(self.chars)
    }

    /// Takes half as much, and returns how many characters that are; `None` where it is the least
    /// already.
    pub(crate) fn halve(&mut self) -> Option<usize> {
        if self.chars <= METADATA_CHARS_MIN {
            return None;
        }
        *self = Self::of((self.chars / 2).max(METADATA_CHARS_MIN));
        Some(self.chars)
    }
}
