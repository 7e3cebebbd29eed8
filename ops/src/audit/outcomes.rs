//! The outcome log: one entry for each settled attempt, in the order of processing.

use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _};

use foldhash::fast::RandomState;
use kafka_io::reader::HeldRecord;
use order_schemas::{OrderOutcome, Outcome};
use pipeline::failure::FailureClass;

use super::books::Books;
use super::claims::{Claims, Entry, Repeat};
use super::hop_headers::{class_of, class_place};
use super::report::{At, Invariant, Violation};
use super::spot::Spot;
use super::table::{Fact, low_half};
use super::times;

/// Longest order id, product or key in an entry, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// A short hash of what an entry calls its order.
pub(crate) fn names_hash(
    hasher: &RandomState,
    order_id: &str,
    product: &str,
    key: Option<&[u8]>,
) -> u32 {
    let cut = |text: &str| text.floor_char_boundary(TEXT_BYTES_MAX);
    let key = key.filter(|key| key.len() <= TEXT_BYTES_MAX);
    low_half(hasher.hash_one((&order_id[..cut(order_id)], &product[..cut(product)], key)))
}

/// Checks what can be known from an entry alone.
fn check_entry(told: &OrderOutcome) -> Result<Entry, String> {
    let class = told.failure_class.as_deref().map(class_of);
    let fits = match (told.outcome, class) {
        (Outcome::Succeeded | Outcome::Duplicate, None) => true,
        (Outcome::Retried, Some(class)) => class == Some(FailureClass::Transient),
        (Outcome::DeadLettered, Some(class)) => class.is_some(),
        _ => false,
    };
    if told.outcome == Outcome::Unknown {
        return Err("this version does not know its outcome".to_owned());
    }
    if !fits {
        let class = told.failure_class.as_deref().unwrap_or("none");
        return Err(format!("its failure class is {class:?}, which does not fit its outcome"));
    }
    let attempt = u32::try_from(told.attempt).ok().filter(|attempt| match told.outcome {
        Outcome::DeadLettered => true, // 0 where it was not tried
        Outcome::Duplicate => *attempt == 1,
        _ => *attempt > 0,
    });
    let Some(attempt) = attempt else {
        return Err(format!("its attempt is {}, which does not fit its outcome", told.attempt));
    };
    let class = class.flatten().map_or(u8::MAX, class_place);
    Ok(Entry { attempt, outcome: told.outcome, class })
}

/// Whether the one who wrote the entry could read the record: what can be read depends on the
/// registry of that time.
fn has_names(entry: Entry, told: &OrderOutcome) -> bool {
    let schema = [FailureClass::UnknownSchema, FailureClass::IncompatibleSchema].map(class_place);
    let is_unread = entry.attempt == 0 || schema.contains(&entry.class);
    !(is_unread && told.order_id.is_empty() && told.product.is_empty())
}

