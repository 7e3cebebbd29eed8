//! Records of the retry and dead-letter topics: whether they are still the order that came in.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use kafka_io::native::RecordHeaders;
use kafka_io::reader::HeldRecord;
use pipeline::failure::FailureReason;
use pipeline::headers::{self, Lineage};
use pipeline::record::Timestamp;
use sha2::Digest as _;

use super::hop_headers::{self, Hop, HopHeaders, Kind};
use super::table::{ATTEMPT_MAX, low_half};

/// Longest key that a dead letter keeps which is left with headers of ours only.
const BARE_KEY_BYTES_MAX: usize = 1024;

/// What tells one dead letter of an order from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Letter {
    /// How often the order had come back before.
    pub(crate) redrives: u32,
    pub(crate) attempt: u32,
    /// Place of the class in the contract's order.
    pub(crate) class: u8,
}

/// What the audit keeps of a forwarded record until it meets the order: 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trace {
    /// Offset of the order.
    pub(crate) origin: i64,
    /// Hash of what the record and its order must agree on.
    likeness: u64,
    /// Hash of the time of the first failure; 0 where it says none.
    first_failed: u32,
    /// See [`Detail`].
    detail: u32,
    /// Where the forwarded record lies; below zero (`-1 - offset`) in the dead-letter topic.
    at: i64,
}

/// How the likeness of a trace was made, and what its dead letter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Detail {
    /// The value was replaced.
    is_truncated: bool,
    /// Spring's names for dead letters are the order's own.
    keeps_spring: bool,
    /// Connect's names are the order's own.
    keeps_connect: bool,
    /// Place of the reason in the contract's order, and one; 0 for a retry.
    reason: u32,
    attempt: u32,
    redrives: u32,
}

impl Detail {
    fn pack(self) -> u32 {
        u32::from(self.is_truncated)
            | u32::from(self.keeps_spring) << 1
            | u32::from(self.keeps_connect) << 2
            | self.reason.min(0x3f) << 3
            | self.attempt.min(ATTEMPT_MAX) << 9
            | self.redrives.min(0xff) << 15
    }

    const fn unpack(packed: u32) -> Self {
        Self {
            is_truncated: packed & 1 != 0,
            keeps_spring: packed & 2 != 0,
            keeps_connect: packed & 4 != 0,
            reason: packed >> 3 & 0x3f,
            attempt: packed >> 9 & ATTEMPT_MAX,
            redrives: packed >> 15 & 0xff,
        }
    }
}

/// Every reason that a trace can hold, by its place.
fn reasons() -> impl Iterator<Item = FailureReason> {
    FailureReason::ALL.into_iter().chain(hop_headers::OWN_REASONS)
}

impl Trace {
    /// What is to be kept of a record of the retry or dead-letter topic, or why its order cannot
    /// be told from it.
    pub(crate) fn of(
        record: &HeldRecord,
        lineage: &Lineage,
        found: &HopHeaders<'_>,
        hop: Hop,
    ) -> Result<Self, String> {
        let is_dead = hop == Hop::DeadLetter;
        let was_redriven = lineage.redrive_count > 0;
        let reason = found.reason().filter(|_| is_dead);
        let place = |reason| reasons().position(|known| known == reason);
        let detail = Detail {
            is_truncated: found.text(headers::TRUNCATED).is_some(),
            keeps_spring: !is_dead && !was_redriven,
            keeps_connect: !(was_redriven || is_dead && found.speaks_connect(lineage)),
            reason: reason
                .and_then(place)
                .and_then(|place| u32::try_from(place + 1).ok())
                .unwrap_or(0),
            attempt: if is_dead { lineage.attempt } else { 0 },
            redrives: if is_dead { lineage.redrive_count } else { 0 },
        };
        let likeness = if detail.is_truncated {
            let length = stand_in(record, lineage, found)?;
            let parts = Parts::of(record, lineage.origin.timestamp, detail);
            parts.truncated(record.value.is_none(), &length)
        } else {
            Parts::of(record, lineage.origin.timestamp, detail).whole(record.value.as_deref())
        };
        let first_failed = found.text(headers::FIRST_FAILED_AT_MS).map_or(0, |text| {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            low_half(hasher.finish()).max(1)
        });
        let offset = record.offset.0;
        let at = if is_dead { -1 - offset } else { offset };
        Ok(Self {
            origin: lineage.origin.offset,
            likeness,
            first_failed,
            detail: detail.pack(),
            at,
        })
    }

    pub(crate) const fn is_dead(self) -> bool {
        self.at < 0
    }

    pub(crate) const fn offset(self) -> i64 {
        if self.at < 0 { -1 - self.at } else { self.at }
    }

    /// Whether two traces say the same of the same order.
    pub(crate) fn repeats(self, other: Self) -> bool {
        self.is_dead() == other.is_dead() && Self { at: 0, ..self } == Self { at: 0, ..other }
    }

