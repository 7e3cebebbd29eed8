//! Brokers that lose acknowledged orders: a leader that was out of step is elected.

use std::collections::BTreeSet;

use testkit::{Cluster, Finished, OrderEncoder, Pipeline, Process, Role, machine, wait};

use super::{BATCH, LIMIT, audit, check, direct, send};

const NAME: [&str; 2] = ["--instance-id", "one"];

/// Where the topic of orders is: on two brokers, of which either may lead as it is.
const PLACE: &str = "1:2";

const UNCLEAN: (&str, &str) = ("unclean.leader.election.enable", "true");

struct Scene {
    _cluster: Cluster,
    pipeline: Pipeline,
    encoder: OrderEncoder,
    live: Process,
}

/// A consumer has settled two batches, of which one broker has the second alone; then that one is
/// gone for good, and the other leads.
fn half_is_lost() -> Scene {
    let mut cluster = Cluster::three_brokers(&[]);
    let pipeline = cluster.pipeline(1);
    pipeline.move_to(Role::Orders, PLACE, &[UNCLEAN]);
    let encoder = pipeline.orders_v1();
    let mut live = direct(&pipeline, &NAME);
    let mut settle = |numbers| {
        send(&pipeline, &encoder, numbers);
        wait::is_true("everything being settled", LIMIT, || {
            assert!(live.is_running(), "it has ended");
            pipeline.lag() == 0
        });
    };
    settle(0..BATCH);
    cluster.kafka().broker_mut(2).kill_9();
    wait::is_true("one broker being alone in step", LIMIT, || {
        pipeline.partition(&pipeline.orders, 0).in_sync == [1] // that leaves the other one out
    });
    settle(BATCH..2 * BATCH);
    assert_eq!(pipeline.committed(&pipeline.orders), [Some(i64::from(2 * BATCH))]);
    cluster.kafka().broker_mut(1).kill_9();
    cluster.kafka().broker_mut(2).restart().expect("it starts again");
    wait::is_true("the other leading", LIMIT, || pipeline.leader(&pipeline.orders, 0) == Some(2));
    assert_eq!(pipeline.ends(&pipeline.orders), [i64::from(BATCH)], "the second batch is lost");
    Scene { _cluster: cluster, pipeline, encoder, live }
}

#[track_caller]
fn expect_told(pipeline: &Pipeline, ended: &Finished) {
    ended.expect_code(1);
    let told = format!("at offset {} of {}/0, which ends at {BATCH}", 2 * BATCH, pipeline.orders);
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
}

/// The pipeline that the command of a refusal makes.
fn start_anew_as_told(pipeline: &Pipeline, refused: &Finished) -> Pipeline {
    let hint = refused.stderr.lines().find_map(|line| line.split_once("its own topics: consumer "));
    let (_, args) = hint.unwrap_or_else(|| panic!("no command in:\n{}", refused.stderr));
    let args: Vec<&str> = args.split_whitespace().collect();
    let told = |flag: &str| {
        let at = args.iter().position(|arg| *arg == flag).unwrap_or_else(|| panic!("no {flag}"));
        args[at + 1].to_owned()
    };
    let anew = Pipeline {
        group: told("--group-id"),
        averages: told("--averages-topic"),
        retry: told("--retry-topic"),
        dlq: told("--dlq-topic"),
        outcomes: told("--outcomes-topic"),
        ..pipeline.clone()
    };
    direct(&anew, &["--create-topics", "--exit-at-end"]).wait(LIMIT).expect_code(0);
    anew
}

#[test]
fn a_consumer_past_the_end_that_an_unclean_election_leaves_ends_and_its_command_counts_anew() {
    let _machine = machine::shared();
    let Scene { _cluster, pipeline, encoder, live } = half_is_lost();
    expect_told(&pipeline, &live.wait(LIMIT));
    let settled = pipeline.outcomes_log();
    let refused = direct(&pipeline, &NAME).wait(LIMIT);
    expect_told(&pipeline, &refused);
    assert_eq!(pipeline.outcomes_log(), settled, "nothing is skipped or done again");
    let anew = start_anew_as_told(&pipeline, &refused);
    send(&anew, &encoder, 2 * BATCH..3 * BATCH);
    direct(&anew, &["--exit-at-end"]).wait(LIMIT).expect_code(0);
    assert_eq!(anew.lag(), 0);
    check(&anew, &encoder);
}

/// No offset tells that the records below it are others than those that were settled.
#[test]
fn orders_in_the_place_of_those_that_an_unclean_election_lost_are_skipped_and_the_audit_is_red() {
    const NEW: i32 = BATCH + 200;
    let _machine = machine::shared();
    let Scene { _cluster, pipeline, encoder, mut live } = half_is_lost();
    live.kill_9();
    send(&pipeline, &encoder, 2 * BATCH..2 * BATCH + NEW);
    direct(&pipeline, &[&NAME[..], &["--exit-at-end"]].concat()).wait(LIMIT).expect_code(0);
    assert_eq!(pipeline.committed(&pipeline.orders), [Some(i64::from(BATCH + NEW))]);
    let told: BTreeSet<String> =
        pipeline.outcomes_log().into_iter().map(|entry| entry.outcome.order_id).collect();
    let new = (2 * BATCH..2 * BATCH + NEW).map(|n| told.contains(&format!("order-{n}")));
    let expected = (0..NEW).map(|n| n >= BATCH);
    assert!(new.eq(expected), "just those behind the committed offset run: {told:?}");
    let audited = audit(&pipeline);
    audited.expect_code(4);
    assert!(audited.stdout.contains("the averages have"), "{}", audited.stdout);
}
