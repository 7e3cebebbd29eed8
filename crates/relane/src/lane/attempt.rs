//! One attempt at a record: decoded, unless its handler has worked on it already, then handled.

use std::time::Duration;

use codec::decode::DecodeError;
use pipeline::failure::Failure;
use pipeline::headers::FINGERPRINT;
use pipeline::record::Offset;
use rand::Rng as _;

use service_kit::spans;

use crate::lane::attempt_span::{Begun, Source};
use crate::lane::failure_gate::{Failed, Name};
use crate::lane::framing::framed_in_header;
use crate::lane::in_flight::Answered;
use crate::lane::outcomes::OutcomeEntry;
use crate::lane::panics::{self, contained};
use crate::lane::processor::Processor;
use crate::lane::runner::Answer;
use crate::stage::{Context, HandleError, RecordId, Stage};

/// How one attempt went.
pub(crate) enum Attempted {
    Counted,
    /// It is not tried again before this wait is over, nor before the retry delay is. Boxed: most attempts do not fail,
    /// and what is said of them is handed on several times.
    Failed(Box<Failure>, Duration),
    /// The record's schema is not known yet; the surroundings are to blame, not the record.
    Unresolved,
}

/// What was done for an attempt before it is made.
pub(crate) enum Before<I> {
    Nothing,
    /// The search for duplicates has decoded the record.
    Decoded(I),
    /// Its handler has answered.
    Answered(Answered<I>),
}

impl<I> From<Option<Answered<I>>> for Before<I> {
    fn from(answered: Option<Answered<I>>) -> Self {
        answered.map_or(Self::Nothing, Self::Answered)
    }
}

/// A record and its past, as one attempt needs them.
pub(crate) struct Subject<'r, 'a> {
    pub(crate) value: Option<&'r [u8]>,
    pub(crate) header: &'a dyn Fn(&str) -> Option<&'r [u8]>,
    pub(crate) attempt: u32,
    pub(crate) redrives: u32,
    /// It was read from the retry topic.
    pub(crate) is_retry: bool,
}

impl Subject<'_, '_> {
    /// Whether the attempt before this one failed for the same cause. What a first attempt
    /// carries in its headers is not ours.
    fn failed_before(&self, failure: &Failure) -> bool {
        let text = (self.header)(FINGERPRINT).and_then(|text| std::str::from_utf8(text).ok());
        let before = text.and_then(|text| u32::from_str_radix(text, 16).ok());
        (self.attempt > 1 || self.redrives > 0) && before == Some(failure.fingerprint())
    }
}

