//! Works on fetched records: one attempt each, and what follows from it.

use kafka_io::reader::HeldRecord;
use pipeline::completion::{Completion, METADATA_CHARS_MAX};
use pipeline::headers::{Lineage, Origin};
use pipeline::keys::Standing;
use pipeline::record::{Offset, Timestamp};
use pipeline::retry::RetryPlan;
use pipeline::waiting::Sequence;
use pipeline::window;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use crate::gaps::Missing;
use crate::lane::attempt::{Attempted, Subject};
use crate::lane::duplicates::DedupeVerdict;
use crate::lane::failure_gate::FailureGate;
use crate::lane::handles::Fetched;
use crate::lane::in_flight::{Answered, InFlight};
use crate::lane::limits::{unresolved_max, unsettled_max};
use crate::lane::partition_state::{PartitionState, PendingRecord, Stranger};
use crate::lane::runner::Runner;
use crate::lane::settings::LaneSettings;
use crate::lane::turn::Turn;
use crate::settings::KeyOrdering;
use crate::stage::Stage;

/// What the reader has to do after a record was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Continue,
    /// Stop fetching this main partition for now.
    StopMain,
}

/// How much more may wait in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

impl Room {
    /// No limit was looked at yet.
    pub(crate) const ANY: Self = Self { records: usize::MAX, bytes: usize::MAX };
}

/// The part of a lane that works on records, apart from its connections.
pub(crate) struct Processor<S: Stage> {
    pub(crate) owned: Vec<Option<Box<PartitionState<S::State>>>>,
    pub(crate) turn: Turn<S::Note>,
    pub(crate) stage: S,
    /// Whether the surroundings are there, and whether too much is given up.
    pub(crate) gate: FailureGate,
    pub(crate) plan: RetryPlan,
    pub(crate) main_topic: String,
    pub(crate) retry_topic: String,
    pub(crate) group: String,
    /// Ends of the main partitions at the start of a run with `--exit-at-end`.
    pub(crate) main_ends: Option<Vec<i64>>,
    /// Every attempt is noted, for the outcome log or for a stage that hears of them.
    pub(crate) keeps_outcomes: bool,
    /// There is a topic for the state.
    pub(crate) keeps_state: bool,
    pub(crate) order: KeyOrdering,
    /// Records whose handlers wait.
    pub(crate) in_flight: InFlight<S::Input>,
    /// Records of one partition that may wait for their schema; each may cost a run.
    pub(crate) unresolved_max: usize,
    /// Main records of one partition that may be unsettled.
    pub(crate) unsettled_max: usize,
    /// What this turn may still send to the retry topic: records and bytes.
    pub(crate) room: Room,
    /// Main records that are held in memory: each may go there, too.
    pub(crate) held: usize,
    /// Records that waited when this turn began.
    pub(crate) waits_before: usize,
    pub(crate) random: SmallRng,
    /// Offsets of main without a record, in what was read.
    pub(crate) missing: Missing,
    pub(crate) now_ms: i64,
}

impl<S: Stage> Processor<S> {
    pub(crate) fn new(settings: &LaneSettings, stage: S, runner: Runner) -> Self {
        let LaneSettings { topics, group, concurrency, handler_timeout, .. } = settings;
        let limit_bytes = Completion::bytes_for_chars(METADATA_CHARS_MAX);
        Self {
            owned: Vec::new(),
            turn: Turn::new(),
            gate: FailureGate::new(settings.dead_letter_limits),
            plan: settings.plan.clone(),
            main_topic: topics.main.clone(),
            retry_topic: topics.retry.clone(),
            group: group.clone(),
            main_ends: settings.main_ends.clone(),
            keeps_outcomes: topics.outcomes.is_some() || stage.hears_settled(),
            keeps_state: topics.state.is_some(),
            order: settings.order,
            in_flight: InFlight::new(stage.waits(), *concurrency, *handler_timeout, runner),
            unresolved_max: unresolved_max(limit_bytes),
            unsettled_max: unsettled_max(limit_bytes),
            room: Room::ANY,
            held: 0,
            waits_before: 0,
            random: SmallRng::from_os_rng(),
            missing: Missing::default(),
            now_ms: crate::clock::now_ms(),
            stage,
        }
    }

