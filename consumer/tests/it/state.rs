//! Averages and offsets: read back before anything runs, and refused when they do not agree.

use std::time::Duration;

use testkit::oracle::Rules;
use testkit::{Cluster, Finished, Input, OrderEncoder, Pipeline, Process, machine, verify, wait};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(60);

const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

const FINISH: [&str; 3] = ["--exit-at-end", "-o", "json"];

fn orders(encoder: &OrderEncoder, partitions: i32, numbers: std::ops::Range<i32>) -> Vec<Input> {
    let order = |n: i32| {
        let product = format!("product-{}", n % 50);
        encoder.input(n % partitions, &format!("order-{n}"), &product, 0.37)
    };
    numbers.map(order).collect()
}

/// A pipeline of one partition in which 500 orders were counted.
fn counted() -> (Pipeline, OrderEncoder) {
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &orders(&encoder, 1, 0..500));
    run(&pipeline).expect_code(0);
    (pipeline, encoder)
}

fn run(pipeline: &Pipeline) -> Finished {
    Process::consumer(pipeline, &FINISH).wait(LIMIT)
}

/// Runs the command for offsets that an error proposes.
fn run_proposed_command(pipeline: &Pipeline, failed: &Finished) {
    let start =
        format!("kafka-consumer-groups --bootstrap-server {} ", pipeline.servers.bootstrap_servers);
    let proposed = failed.stderr.lines().find_map(|line| Some(line.split_once(&start)?.1));
    let command = proposed.unwrap_or_else(|| panic!("no command in:\n{}", failed.stderr));
    let args: Vec<&str> = command.split_whitespace().collect();
    pipeline.java(GROUPS, &args);
}

#[test]
fn after_a_restart_averages_continue_exactly() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let (v1, v2) = (pipeline.orders_v1(), pipeline.orders_v2());
    let rules = Rules::new(&[&v1, &v2]);
    for (encoder, numbers) in [(&v1, 0..2_000), (&v2, 2_000..2_500), (&v1, 2_500..2_501)] {
        let count = numbers.len();
        pipeline.send(&pipeline.orders, &orders(encoder, 3, numbers));
        let statistics = run(&pipeline).expect_code(0).stats();
        assert_eq!(statistics["consumed"], count, "{statistics}");
        verify::exact(&pipeline, &rules).expect_state(&statistics);
    }
}

#[test]
fn a_new_instance_restores_before_it_is_ready_and_before_it_counts() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    let order = |n: i32| encoder.input(n % 3, &format!("o{n}"), &format!("product-{n}"), 1.5);
    let first: Vec<Input> = (0..30_000).map(order).collect();
    pipeline.send(&pipeline.orders, &first);
    run(&pipeline).expect_code(0);
    pipeline.send(&pipeline.orders, &first); // the same products and ids: they count again
    let mut consumer = Process::consumer(&pipeline, &[]);
    let mut unready = Vec::new();
    wait::is_true("being ready", LIMIT, || {
        let answer = consumer.get("/readyz");
        let is_ready = answer.status == 200;
        if !is_ready {
            unready.push(answer.body);
        }
        is_ready
    });
    assert!(unready.iter().all(|body| body.contains("condition")), "{unready:?}");
    let restored = consumer.log();
    for partition in 0..3 {
        let line =
            restored.lines().find(|line| line.contains(&format!("restored partition={partition}")));
        assert!(line.is_some_and(|line| line.contains("products=10000")), "{restored}");
    }
    wait::is_true("everything being counted", LIMIT, || pipeline.lag() == 0);
    consumer.sigterm();
    consumer.wait(LIMIT).expect_code(0);
    // No average ever falls back, and each ends at two orders.
    verify::exact(&pipeline, &Rules::new(&[&encoder]));
}

#[test]
fn averages_of_another_group_are_refused() {
    let _machine = machine::shared();
    let (pipeline, _) = counted();
    let other = Pipeline { group: format!("{}-other", pipeline.group), ..pipeline.clone() };
    let before = pipeline.averages_log().len();
    let failed = run(&other);
    failed.expect_code(1);
    assert!(failed.stderr.contains("does not belong to group"), "{}", failed.stderr);
    assert!(failed.stderr.contains("--averages-topic"), "{}", failed.stderr);
    assert_eq!(pipeline.averages_log().len(), before);
}

