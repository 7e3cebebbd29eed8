//! A consumer stops before it drains its topic into the dead letters.

use std::time::Duration;

use pipeline::completion::Completion;
use pipeline::record::CommitPosition;
use pipeline::tally::Tally;
use testkit::{Cluster, Input, Pipeline, Process, Role, machine, wait};

/// Longest time for a run.
const RUN_MAX: Duration = Duration::from_secs(60);

/// What no consumer can read.
fn garbage(count: usize) -> Vec<Input> {
    let one = |n: usize| Input::new(0, Some(n.to_string().as_bytes()), Some(b"\x00\x00"));
    (0..count).map(one).collect()
}

fn expect_stopped(consumer: &mut Process) {
    wait::is_true("it says why it stands still", RUN_MAX, || {
        let answer = consumer.get("/readyz");
        answer.status == 503 && answer.body.contains("dlq-limit")
    });
    let paused = "orders_partitions_paused{reason=\"dlq-limit\"}";
    wait::is_true(paused, RUN_MAX, || consumer.metric(paused) == Some(1.0));
    assert!(consumer.log().contains("too-short"), "causes are grouped: {}", consumer.log());
}

fn nothing_was_given_up(pipeline: &Pipeline) {
    assert_eq!(pipeline.ends(&pipeline.dlq), [0], "dead letters were committed");
    assert!(pipeline.committed(&pipeline.orders)[0].unwrap_or(0) == 0, "offsets moved");
}

#[test]
fn the_batch_that_goes_past_the_limit_is_not_committed_whatever_restarts() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    pipeline.send(&pipeline.orders, &garbage(1_500));
    for _ in 0..3 {
        let mut consumer = Process::consumer(&pipeline, &[]);
        expect_stopped(&mut consumer);
        nothing_was_given_up(&pipeline);
        assert_eq!(consumer.get("/livez").status, 200);
        consumer.sigterm();
        consumer.wait(RUN_MAX).expect_code(0);
    }
    // The operator decides that they are to go.
    let flags = ["--dlq-limit", "off", "--exit-at-end"];
    Process::consumer(&pipeline, &flags).wait(RUN_MAX).expect_code(0);
    assert_eq!(pipeline.records(&pipeline.dlq).len(), 1_500);
}

#[test]
fn the_first_orders_of_a_schema_that_cannot_be_used_are_not_given_up_by_the_hundred() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let without_price = r#"{"type":"record","name":"Order","namespace":"com.example.orders","fields":[
        {"name":"orderId","type":"string"},{"name":"product","type":"string"}]}"#;
    let subject = format!("{}-without-price", pipeline.prefix);
    let schema_id = pipeline.register_for(&subject, without_price);
    // Good orders lie between, so that neither share nor row would stop it.
    let inputs: Vec<Input> = (0..600)
        .map(|n| {
            let mut input = encoder.input(0, &format!("o-{n}"), "tea", 1.0);
            if n % 3 == 0 {
                let value = [&[0], &schema_id.to_be_bytes()[..], b"\x02a\x02b"].concat();
                input.value = Some(value);
            }
            input
        })
        .collect();
    pipeline.send(&pipeline.orders, &inputs);
    let flags = ["--exit-at-end", "--on-dlq-limit", "exit"];
    let finished = Process::consumer(&pipeline, &flags).wait(RUN_MAX);
    finished.expect_code(1);
    let said = format!("dead letters of schema {schema_id}, which cannot be used");
    assert!(finished.stderr.contains(&said), "{}", finished.stderr);
    assert!(dead_letters(&pipeline) < 100, "{}", dead_letters(&pipeline));

    let flags = ["--exit-at-end", "--dlq-limit", "off", "-o", "json"];
    let finished = Process::consumer(&pipeline, &flags).wait(RUN_MAX);
    let stats = finished.expect_code(0).stats();
    assert_eq!((stats["overall"]["count"].as_u64(), dead_letters(&pipeline)), (Some(400), 200));
}

fn dead_letters(pipeline: &Pipeline) -> usize {
    pipeline.records(&pipeline.dlq).len()
}

/// The tally that travels with the offset of the only partition of orders.
fn carried(pipeline: &Pipeline) -> Option<Tally> {
    let position = CommitPosition(pipeline.committed(&pipeline.orders)[0].expect("a commit"));
    let metadata = &pipeline.committed_metadata(&pipeline.orders)[0];
    Completion::decode(metadata, position).expect("the consumer wrote it").tally(position)
}

#[test]
fn a_consumer_that_is_killed_again_and_again_gives_up_fewer_than_the_limit_in_all() {
    const PORTION: usize = 300;
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    for kill in 1..=5 {
        let mut consumer = Process::consumer(&pipeline, &["--instance-id", "one"]);
        pipeline.send(&pipeline.orders, &garbage(PORTION));
        let is_past_limit = kill * PORTION >= 1_000;
        if is_past_limit {
            expect_stopped(&mut consumer);
        } else {
            let given_up = || dead_letters(&pipeline) == kill * PORTION;
            wait::is_true("the portion being given up", RUN_MAX, given_up);
        }
        consumer.kill_9();
        assert!(dead_letters(&pipeline) < 1_000, "{} after {kill} kills", dead_letters(&pipeline));
    }
    let row = carried(&pipeline).map(|tally| tally.consecutive() as usize);
    assert_eq!(row, Some(dead_letters(&pipeline)));
    // The operator decides that they are to go, which makes an end of the count.
    let flags = ["--dlq-limit", "off", "--exit-at-end", "--instance-id", "one"];
    Process::consumer(&pipeline, &flags).wait(RUN_MAX).expect_code(0);
    assert_eq!((dead_letters(&pipeline), carried(&pipeline)), (5 * PORTION, None));
}

