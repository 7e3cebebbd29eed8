use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use kafka_io::writer::Guarantee;
use pipeline::completion::Completion;

use crate::clock::{now_ms, simulated};
use crate::lane::faulty::Bug;
use crate::lane::limits::unresolved_max;
use crate::lane::simulation::plan::Plan;
use crate::lane::simulation::planted::{BUGS, Planted, plant};
use crate::lane::simulation::schedule::{
    Figures, lose_what_is_held, run, run_backlog, run_beside_undecided, run_plan,
};
use crate::model::fault::Fault;

/// Schedules of a run unless `SIMULATION_SCHEDULES` says otherwise.
const SCHEDULES: u64 = 5_000;

/// Schedules within which what was planted must be found.
const SCHEDULES_TO_FIND: u64 = SCHEDULES;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Runs schedules on all cores until one breaks a promise: the lowest seed that does, and how.
fn run_all(schedules: u64, planted: Planted) -> Result<Figures, (u64, String)> {
    let next = AtomicU64::new(0);
    let work = || {
        plant(planted);
        let mut all = Figures::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= schedules {
                return Ok(all);
            }
            match run(seed, false) {
                Ok(figures) => all.add(&figures),
                Err(broken) => {
                    next.fetch_max(schedules, Ordering::Relaxed);
                    return Err((seed, broken));
                }
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|worker| worker.join().expect("no test panics"));
        let (mut all, mut lowest) = (Figures::default(), None);
        for result in results {
            match result {
                Ok(figures) => all.add(&figures),
                Err(broken) => lowest = lowest.into_iter().chain([broken]).min(),
            }
        }
        lowest.map_or(Ok(all), Err)
    })
}

#[test]
fn every_schedule_keeps_every_promise() {
    if let Some(seed) = number("SIMULATION_SEED") {
        run(seed, true).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        return;
    }
    let schedules = number("SIMULATION_SCHEDULES").unwrap_or(SCHEDULES);
    match run_all(schedules, Planted::Nothing) {
        Ok(figures) => println!("{schedules} schedules: {figures:?}"),
        Err((seed, broken)) => panic!("SIMULATION_SEED={seed} shows it: {broken}"),
    }
}

#[test]
fn a_seed_makes_the_same_schedule_again() {
    for seed in 0..40 {
        let [first, second] = [(); 2].map(|()| {
            let figures = run(seed, false).expect("no promise is broken");
            (figures.turns, figures.faults, figures.looks, simulated::now())
        });
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn every_bug_that_is_planted_in_a_lane_is_found() {
    for bug in BUGS {
        let found = run_all(SCHEDULES_TO_FIND, Planted::Lane(bug));
        let (seed, broken) = found.expect_err(&format!("{bug:?} is not found"));
        println!("{bug:?}: seed {seed}: {broken}");
    }
}

#[test]
fn every_fault_that_is_planted_in_the_model_is_found() {
    for fault in Fault::ALL {
        let found = run_all(SCHEDULES_TO_FIND, Planted::Model(fault));
        let (seed, broken) = found.expect_err(&format!("{fault:?} is not found"));
        println!("{fault:?}: seed {seed}: {broken}");
    }
}

fn at_least_once(seed: u64) -> Result<Figures, String> {
    simulated::set(Duration::ZERO);
    run_plan(Plan { guarantee: Guarantee::AtLeastOnce, ..Plan::of(seed) }, false)
}

#[test]
fn at_least_once_loses_nothing_in_any_schedule() {
    for seed in 0..1_000 {
        at_least_once(seed).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
    plant(Planted::Lane(Bug::OffsetsFirst));
    let loses = |seed| at_least_once(seed).is_err();
    assert!((0..1_000).any(loses), "offsets that are committed first lose something");
    plant(Planted::Nothing);
}

#[test]
fn an_outage_is_waited_out_without_spinning() {
    for seed in 0..200 {
        simulated::set(Duration::ZERO);
        let (faults, away_ms) = (0, (now_ms() + 50, now_ms() + 20_000));
        let plan = Plan { faults, away_ms, turns: 40, processes_max: 1, ..Plan::of(seed) };
        let figures = run_plan(plan, false).unwrap_or_else(|broken| panic!("{seed}: {broken}"));
        // An idle turn takes 50 ms, and a few more come after the outage.
        assert!(figures.turns < 2_000, "seed {seed}: {} turns", figures.turns);
    }
}

#[test]
fn an_outage_is_told_while_records_are_held_and_not_once_nothing_is_left_to_try() {
    for seed in 0..40 {
        assert_eq!(lose_what_is_held(seed), (true, false), "seed {seed}");
    }
}

#[test]
fn no_more_records_wait_than_may_while_a_backlog_fails_and_reading_back_lags() {
    const WAITING_MAX: usize = 20;
    const SEEDS: u64 = 60;
    let mut full = 0;
    for seed in 0..SEEDS {
        let calm = Plan { faults: 0, has_resets: false, processes_max: 1, ..Plan::of(seed) };
        // Nothing is read back from the brokers anew meanwhile: what is found there is not held back.
        let calm = Plan { metadata_chars_max: 4_096, ..calm };
        let plan = Plan { orders: 300, waiting_records_max: WAITING_MAX, ..calm };
        let plan = Plan { delays_ms: vec![2_000], away_ms: (0, 0), turns: 40, ..plan };
        // What handlers have begun comes on top, and what is held in memory behind it.
        let held = unresolved_max(Completion::bytes_for_chars(plan.metadata_chars_max));
        let began = if plan.latency.is_zero() { 0 } else { plan.concurrency + held };
        let most = run_backlog(plan).unwrap_or_else(|broken| panic!("{seed}: {broken}"));
        assert!(most.by_log <= WAITING_MAX + began, "seed {seed}: {most:?}");
        assert_eq!(most.unseen, 0, "seed {seed}: the lane knows of all that waits");
        full += u64::from(most.by_log >= WAITING_MAX);
    }
    assert!(full > SEEDS / 2, "only {full} backlogs came to the limit");
}

#[test]
fn decided_partitions_are_settled_and_turns_stay_short_beside_many_undecided_ones() {
    for seed in 0..50 {
        let calm = Plan { faults: 0, has_resets: false, processes_max: 1, ..Plan::of(seed) };
        let plan = Plan {
            partitions: 30,
            turn_records_max: 1_000,
            waiting_records_max: 1_000,
            orders: 300,
            ..calm
        };
        let plan = Plan { delays_ms: vec![50], latency: Duration::ZERO, away_ms: (0, 0), ..plan };
        let plan = Plan { metadata_chars_max: 4_096, has_narrow_retry: false, ..plan };
        let turn_max =
            run_beside_undecided(plan, 24).unwrap_or_else(|broken| panic!("{seed}: {broken}"));
        assert!(turn_max < Duration::from_millis(2_200), "seed {seed}: {turn_max:?}");
    }
}
