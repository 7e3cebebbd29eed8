//! Partitions that are settled beside others whose offsets are undecided.

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use super::{BESIDE_MAX, Figures, Schedule, clock};
use crate::lane::simulation::plan::Plan;
use crate::lane::simulation::process::Simulation;
use crate::model::log::Topic;

/// One process takes over all partitions; the first ones stay undecided until all the others are
/// settled. Returns the longest turn until then.
///
/// # Errors
///
/// Says in words which promise was broken.
pub(crate) fn run_beside_undecided(plan: Plan, undecided: i32) -> Result<Duration, String> {
    clock::set(Duration::ZERO);
    let (partitions, seed) = (plan.partitions, plan.seed);
    let (simulation, random) = (Simulation::new(plan), SmallRng::seed_from_u64(seed));
    let (placed, figures, foreign) = (Vec::new(), Figures::default(), u64::MAX / 2);
    let mut schedule = Schedule { simulation, placed, foreign, started: 0, figures, random };
    while schedule.placed.len() < schedule.simulation.plan.orders {
        schedule.place_orders();
    }
    let held = (0..undecided).map(|partition| (Topic::Main, partition));
    schedule.simulation.broker.borrow_mut().hold_offsets(held);
    schedule.start_process();
    let mut turn_max = Duration::ZERO;
    while !schedule.is_drained(undecided..partitions) {
        let started = clock::now();
        schedule.turn()?;
        turn_max = turn_max.max(clock::now() - started);
        if clock::now() > BESIDE_MAX {
            return Err("what is decided waits for what is not".to_owned());
        }
    }
    schedule.simulation.broker.borrow_mut().decide_held();
    schedule.heal().map(|()| turn_max)
}