#[test]
fn a_restart_after_a_trip_trips_again_until_the_cause_is_mended() {
    const PORTION: usize = 15;
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let send_portion = |from: usize| {
        let order = |n| encoder.input(0, &format!("o-{n}"), "tea", 1.0);
        let orders: Vec<Input> = (from..from + PORTION).map(order).collect();
        pipeline.send(&pipeline.orders, &orders);
    };
    let run = |more: &[&str]| {
        let flags = ["--dlq-limit-consecutive", "20", "--exit-at-end", "--max-retries", "0"];
        Process::consumer(&pipeline, &[&flags[..], more].concat()).wait(RUN_MAX)
    };
    let broken = ["--simulate-failures", "1.0"];
    send_portion(0);
    run(&broken).expect_code(0);
    assert_eq!(carried(&pipeline), Tally::new(15, 15, 15));
    send_portion(100);
    for _ in 0..3 {
        let finished = run(&broken);
        finished.expect_code(1);
        assert!(finished.stderr.contains("dead letters in a row"), "{}", finished.stderr);
        assert!(dead_letters(&pipeline) < 20, "{}", dead_letters(&pipeline));
    }
    // Mended, what is left goes well, and a new row begins.
    run(&[]).expect_code(0);
    assert_eq!(carried(&pipeline).map(|tally| tally.consecutive()), Some(0));
    send_portion(200);
    run(&broken).expect_code(0);
    assert_eq!(carried(&pipeline).map(|tally| tally.consecutive()), Some(15));
}

#[test]
fn with_exit_the_program_ends_and_says_what_to_do() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    pipeline.send(&pipeline.orders, &garbage(50));
    let flags = ["--on-dlq-limit", "exit", "--dlq-limit-consecutive", "20", "-o", "json"];
    let finished = Process::consumer(&pipeline, &flags).wait(RUN_MAX);
    finished.expect_code(1);
    assert!(finished.stderr.contains("--dlq-limit off"), "{}", finished.stderr);
    let stats = finished.stats();
    assert_eq!((&stats["consumed"], &stats["dead_lettered"]), (&0.into(), &0.into()), "{stats}");
    nothing_was_given_up(&pipeline);
}

#[test]
fn a_share_above_the_ratio_stops_it_and_one_below_does_not() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let mut inputs = garbage(700);
    // Two in three are orders at first, then one in three.
    let order = |n: usize| encoder.input(0, &format!("o-{n}"), "tea", 1.0);
    let mut mixed: Vec<Input> = Vec::new();
    for n in 0..700 {
        mixed.push(inputs.pop().expect("as many"));
        mixed.extend([order(2 * n), order(2 * n + 1)]);
    }
    pipeline.send(&pipeline.orders, &mixed);
    Process::consumer(&pipeline, &["--exit-at-end"]).wait(RUN_MAX).expect_code(0);
    assert_eq!(pipeline.records(&pipeline.dlq).len(), 700);

    let mut mixed = Vec::new();
    for (n, pair) in garbage(2_000).chunks(2).enumerate() {
        mixed.extend(pair.iter().cloned());
        mixed.push(order(n));
    }
    pipeline.send(&pipeline.orders, &mixed);
    let finished = Process::consumer(&pipeline, &["--exit-at-end"]).wait(RUN_MAX);
    finished.expect_code(1);
    assert!(finished.stderr.contains("of the last 1,000 records"), "{}", finished.stderr);
}

/// That they are dead letters shows only when their retries are written.
#[test]
fn records_that_the_retry_topic_refuses_count_as_well() {
    let _machine = machine::shared();
    let narrow = [(Role::Retry, "max.message.bytes", "20000")];
    let pipeline = Cluster::shared().pipeline_with(1, &narrow);
    let encoder = pipeline.orders_v1();
    let large = |n: usize| encoder.input(0, &format!("{n}-{}", "x".repeat(20_000)), "tea", 1.0);
    pipeline.send(&pipeline.orders, &(0..30).map(large).collect::<Vec<_>>());
    let flags = ["--dlq-limit-consecutive", "20", "--exit-at-end", "--simulate-failures", "1.0"];
    let finished = Process::consumer(&pipeline, &flags).wait(RUN_MAX);
    finished.expect_code(1);
    assert!(finished.stderr.contains("20 dead letters in a row"), "{}", finished.stderr);
    // They may come in several turns: those before the one that trips are committed.
    assert!(dead_letters(&pipeline) < 20, "{}", dead_letters(&pipeline));
}
