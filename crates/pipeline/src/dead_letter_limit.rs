//! Stops a consumer that gives up too many records, before it has drained its topic.
//!
//! After a bad deploy every record fails for good. The limit counts records by how they end, over
//! the last ones and in a row, and trips *before* the batch that goes too far is committed: what
//! a turn adds is a draft until the turn is durable. Failed attempts that are retried have not
//! ended; neither has anything that waits.
//!
//! What is durable travels as a [`Tally`] with the committed offsets, and the next owner counts on
//! from there: else every restart, and every crash, would let as many through as stay below the
//! limit.

use std::collections::VecDeque;

use crate::failure::{Failure, FailureClass, FailureReason};
pub use crate::tally::RATIO_RECORDS;
use crate::tally::Tally;
use crate::unread_schemas::UnreadSchemas;

/// Share of dead letters above which the limit trips, unless it is set otherwise.
pub const RATIO_DEFAULT: f64 = 0.5;

/// Dead letters in a row at which the limit trips, unless it is set otherwise.
pub const CONSECUTIVE_DEFAULT: u32 = 1_000;

/// Causes that are told apart.
const CAUSES_MAX: usize = 64;

/// Checked settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeadLetterLimits {
    ratio: f64,
    consecutive: u32,
}

/// Why limits cannot work.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum DeadLetterLimitsError {
    /// Outside of 0.0 to 1.0.
    #[error("a ratio of {0} is not between 0.0 and 1.0")]
    RatioOutOfRange(f64),
    /// Nothing could be dead-lettered.
    #[error("a limit of 0 dead letters in a row lets nothing through; give at least 1")]
    ConsecutiveZero,
}

impl DeadLetterLimits {
    /// More than `ratio` of the last [`RATIO_RECORDS`] records, or `consecutive` in a row.
    ///
    /// # Errors
    ///
    /// Fails for a ratio that is no share, and for no dead letters at all.
    pub fn new(ratio: f64, consecutive: u32) -> Result<Self, DeadLetterLimitsError> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(DeadLetterLimitsError::RatioOutOfRange(ratio));
        }
        if consecutive == 0 {
            return Err(DeadLetterLimitsError::ConsecutiveZero);
        }
        Ok(Self { ratio, consecutive })
    }
}

impl Default for DeadLetterLimits {
    fn default() -> Self {
        Self { ratio: RATIO_DEFAULT, consecutive: CONSECUTIVE_DEFAULT }
    }
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tripped {
    /// Too large a share of the last records.
    Ratio {
        /// Dead letters among the last [`RATIO_RECORDS`].
        dead: usize,
    },
    /// Too many in a row.
    Consecutive {
        /// Dead letters since the last record that went well.
        dead: u32,
    },
    /// Too many of one schema that cannot be used and of which no record was ever read.
    UnreadSchema {
        /// Its id in the registry.
        schema_id: u32,
        /// Its dead letters.
        dead: u32,
    },
}

/// A cause of dead letters, and how many it has among the last records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetterCause {
    /// As in `x-fingerprint`; 0 stands for causes beyond those that are told apart.
    pub fingerprint: u32,
    /// Reason of the first failure with this fingerprint.
    pub reason: FailureReason,
    /// Schema id of it.
    pub schema_id: Option<u32>,
    /// Dead letters among the last [`RATIO_RECORDS`] records, the draft included.
    pub dead: usize,
}

/// How one record ended: well, or as a dead letter of the cause with this number.
type End = Option<u8>;

/// Stands for the cause of a dead letter that was carried over: it was told when it came.
const CARRIED: u8 = u8::MAX;

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    dead: usize,
    consecutive: u32,
    tripped: Option<Tripped>,
}

/// See the module.
#[derive(Debug)]
pub struct DeadLetterLimit {
    limits: Option<DeadLetterLimits>,
    /// The last ends that are durable, up to [`RATIO_RECORDS`], then the draft's.
    ends: VecDeque<End>,
    durable: usize,
    count: Count,
    durable_count: Count,
    causes: Vec<(u32, FailureReason, Option<u32>)>,
    unread_schemas: UnreadSchemas,
}

impl DeadLetterLimit {
    /// Counts against the limits; `None` is off.
    pub fn new(limits: Option<DeadLetterLimits>) -> Self {
        Self {
            limits,
            ends: VecDeque::new(),
            durable: 0,
            count: Count::default(),
            durable_count: Count::default(),
            causes: Vec::new(),
            unread_schemas: UnreadSchemas::default(),
        }
    }

    /// A record of this schema could be read.
    pub fn schema_was_read(&mut self, schema_id: u32) {
        self.unread_schemas.was_read(schema_id);
    }

    /// A record of this turn ended well: counted, or found to be a duplicate.
    pub fn went_well(&mut self) {
        self.add(None);
    }

    /// A record of this turn becomes a dead letter.
    pub fn dead_letter(&mut self, failure: &Failure) {
        // It followed one that counts already.
        if self.limits.is_some() && failure.reason != FailureReason::PredecessorDead {
            let cause = self.cause(failure);
            self.add(Some(cause));
            self.count_schema(failure);
        }
    }

