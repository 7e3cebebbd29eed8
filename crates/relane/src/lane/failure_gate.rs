//! What keeps a lane from doing harm: it waits while what every record needs is away, and stops
//! before it gives up a whole topic.
//!
//! Failures that blame the surroundings have no route. While the breaker is open no attempt is
//! made: records that were fetched are held, main is not read, and now and then a few records
//! are tried. A turn whose failures turn out to be an outage, or which goes past the limit of
//! dead letters, is not committed: its state is dropped and read back.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use pipeline::breaker::{Breaker, Change, FailedAttempt, Permit};
use pipeline::dead_letter_limit::{DeadLetterLimit, DeadLetterLimits, Tripped};
use pipeline::failure::Failure;
use pipeline::headers::FINGERPRINT;
use pipeline::record::Offset;
use pipeline::tally::Tally;
use rand::Rng as _;

use crate::clock::Instant;
use crate::lane::attempt::Subject;
use crate::lane::hooks::{Bug, is_planted};
use crate::lane::limits::{ENDS_ASK, ENDS_EVERY, PROBE_MAIN_FIRST};
use crate::lane::partition_state::Phase;
use crate::lane::{Lane, LaneError};
use crate::settings::OnDeadLetterLimit;
use crate::stage::{Stage, Words};

/// What a failed record is told apart by: its key, or where it has none its coordinates.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) enum Name<'a> {
    Key(&'a [u8]),
    Record((i32, Offset)),
}

impl Subject<'_, '_> {
    /// Whether the attempt before this one failed for the same cause. What a first attempt
    /// carries in its headers is not ours.
    pub(super) fn failed_before(&self, failure: &Failure) -> bool {
        let text = (self.header)(FINGERPRINT).and_then(|text| std::str::from_utf8(text).ok());
        let before = text.and_then(|text| u32::from_str_radix(text, 16).ok());
        (self.attempt > 1 || self.redrives > 0) && before == Some(failure.fingerprint())
    }
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
        }
    }

    /// Whether attempts are to be put off.
    pub(crate) const fn is_held_up(&self) -> bool {
        self.is_held_up
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
    pub(crate) fn downstream_failed(
        &mut self,
        now_ms: i64,
        failure: &Failure,
        name: Name<'_>,
        is_repeat: bool,
        spread: f64,
    ) {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let attempt = FailedAttempt {
            fingerprint: failure.fingerprint(),
            reason: failure.reason,
            key: hasher.finish(),
            is_repeat,
        };
        if self.breaker.failed(now_ms, attempt, spread) == Change::Opened {
            self.open(failure.detail.clone());
            self.must_undo = true;
        }
    }

    /// Something that every record needs is away.
    pub(crate) fn surroundings_away(&mut self, now_ms: i64, detail: String, spread: f64) {
        self.breaker.surroundings_away(now_ms, spread);
        self.open(detail);
    }

    /// Nothing is left that could tell whether what is away is back.
    fn forget_outage(&mut self, now_ms: i64) {
        self.breaker.nothing_to_try(now_ms);
        self.is_outage_forgotten |= self.outage.take().is_some();
    }

    fn open(&mut self, detail: String) {
        self.is_outage_forgotten = false;
        self.outage = Some(detail);
        self.is_held_up = true;
    }
}

impl<S: Stage> Lane<S> {
    /// Whether attempts may be made in this turn.
    pub(crate) fn check_gate(&mut self) {
        let now_ms = self.processor.now_ms;
        if self.processor.gate.outage.is_some() && self.processor.iter().next().is_none() {
            self.processor.gate.forget_outage(now_ms); // others own it now
        }
        let gate = &mut self.processor.gate;
        let permit = gate.breaker.permit(now_ms);
        if matches!(permit, Permit::Probe { .. }) && self.probe_records_max.is_none() {
            self.probes += 1;
            self.probe_began_at = Instant::now();
        }
        self.probe_records_max = match permit {
            Permit::Probe { keys } => Some(keys),
            Permit::Flow | Permit::Wait { .. } => None,
        };
        gate.is_held_up = matches!(permit, Permit::Wait { .. }) || gate.stopped.is_some();
        self.processor.in_flight.limit(self.probe_records_max);
    }

    /// Whether this turn leaves the retries alone that are due. All that are due may be poisonous, and
    /// take a probe away from main.
    pub(crate) fn leaves_retries(&self) -> bool {
        let is_mains = self.probe_records_max.is_some() && self.probes.is_multiple_of(2);
        is_mains && self.probe_began_at.elapsed() < PROBE_MAIN_FIRST
    }