impl<S: Stage> Processor<S> {
    /// Makes one attempt. A record that was decoded for it is not decoded again.
    pub(crate) fn attempt<'k>(
        &mut self,
        partition: i32,
        subject: &Subject<'_, '_>,
        key: impl FnOnce() -> Option<&'k [u8]>,
        origin: impl FnOnce() -> (i32, Offset),
        before: Before<S::Input>,
    ) -> Attempted {
        let began_ns = match &before {
            Before::Answered(answered) => Some(answered.began_ns),
            Before::Nothing | Before::Decoded(_) => None,
        };
        let Some(begun) = Begun::of(subject.header, began_ns) else {
            return self.make_attempt(partition, subject, key, origin, before);
        };
        self.turn.traced += 1;
        if self.turn.traced > spans::QUEUE_MAX {
            return self.make_attempt(partition, subject, key, origin, before);
        }
        let (origin, emitted_before) = (origin(), self.turn.emitted.len());
        let attempted = self.make_attempt(partition, subject, key, || origin, before);
        let Subject { attempt, redrives, is_retry, .. } = *subject;
        let from = Source { is_retry, partition, origin, attempt, redrives };
        let emitted = self.turn.emitted.get(emitted_before..).unwrap_or_default();
        self.turn.attempted = Some(begun.end(from, emitted));
        attempted
    }

    fn make_attempt<'k>(
        &mut self,
        partition: i32,
        subject: &Subject<'_, '_>,
        key: impl FnOnce() -> Option<&'k [u8]>,
        origin: impl FnOnce() -> (i32, Offset),
        before: Before<S::Input>,
    ) -> Attempted {
        // What a handler has done is not asked of it again because another one has met an outage since.
        let is_done = matches!(before, Before::Answered(Answered { answer: Ok(()), .. }));
        if self.gate.is_held_up() && !is_done {
            if let Before::Answered(Answered { answer: Err(error), .. }) = &before {
                self.gate.asked_to_wait(self.now_ms, error.wait());
            }
            return Attempted::Unresolved;
        }
        let (key, origin) = (key(), origin());
        let (decoded, answer) = match before {
            Before::Nothing => match self.decode(subject.value) {
                // It could not be read when its handler was to begin, and can by now: nothing is
                // counted that no handler has worked on.
                Ok(_) if self.in_flight.is_used() => return Attempted::Unresolved,
                decoded => (decoded, Ok(())),
            },
            Before::Decoded(input) => (Ok(input), Ok(())),
            Before::Answered(Answered { input, answer, .. }) => (Ok(input), answer),
        };
        let (attempted, input, note) = match decoded {
            Err(error) => match (framed_in_header(subject.header), error) {
                (Some(failure), _) | (None, DecodeError::Failed(failure)) => {
                    (Attempted::Failed(failure.into(), Duration::ZERO), None, None)
                }
                (None, DecodeError::Unresolved { .. }) => return Attempted::Unresolved,
            },
            Ok(input) => {
                if let Some(schema_id) = self.stage.schema_id(subject.value) {
                    self.gate.schema_was_read(schema_id);
                }
                let name = key.map_or(Name::Record(origin), Name::Key);
                match self.handle(partition, subject, &input, answer, name) {
                    (Attempted::Unresolved, _) => return Attempted::Unresolved,
                    (attempted, note) => (attempted, Some(input), note),
                }
            }
        };
        if self.keeps_outcomes {
            let (origin_partition, origin_offset) = origin;
            let name = input.map_or_else(RecordId::default, |input| self.stage.name(input));
            self.turn.outcomes.push(OutcomeEntry {
                partition,
                origin_partition,
                origin_offset,
                key: key.map(Into::into),
                name,
                attempt: subject.attempt,
                forward: None,
                is_duplicate: false,
                note,
            });
        } else if let Some(input) = input {
            self.stage.recycle(input);
        }
        attempted
    }

    /// Takes in what the handler has answered, and has the stage count the record if that was well.
    fn handle(
        &mut self,
        partition: i32,
        subject: &Subject<'_, '_>,
        input: &S::Input,
        answer: Answer,
        name: Name<'_>,
    ) -> (Attempted, Option<S::Note>) {
        let index = usize::try_from(partition).ok();
        let owned = index.and_then(|index| self.owned.get_mut(index)?.as_deref_mut());
        let Some(owned) = owned else { return (Attempted::Unresolved, None) };
        let emitted_before = self.turn.emitted.len();
        let context = Context {
            attempt: subject.attempt,
            redrives: subject.redrives,
            header: subject.header,
            value: subject.value,
            state: &mut owned.state,
            emitted: &mut self.turn.emitted,
            partition,
        };
        let handled = match answer {
            Err(error) => Err(error),
            Ok(()) => match contained(|| self.stage.handle(input, context)) {
                Some(handled) => handled,
                None => {
                    self.turn.emitted.truncate(emitted_before);
                    panics::handler_error(self.stage.schema_id(subject.value))
                }
            },
        };
        let spread = |processor: &mut Self| processor.random.random::<f64>();
        match handled {
            // While an outage lasts nothing gets a route.
            Err(_) if self.gate.is_held_up() => (Attempted::Unresolved, None),
            Ok(()) => {
                owned.has_state |= self.keeps_state;
                let hears = self.stage.hears_settled();
                let note = hears.then(|| self.stage.note(input, &owned.state));
                self.turn.succeeded += 1;
                self.gate.record_success(self.now_ms);
                (Attempted::Counted, note)
            }
            Err(HandleError::Failed(failure)) => {
                (Attempted::Failed(failure.into(), Duration::ZERO), None)
            }
            Err(HandleError::Downstream { failure, wait }) => {
                let (spread, is_repeat) = (spread(self), subject.failed_before(&failure));
                let failed = Failed { failure: &failure, name, is_repeat, wait };
                self.gate.downstream_failed(self.now_ms, failed, spread);
                (Attempted::Failed(failure.into(), wait), None)
            }
            Err(HandleError::Away { detail, wait }) => {
                let spread = spread(self);
                self.gate.surroundings_away(self.now_ms, detail, wait, spread);
                (Attempted::Unresolved, None)
            }
        }
    }
}