    /// Whether two traces of one order tell different times of its first failure. Two dead letters
    /// of one life are one too many, whatever they tell.
    pub(crate) fn contradicts(self, other: Self) -> bool {
        let redrives = |trace: Self| Detail::unpack(trace.detail).redrives;
        let are_doubled = self.is_dead() && other.is_dead() && redrives(self) == redrives(other);
        self.has_first_failed()
            && other.has_first_failed()
            && self.first_failed != other.first_failed
            && !are_doubled
    }

    pub(crate) const fn has_first_failed(self) -> bool {
        self.first_failed != 0
    }

    pub(crate) const fn likeness(self) -> u64 {
        self.likeness
    }

    /// What traces of an order may be like: whole, without its value, and with little more than our
    /// own headers; each without and with the names that a dead letter writes anew.
    pub(crate) fn likenesses(order: &HeldRecord) -> Vec<u64> {
        let value = order.value.as_deref();
        let text = length_and_digest(value.unwrap_or_default());
        let mut all = Vec::new();
        for (keeps_spring, keeps_connect) in [(true, true), (false, true), (false, false)] {
            let detail = Detail { keeps_spring, keeps_connect, ..Detail::unpack(0) };
            let parts = Parts::of(order, order.timestamp, detail);
            let bare = parts.bare();
            all.push(parts.whole(value));
            all.extend([parts, bare].map(|parts| parts.truncated(value.is_none(), &text)));
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What it says of itself, if it is a dead letter whose reason is known.
    pub(crate) fn letter(self) -> Option<(Letter, FailureReason)> {
        let detail = Detail::unpack(self.detail);
        let place = usize::try_from(detail.reason.checked_sub(1)?).ok()?;
        let reason = reasons().nth(place)?;
        let class = hop_headers::class_place(reason.class());
        Some((Letter { redrives: detail.redrives, attempt: detail.attempt, class }, reason))
    }

    /// Whether this is what was made of the order.
    pub(crate) fn is_of(self, order: &HeldRecord) -> bool {
        let detail = Detail::unpack(self.detail);
        let parts = Parts::of(order, order.timestamp, detail);
        if !detail.is_truncated {
            return parts.whole(order.value.as_deref()) == self.likeness;
        }
        let value = order.value.as_deref();
        let text = length_and_digest(value.unwrap_or_default());
        [parts, parts.bare()]
            .iter()
            .any(|parts| parts.truncated(value.is_none(), &text) == self.likeness)
    }
}

/// What goes from an order to its copies as it is, apart from the value.
#[derive(Clone, Copy)]
struct Parts<'a> {
    key: Option<&'a [u8]>,
    timestamp: Timestamp,
    headers: Option<&'a RecordHeaders>,
    detail: Detail,
}

impl<'a> Parts<'a> {
    fn of(record: &'a HeldRecord, timestamp: Timestamp, detail: Detail) -> Self {
        Self { key: record.key.as_deref(), timestamp, headers: record.headers.as_ref(), detail }
    }

    /// Without headers of the order, and without a long key.
    fn bare(self) -> Self {
        let key = self.key.filter(|key| key.len() <= BARE_KEY_BYTES_MAX);
        Self { key, headers: None, ..self }
    }

    fn hash(&self, hasher: &mut DefaultHasher) {
        (self.key, self.timestamp.ms, self.timestamp.kind.as_str()).hash(hasher);
        let headers = self.headers.into_iter().flat_map(RecordHeaders::iter);
        let keeps = |kind: Kind| match kind {
            Kind::Ours => false,
            Kind::SpringDeadLetter => self.detail.keeps_spring,
            Kind::Connect => self.detail.keeps_connect,
            Kind::Foreign => true,
        };
        headers
            .filter(|(name, _)| keeps(hop_headers::kind(name)))
            .for_each(|header| header.hash(hasher));
    }

    fn whole(&self, value: Option<&[u8]>) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        self.hash(&mut hasher);
        hasher.finish()
    }

    fn truncated(&self, is_tombstone: bool, length_and_digest: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (is_tombstone, length_and_digest).hash(&mut hasher);
        self.hash(&mut hasher);
        hasher.finish()
    }
}

fn length_and_digest(value: &[u8]) -> String {
    let digest = sha2::Sha256::digest(value);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("length={} sha256={hex}", value.len())
}

/// What stands for a value that was replaced: its coordinates, length and SHA-256, once more as the
/// value itself. A tombstone stays one.
fn stand_in(
    record: &HeldRecord,
    lineage: &Lineage,
    found: &HopHeaders<'_>,
) -> Result<String, String> {
    let text = found.text(headers::TRUNCATED).unwrap_or_default();
    let origin = &lineage.origin;
    let start = format!("{}/{}/{} ", origin.topic, origin.partition, origin.offset);
    let Some(rest) = text.strip_prefix(&start) else {
        return Err(format!("{} is not of this order", headers::TRUNCATED));
    };
    match record.value.as_deref() {
        Some(value) if value == text.as_bytes() => {}
        None if rest == length_and_digest(&[]) => {}
        _ => return Err(format!("its value is not what {} says", headers::TRUNCATED)),
    }
    Ok(rest.to_owned())
}
