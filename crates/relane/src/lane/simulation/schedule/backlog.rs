//! A backlog that fails: how many records wait at once.

use std::time::Duration;

use pipeline::completion::Completion;
use pipeline::headers::ORIGIN_GROUP;
use pipeline::record::CommitPosition;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use super::{Figures, HEALING_TURNS_MAX, Schedule, clock};
use crate::lane::simulation::plan::{GROUP, Plan};
use crate::lane::simulation::process::Simulation;
use crate::model::broker::Broker;
use crate::model::log::Topic;

/// The most that waited after any turn.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Most {
    /// Records in the retry topic that are not settled.
    pub(crate) by_log: usize,
    /// How many of them the lane did not know of.
    pub(crate) unseen: usize,
}

/// One process meets all orders of the plan at once, and settles them.
///
/// # Errors
///
/// Says in words which promise was broken.
pub(crate) fn run_backlog(plan: Plan) -> Result<Most, String> {
    clock::set(Duration::ZERO);
    let (partitions, seed) = (plan.partitions, plan.seed);
    let (simulation, random) = (Simulation::new(plan), SmallRng::seed_from_u64(seed));
    let (placed, figures, foreign) = (Vec::new(), Figures::default(), u64::MAX / 2);
    let mut schedule = Schedule { simulation, placed, foreign, started: 0, figures, random };
    while schedule.placed.len() < schedule.simulation.plan.orders {
        schedule.place_orders();
    }
    schedule.start_process();
    let mut most = Most::default();
    for _ in 0..HEALING_TURNS_MAX {
        schedule.turn()?;
        if !schedule.simulation.broker.borrow().is_even() {
            continue; // offsets and records of one transaction become visible one by one
        }
        let by_log = waiting_by_log(&schedule.simulation.broker.borrow(), partitions);
        most.by_log = most.by_log.max(by_log);
        if let Some(known) = schedule.waiting_by_lanes() {
            most.unseen = most.unseen.max(by_log.saturating_sub(known));
        }
        if schedule.is_drained(0..partitions) {
            return schedule.heal().map(|()| most);
        }
    }
    Err(format!("the backlog is not settled; {most:?}"))
}

/// Records of the group in the retry topic that its offsets do not call settled.
fn waiting_by_log(broker: &Broker, partitions: i32) -> usize {
    let in_partition = |partition| {
        let target = (Topic::Retry, partition);
        let (position, metadata) = broker.offsets_now(target).unwrap_or_default();
        let at = CommitPosition(position);
        let settled = Completion::decode(&metadata, at)
            .map(|completion| completion.settled_ranges(at))
            .unwrap_or_default();
        let Some(log) = broker.logs.get(&target) else { return 0 };
        let waits = |offset: i64| {
            offset >= position
                && !settled.iter().any(|(first, last)| (*first..=*last).contains(&offset))
        };
        let records = log.committed().filter(|(_, record)| {
            record.header(ORIGIN_GROUP).is_none_or(|group| group == GROUP.as_bytes())
        });
        records.filter(|(offset, _)| waits(*offset)).count()
    };
    (0..partitions).map(in_partition).sum()
}

impl Schedule {
    /// `None` while a partition is being read back.
    fn waiting_by_lanes(&self) -> Option<usize> {
        let processes = self.simulation.processes.borrow();
        let lanes = processes.iter().filter_map(|process| process.lane.as_ref());
        let mut all = lanes.flat_map(|lane| lane.core.processor.iter());
        all.try_fold(0, |sum, owned| owned.is_active().then(|| sum + owned.waits()))
    }
}
