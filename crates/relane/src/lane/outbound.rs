//! A record on its way to the retry or dead-letter topic, and what is written of it there.

use kafka_io::native::RecordHeaders;
use pipeline::failure::{Failure, FailureReason};
use pipeline::headers::{Dialects, HeaderEdit, Hop, Origin};
use pipeline::record::Offset;

use crate::lane::attempt_span::AttemptSpan;
use crate::lane::pending::PendingRecord;

/// Where a forwarded record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    Retry {
        due_at_ms: i64,
    },
    /// To retry as well, untried: it waits behind a record of its key.
    Behind {
        due_at_ms: i64,
    },
    DeadLetter,
    /// To the tail of the retry partition, unchanged, so that the window needs fewer runs.
    Repark,
}

/// How much of a dead letter is left out because the broker refuses it for its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shrink {
    Whole,
    WithoutDetail,
    WithoutValue,
    /// Only our own headers are left, and a long key goes as well.
    Bare,
}

impl Shrink {
    /// What is left out, for people.
    pub(crate) const fn left_out(self) -> &'static str {
        match self {
            Self::Whole => "nothing",
            Self::WithoutDetail => "the failure's detail",
            Self::WithoutValue => "the value",
            Self::Bare => "the value, a long key, and the headers of others",
        }
    }
}

/// A record on its way to the retry or dead-letter topic.
#[derive(Debug)]
pub(crate) struct OutboundRecord {
    /// With the attempts made so far, this one included.
    pub(crate) pending: PendingRecord,
    pub(crate) destination: Destination,
    /// `None` for a record that was not tried.
    pub(crate) failure: Option<Failure>,
    /// When it failed, or was sent on.
    pub(crate) now_ms: i64,
    pub(crate) shrink: Shrink,
    /// Refused once: sent in a batch of its own, since one oversized record fails its batch.
    pub(crate) suspect: bool,
    /// Acknowledged in an earlier round of a turn without a transaction.
    pub(crate) is_durable: bool,
    /// Where it was written.
    pub(crate) delivered_at: Option<Offset>,
    /// The attempt that failed, where it is traced.
    pub(crate) attempt: Option<Box<AttemptSpan>>,
}

/// What is to be written for a forwarded record.
pub(crate) struct WireRecord<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<std::borrow::Cow<'a, [u8]>>,
    pub(crate) headers: Option<RecordHeaders>,
}

/// Longest key that a bare dead letter keeps.
const BARE_KEY_BYTES_MAX: usize = 1024;

impl OutboundRecord {
    pub(crate) const fn new(
        pending: PendingRecord,
        destination: Destination,
        failure: Option<Failure>,
        now_ms: i64,
    ) -> Self {
        Self {
            pending,
            destination,
            failure,
            now_ms,
            shrink: Shrink::Whole,
            suspect: false,
            is_durable: false,
            delivered_at: None,
            attempt: None,
        }
    }

