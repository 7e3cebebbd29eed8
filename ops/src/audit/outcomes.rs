//! The outcome log: one entry for each settled attempt, in the order of processing.

use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _};

use codec::wire::{OrderOutcome, Outcome};
use kafka_io::reader::HeldRecord;

use super::books::Books;
use super::report::{At, Invariant, Violation};
use super::table::{Fact, Facts};

impl Books<'_> {
    /// Takes an entry of the outcome log, in the order of the log.
    pub(crate) fn take_outcome(&mut self, record: &HeldRecord, told: Result<OrderOutcome, String>) {
        let Some(topic) = &self.settings.topics.outcomes else { return };
        let at = self.at(topic, record.offset.0);
        self.report.checked(Invariant::I2, 1);
        let told = match told {
            Ok(told) => told,
            Err(what) => return self.violation(Invariant::I1, at, None, what),
        };
        let origin = told.origin_offset;
        if told.origin_partition != self.cut.partition {
            let what = "it tells of an order of another partition".to_owned();
            let (topic, offset) = (self.settings.topics.main.clone(), Some(origin));
            let origin = Some(At { topic, partition: told.origin_partition, offset });
            let violation = Violation { at, origin, product: None, what };
            return self.report.violation(Invariant::I10, violation);
        }
        // The log does not say of which topic the offset is; the id tells.
        if self.strangers.get(&origin).is_some_and(|found| found.order_id == told.order_id) {
            return;
        }
        if !self.cut.after.main.has(origin) {
            if self.settings.promises.at_least_once {
                self.repeats += 1;
            } else {
                let what = "an outcome is told, and the order is not settled: it will run again";
                self.violation(Invariant::I6, at, Some(origin), what);
            }
            return;
        }
        if !self.cut.before.main.has(origin) {
            return; // came after the first look
        }
        if told.attempt == 1 {
            self.told_from = Some(self.told_from.map_or(origin, |from| from.min(origin)));
        }
        self.note_told(at.clone(), &told);
        let is_end = matches!(told.outcome, Outcome::Succeeded | Outcome::DeadLettered);
        if is_end && self.settings.promises.keeps_key_order {
            self.check_key_order(at, record.key.as_deref(), origin);
        }
    }

    fn note_told(&mut self, at: At, told: &OrderOutcome) {
        let origin = told.origin_offset;
        let Some(mut facts) = self.table.get(origin) else { return };
        let attempt = u32::try_from(told.attempt).unwrap_or(0);
        let was_trimmed = self.cut.bounds.retry.low > 0;
        if facts.has(Fact::ToldDead) && (facts.has(Fact::Redriven) || was_trimmed) {
            facts.clear(Fact::ToldDead); // a new life
            facts.set(Fact::Redriven);
            facts.note_told(0);
        }
        let ended = [Fact::ToldCounted, Fact::ToldDead, Fact::ToldDuplicate]
            .into_iter()
            .any(|fact| facts.has(fact));
        if ended {
            self.twice(at, origin, "an outcome is told after its end");
        } else if attempt <= facts.told_attempt() && !Facts::is_saturated(attempt) {
            let what = format!("attempt {attempt} is told a second time");
            self.twice(at, origin, what);
        }
        match told.outcome {
            Outcome::Succeeded => facts.set(Fact::ToldCounted),
            Outcome::DeadLettered => facts.set(Fact::ToldDead),
            Outcome::Duplicate => facts.set(Fact::ToldDuplicate),
            Outcome::Retried | Outcome::Unknown => {}
        }
        facts.note_told(attempt);
        if let Some(known) = self.table.get_mut(origin) {
            *known = facts;
        }
    }

    /// Ends of one key follow the offsets of its orders; redriven ones are outside of it.
    fn check_key_order(&mut self, at: At, key: Option<&[u8]>, origin: i64) {
        let is_redriven = self.table.get(origin).is_some_and(|facts| facts.has(Fact::Redriven));
        let Some(key) = key.filter(|_| !is_redriven) else { return };
        self.report.checked(Invariant::I5, 1);
        let hash = self.key_ends.hasher().hash_one(key);
        let last = self.key_ends.entry(hash).or_insert(origin);
        let before = std::mem::replace(last, origin.max(*last));
        if origin < before {
            let what = format!("it ended after the order of its key at offset {before}");
            self.violation(Invariant::I5, at, Some(origin), what);
        }
    }

    /// Whether an order id came within the last offsets that `--dedupe` looks at.
    pub(crate) fn is_duplicate(&mut self, order_id: &str, offset: i64) -> bool {
        let Some(window) = self.settings.promises.dedupe else { return false };
        let window = i64::try_from(window).unwrap_or(i64::MAX);
        let mut hasher = DefaultHasher::new();
        order_id.hash(&mut hasher);
        let before = self.ids.insert(hasher.finish(), offset);
        let limit = usize::try_from(window).unwrap_or(usize::MAX).saturating_mul(2).max(1024);
        if self.ids.len() > limit {
            self.ids.retain(|_, last| offset - *last <= window);
        }
        before.is_some_and(|before| offset - before <= window)
    }
}
