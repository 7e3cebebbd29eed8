//! What one turn of a lane has to write: values, until the writer makes them durable.

use crate::clock::Instant;
use crate::lane::attempt_span::AttemptSpan;
use crate::lane::limits::{TURN_BYTES_MAX, TURN_MAX};
use crate::lane::outbound::OutboundRecord;
use crate::lane::outcomes::OutcomeEntry;
use crate::stage::Emitted;

/// Everything that one turn does.
#[derive(Debug)]
pub(crate) struct Turn<N> {
    pub(crate) started_at: Instant,
    /// Records fetched or taken from waiting in this turn, and their bytes.
    pub(crate) records: usize,
    pub(crate) bytes: usize,
    pub(crate) consumed_main: u64,
    pub(crate) consumed_retry: u64,
    pub(crate) succeeded: u64,
    pub(crate) duplicates: u64,
    pub(crate) foreign: u64,
    pub(crate) reparked: u64,
    /// Main records that this turn sends to the retry topic, and their bytes.
    pub(crate) entering: usize,
    pub(crate) entering_bytes: usize,
    /// Waiting records were settled that the window was not asked about.
    pub(crate) has_given_up_waiting: bool,
    pub(crate) outbound: Vec<OutboundRecord>,
    /// Records that the stage emits.
    pub(crate) emitted: Vec<Emitted>,
    pub(crate) outcomes: Vec<OutcomeEntry<N>>,
    /// They stand in the outcome log already, in a turn without a transaction.
    pub(crate) are_outcomes_durable: bool,
    /// The attempt that is being concluded, where it is traced.
    pub(crate) attempted: Option<Box<AttemptSpan>>,
    /// Traced attempts that have succeeded; those that failed are with what is outbound.
    pub(crate) attempts: Vec<AttemptSpan>,
    /// Traced attempts, also those beyond what may wait to be sent, which keep nothing.
    pub(crate) traced: usize,
    /// Origin timestamps of the records handled in this turn, in epoch milliseconds.
    pub(crate) ended: Vec<i64>,
}

impl<N> Turn<N> {
    pub(crate) fn new() -> Self {
        Self {
            started_at: Instant::now(),
            records: 0,
            bytes: 0,
            consumed_main: 0,
            consumed_retry: 0,
            succeeded: 0,
            duplicates: 0,
            foreign: 0,
            reparked: 0,
            entering: 0,
            entering_bytes: 0,
            has_given_up_waiting: false,
            outbound: Vec::new(),
            emitted: Vec::new(),
            outcomes: Vec::new(),
            are_outcomes_durable: false,
            attempted: None,
            attempts: Vec::new(),
            traced: 0,
            ended: Vec::new(),
        }
    }

    /// Counts a record in; the first one starts the turn's time.
    pub(crate) fn take(&mut self, bytes: usize) {
        if self.records == 0 {
            self.started_at = Instant::now();
        }
        self.records += 1;
        self.bytes += bytes;
    }

    /// Whether another record has room in it.
    pub(crate) const fn has_room(&self, records_max: usize) -> bool {
        self.records < records_max && self.bytes < TURN_BYTES_MAX
    }

    /// Whether it has taken what one transaction should hold.
    pub(crate) fn is_full(&self, now: Instant, records_max: usize) -> bool {
        !self.has_room(records_max) || now.duration_since(self.started_at) >= TURN_MAX
    }

    /// Counts a main record in that goes to the retry topic.
    pub(crate) fn enter(&mut self, bytes: usize) {
        self.entering += 1;
        self.entering_bytes += bytes;
    }

    /// Empties the turn; buffers keep their room.
    pub(crate) fn restart(&mut self) {
        let (mut outbound, mut outcomes) =
            (std::mem::take(&mut self.outbound), std::mem::take(&mut self.outcomes));
        let (mut ended, mut emitted) =
            (std::mem::take(&mut self.ended), std::mem::take(&mut self.emitted));
        emitted.clear();
        outbound.clear();
        outcomes.clear();
        ended.clear();
        *self = Self { outbound, emitted, outcomes, ended, ..Self::new() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_full_by_records_by_bytes_or_by_time() {
        let mut turn = Turn::<()>::new();
        for _ in 0..9 {
            turn.take(10);
        }
        let began_at = turn.started_at;
        assert!(!turn.is_full(began_at, 10) && turn.is_full(began_at, 9));
        assert!(turn.is_full(began_at + TURN_MAX, 10));
        turn.take(TURN_BYTES_MAX);
        assert!(turn.is_full(began_at, 11));
    }
}
