//! Topics lose records, are made anew, or do not take what they must.

use std::time::{Duration, Instant};

use testkit::{Cluster, Finished, Input, Pipeline, Process, Role, wait};

use crate::ending::{consume, finish, moves, stop};
use crate::load::{self, Feed};
use crate::run::Run;
use crate::scenario::Scenario;

pub(super) const RETENTION_OVERTAKES: Scenario = Scenario {
    name: "retention-overtakes",
    rows: &[10],
    does: "deletes orders before they are read",
    expects: "the partition is paused with the missing range until --accept-gap; the others \
              continue; only the deleted orders are unprovable for the audit",
    full_max_s: 120,
    run: retention_overtakes,
};

pub(super) const TOPIC_MADE_ANEW: Scenario = Scenario {
    name: "topic-made-anew",
    rows: &[11],
    does: "deletes and recreates the topic of orders, so that offsets begin at 0",
    expects: "the consumer ends, and does not start again, with an error that names the topics; \
              nothing is counted; another group with its own topics counts the orders",
    full_max_s: 120,
    run: topic_made_anew,
};

pub(super) const DEAD_LETTERS_REFUSED: Scenario = Scenario {
    name: "dead-letters-refused",
    rows: &[23],
    does: "makes the dead-letter topic missing at the start, refuse large records, and vanish \
           at run time",
    expects: "an error with the command that helps; a short dead letter for a record that is too \
              large; nothing is committed past an order whose dead letter cannot be written",
    full_max_s: 120,
    run: dead_letters_refused,
};

pub(super) const NARROW_RETRY_TOPIC: Scenario = Scenario {
    name: "narrow-retry-topic",
    rows: &[24],
    does: "gives the retry topic fewer partitions than the orders have",
    expects: "an error at the start that names both counts; with the partition added it works",
    full_max_s: 120,
    run: narrow_retry_topic,
};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(50);

/// Kafka's program for topics.
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

/// Largest record of a narrow dead-letter topic, in bytes.
const NARROW_BYTES: &str = "4000";

const FLAGS: [&str; 4] = ["--simulate-failures", "0.2", "--retry-delay", "200ms"];

fn retention_overtakes(run: &mut Run) {
    let pipeline = Cluster::shared().pipeline(2);
    load::send(&pipeline, 0..1_000);
    consume(&pipeline, &FLAGS).expect_code(0);
    load::send(&pipeline, 1_000..2_000);
    pipeline.delete_records_below(&pipeline.orders, 0, 700);
    let mut consumer = Process::consumer(&pipeline, &FLAGS);
    wait::is_true("the other partition going on", LIMIT, || {
        pipeline.committed(&pipeline.orders) == [Some(500), Some(1_000)]
    });
    wait::is_true("the gap being told", LIMIT, || {
        let answer = consumer.get("/readyz");
        answer.status == 503
            && ["500 to 699", "--accept-gap"].iter().all(|w| answer.body.contains(w))
    });
    stop(consumer);
    run.step("the gap is told, and is now accepted");
    let flags = [&FLAGS[..], &["--accept-gap"]].concat();
    finish(run, &pipeline, &flags, &["--allow-unprovable"]);
}

fn topic_made_anew(run: &mut Run) {
    let cluster = Cluster::shared();
    let pipeline = cluster.pipeline(2);
    load::send(&pipeline, 0..1_000);
    finish(run, &pipeline, &FLAGS, &[]);
    let at_work = run.is_full().then(|| Process::consumer(&pipeline, &FLAGS));
    pipeline.delete(&pipeline.orders);
    pipeline.create(Role::Orders, 2, &[]);
    load::send(&pipeline, 0..100);
    run.step("the topic is new, and shorter than it was");
    let before = pipeline.averages_log().len();
    if let Some(consumer) = at_work {
        let ended = consumer.wait(LIMIT);
        run.step(format!("the consumer that was at work ends with exit {:?}", ended.code));
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    }
    refused(&pipeline, &[&pipeline.orders, &pipeline.averages, "500"]);
    assert_eq!(pipeline.averages_log().len(), before, "something was counted");
    run.step("it does not start; another group with topics of its own does");
    let other = Pipeline { orders: pipeline.orders.clone(), ..cluster.names(2) };
    for (role, settings) in [
        (Role::Retry, &[("retention.ms", "-1")][..]),
        (Role::DeadLetter, &[]),
        (Role::Averages, &[("cleanup.policy", "compact")]),
        (Role::Outcomes, &[]),
    ] {
        other.create(role, 2, settings);
    }
    finish(run, &other, &FLAGS, &[]);
}

