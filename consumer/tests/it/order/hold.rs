//! `--on-dead-letter hold`: what waits behind a record that is given up goes with it.

use order_schemas::Outcome;
use testkit::oracle::fails;
use testkit::{Cluster, Input, Pipeline, Process, Role, fail_at, machine, wait};

use super::{LIMIT, RUN_MAX, ends_follow_the_input, followers};
use crate::timing::ids;

const FLAGS: [&str; 10] = [
    "--order",
    "key",
    "--on-dead-letter",
    "hold",
    "--simulate-failures",
    "0.5",
    "--max-retries",
    "1",
    "--instance-id",
    "one",
];

/// Records behind one of their key, and as many beside them.
const FOLLOWERS: usize = 3_000;

/// Long enough for all of them to wait at once.
const DELAY: [&str; 2] = ["--retry-delay", "6s"];

/// Origin and reason of each dead letter, as they lie there.
fn dead_letters(pipeline: &Pipeline) -> Vec<(i64, String)> {
    let dead = pipeline.records(&pipeline.dlq);
    let reason = |name| move |record: &testkit::LogRecord| record.header_text(name).to_owned();
    dead.iter().map(|r| (r.origin().1, reason("x-failure-reason")(r))).collect()
}

/// The first as it failed, and those that went with it.
fn dead_with_followers(
    first: (i64, &str),
    followers: impl IntoIterator<Item = i64>,
) -> Vec<(i64, String)> {
    let followers = followers.into_iter().map(|origin| (origin, "predecessor-dead".to_owned()));
    std::iter::once((first.0, first.1.to_owned())).chain(followers).collect()
}

fn succeeded(pipeline: &Pipeline) -> Vec<i64> {
    ended_as(pipeline, &[Outcome::Succeeded])
}

fn ended_as(pipeline: &Pipeline, ends: &[Outcome]) -> Vec<i64> {
    let log = pipeline.outcomes_log();
    let ended = log.iter().filter(|entry| ends.contains(&entry.outcome.outcome));
    ended.map(|entry| entry.outcome.origin_offset).collect()
}

fn finish(pipeline: &Pipeline, flags: &[&str]) -> serde_json::Value {
    let flags = [&FLAGS[..], flags, &["--exit-at-end", "-o", "json"]].concat();
    Process::consumer(pipeline, &flags).wait(RUN_MAX).expect_code(0).stats()
}

/// A record that fails at both attempts, at offset 0; behind it 3,000 of its key at the odd offsets,
/// and as many that wait by themselves at the even ones. Every other record in retry follows, so
/// that the completion has no room for what is settled when they go.
fn send_interleaved(pipeline: &Pipeline) {
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &[encoder.input(0, &ids(2, 1, 0.5)[0], "tea", 0.25)]);
    let retries = || pipeline.records(&pipeline.retry).len();
    wait::is_true("the first waiting", LIMIT, || retries() == 1);
    let mut inputs: Vec<Input> = Vec::new();
    for (good, flaky) in ids(0, FOLLOWERS, 0.5).iter().zip(&ids(1, FOLLOWERS, 0.5)) {
        inputs.push(encoder.input(0, good, "tea", 0.25));
        inputs.push(encoder.input(0, flaky, flaky, 0.25));
    }
    pipeline.send(&pipeline.orders, &inputs);
}

fn all_followers_dead() -> Vec<(i64, String)> {
    dead_with_followers((0, "simulated"), (0..FOLLOWERS as i64).map(|n| 2 * n + 1))
}

#[track_caller]
fn others_succeeded(pipeline: &Pipeline) {
    let mut others = succeeded(pipeline);
    others.sort_unstable();
    assert_eq!(others, (0..FOLLOWERS as i64).map(|n| 2 * n + 2).collect::<Vec<_>>());
    assert_eq!(ends_follow_the_input(pipeline), 2 * FOLLOWERS + 1);
    assert_eq!(pipeline.lag(), 0);
}

#[test]
fn many_followers_among_retries_of_other_keys_go_in_one_turn_and_the_others_stay() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let mut consumer = Process::consumer(&pipeline, &[&FLAGS[..], &DELAY].concat());
    consumer.wait_ready(LIMIT);
    send_interleaved(&pipeline);
    consumer.wait_for_log("waiting retries moved to the tail", LIMIT);
    wait::is_true("everything being settled", LIMIT, || pipeline.lag() == 0);
    consumer.sigterm();
    consumer.wait(LIMIT).expect_code(0);

    assert_eq!(dead_letters(&pipeline), all_followers_dead());
    let log = pipeline.outcomes_log();
    let dead = log.iter().filter(|entry| entry.outcome.outcome == Outcome::DeadLettered);
    let mut turns: Vec<i64> = dead.map(|entry| entry.outcome.settled_at_ms).collect();
    turns.dedup();
    assert_eq!(turns.len(), 1, "one turn, one transaction");
    others_succeeded(&pipeline);
}