#[test]
fn deleted_offsets_are_refused_with_the_command_that_restores_them() {
    let _machine = machine::shared();
    let (pipeline, encoder) = counted();
    let delete = |topic| {
        pipeline.java(GROUPS, &["--group", &pipeline.group, "--delete-offsets", "--topic", topic]);
        assert_eq!(pipeline.committed(topic), [None]);
    };
    delete(&pipeline.orders);
    let failed = run(&pipeline);
    failed.expect_code(1);
    assert!(failed.stderr.contains("no committed offset"), "{}", failed.stderr);
    run_proposed_command(&pipeline, &failed);
    // No record tells where the retry topic stood: the operator has to know.
    delete(&pipeline.retry);
    let failed = run(&pipeline);
    failed.expect_code(1);
    let told = format!("--topic {}:0 --reset-offsets --to-offset OFFSET", pipeline.retry);
    assert!(failed.stderr.contains(&told), "{}", failed.stderr);
    let end = pipeline.ends(&pipeline.retry)[0].to_string();
    let settled = ["--reset-offsets", "--to-offset", &end, "--execute"];
    let topic = format!("{}:0", pipeline.retry);
    let args = [&["--group", &pipeline.group, "--topic", &topic], &settled[..]].concat();
    pipeline.java(GROUPS, &args);
    pipeline.send(&pipeline.orders, &orders(&encoder, 1, 500..600));
    let statistics = run(&pipeline).expect_code(0).stats();
    assert_eq!(statistics["consumed"], 100, "{statistics}");
    verify::exact(&pipeline, &Rules::new(&[&encoder])).expect_state(&statistics);
}

#[test]
fn offsets_that_were_set_back_are_refused_with_the_command_that_restores_them() {
    let _machine = machine::shared();
    let (pipeline, encoder) = counted();
    let earliest = ["--reset-offsets", "--to-earliest", "--execute"];
    let args = [&["--group", &pipeline.group, "--topic", &pipeline.orders], &earliest[..]].concat();
    pipeline.java(GROUPS, &args);
    assert_eq!(pipeline.committed(&pipeline.orders), [Some(0)]);
    let failed = run(&pipeline);
    failed.expect_code(1);
    assert!(failed.stderr.contains("count orders twice"), "{}", failed.stderr);
    run_proposed_command(&pipeline, &failed);
    pipeline.send(&pipeline.orders, &orders(&encoder, 1, 500..600));
    let statistics = run(&pipeline).expect_code(0).stats();
    verify::exact(&pipeline, &Rules::new(&[&encoder])).expect_state(&statistics);
}

#[test]
fn a_retention_gap_pauses_its_partition_until_it_is_accepted() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &orders(&encoder, 2, 0..1_000));
    run(&pipeline).expect_code(0);
    pipeline.send(&pipeline.orders, &orders(&encoder, 2, 1_000..2_000));
    pipeline.delete_records_below(&pipeline.orders, 0, 700);
    let mut consumer = Process::consumer(&pipeline, &[]);
    wait::is_true("the other partition going on", LIMIT, || {
        pipeline.committed(&pipeline.orders) == [Some(500), Some(1_000)]
    });
    // The partition may change hands meanwhile: whoever owns it says so.
    wait::is_true("the gap being told", LIMIT, || {
        let answer = consumer.get("/readyz");
        let words = ["retention-gap", "500 to 699", "--accept-gap", &pipeline.orders];
        answer.status == 503 && words.iter().all(|words| answer.body.contains(words))
    });
    assert_eq!(pipeline.committed(&pipeline.orders), [Some(500), Some(1_000)]);
    consumer.sigterm();
    consumer.wait(LIMIT).expect_code(0);
    let finished =
        Process::consumer(&pipeline, &[&FINISH[..], &["--accept-gap"]].concat()).wait(LIMIT);
    let statistics = finished.expect_code(0).stats();
    assert_eq!(
        (&statistics["consumed"], &statistics["overall"]["count"]),
        (&300.into(), &1_800.into())
    );
    assert_eq!(pipeline.lag(), 0);
}
