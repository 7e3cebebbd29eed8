//! What keeps a lane from doing harm: it waits while what every record needs is away, and stops
//! before it gives up a whole topic.
//!
//! Failures that blame the surroundings have no route. While the breaker is open no attempt is
//! made: records that were fetched are held, main is not read, and now and then a few records
//! are tried. A turn whose failures turn out to be an outage, or which goes past the limit of
//! dead letters, is not committed: its state is dropped and read back.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use pipeline::breaker::{Breaker, Change, FailedAttempt, Permit};
use pipeline::dead_letter_limit::{DeadLetterCause, DeadLetterLimit, DeadLetterLimits, Tripped};
use pipeline::failure::Failure;
use pipeline::record::Offset;
use pipeline::tally::Tally;

use crate::clock::Instant;
use crate::lane::limits::{ENDS_EVERY, PROBE_MAIN_FIRST};

/// What a failed record is told apart by: its key, or where it has none its coordinates.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) enum Name<'a> {
    Key(&'a [u8]),
    Record((i32, Offset)),
}

/// A failure of what a handler called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed<'a> {
    pub(crate) failure: &'a Failure,
    pub(crate) name: Name<'a>,
    /// The attempt before this one failed for the same cause.
    pub(crate) is_repeat: bool,
    /// How long what was called asks to be left alone.
    pub(crate) wait: Duration,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct FailureGate {
    breaker: Breaker,
    /// What is away, in words; kept until a probe succeeds, or nothing is left to try.
    outage: Option<String>,
    /// An outage was forgotten: nothing was left to try. Whether it is over is not known.
    is_outage_forgotten: bool,
    /// No attempt is to be made in this turn any more.
    is_held_up: bool,
    /// The turn is not to be committed.
    must_undo: bool,
    limit: DeadLetterLimit,
    /// Why the lane stands still until an operator acts.
    stopped: Option<String>,
    /// Records of a turn that looks whether an outage is over.
    probe_records_max: Option<usize>,
    /// Probes so far, and when the last one began.
    probes: u64,
    probe_began_at: Instant,
    /// When a probe that finds nothing asks next whether there is anything to find.
    ends_again_at: Instant,
}

impl FailureGate {
    pub(crate) fn new(limits: Option<DeadLetterLimits>) -> Self {
        Self {
            breaker: Breaker::default(),
            outage: None,
            is_outage_forgotten: false,
            is_held_up: false,
            must_undo: false,
            limit: DeadLetterLimit::new(limits),
            stopped: None,
            probe_records_max: None,
            probes: 0,
            probe_began_at: Instant::now(),
            ends_again_at: Instant::now(),
        }
    }

    /// Whether attempts are to be put off.
    pub(crate) const fn is_held_up(&self) -> bool {
        self.is_held_up
    }

    /// Whether this turn looks if an outage is over.
    pub(crate) const fn is_probe(&self) -> bool {
        self.probe_records_max.is_some()
    }

    /// Records of such a turn.
    pub(crate) const fn probe_records_max(&self) -> Option<usize> {
        self.probe_records_max
    }

    /// Whether attempts may be made in the turn that begins.
    pub(crate) fn check(&mut self, now_ms: i64, owns_any: bool) {
        if self.outage.is_some() && !owns_any {
            self.forget_outage(now_ms); // others own it now
        }
        let permit = self.breaker.permit(now_ms);
        if matches!(permit, Permit::Probe { .. }) && self.probe_records_max.is_none() {
            self.probes += 1;
            self.probe_began_at = Instant::now();
        }
        self.probe_records_max = match permit {
            Permit::Probe { keys } => Some(keys),
            Permit::Flow | Permit::Wait { .. } => None,
        };
        self.is_held_up = matches!(permit, Permit::Wait { .. }) || self.stopped.is_some();
    }

    /// Whether this turn leaves the retries alone that are due. All that are due may be poisonous, and
    /// take a probe away from main.
    pub(crate) fn leaves_retries(&self) -> bool {
        let is_mains = self.probe_records_max.is_some() && self.probes.is_multiple_of(2);
        is_mains && self.probe_began_at.elapsed() < PROBE_MAIN_FIRST
    }

    /// Takes in that a turn ends; whether it was a probe while the outage goes on.
    pub(crate) fn end_turn(&mut self, now_ms: i64, spread: f64) -> bool {
        let is_probe = self.is_probe();
        if is_probe && self.breaker.probe_ended(now_ms, spread) == Change::Opened {
            self.must_undo = true;
        }
        is_probe && self.breaker.is_open()
    }

    /// Whether the brokers are to be asked if there is anything to try: now and then.
    pub(crate) fn asks_for_ends(&mut self) -> bool {
        if Instant::now() < self.ends_again_at {
            return false;
        }
        self.ends_again_at = Instant::now() + ENDS_EVERY;
        true
    }

    /// Whether the turn is not to be committed; asked once per turn.
    pub(crate) fn take_undo(&mut self) -> bool {
        std::mem::take(&mut self.must_undo)
    }