    fn count_schema(&mut self, failure: &Failure) {
        let is_schemas = failure.reason.class() == FailureClass::IncompatibleSchema;
        if let Some(schema_id) = failure.schema_id.filter(|_| is_schemas)
            && let Some(dead) = self.unread_schemas.dead_letter(schema_id)
        {
            self.count.tripped.get_or_insert(Tripped::UnreadSchema { schema_id, dead });
        }
    }

    /// Which limit this turn would go past. Say [`Self::discard`] then, and commit nothing.
    pub const fn tripped(&self) -> Option<Tripped> {
        self.count.tripped
    }

    /// The turn is durable.
    pub fn commit(&mut self) {
        let surplus = self.ends.len().saturating_sub(RATIO_RECORDS);
        self.ends.drain(..surplus);
        self.durable = self.ends.len();
        self.durable_count = self.count;
        self.unread_schemas.commit();
    }

    /// The turn was not committed.
    pub fn discard(&mut self) {
        self.ends.truncate(self.durable);
        self.count = self.durable_count;
        self.unread_schemas.discard();
    }

    /// Forgets everything: an operator lets it go on.
    pub fn reset(&mut self) {
        *self = Self::new(self.limits);
    }

    /// The tally as it is once this turn is durable; `None` where the limit is off.
    pub fn tally(&self) -> Option<Tally> {
        self.limits?;
        let records = self.ends.len().min(RATIO_RECORDS);
        Tally::new(self.count.consecutive, records, self.count.dead)
    }

    /// Counts on from a tally that another lane, or this one before a restart, has left with the
    /// committed offsets, where it is larger than the own. The last records are then taken to
    /// have ended as evenly mixed as they can.
    ///
    /// # Panics
    ///
    /// Panics within a turn: what is carried over is durable, and the turn is not.
    pub fn carry_over(&mut self, left: Tally) {
        assert_eq!(self.ends.len(), self.durable, "a tally is carried over between turns");
        let Some(own) = self.tally() else { return };
        let larger = own.larger(left);
        if larger.dead() > own.dead() {
            let (records, dead) = (larger.records(), larger.dead());
            let is_dead = |n: usize| (n + 1) * dead / records > n * dead / records;
            self.ends = (0..records).map(|n| is_dead(n).then_some(CARRIED)).collect();
            self.durable = records;
        }
        self.count.consecutive = larger.consecutive();
        self.count.dead = larger.dead();
        self.durable_count = self.count;
    }

    /// Causes among the last records since this lane began, the most frequent first.
    pub fn causes(&self) -> Vec<DeadLetterCause> {
        let last = self.ends.len().saturating_sub(RATIO_RECORDS);
        let mut causes: Vec<DeadLetterCause> = self
            .causes
            .iter()
            .map(|&(fingerprint, reason, schema_id)| DeadLetterCause {
                fingerprint,
                reason,
                schema_id,
                dead: 0,
            })
            .collect();
        for cause in self.ends.range(last..).flatten() {
            if let Some(cause) = causes.get_mut(usize::from(*cause)) {
                cause.dead += 1;
            }
        }
        causes.retain(|cause| cause.dead > 0);
        causes.sort_by_key(|cause| (std::cmp::Reverse(cause.dead), cause.fingerprint));
        causes
    }

    fn add(&mut self, end: End) {
        let Some(limits) = self.limits else { return };
        self.ends.push_back(end);
        let leaves = self.ends.len().checked_sub(RATIO_RECORDS + 1);
        let leaves = leaves.is_some_and(|index| self.ends[index].is_some());
        let count = &mut self.count;
        count.dead += usize::from(end.is_some());
        count.dead -= usize::from(leaves);
        count.consecutive = if end.is_some() { count.consecutive.saturating_add(1) } else { 0 };
        if end.is_none() || count.tripped.is_some() {
            return;
        }
        let (dead, consecutive) = (count.dead, count.consecutive);
        if consecutive >= limits.consecutive {
            count.tripped = Some(Tripped::Consecutive { dead: consecutive });
        } else if self.ends.len() >= RATIO_RECORDS
            && dead as f64 > limits.ratio * RATIO_RECORDS as f64
        {
            count.tripped = Some(Tripped::Ratio { dead });
        }
    }

    /// Number of a cause; the last number stands for all that are too many.
    fn cause(&mut self, failure: &Failure) -> u8 {
        let fingerprint = failure.fingerprint();
        let known = self.causes.iter().position(|(known, ..)| *known == fingerprint);
        let index = known.unwrap_or_else(|| {
            if self.causes.len() < CAUSES_MAX - 1 {
                self.causes.push((fingerprint, failure.reason, failure.schema_id));
            } else if self.causes.len() < CAUSES_MAX {
                self.causes.push((0, failure.reason, None));
            }
            self.causes.len() - 1
        });
        u8::try_from(index).expect("causes are few")
    }
}

#[cfg(test)]
#[path = "dead_letter_limit_tests.rs"]
mod tests;