    pub(crate) fn owned_mut(&mut self, partition: i32) -> Option<&mut PartitionState<S::State>> {
        let index = usize::try_from(partition).ok()?;
        self.owned.get_mut(index)?.as_deref_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &PartitionState<S::State>> {
        self.owned.iter().flatten().map(|owned| &**owned)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut PartitionState<S::State>> {
        self.owned.iter_mut().flatten().map(|owned| &mut **owned)
    }

    /// Where main partition `partition` ends for this run; `None` if it goes on.
    pub(crate) fn main_end(&self, partition: i32) -> Option<i64> {
        let index = usize::try_from(partition).ok()?;
        self.main_ends.as_ref()?.get(index).copied()
    }

    /// Numbers of the owned partitions.
    pub(crate) fn partitions(&self) -> Vec<i32> {
        self.iter().map(|owned| owned.partition).collect()
    }

    /// Main records of all partitions that are held in memory now.
    pub(crate) fn held_main(&self) -> usize {
        self.iter().map(|owned| owned.unresolved.len()).sum()
    }

    /// Whether what this turn sends to retry, with what waits already, is as much as may wait.
    fn is_out_of_room(&self) -> bool {
        self.turn.entering + self.held >= self.room.records
            || self.turn.entering_bytes >= self.room.bytes
    }

    /// Takes a record of the main topic and makes its first attempt.
    pub(crate) fn take_main(&mut self, record: &Fetched<'_>) -> Next {
        if let Err(next) = self.admit(record) {
            return next;
        }
        let verdict = self.check_duplicate(record);
        if matches!(verdict, DedupeVerdict::Undecided) {
            return Next::StopMain;
        }
        let (partition, offset) = (record.partition(), record.offset());
        let Some(owned) = self.owned_mut(partition) else { return Next::StopMain };
        let (expected, fetched) = (owned.main.top(), owned.main.fetched(offset));
        self.missing.note(partition, expected, offset.0);
        if fetched != window::Fetched::New {
            return Next::Continue; // settled, or held already
        }
        if let DedupeVerdict::Duplicate(name) = verdict {
            self.end_duplicate(record, name);
            return Next::Continue;
        }
        let sequence = record.key().map(|key| Sequence { key, origin: offset });
        let status = self.owned_mut(partition).map(|owned| owned.waiting.standing(sequence));
        match status {
            Some(Standing::Free) => self.start_or_try(record),
            Some(Standing::Behind) => self.hold(record),
            Some(Standing::Parked) => {
                let origin = self.origin(partition, offset, record.timestamp(), false);
                self.turn.take(record.value().map_or(0, <[u8]>::len));
                self.forward_behind(record.hold(), origin);
                self.end_main(partition, offset);
            }
            // Fetched again later: the window does not know it yet.
            Some(Standing::Full) | None => return Next::StopMain,
        }
        Next::Continue
    }

    /// Whether a record of main may be taken in now; else what the reader does.
    fn admit(&mut self, record: &Fetched<'_>) -> Result<(), Next> {
        let (partition, offset) = (record.partition(), record.offset());
        let end = self.main_end(partition);
        let (unresolved_max, unsettled_max) = (self.unresolved_max, self.unsettled_max);
        let is_out_of_room = self.is_out_of_room();
        let Some(owned) = self.owned_mut(partition) else { return Err(Next::StopMain) };
        if !owned.is_active() || !owned.reads_main {
            return Err(Next::Continue);
        }
        if end.is_some_and(|end| offset.0 >= end) {
            owned.main.pass(end.unwrap_or(offset.0));
            owned.main_done = true;
            return Err(Next::StopMain);
        }
        // Fetched again later: the window does not know it yet.
        let is_full =
            owned.unresolved.len() >= unresolved_max || owned.main.unsettled() >= unsettled_max;
        if is_full || owned.awaiting_dedupe.is_some() || is_out_of_room {
            return Err(Next::StopMain);
        }
        Ok(())
    }

    /// Lets the handler of a main record start, or makes its attempt at once.
    fn start_or_try(&mut self, record: &Fetched<'_>) {
        if !self.in_flight.is_used() {
            return self.try_first(record);
        }
        let starts = self.may_start();
        let Some(owned) = self.owned_mut(record.partition()).filter(|_| starts) else {
            return self.hold(record);
        };
        owned.hold_in_order(record.key(), record.offset());
        self.start_main(record.hold());
    }

    /// Makes the first attempt at a record as it was fetched.
    fn try_first(&mut self, record: &Fetched<'_>) {
        let (partition, offset) = (record.partition(), record.offset());
        let header = |name: &str| record.header(name);
        let subject = Subject { value: record.value(), header: &header, attempt: 1, redrives: 0 };
        self.turn.take(subject.value.map_or(0, <[u8]>::len));
        let origin = || (partition, offset);
        match self.attempt(partition, &subject, || record.key(), origin, None) {
            Attempted::Counted => {
                self.turn.ended.push(record.timestamp().ms);
                self.end_main(partition, offset);
            }
            Attempted::Failed(failure) => {
                let origin = self.origin(partition, offset, record.timestamp(), false);
                self.forward_first(record.hold(), origin, failure);
                self.end_main(partition, offset);
            }
            Attempted::Unresolved => self.hold(record),
        }
    }

    /// Keeps a main record in memory for a later turn.
    fn hold(&mut self, record: &Fetched<'_>) {
        if let Some(owned) = self.owned_mut(record.partition()) {
            owned.hold_main(record.hold());
            self.held += 1;
        }
    }

    pub(crate) fn end_main(&mut self, partition: i32, offset: Offset) {
        self.turn.consumed_main += 1;
        let owned = self.owned_mut(partition).expect("its record was taken");
        owned.main.settle_new(offset);
        owned.dirty = true;
    }

    /// Takes a record of the retry topic: it waits until it is due.
    pub(crate) fn take_retry(&mut self, record: &Fetched<'_>) {
        let (partition, offset) = (record.partition(), record.offset());
        let Some(owned) = self.owned_mut(partition) else { return };
        owned.unread.read_to(offset.next().0);
        match owned.retry.fetched(offset) {
            window::Fetched::New => {}
            window::Fetched::Settled | window::Fetched::Repeated => return,
        }
        let lineage = Lineage::read(|name| record.header(name));
        if let Some(lineage) = lineage.as_ref().filter(|it| it.origin.group != self.group) {
            let owned = self.owned_mut(partition).expect("looked up above");
            owned.stranger.get_or_insert_with(|| Stranger::new(&lineage.origin.group));
            // Skipped whenever it is fetched: like a marker, it counts as settled or not.
            owned.retry.pass(offset.0 + 1);
            owned.is_shared = true;
            owned.dirty |= owned.is_active();
            self.turn.foreign += 1;
            return;
        }
        let (due_at_ms, waiter) = self.waiter(record.hold(), lineage);
        let owned = self.owned_mut(partition).expect("looked up above");
        owned.retry.hold(offset);
        owned.wait(offset, due_at_ms, waiter);
    }

    pub(crate) fn waiter(
        &self,
        record: HeldRecord,
        lineage: Option<Lineage>,
    ) -> (i64, PendingRecord) {
        match lineage {
            Some(lineage) => (
                lineage.due_at_ms,
                PendingRecord {
                    place: self.place(&record, &lineage),
                    origin: lineage.origin,
                    attempt: lineage.attempt,
                    redrive_count: lineage.redrive_count,
                    carries_lineage: true,
                    carries_first_failed: lineage.has_first_failed,
                    record,
                },
            ),
            // Somebody else put it there: attempt 1 of itself.
            None => {
                let origin = self.origin(record.partition, record.offset, record.timestamp, true);
                (0, PendingRecord::first(record, origin))
            }
        }
    }

    /// Makes the next attempt at a waiting record that is due. The caller has made sure that
    /// the window can settle it.
    pub(crate) fn run_waiting(
        &mut self,
        partition: i32,
        offset: Offset,
        answered: Option<Answered<S::Input>>,
    ) {
        let Some(owned) = self.owned_mut(partition) else { return };
        let Some((due_at_ms, waiter)) = owned.waiting.remove(offset) else { return };
        self.turn.take(waiter.record.bytes());
        let attempt = waiter.attempt.saturating_add(1);
        let value = waiter.record.value.as_deref();
        let header = |name: &str| waiter.record.header(name);
        let subject = Subject { value, header: &header, attempt, redrives: waiter.redrive_count };
        let origin = (waiter.origin.partition, Offset(waiter.origin.offset));
        let key = || waiter.record.key.as_deref();
        match self.attempt(partition, &subject, key, || origin, answered) {
            Attempted::Unresolved => {
                let again_at_ms = due_at_ms.max(self.now_ms + super::limits::UNRESOLVED_PAUSE_MS);
                let owned = self.owned_mut(partition).expect("looked up above");
                owned.wait(offset, again_at_ms, waiter);
                return;
            }
            Attempted::Counted => self.turn.ended.push(waiter.origin.timestamp.ms),
            Attempted::Failed(failure) => self.forward(waiter, attempt, failure),
        }
        self.turn.consumed_retry += 1;
        self.settle_retry(partition, offset);
    }

    pub(crate) fn settle_retry(&mut self, partition: i32, offset: Offset) {
        let owned = self.owned_mut(partition).expect("its record was waiting");
        owned.retry.settle(offset);
        owned.dirty = true;
    }

    pub(crate) fn origin(
        &self,
        partition: i32,
        offset: Offset,
        timestamp: Timestamp,
        is_retry: bool,
    ) -> Origin {
        let topic = if is_retry { &self.retry_topic } else { &self.main_topic };
        Origin {
            topic: topic.clone(),
            partition,
            offset: offset.0,
            timestamp,
            group: self.group.clone(),
        }
    }

    /// Notes the time, once per turn and every few records: no clock call per record.
    pub(crate) fn note_time(&mut self) {
        self.now_ms = crate::clock::now_ms();
    }
}
