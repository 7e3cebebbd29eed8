//! The consumer dies: at each step of a turn, and at any moment.

use std::time::{Duration, Instant};

use rand::Rng as _;
use testkit::{Cluster, Pipeline, Process, fail_at};

use crate::ending::{finish, heals, moves, stop};
use crate::load::Feed;
use crate::run::Run;
use crate::scenario::Scenario;

pub(super) const ABORT_AT_EACH_STEP: Scenario = Scenario {
    name: "abort-at-each-step",
    rows: &[1],
    does: "aborts the consumer under load at each of the eight steps of a turn, at the n-th pass \
           by seed, and starts it again",
    expects: "it continues, and repeats only what was not committed",
    full_max_s: 120,
    run: abort_at_each_step,
};

pub(super) const KILLED_UNDER_LOAD: Scenario = Scenario {
    name: "killed-under-load",
    rows: &[1],
    does: "kills the consumer with -9 at moments by seed, and starts it again at once",
    expects: "the next commit comes soon: with an instance id within 10 s",
    full_max_s: 120,
    run: killed_under_load,
};

/// What `abort` ends a process with.
const SIGABRT: i32 = 6;

/// Longest wait until a fail point is passed.
const DIES_MAX: Duration = Duration::from_secs(40);

/// With an instance id, what a dead consumer left open is aborted at once.
const RECOVERY_MAX: Duration = Duration::from_secs(10);

/// Without one the broker aborts it after 10 s, and looks every 10 s.
const ANONYMOUS_RECOVERY_MAX: Duration = Duration::from_secs(40);

/// Steps of a turn, with the highest pass at which the consumer is made to die.
const STEPS: [(&str, u32); 8] = [
    ("after-poll", 4),
    ("after-begin", 4),
    ("after-produce", 4),
    ("after-offsets", 4),
    ("commit-sent", 4),
    ("commit-returned", 4),
    ("in-revoke", 1),
    ("in-restore", 2),
];

const FLAGS: [&str; 4] = ["--simulate-failures", "0.2", "--retry-delay", "200ms"];

fn as_instance(id: &str) -> Vec<&str> {
    [&FLAGS[..], &["--instance-id", id]].concat()
}

fn abort_at_each_step(run: &mut Run) {
    let pipeline = Cluster::shared().pipeline(3);
    let feed = Feed::start(&pipeline, run.seed(), "1000/s");
    for _ in 0..run.pick(1, 3) {
        for (step, pass_max) in STEPS {
            let pass = run.random.random_range(1..=pass_max);
            dies(run, &pipeline, &format!("{step}:{pass}"));
        }
    }
    feed.stop();
    finish(run, &pipeline, &as_instance("one"), &[]);
}

/// Runs the consumer until it aborts there.
#[track_caller]
fn dies(run: &Run, pipeline: &Pipeline, point: &str) {
    let mut args = pipeline.consumer_args();
    args.extend(as_instance("one").into_iter().map(str::to_owned));
    let mut victim = Process::start("consumer", &args, &[("FAILPOINTS", &fail_at(point))]);
    // A static member that comes back is given what it had: only another one takes it away.
    let other = point.starts_with("in-revoke").then(|| {
        victim.wait_ready(DIES_MAX);
        Process::consumer(pipeline, &as_instance("two"))
    });
    let finished = victim.wait(DIES_MAX);
    assert!(
        finished.signal == Some(SIGABRT),
        "it did not abort at {point}; is the consumer built with failpoints?\n{}",
        finished.stderr
    );
    run.step(format!("aborted at {point}"));
    other.map(stop);
}

fn killed_under_load(run: &mut Run) {
    let pipeline = Cluster::shared().pipeline(3);
    let feed = Feed::start(&pipeline, run.seed(), "1000/s");
    let (times, mut survivor) =
        recoveries(run, &pipeline, run.pick(2, 6), &as_instance("one"), RECOVERY_MAX);
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    run.figure_time("recovery after kill -9, instance id, median", median);
    run.figure_time("longest", longest);
    if run.is_full() {
        stop(survivor);
        let (times, other) = recoveries(run, &pipeline, 1, &FLAGS, ANONYMOUS_RECOVERY_MAX);
        run.figure_time("without an instance id", times[0]);
        survivor = other;
    }
    feed.stop();
    heals(&pipeline, survivor);
    finish(run, &pipeline, &as_instance("one"), &[]);
}

/// Kills a consumer so often, and returns the times from each kill to the next commit, sorted, and the last one.
fn recoveries(
    run: &mut Run,
    pipeline: &Pipeline,
    kills: usize,
    flags: &[&str],
    limit: Duration,
) -> (Vec<Duration>, Process) {
    let mut consumer = Process::consumer(pipeline, flags);
    moves(pipeline, limit);
    let mut times = Vec::new();
    for _ in 0..kills {
        let after = Duration::from_millis(run.random.random_range(0..500));
        std::thread::sleep(after); // the moment of the kill is the input
        consumer.kill_9();
        let killed_at = Instant::now();
        consumer = Process::consumer(pipeline, flags);
        moves(pipeline, limit);
        times.push(killed_at.elapsed());
    }
    times.sort_unstable();
    (times, consumer)
}