    /// The record as it is to be written, by its destination and how far it was shrunk.
    pub(crate) fn wire(&self, dialects: Dialects<'_>) -> WireRecord<'_> {
        let PendingRecord { record, origin, attempt, .. } = &self.pending;
        if self.is_repark() {
            return WireRecord {
                key: record.key.as_deref(),
                value: record.value.as_deref().map(Into::into),
                headers: record.headers.clone(),
            };
        }
        let hop = Hop {
            origin,
            carries_lineage: self.pending.carries_lineage && self.shrink < Shrink::Bare,
            carries_first_failed: self.pending.carries_first_failed,
            attempt: *attempt,
            failure: self.failure.as_ref(),
            now_ms: self.now_ms,
        };
        let mut edit = match self.destination {
            Destination::Retry { due_at_ms } | Destination::Behind { due_at_ms } => {
                hop.to_retry(due_at_ms)
            }
            Destination::DeadLetter | Destination::Repark => {
                hop.to_dead_letter(dialects, self.shrink == Shrink::Whole)
            }
        };
        let value = self.value(&mut edit);
        let mut headers = match &record.headers {
            Some(headers) if self.shrink < Shrink::Bare => headers.clone(),
            _ => RecordHeaders::new(),
        };
        headers.apply(&edit);
        if self.shrink == Shrink::Bare && self.pending.carries_lineage {
            headers.apply(&self.set_once());
        }
        let key = record.key.as_deref();
        let key = key.filter(|key| self.shrink < Shrink::Bare || key.len() <= BARE_KEY_BYTES_MAX);
        WireRecord { key, value, headers: Some(headers) }
    }

    /// Whether it goes to the tail of its retry partition, unchanged.
    pub(crate) const fn is_repark(&self) -> bool {
        matches!(self.destination, Destination::Repark)
    }

    /// Whether it goes to the retry topic.
    pub(crate) const fn is_to_retry(&self) -> bool {
        !matches!(self.destination, Destination::DeadLetter)
    }

    /// Bytes that key, value and headers take in a batch; the rest is the same for all records.
    pub(crate) fn wire_bytes(&self, dialects: Dialects<'_>) -> usize {
        let WireRecord { key, value, headers } = self.wire(dialects);
        let sized =
            |part: Option<&[u8]>| part.map_or(1, |part| zigzag_len(part.len()) + part.len());
        let headers = headers.iter().flat_map(|headers| headers.iter());
        let headers = headers.map(|(name, value)| sized(Some(name)) + sized(value));
        sized(key) + sized(value.as_deref()) + headers.sum::<usize>()
    }

    /// Headers that are set once and never changed, as the record carries them.
    fn set_once(&self) -> HeaderEdit {
        use pipeline::headers::{FIRST_FAILED_AT_MS, REDRIVE_COUNT, REDRIVE_ID};
        let mut edit = HeaderEdit::default();
        for name in [FIRST_FAILED_AT_MS, REDRIVE_COUNT, REDRIVE_ID] {
            if let Some(value) = self.pending.record.header(name) {
                edit.remove.push(name);
                edit.add.push((name, value.to_vec()));
            }
        }
        edit
    }

    /// The value, or what stands for it: coordinates, length and SHA-256. A tombstone stays one, and
    /// says so where its headers or its key went.
    fn value(&self, edit: &mut HeaderEdit) -> Option<std::borrow::Cow<'_, [u8]>> {
        let value = self.pending.record.value.as_deref();
        let says_so = match value {
            Some(_) => Shrink::WithoutValue,
            None => Shrink::Bare,
        };
        if self.shrink < says_so {
            return value.map(Into::into);
        }
        use sha2::Digest as _;
        let bytes = value.unwrap_or_default();
        let digest = sha2::Sha256::digest(bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let Origin { topic, partition, offset, .. } = &self.pending.origin;
        let text = format!("{topic}/{partition}/{offset} length={} sha256={hex}", bytes.len());
        edit.add.push((pipeline::headers::TRUNCATED, text.clone().into_bytes()));
        value.map(|_| text.into_bytes().into())
    }

    /// Takes the next way around a refusal for size; `false` when there is none left.
    pub(crate) fn shrink_further(&mut self) -> bool {
        match (self.destination, self.shrink) {
            (Destination::Repark, _) => false,
            (Destination::Retry { .. } | Destination::Behind { .. }, _) => {
                self.destination = Destination::DeadLetter;
                self.failure = Some(Failure {
                    reason: FailureReason::TooLargeToRetry,
                    schema_id: self.failure.as_ref().and_then(|failure| failure.schema_id),
                    detail: "the retry topic refuses a record of this size".into(),
                });
                true
            }
            (Destination::DeadLetter, Shrink::Whole) => self.set(Shrink::WithoutDetail),
            (Destination::DeadLetter, Shrink::WithoutDetail) => self.set(Shrink::WithoutValue),
            (Destination::DeadLetter, Shrink::WithoutValue) => self.set(Shrink::Bare),
            (Destination::DeadLetter, Shrink::Bare) => false,
        }
    }

    const fn set(&mut self, shrink: Shrink) -> bool {
        self.shrink = shrink;
        true
    }
}

/// Bytes of a length as Kafka writes it: a zigzag varint.
const fn zigzag_len(length: usize) -> usize {
    let bits = usize::BITS - ((2 * length) | 1).leading_zeros();
    (bits as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use kafka_io::reader::HeldRecord;

    use super::*;

    #[test]
    fn a_tombstone_whose_headers_are_left_out_says_so_and_stays_one() {
        let mut headers = RecordHeaders::new();
        headers.add(b"trace", Some(&[b'x'; 2048]));
        let timestamp = pipeline::record::Timestamp {
            ms: 5,
            kind: pipeline::record::TimestampType::CreateTime,
        };
        let record = HeldRecord {
            partition: 0,
            offset: Offset(42),
            timestamp,
            key: Some(b"tea".as_slice().into()),
            value: None,
            headers: Some(headers),
        };
        let origin = Origin {
            topic: "orders".into(),
            partition: 0,
            offset: 42,
            timestamp,
            group: "group".into(),
        };
        let failure = Failure {
            reason: FailureReason::NoValue,
            schema_id: None,
            detail: "the record has no value".into(),
        };
        let pending = PendingRecord { attempt: 1, ..PendingRecord::first(record, origin) };
        let mut forward = OutboundRecord::new(pending, Destination::DeadLetter, Some(failure), 7);
        loop {
            let wire = forward.wire(Dialects::default());
            let headers = wire.headers.expect("a dead letter has some");
            let truncated = headers.last("x-truncated").map(String::from_utf8_lossy);
            assert_eq!(wire.value, None);
            assert_eq!(truncated.is_some(), headers.last("trace").is_none(), "{truncated:?}");
            if let Some(text) = truncated {
                assert!(text.starts_with("orders/0/42 length=0 sha256=e3b0c44298fc1c14"), "{text}");
                break;
            }
            assert!(forward.shrink_further(), "its headers are left out in the end");
        }
    }
}