#[test]
fn a_crash_right_after_a_dead_letter_lets_none_of_its_followers_go() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let flags = [&FLAGS[..], &DELAY].concat();
    let mut consumer = Process::consumer(&pipeline, &flags);
    consumer.wait_ready(LIMIT);
    send_interleaved(&pipeline);
    wait::is_true("the followers waiting", LIMIT, || followers(&pipeline) == FOLLOWERS);
    consumer.kill_9();
    // The first turn that settles anything is that of the dead letter, the longest overdue.
    let args: Vec<String> =
        pipeline.consumer_args().into_iter().chain(flags.iter().map(|&f| f.to_owned())).collect();
    let victim = Process::start("consumer", &args, &[("FAILPOINTS", &fail_at("commit-returned"))]);
    victim.wait(LIMIT);
    assert_eq!(dead_letters(&pipeline), all_followers_dead());
    assert_eq!(finish(&pipeline, &DELAY)["dead_lettered"], 0);
    assert_eq!(dead_letters(&pipeline), all_followers_dead());
    others_succeeded(&pipeline);
}

/// Largest record that the narrow retry topic takes.
const NARROW: [(Role, &str, &str); 1] = [(Role::Retry, "max.message.bytes", "20000")];

/// An order that fails at its first attempt, or does not, and is larger than that.
fn too_large(fails_first: bool) -> String {
    let mut large = (0..).map(|n| format!("{n}-{}", "x".repeat(20_000)));
    large.find(|id| fails(id, 1, 42, 0.5) == fails_first).expect("every other one")
}

#[test]
fn a_record_that_is_too_large_to_wait_takes_those_behind_it_along() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline_with(1, &NARROW);
    let encoder = pipeline.orders_v1();
    let large = too_large(true);
    let good = ids(0, 6, 0.5);
    let input = |id: &String| encoder.input(0, id, "tea", 0.25);
    // One batch: they are behind it in the turn that finds it to be too large.
    let batch: Vec<Input> = std::iter::once(&large).chain(&good[..5]).map(input).collect();
    pipeline.send(&pipeline.orders, &batch);
    let stats = finish(&pipeline, &["--retry-delay", "50ms"]);
    assert_eq!((&stats["succeeded"], &stats["dead_lettered"]), (&0.into(), &6.into()));
    let mut dead = dead_letters(&pipeline);
    dead.sort_unstable();
    assert_eq!(dead, dead_with_followers((0, "too-large-to-retry"), 1..6));
    assert_eq!(ends_follow_the_input(&pipeline), 6);
    // The key is free again.
    pipeline.send(&pipeline.orders, &[input(&good[5])]);
    assert_eq!(finish(&pipeline, &[])["succeeded"], 1);
    assert_eq!((succeeded(&pipeline), pipeline.lag()), (vec![6], 0));
}

/// Nothing takes back what the retry topic has acknowledged: it is neither given up nor lost.
#[test]
fn without_transactions_those_that_wait_already_behind_a_record_that_is_too_large_go_on() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline_with(1, &NARROW);
    let encoder = pipeline.orders_v1();
    let (head, behind) = (too_large(true), too_large(false));
    let (good, flaky) = (ids(0, 6, 0.5), ids(1, 1, 0.5));
    // One batch: they are behind it in the turn that finds it to be too large, and another that
    // cannot wait is among them.
    let ids = [&head, &good[0], &good[1], &behind, &flaky[0], &good[2], &good[3]];
    let input = |id: &String| encoder.input(0, id, "tea", 0.25);
    pipeline.send(&pipeline.orders, &ids.map(input));
    let flags = ["--guarantee", "at-least-once", "--retry-delay", "50ms"];
    let stats = finish(&pipeline, &flags);
    assert_eq!((&stats["succeeded"], &stats["dead_lettered"]), (&5.into(), &2.into()));
    assert_eq!(dead_letters(&pipeline), dead_with_followers((0, "too-large-to-retry"), [3]));
    assert_eq!(succeeded(&pipeline), [1, 2, 4, 5, 6]);
    let ends = ended_as(&pipeline, &[Outcome::Succeeded, Outcome::DeadLettered]);
    assert_eq!(ends.len(), ids.len(), "each ends once");
    let mut waited: Vec<i64> =
        pipeline.records(&pipeline.retry).iter().map(|record| record.origin().1).collect();
    waited.sort_unstable();
    assert_eq!(waited, [1, 2, 4, 4, 5, 6], "one has failed, and nothing is sent again");
    // The key is free again.
    pipeline.send(&pipeline.orders, &[input(&good[4])]);
    assert_eq!(finish(&pipeline, &flags)["succeeded"], 1);
    assert_eq!((succeeded(&pipeline).last(), pipeline.lag()), (Some(&7), 0));
}
