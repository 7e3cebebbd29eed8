//! Instances freeze, collide, come and go; partitions are added.

use std::time::Duration;

use rand::Rng as _;
use testkit::{Cluster, Pipeline, Process, wait};

use crate::ending::{HEAL_MAX, finish, heals, moves, progress, settled, stop};
use crate::load::{self, Feed};
use crate::run::Run;
use crate::scenario::Scenario;

pub(super) const FROZEN_PAST_ITS_SESSION: Scenario = Scenario {
    name: "frozen-past-its-session",
    rows: &[2],
    does: "stops a consumer with SIGSTOP during its work until another one has all of its \
           partitions, and resumes it",
    expects: "the broker refuses its old work; it joins again or ends, and counts nothing \
              twice",
    full_max_s: 120,
    run: frozen_past_its_session,
};

pub(super) const TWO_WITH_ONE_ID: Scenario = Scenario {
    name: "two-with-one-id",
    rows: &[3],
    does: "starts a second consumer with the instance id, and so the transactional ids, of one \
           that works",
    expects: "the older one ends with exit 1 and the reason; the newer one continues",
    full_max_s: 120,
    run: two_with_one_id,
};

pub(super) const REBALANCE_STORM: Scenario = Scenario {
    name: "rebalance-storm",
    rows: &[8],
    does: "starts and stops instances every second while retries wait, with --order key",
    expects: "the work continues, and every key keeps its order",
    full_max_s: 120,
    run: rebalance_storm,
};

pub(super) const PARTITIONS_ADDED: Scenario = Scenario {
    name: "partitions-added",
    rows: &[9],
    does: "adds a partition to the orders, and later to the other topics, while the consumer runs",
    expects: "the new partition is paused with a message; a consumer that starts when all \
              topics have it reads it from its beginning",
    full_max_s: 120,
    run: partitions_added,
};

/// Longest wait for anything: an open transaction of a frozen consumer is aborted after 10 s, and
/// the coordinator looks every 10 s.
const LIMIT: Duration = Duration::from_secs(50);

/// Kafka's program for topics.
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

const FLAGS: [&str; 4] = ["--simulate-failures", "0.2", "--retry-delay", "500ms"];

fn frozen_past_its_session(run: &mut Run) {
    let pipeline = Cluster::shared().pipeline(2);
    let feed = Feed::start(&pipeline, run.seed(), "1000/s");
    let flags = [&FLAGS[..], &["--lanes", "1", "-X", "session.timeout.ms=6000"]].concat();
    let mut frozen = Process::consumer(&pipeline, &flags);
    moves(&pipeline, LIMIT);
    let after = Duration::from_millis(run.random.random_range(0..300));
    std::thread::sleep(after); // the moment is the input
    frozen.pause();
    let second = Process::consumer(&pipeline, &flags);
    let before = pipeline.committed(&pipeline.orders);
    wait::is_true("the second one having all partitions", LIMIT, || {
        let pairs = pipeline.committed(&pipeline.orders).into_iter().zip(&before);
        pairs.into_iter().all(|(now, before)| now > *before)
    });
    run.step("the frozen one wakes up");
    frozen.resume();
    wait::is_true("the frozen one being a member again, or at its end", LIMIT, || {
        !frozen.is_running() || frozen.get("/readyz").status == 200
    });
    moves(&pipeline, LIMIT);
    feed.stop();
    settled(&pipeline, HEAL_MAX);
    if frozen.is_running() {
        run.step("it is a member again");
        stop(frozen);
    } else {
        let ended = frozen.wait(LIMIT);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        run.step("it has ended");
    }
    stop(second);
    finish(run, &pipeline, &FLAGS, &[]);
}

fn two_with_one_id(run: &mut Run) {
    let pipeline = Cluster::shared().pipeline(3);
    let feed = Feed::start(&pipeline, run.seed(), "1000/s");
    let flags = [&FLAGS[..], &["--instance-id", "one"]].concat();
    for _ in 0..run.pick(1, 3) {
        let older = Process::consumer(&pipeline, &flags);
        moves(&pipeline, LIMIT);
        let newer = Process::consumer(&pipeline, &flags);
        let ended = older.wait(LIMIT);
        ended.expect_code(1);
        let told = ended.stderr.contains("another instance uses the id");
        assert!(told, "it does not say why it ends:\n{}", ended.stderr);
        moves(&pipeline, LIMIT);
        stop(newer);
    }
    feed.stop();
    finish(run, &pipeline, &flags, &[]);
}

fn rebalance_storm(run: &mut Run) {
    // A key waits while one of its orders does: with many failures the keys would be the storm.
    let flags = ["--simulate-failures", "0.02", "--retry-delay", "500ms", "--order", "key"];
    let as_steady = [&flags[..], &["--instance-id", "steady"]].concat();
    let pipeline = Cluster::shared().pipeline(4);
    let feed = Feed::start(&pipeline, run.seed(), "500/s");
    let steady = Process::consumer(&pipeline, &as_steady);
    moves(&pipeline, LIMIT);
    let (before, rounds) = (progress(&pipeline), run.pick(3, 15));
    for round in 0..rounds {
        let guest = Process::consumer(&pipeline, &flags);
        let stay = Duration::from_millis(run.random.random_range(600..1_400));
        std::thread::sleep(stay); // the rhythm of the storm is its input
        stop(guest);
        if round % 5 == 4 {
            run.step(format!("{} instances have come and gone", round + 1));
        }
    }
    let settled_meanwhile = progress(&pipeline) - before;
    assert!(settled_meanwhile > 0, "nothing was settled during the storm");
    run.figure("settled during the storm", settled_meanwhile.to_string());
    feed.stop();
    heals(&pipeline, steady);
    finish(run, &pipeline, &as_steady, &["--order", "key"]);
}

/// Adds partitions to all topics that a pattern names.
fn widen(pipeline: &Pipeline, pattern: &str, partitions: i32) {
    let count = partitions.to_string();
    pipeline.java(TOPICS, &["--alter", "--topic", pattern, "--partitions", &count]);
}

fn partitions_added(run: &mut Run) {
    let mut pipeline = Cluster::shared().pipeline(2);
    let flags = [&FLAGS[..], &["-X", "topic.metadata.refresh.interval.ms=1000"]].concat();
    load::send(&pipeline, 0..1_000);
    let mut consumer = Process::consumer(&pipeline, &flags);
    settled(&pipeline, LIMIT);
    widen(&pipeline, &pipeline.orders, 3);
    run.step("the orders have a third partition, the other topics have not");
    pipeline.partitions = 3;
    load::send(&pipeline, 1_000..2_000);
    wait::is_true("the new partition being told", LIMIT, || {
        let answer = consumer.get("/readyz");
        answer.status == 503 && answer.body.contains("partition")
    });
    let others = format!("{}-(retry|dlq|averages|outcomes)", pipeline.prefix);
    assert_eq!(pipeline.committed(&pipeline.orders)[2].unwrap_or(0), 0, "it is read already");
    widen(&pipeline, &others, 3);
    run.step("all topics have a third partition");
    stop(consumer);
    finish(run, &pipeline, &flags, &[]);
}
