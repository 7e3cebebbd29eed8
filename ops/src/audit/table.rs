//! What is known of each order of a partition: four bytes per offset, and eight more where there is
//! an outcome log.

use super::claims::Claims;

/// Facts about one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts(u32);

/// One fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Fact {
    /// A retry of it is not settled at the first look.
    Waits = 1,
    /// Nor at the second.
    StillWaits = 2,
    /// It has a dead letter.
    Dead = 4,
    /// It came back from the dead letters; more is known elsewhere.
    Redriven = 8,
    /// It has, or had, a record in the retry topic.
    Retried = 16,
    /// It went to the retry topic untried, behind a record of its key.
    Behind = 32,
}

/// Bits of an attempt; more attempts count as the largest.
pub(crate) const ATTEMPT_MAX: u32 = 63;
const RETRY_ATTEMPT_AT: u32 = 8;
const DUE_AT: u32 = 20;
const DUE_MASK: u32 = 0xfff;

impl Facts {
    pub(crate) const fn has(self, fact: Fact) -> bool {
        self.0 & fact as u32 != 0
    }

    pub(crate) const fn set(&mut self, fact: Fact) {
        self.0 |= fact as u32;
    }

    const fn put(&mut self, at: u32, mask: u32, value: u32) {
        self.0 = (self.0 & !(mask << at)) | ((value & mask) << at);
    }

    /// Attempts of the last record in the retry topic.
    pub(crate) const fn retry_attempt(self) -> u32 {
        (self.0 >> RETRY_ATTEMPT_AT) & ATTEMPT_MAX
    }

    /// Whether the last record in the retry topic was due at that time. Twelve bits are kept.
    pub(crate) fn was_due_at(self, due_at_ms: i64) -> bool {
        (self.0 >> DUE_AT) & DUE_MASK == short(due_at_ms)
    }

    pub(crate) fn note_retry(&mut self, attempt: u32, due_at_ms: i64) {
        self.set(Fact::Retried);
        if attempt == 0 {
            self.set(Fact::Behind);
        }
        self.put(RETRY_ATTEMPT_AT, ATTEMPT_MAX, attempt.min(ATTEMPT_MAX));
        self.put(DUE_AT, DUE_MASK, short(due_at_ms));
    }
}

/// The low half of a hash or a packed number.
pub(crate) const fn low_half(wide: u64) -> u32 {
    let [a, b, c, d, ..] = wide.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Whether attempts are so many that they count as the largest.
pub(crate) const fn is_saturated(attempt: u32) -> bool {
    attempt >= ATTEMPT_MAX
}

/// Twelve bits of a time, such that near times differ.
fn short(ms: i64) -> u32 {
    let [a, b, c, d, ..] = ms.to_le_bytes();
    let low = u32::from_le_bytes([a, b, c, d]);
    (low ^ (low >> 12) ^ (low >> 24)) & DUE_MASK
}

/// Facts and claims by offset, from the first offset that the topic still has.
#[derive(Debug)]
pub(crate) struct Table {
    low: i64,
    facts: Vec<Facts>,
    /// What the outcome log says; empty without one.
    claims: Vec<Claims>,
}

impl Table {
    pub(crate) fn new(low: i64, end: i64, has_claims: bool) -> Self {
        let length = usize::try_from(end - low).unwrap_or(0);
        let claims = if has_claims { vec![Claims::default(); length] } else { Vec::new() };
        Self { low, facts: vec![Facts::default(); length], claims }
    }

    fn index(&self, offset: i64) -> Option<usize> {
        usize::try_from(offset.checked_sub(self.low)?).ok()
    }

    /// Facts of an order; `None` where the topic does not have it (any more).
    pub(crate) fn get(&self, offset: i64) -> Option<Facts> {
        self.facts.get(self.index(offset)?).copied()
    }

    pub(crate) fn get_mut(&mut self, offset: i64) -> Option<&mut Facts> {
        let index = self.index(offset)?;
        self.facts.get_mut(index)
    }

    /// What the outcome log says of an order.
    pub(crate) fn claims(&self, offset: i64) -> Claims {
        let claims = self.index(offset).and_then(|index| self.claims.get(index));
        claims.copied().unwrap_or_default()
    }

    pub(crate) fn claims_mut(&mut self, offset: i64) -> Option<&mut Claims> {
        let index = self.index(offset)?;
        self.claims.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_do_not_disturb_each_other() {
        let mut facts = Facts::default();
        facts.note_retry(3, 1_790_000_000_123);
        facts.set(Fact::Dead);
        assert_eq!(facts.retry_attempt(), 3);
        assert!(facts.was_due_at(1_790_000_000_123) && !facts.was_due_at(1_790_000_000_323));
        facts.note_retry(99, 0);
        assert_eq!(facts.retry_attempt(), 63);
        assert!(facts.has(Fact::Dead) && facts.has(Fact::Retried) && !facts.has(Fact::Waits));
        assert!(!facts.has(Fact::Behind));
    }

    #[test]
    fn a_table_begins_where_the_topic_begins() {
        let mut table = Table::new(5, 8, true);
        table.get_mut(7).unwrap().set(Fact::Dead);
        assert!(table.get(7).unwrap().has(Fact::Dead) && !table.get(5).unwrap().has(Fact::Dead));
        assert_eq!((table.get(4), table.get(8), table.get(i64::MIN)), (None, None, None));
        assert!(table.claims_mut(5).is_some() && table.claims_mut(8).is_none());
        assert!(Table::new(5, 8, false).claims_mut(5).is_none());
    }
}
