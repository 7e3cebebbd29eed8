//! The consumer is asked to stop when it is least convenient.

use std::time::{Duration, Instant};

use testkit::{Cluster, Pipeline, Process, wait};

use crate::ending::{finish, moves, stop};
use crate::load::Feed;
use crate::run::Run;
use crate::scenario::Scenario;

pub(super) const ASKED_TO_STOP: Scenario = Scenario {
    name: "asked-to-stop",
    rows: &[28],
    does: "sends SIGTERM during the work, during a rebalance, and a second one at once",
    expects: "exit 0 within 10 s, at once after the second signal; nothing is done twice",
    full_max_s: 120,
    run: asked_to_stop,
};

pub(super) const STOPPED_WITHOUT_BROKER: Scenario = Scenario {
    name: "stopped-without-broker",
    rows: &[28],
    does: "sends SIGTERM while the broker answers nothing",
    expects: "exit 0 within 10 s; the next consumer repeats what could not be committed",
    full_max_s: 120,
    run: stopped_without_broker,
};

/// Longest wait for anything but a stop.
const LIMIT: Duration = Duration::from_secs(40);

/// What a second SIGTERM ends a program with.
const SECOND_SIGTERM: i32 = 128 + 15;

const FLAGS: [&str; 4] = ["--simulate-failures", "0.1", "--retry-delay", "200ms"];

/// What the second signal leaves open is aborted at once by one of the same name.
const AS_HASTY: [&str; 6] =
    ["--simulate-failures", "0.1", "--retry-delay", "200ms", "--instance-id", "hasty"];

fn busy(pipeline: &Pipeline, flags: &[&str]) -> Process {
    let consumer = Process::consumer(pipeline, flags);
    moves(pipeline, LIMIT);
    consumer
}

fn asked_to_stop(run: &mut Run) {
    let pipeline = Cluster::shared().pipeline(4);
    let feed = Feed::start(&pipeline, run.seed(), "2000/s");
    let mut longest = Duration::ZERO;
    for round in 0..run.pick(1, 3) {
        let consumer = busy(&pipeline, &FLAGS);
        let asked_at = Instant::now();
        stop(consumer);
        longest = longest.max(asked_at.elapsed());
        // One joins, one goes, and the joining one goes as well.
        let first = busy(&pipeline, &FLAGS);
        let second = Process::consumer(&pipeline, &FLAGS);
        wait::is_true("a rebalance", LIMIT, || second.log().contains("partitions"));
        let asked_at = Instant::now();
        first.sigterm();
        stop(second);
        first.wait(LIMIT).expect_code(0);
        longest = longest.max(asked_at.elapsed());
        run.step(format!("round {round} of stops is over"));
    }
    run.figure_time("longest stop", longest);
    let hasty = busy(&pipeline, &AS_HASTY);
    hasty.sigterm();
    hasty.sigterm();
    let ended = hasty.wait(LIMIT);
    // It may have been ready with the first one before the second came.
    assert!(matches!(ended.code, Some(0 | SECOND_SIGTERM)), "{:?}: {}", ended.code, ended.stderr);
    feed.stop();
    finish(run, &pipeline, &AS_HASTY, &[]);
}

fn stopped_without_broker(run: &mut Run) {
    let mut cluster = Cluster::own_kafka(&[]);
    let pipeline = cluster.pipeline(2);
    let feed = Feed::start(&pipeline, run.seed(), "1000/s");
    let consumer = busy(&pipeline, &FLAGS);
    cluster.pause_kafka();
    let asked_at = Instant::now();
    stop(consumer);
    run.figure_time("stop without a broker", asked_at.elapsed());
    cluster.resume_kafka();
    feed.stop();
    finish(run, &pipeline, &FLAGS, &[]);
}
