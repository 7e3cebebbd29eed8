//! Records that another program put into the retry topic: each is an order of its own, which begins
//! there.

use foldhash::fast::RandomState;
use kafka_io::reader::HeldRecord;

use super::books::Books;
use super::claims::Claims;
use super::forwarded::{Letter, Trace};
use super::judge::{Doubles, Place, Story};
use super::orders_read::Value;
use super::outcomes::names_hash;
use super::report::{At, Invariant};
use super::spot::Spot;
use super::table::Facts;
use pipeline::failure::FailureReason;

/// What is known of a stranger.
#[derive(Debug)]
pub(crate) struct Stranger {
    value: Value,
    /// As the outcome log names it.
    names: u32,
    /// As the outcome log names it where it could not be read.
    no_names: u32,
    likenesses: Vec<u64>,
    pub(crate) facts: Facts,
    pub(crate) claims: Claims,
    letters: Vec<(Letter, FailureReason)>,
    first_trace: Option<Trace>,
    /// The order at this offset has the same names, so that the outcome log may mean either.
    pub(crate) is_ambiguous: bool,
}

impl Stranger {
    pub(crate) fn new(record: &HeldRecord, value: Value, hasher: &RandomState) -> Self {
        let key = record.key.as_deref();
        let (order_id, product) = value.names();
        Self {
            names: names_hash(hasher, order_id, product, key),
            no_names: names_hash(hasher, "", "", key),
            likenesses: Trace::likenesses(record),
            value,
            facts: Facts::default(),
            claims: Claims::default(),
            letters: Vec::new(),
            first_trace: None,
            is_ambiguous: false,
        }
    }

    /// Whether an outcome that names its order so may be of this one.
    pub(crate) const fn is_called(&self, names: u32) -> bool {
        self.names == names || self.no_names == names
    }
}

impl Books<'_> {
    /// Takes what was forwarded of a stranger, which stands before it in the retry topic.
    pub(crate) fn take_strangers_trace(&mut self, at: &At, trace: Trace) {
        let Some(stranger) = self.strangers.get_mut(&trace.origin) else {
            let bounds = self.cut.bounds.retry;
            let is_known = (bounds.low..bounds.end).contains(&trace.origin);
            if is_known && !self.surroundings.is_compacted(&self.settings.topics.retry) {
                let what = "the retry topic has no such record without a lineage";
                self.violation(Invariant::I10, at.clone(), None, what);
            }
            return;
        };
        let contradicts = stranger.first_trace.is_some_and(|first| first.contradicts(trace));
        let first = stranger.first_trace.get_or_insert(trace);
        if !first.has_first_failed() {
            *first = trace;
        }
        stranger.letters.extend(trace.letter());
        stranger.letters.dedup();
        let is_like = stranger.likenesses.contains(&trace.likeness());
        if !is_like {
            let what = "key, value, headers or timestamp differ from the original record";
            self.violation(Invariant::I10, at.clone(), None, what);
        }
        if contradicts && !self.settings.promises.at_least_once {
            let what = "the time of its first failure differs from that of the record before";
            self.violation(Invariant::I10, at.clone(), None, what);
        }
    }

    /// Judges the strangers, which count as well.
    pub(crate) fn judge_strangers(&mut self) {
        let all: Vec<i64> = self.strangers.keys().copied().collect();
        for offset in all {
            let spot = Spot { is_stranger: true, offset, redrives: 0 };
            if !self.cut.before.retry.has(offset) {
                continue;
            }
            let last = self.last_life(spot);
            let facts = self.facts_at(last);
            let stranger = self.strangers.get_mut(&offset).expect("just listed");
            let letters = std::mem::take(&mut stranger.letters);
            let value = std::mem::replace(&mut stranger.value, Value::SchemaGone);
            let is_told = stranger.claims.has(super::claims::Claim::Any) || self.tells_strangers();
            let stranger = &self.strangers[&offset];
            let claims = (is_told && !stranger.is_ambiguous).then_some(stranger.claims);
            let is_whole = claims.is_some() && self.tells_strangers();
            let story = Story {
                spot: last,
                facts,
                claims,
                is_whole,
                letters: &letters,
                names: stranger.names,
            };
            let place = self.place(&story, &value, Doubles::default());
            self.judge_value(&story, &value, place);
            if let Value::Good(order, amount) = value
                && place == Place::Counted
            {
                self.add_to_fold(&order.product, amount);
            }
        }
    }

    /// Whether the outcome log must tell of strangers: it tells of every order.
    fn tells_strangers(&self) -> bool {
        self.reads_outcomes() && self.untold == 0 && self.told_from.is_some()
    }
}
