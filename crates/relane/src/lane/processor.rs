//! What works on records: the partitions, the turn that is being made, and the stage.
//!
//! It knows no connection. What it does with a record stands in the modules after it: `attempt`,
//! `forwarding`, `held`, `due` and `take`.

use codec::decode::DecodeError;
use pipeline::headers::Origin;
use pipeline::record::{Offset, Timestamp};
use pipeline::retry::RetryPlan;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use crate::gaps::Missing;
use crate::lane::failure_gate::FailureGate;
use crate::lane::in_flight::InFlight;
use crate::lane::metadata_limit::MetadataLimit;
use crate::lane::panics;
use crate::lane::partition_state::PartitionState;
use crate::lane::runner::Runner;
use crate::lane::settings::LaneSettings;
use crate::lane::turn::Turn;
use crate::settings::KeyOrdering;
use crate::stage::Stage;

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
    /// How much may be settled out of order.
    pub(crate) metadata: MetadataLimit,
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
            metadata: MetadataLimit::new(),
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

    /// Takes a partition in.
    pub(crate) fn put(&mut self, owned: PartitionState<S::State>) {
        let Ok(index) = usize::try_from(owned.partition) else { return };
        if self.owned.len() <= index {
            self.owned.resize_with(index + 1, || None);
        }
        self.owned[index] = Some(Box::new(owned));
    }

    /// Gives a partition away.
    pub(crate) fn take_partition(
        &mut self,
        partition: i32,
    ) -> Option<Box<PartitionState<S::State>>> {
        let index = usize::try_from(partition).ok()?;
        self.owned.get_mut(index).and_then(Option::take)
    }

    /// The turn is not committed: its state is dropped, and read back.
    pub(crate) fn discard_turn(&mut self) {
        self.gate.discard();
        self.turn.restart();
    }

    /// Whether a partition is active for the first time: its start is committed before
    /// anything of it is written, so that offsets and state exist together.
    pub(crate) fn has_new_partition(&self) -> bool {
        self.iter().any(|owned| owned.is_active() && owned.committed_main.is_none())
    }

    /// Whether this turn has settled anything.
    pub(crate) fn has_settled(&self) -> bool {
        self.iter().any(|owned| owned.dirty)
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
    pub(crate) fn is_out_of_room(&self) -> bool {
        self.turn.entering + self.held >= self.room.records
            || self.turn.entering_bytes >= self.room.bytes
    }

    /// Settles a main record that was fetched and never held.
    pub(crate) fn end_main(&mut self, partition: i32, offset: Offset) {
        self.turn.consumed_main += 1;
        if let Some(owned) = self.owned_mut(partition) {
            owned.main.settle_new(offset);
            owned.dirty = true;
        }
    }

    /// Settles a record of the retry partition that its window holds.
    pub(crate) fn settle_retry(&mut self, partition: i32, offset: Offset) {
        if let Some(owned) = self.owned_mut(partition) {
            owned.retry.settle(offset);
            owned.dirty = true;
        }
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

    /// Decodes a value; a decoder that panics over it fails it.
    pub(crate) fn decode(&mut self, value: Option<&[u8]>) -> Result<S::Input, DecodeError> {
        panics::decode(&mut self.stage, value)
    }

    /// Whether a handler may start: none does once an outage was met.
    pub(crate) fn may_start(&self) -> bool {
        self.in_flight.has_room() && !(self.in_flight.is_used() && self.gate.is_held_up())
    }

    /// Notes the time, once per turn and every few records: no clock call per record.
    pub(crate) fn note_time(&mut self) {
        self.now_ms = crate::clock::now_ms();
    }
}
