//! What is known of each order of a partition: four bytes per offset.

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
    /// The outcome log says that it was counted.
    ToldCounted = 8,
    /// The outcome log says that it was dead-lettered.
    ToldDead = 16,
    /// The outcome log says that its id had come before.
    ToldDuplicate = 32,
    /// It came back from the dead letters; more is known elsewhere.
    Redriven = 64,
    /// It has, or had, a record in the retry topic.
    Retried = 128,
}

/// Bits of an attempt; more attempts count as the largest.
const ATTEMPT_MAX: u32 = 63;
const RETRY_ATTEMPT_AT: u32 = 8;
const TOLD_ATTEMPT_AT: u32 = 14;
const DUE_AT: u32 = 20;
const DUE_MASK: u32 = 0xfff;

impl Facts {
    pub(crate) const fn has(self, fact: Fact) -> bool {
        self.0 & fact as u32 != 0
    }

    pub(crate) const fn set(&mut self, fact: Fact) {
        self.0 |= fact as u32;
    }

    pub(crate) const fn clear(&mut self, fact: Fact) {
        self.0 &= !(fact as u32);
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
        self.put(RETRY_ATTEMPT_AT, ATTEMPT_MAX, attempt.min(ATTEMPT_MAX));
        self.put(DUE_AT, DUE_MASK, short(due_at_ms));
    }

    /// The last attempt that the outcome log tells of.
    pub(crate) const fn told_attempt(self) -> u32 {
        (self.0 >> TOLD_ATTEMPT_AT) & ATTEMPT_MAX
    }

    pub(crate) fn note_told(&mut self, attempt: u32) {
        self.put(TOLD_ATTEMPT_AT, ATTEMPT_MAX, attempt.min(ATTEMPT_MAX));
    }

    /// Whether attempts are many enough to be counted as the largest.
    pub(crate) const fn is_saturated(attempt: u32) -> bool {
        attempt >= ATTEMPT_MAX
    }
}

/// Twelve bits of a time, such that near times differ.
fn short(ms: i64) -> u32 {
    let [a, b, c, d, ..] = ms.to_le_bytes();
    let low = u32::from_le_bytes([a, b, c, d]);
    (low ^ (low >> 12) ^ (low >> 24)) & DUE_MASK
}

/// Facts by offset, from the first offset that the topic still has.
#[derive(Debug)]
pub(crate) struct Table {
    low: i64,
    facts: Vec<Facts>,
}

impl Table {
    pub(crate) fn new(low: i64, end: i64) -> Self {
        let length = usize::try_from(end - low).unwrap_or(0);
        Self { low, facts: vec![Facts::default(); length] }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_do_not_disturb_each_other() {
        let mut facts = Facts::default();
        facts.set(Fact::Retried);
        facts.note_retry(3, 1_790_000_000_123);
        facts.note_told(4);
        facts.set(Fact::Dead);
        assert_eq!((facts.retry_attempt(), facts.told_attempt()), (3, 4));
        assert!(facts.was_due_at(1_790_000_000_123) && !facts.was_due_at(1_790_000_000_323));
        facts.note_retry(99, 0);
        assert_eq!((facts.retry_attempt(), facts.told_attempt()), (63, 4));
        assert!(facts.has(Fact::Dead) && facts.has(Fact::Retried) && !facts.has(Fact::Waits));
        facts.clear(Fact::Dead);
        assert!(!facts.has(Fact::Dead));
    }

    #[test]
    fn a_table_begins_where_the_topic_begins() {
        let mut table = Table::new(5, 8);
        table.get_mut(7).unwrap().set(Fact::Dead);
        assert!(table.get(7).unwrap().has(Fact::Dead) && !table.get(5).unwrap().has(Fact::Dead));
        assert_eq!((table.get(4), table.get(8), table.get(i64::MIN)), (None, None, None));
    }
}