impl Books<'_> {
    /// Takes an entry of the outcome log, in the order of the log.
    pub(crate) fn take_outcome(&mut self, record: &HeldRecord, told: Result<OrderOutcome, String>) {
        let Some(topic) = self.settings.topics.outcomes.as_ref().filter(|_| self.reads_outcomes())
        else {
            return;
        };
        let at = self.at(topic, record.offset.0);
        self.report.checked(Invariant::I2, 1);
        let told = match told {
            Ok(told) => told,
            Err(what) => return self.violation(Invariant::I1, at, None, what),
        };
        let offset = told.origin_offset;
        if told.origin_partition != self.cut.partition {
            let what = "it refers to an order of another partition".to_owned();
            let (topic, offset) = (self.settings.topics.main.clone(), Some(offset));
            let origin = Some(At { topic, partition: told.origin_partition, offset });
            let violation = Violation { at, origin, product: None, what };
            return self.report.violation(Invariant::I10, violation);
        }
        let entry = match check_entry(&told) {
            Ok(entry) => entry,
            Err(what) => return self.violation(Invariant::I10, at, Some(offset), what),
        };
        if !times::is_possible(told.settled_at_ms, record.timestamp) {
            let what = format!("it was settled at {}, which is impossible", told.settled_at_ms);
            self.violation(Invariant::I10, at.clone(), Some(offset), what);
        }
        let key = record.key.as_deref();
        let names = names_hash(&self.hasher, &told.order_id, &told.product, key);
        let is_stranger = self.strangers.get(&offset).is_some_and(|found| found.is_called(names));
        let spot = Spot { is_stranger, offset, redrives: 0 };
        let (before, after) = if is_stranger {
            (&self.cut.before.retry, &self.cut.after.retry)
        } else {
            (&self.cut.before.main, &self.cut.after.main)
        };
        if !after.has(offset) {
            if self.settings.promises.at_least_once {
                self.repeats += 1;
            } else {
                let what =
                    "the outcome log has it, but the order is not settled: it will run again";
                self.violation(Invariant::I6, at, spot.order(), what);
            }
            return;
        }
        if !before.has(offset) {
            return; // came after the first look
        }
        self.note_entry(at.clone(), spot, entry, has_names(entry, &told).then_some(names));
        if entry.outcome == Outcome::Duplicate && self.settings.promises.dedupe.is_none() {
            self.claimed_ids.entry(id_hash(&told.order_id)).or_default();
        }
        let is_end = matches!(entry.outcome, Outcome::Succeeded | Outcome::DeadLettered);
        if is_end && !is_stranger && self.settings.promises.keeps_key_order {
            self.check_key_order(at, key, spot);
        }
    }

    fn note_entry(&mut self, at: At, spot: Spot, entry: Entry, names: Option<u32>) {
        let facts = self.facts_at(spot);
        let has_all_retries = self.has_all_retries();
        let claims: Option<&mut Claims> = if spot.is_stranger {
            self.strangers.get_mut(&spot.offset).map(|stranger| &mut stranger.claims)
        } else {
            self.table.claims_mut(spot.offset)
        };
        let Some(claims) = claims else { return };
        let may_come_back = facts.has(Fact::Redriven) || !has_all_retries;
        let noted = claims.note(entry, may_come_back, has_all_retries);
        if let Some(names) = names {
            claims.note_names(names);
        }
        if claims.has_come_back() {
            self.change_facts(spot, |facts| facts.set(Fact::Redriven));
        }
        if entry.attempt == 1 && !spot.is_stranger && !facts.has(Fact::Behind) {
            let offset = spot.offset;
            self.told_from = Some(self.told_from.map_or(offset, |from| from.min(offset)));
        }
        if let Err(Repeat(what)) = noted {
            self.twice(at, spot.order(), what);
        }
    }

    /// Ends of one key follow the offsets of its orders; redriven ones are outside of it.
    fn check_key_order(&mut self, at: At, key: Option<&[u8]>, spot: Spot) {
        let is_redriven = self.facts_at(spot).has(Fact::Redriven);
        let Some(key) = key.filter(|_| !is_redriven) else { return };
        self.report.checked(Invariant::I5, 1);
        let hash = self.key_ends.hasher().hash_one(key);
        let last = self.key_ends.entry(hash).or_insert(spot.offset);
        let before = std::mem::replace(last, spot.offset.max(*last));
        if spot.offset < before {
            let what = format!("it ended after the order of its key at offset {before}");
            self.violation(Invariant::I5, at, spot.order(), what);
        }
    }

    /// Whether an order id that the outcome log calls a duplicate's came before. Notes that it has
    /// come.
    pub(crate) fn has_come_before(&mut self, order_id: &str) -> bool {
        let seen = self.claimed_ids.get_mut(&id_hash(order_id));
        seen.is_some_and(|seen| std::mem::replace(seen, true))
    }

    /// Whether an order id came within the last offsets that `--dedupe` looks at.
    pub(crate) fn is_duplicate(&mut self, order_id: &str, offset: i64) -> bool {
        let Some(window) = self.settings.promises.dedupe else { return false };
        let window = i64::try_from(window).unwrap_or(i64::MAX);
        let before = self.ids.insert(id_hash(order_id), offset);
        let limit = usize::try_from(window).unwrap_or(usize::MAX).saturating_mul(2).max(1024);
        if self.ids.len() > limit {
            self.ids.retain(|_, last| offset - *last <= window);
        }
        before.is_some_and(|before| offset - before <= window)
    }
}

fn id_hash(order_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    order_id.hash(&mut hasher);
    hasher.finish()
}
