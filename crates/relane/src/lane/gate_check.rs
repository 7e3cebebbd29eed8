//! Whether a turn may be committed: not what goes past the limit of dead letters, and not what an outage
//! has failed.

use rand::Rng as _;

use crate::lane::error::LaneError;
use crate::lane::lane_core::Core;
use crate::lane::limits::ENDS_ASK;
use crate::lane::partition_state::Phase;
use crate::settings::OnDeadLetterLimit;
use crate::stage::{Stage, Words};
use pipeline::dead_letter_limit::Tripped;

impl<S: Stage> Core<S> {
    /// Looks whether attempts may be made in the turn that begins.
    pub(crate) fn check_gate(&mut self) {
        let processor = &mut self.processor;
        let owns_any = processor.iter().next().is_some();
        processor.gate.check(processor.now_ms, owns_any);
        processor.in_flight.limit(processor.gate.probe_records_max());
    }

    /// Whether a record is held, waits, or is yet to be fetched that a probe could try. Asks the
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
        if !self.processor.gate.asks_for_ends() {
            return true;
        }
        let main = &self.settings.topics.main;
        quiet.into_iter().any(|(partition, top)| {
            self.ends.bounds(main, partition, ENDS_ASK).map_or(true, |(_, end)| top < end)
        })
    }

    /// Whether the turn may be committed; if not, its state is dropped and read back.
    pub(crate) fn passes_gate(&mut self) -> Result<bool, LaneError> {
        let (now_ms, spread) = (self.processor.now_ms, self.processor.random.random::<f64>());
        let goes_on = self.processor.gate.end_turn(now_ms, spread);
        if goes_on && self.processor.turn.records == 0 && !self.has_something_to_try() {
            self.processor.gate.forget_outage(now_ms);
        }
        if self.processor.gate.take_undo() {
            self.read_again();
            return Ok(false);
        }
        self.passes_limit()
    }

    /// Whether so many records may be given up; if not, the turn is dropped.
    pub(crate) fn passes_limit(&mut self) -> Result<bool, LaneError> {
        let Some(tripped) = self.processor.gate.tripped() else { return Ok(true) };
        let text = self.tell_limit(tripped);
        let hint = resume_hint(&self.settings.words);
        self.processor.gate.stop(format!("{text}; {hint}"));
        self.read_again();
        match self.settings.on_dead_letter_limit {
            OnDeadLetterLimit::Pause => Ok(false),
            OnDeadLetterLimit::Exit => {
                // The last that is told of this lane: nothing of this turn has happened.
                self.view.lock().waiting = self.processor.waits_before;
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
                "{dead} dead letters of schema {schema_id}, which cannot be used and with which no record was ever read"
            ),
        };
        for cause in self.processor.gate.causes() {
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
        let text = format!("{text}: limit reached; this batch is not committed");
        tracing::error!(lane = self.index, "{text}; {}", resume_hint(&self.settings.words));
        text
    }
}

/// What an operator does when the limit was reached.
fn resume_hint(words: &Words) -> String {
    match words.settings.no_dead_letter_limit {
        "" => "fix the cause and restart".to_owned(),
        flag => format!(
            "fix the cause and restart; or, if all of them are meant to become dead letters, \
             restart with {flag}"
        ),
    }
}