    /// The limit of dead letters that this turn would go past.
    pub(crate) fn tripped(&self) -> Option<Tripped> {
        self.limit.tripped()
    }

    /// For what the dead letters were given up.
    pub(crate) fn causes(&self) -> Vec<DeadLetterCause> {
        self.limit.causes()
    }

    /// Stands still until an operator acts.
    pub(crate) fn stop(&mut self, why: String) {
        self.stopped = Some(why);
    }

    /// What is away, in words.
    pub(crate) const fn outage(&self) -> Option<&String> {
        self.outage.as_ref()
    }

    /// Whether the last outage ended with nothing left to try.
    pub(crate) const fn is_outage_forgotten(&self) -> bool {
        self.is_outage_forgotten
    }

    /// Why the lane stands still until an operator acts.
    pub(crate) const fn stopped(&self) -> Option<&String> {
        self.stopped.as_ref()
    }

    /// A record was handled. What failed in a probe before may have failed for the outage: it is
    /// tried again.
    pub(crate) fn record_success(&mut self, now_ms: i64) {
        self.limit.went_well();
        let has_failed = self.breaker.has_probe_failed();
        if self.breaker.succeeded(now_ms) == Change::Closed {
            self.outage = None;
            self.must_undo |= has_failed;
        }
    }

    /// A record of this schema could be read.
    pub(crate) fn schema_was_read(&mut self, schema_id: u32) {
        self.limit.schema_was_read(schema_id);
    }

    /// A record ended well without a handler.
    pub(crate) fn ended_well(&mut self) {
        self.limit.went_well();
    }

    /// A record becomes a dead letter.
    pub(crate) fn dead_letter(&mut self, failure: &Failure) {
        self.limit.dead_letter(failure);
    }

    /// Something that the handler asked failed.
    pub(crate) fn downstream_failed(&mut self, now_ms: i64, failed: Failed<'_>, spread: f64) {
        let Failed { failure, name, is_repeat, wait } = failed;
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let attempt = FailedAttempt {
            fingerprint: failure.fingerprint(),
            reason: failure.reason,
            key: hasher.finish(),
            is_repeat,
            asked_wait_ms: millis(wait),
        };
        if self.breaker.failed(now_ms, attempt, spread) == Change::Opened {
            self.open(failure.detail.clone());
            self.must_undo = true;
        }
    }

    /// Something that every record needs is away.
    pub(crate) fn surroundings_away(
        &mut self,
        now_ms: i64,
        detail: String,
        wait: Duration,
        spread: f64,
    ) {
        self.breaker.surroundings_away(now_ms, millis(wait), spread);
        self.open(detail);
    }

    /// What is away asks, in an answer that decides nothing any more, to be left alone for so long.
    pub(crate) fn asked_to_wait(&mut self, now_ms: i64, wait: Duration) {
        if self.breaker.is_open() {
            self.breaker.asked_to_wait(now_ms, millis(wait));
        }
    }

    /// Nothing is left that could tell whether what is away is back.
    pub(crate) fn forget_outage(&mut self, now_ms: i64) {
        self.breaker.nothing_to_try(now_ms);
        self.is_outage_forgotten |= self.outage.take().is_some();
    }

    fn open(&mut self, detail: String) {
        self.is_outage_forgotten = false;
        self.outage = Some(detail);
        self.is_held_up = true;
    }
}

fn millis(wait: Duration) -> i64 {
    i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)
}

impl FailureGate {
    /// The turn is durable.
    pub(crate) fn commit(&mut self) {
        self.limit.commit();
    }

    /// How near the lane is to the limit once this turn is durable.
    pub(crate) fn tally(&self) -> Option<Tally> {
        self.limit.tally()
    }

    /// Counts on from what stands with a committed offset.
    pub(crate) fn carry_over(&mut self, left: Tally) {
        self.limit.carry_over(left);
    }

    /// The turn was not committed, and its state is read back.
    pub(crate) fn discard(&mut self) {
        self.limit.discard();
    }
}

#[cfg(test)]
mod tests {
    use pipeline::breaker::PROBE_MAX_MS;
    use pipeline::failure::FailureReason;

    use super::*;

    #[test]
    fn what_failed_in_the_probe_that_ends_an_outage_is_tried_again() {
        for fails_before in [false, true] {
            let mut gate = FailureGate::new(None);
            gate.surroundings_away(0, "away".to_owned(), Duration::ZERO, 0.0);
            let later = 2 * PROBE_MAX_MS;
            assert!(matches!(gate.breaker.permit(later), Permit::Probe { .. }));
            if fails_before {
                let reason = FailureReason::Handler;
                let failure = Failure { reason, schema_id: None, detail: String::new() };
                let name = Name::Key(b"tea");
                let failed =
                    Failed { failure: &failure, name, is_repeat: false, wait: Duration::ZERO };
                gate.downstream_failed(later, failed, 0.0);
            }
            gate.record_success(later);
            assert_eq!((gate.outage(), gate.must_undo), (None, fails_before));
        }
    }
}