    /// Whether a record is held, waits, or is yet to be fetched that a probe could try. QueryBudget the
    /// brokers for the ends of main, now and then.
    fn has_something_to_try(&mut self) -> bool {
        let mut quiet = Vec::new();
        for owned in self.processor.iter() {
            match owned.phase {
                Phase::Stopped { .. } => {}
                Phase::Active if owned.holds_nothing() => {
                    if !owned.main_done {
                        quiet.push((owned.partition, owned.main.top()));
                    }
                }
                _ => return true,
            }
        }
        if Instant::now() < self.ends_again_at {
            return true;
        }
        self.ends_again_at = Instant::now() + ENDS_EVERY;
        let main = &self.settings.topics.main;
        quiet.into_iter().any(|(partition, top)| {
            self.ends.bounds(main, partition, ENDS_ASK).map_or(true, |(_, end)| top < end)
        })
    }

    /// Whether the turn may be committed; if not, its state is dropped and read back.
    pub(crate) fn passes_gate(&mut self) -> Result<bool, LaneError> {
        let (now_ms, spread) = (self.processor.now_ms, self.processor.random.random::<f64>());
        let gate = &mut self.processor.gate;
        let is_probe = self.probe_records_max.is_some();
        if is_probe && gate.breaker.probe_ended(now_ms, spread) == Change::Opened {
            gate.must_undo = true;
        }
        if is_probe
            && gate.breaker.is_open()
            && self.processor.turn.records == 0
            && !self.has_something_to_try()
        {
            self.processor.gate.forget_outage(now_ms);
        }
        let gate = &mut self.processor.gate;
        if std::mem::take(&mut gate.must_undo) {
            self.read_again();
            return Ok(false);
        }
        self.passes_limit()
    }

    /// Whether so many records may be given up; if not, the turn is dropped.
    pub(crate) fn passes_limit(&mut self) -> Result<bool, LaneError> {
        let Some(tripped) = self.processor.gate.limit.tripped() else { return Ok(true) };
        let text = self.tell_limit(tripped);
        self.processor.gate.stopped =
            Some(format!("{text}; {}", resume_hint(&self.settings.words)));
        self.read_again();
        match self.settings.on_dead_letter_limit {
            OnDeadLetterLimit::Pause => Ok(false),
            OnDeadLetterLimit::Exit => {
                // The last that is told of this lane: nothing of this turn has happened.
                self.view.lock().waiting = self.processor.waits_before;
                let hint = resume_hint(&self.settings.words);
                Err(LaneError::Limit { message: text, hint })
            }
        }
    }

    /// Says which limit was reached, and for what causes.
    fn tell_limit(&self, tripped: Tripped) -> String {
        let text = match tripped {
            Tripped::Ratio { dead } => {
                format!("{dead} of the last 1,000 records would be dead letters")
            }
            Tripped::Consecutive { dead } => format!("{dead} dead letters in a row"),
            Tripped::UnreadSchema { schema_id, dead } => format!(
                "{dead} dead letters of schema {schema_id}, which cannot be used and of which no record was ever read"
            ),
        };
        for cause in self.processor.gate.limit.causes() {
            tracing::error!(
                lane = self.index,
                fingerprint = format!("{:08x}", cause.fingerprint),
                class = cause.reason.class().as_str(),
                reason = cause.reason.as_str(),
                schema_id = cause.schema_id,
                dead_letters = cause.dead,
                "cause of dead letters"
            );
        }
        let text = format!("{text}: the limit; this batch is not committed");
        tracing::error!(lane = self.index, "{text}; {}", resume_hint(&self.settings.words));
        text
    }
}

/// What an operator does when the limit was reached.
fn resume_hint(words: &Words) -> String {
    match words.flags.no_dead_letter_limit {
        "" => "mend the cause and restart".to_owned(),
        flag => format!(
            "mend the cause and restart; or, if all of them are to become dead letters, restart \
             with {flag}"
        ),
    }
}

impl FailureGate {
    /// The turn is durable.
    pub(crate) fn commit(&mut self) {
        self.limit.commit();
    }

    /// How near the lane is to the limit once this turn is durable.
    pub(crate) fn tally(&self) -> Option<Tally> {
        if is_planted(Bug::TallyForgotten) { None } else { self.limit.tally() }
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
            gate.surroundings_away(0, "away".to_owned(), 0.0);
            let later = 2 * PROBE_MAX_MS;
            assert!(matches!(gate.breaker.permit(later), Permit::Probe { .. }));
            if fails_before {
                let reason = FailureReason::Handler;
                let failure = Failure { reason, schema_id: None, detail: String::new() };
                gate.downstream_failed(later, &failure, Name::Key(b"tea"), false, 0.0);
            }
            gate.record_success(later);
            assert_eq!((gate.outage(), gate.must_undo), (None, fails_before));
        }
    }
}