/// Runs the consumer, which must refuse to start, with these words.
#[track_caller]
fn refused(pipeline: &Pipeline, words: &[&str]) -> Finished {
    let finished = consume(pipeline, &FLAGS);
    assert!(matches!(finished.code, Some(1 | 2)), "{:?}: {}", finished.code, finished.stderr);
    for word in words {
        assert!(finished.stderr.contains(word), "no {word:?} in: {}", finished.stderr);
    }
    finished
}

fn dead_letters_refused(run: &mut Run) {
    let pipeline = Cluster::shared().names(2);
    let dlq = |settings: &[(&str, &str)]| pipeline.create(Role::DeadLetter, 2, settings);
    for role in [Role::Orders, Role::Outcomes] {
        pipeline.create(role, 2, &[]);
    }
    pipeline.create(Role::Retry, 2, &[("retention.ms", "-1")]);
    pipeline.create(Role::Averages, 2, &[("cleanup.policy", "compact")]);
    refused(&pipeline, &[&pipeline.dlq]);
    run.step("without a dead-letter topic it does not start");
    dlq(&[("max.message.bytes", NARROW_BYTES)]);
    let encoder = pipeline.orders_v1();
    let long = |n: usize| {
        let id = format!("{n}-{}", "x".repeat(10_000));
        encoder.input(i32::try_from(n % 2).expect("small"), &id, "tea", -1.0)
    };
    pipeline.send(&pipeline.orders, &(0..20).map(long).collect::<Vec<_>>());
    load::send(&pipeline, 0..500);
    finish(run, &pipeline, &FLAGS, &[]);
    let letters = pipeline.records(&pipeline.dlq);
    assert_eq!(letters.iter().filter(|r| r.header("x-truncated").is_some()).count(), 20);
    run.step("what is too large has a stand-in");
    if run.is_full() {
        dead_letters_vanish(run);
    }
}

fn dead_letters_vanish(run: &mut Run) {
    let pipeline = Cluster::shared().pipeline(2);
    let encoder = pipeline.orders_v1();
    let feed = Feed::start(&pipeline, run.seed(), "500/s");
    let consumer = Process::consumer(&pipeline, &[]);
    moves(&pipeline, LIMIT);
    pipeline.delete(&pipeline.dlq);
    let bad: Vec<Input> = (0..2).map(|p| encoder.input(p, "bad", "tea", -1.0)).collect();
    pipeline.send(&pipeline.orders, &bad);
    feed.stop();
    pipeline.create(Role::DeadLetter, 2, &[]);
    run.step("the topic of dead letters was gone for a while");
    if !settles(&pipeline) {
        run.step("the consumer needs a restart");
    }
    stop(consumer);
    finish(run, &pipeline, &[], &[]);
}

/// Whether a running consumer settles everything within a short while.
fn settles(pipeline: &Pipeline) -> bool {
    let give_up_at = Instant::now() + Duration::from_secs(20);
    while Instant::now() < give_up_at {
        if pipeline.lag() == 0 {
            return true;
        }
    }
    false
}

fn narrow_retry_topic(run: &mut Run) {
    let pipeline = Cluster::shared().names(2);
    for role in [Role::Orders, Role::Outcomes, Role::DeadLetter] {
        pipeline.create(role, 2, &[]);
    }
    pipeline.create(Role::Averages, 2, &[("cleanup.policy", "compact")]);
    pipeline.create(Role::Retry, 1, &[("retention.ms", "-1")]);
    load::send(&pipeline, 0..500);
    refused(&pipeline, &[&pipeline.retry]);
    run.step("it does not start with one partition for two");
    pipeline.java(TOPICS, &["--alter", "--topic", &pipeline.retry, "--partitions", "2"]);
    finish(run, &pipeline, &FLAGS, &[]);
}
