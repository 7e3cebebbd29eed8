//! SIGTERM: what is in flight is finished and committed, and the process ends in time.

use std::time::{Duration, Instant};

use testkit::oracle::Rules;
use testkit::{Cluster, Pipeline, Process, machine, verify, wait};

/// The contract's limit between the signal and the end.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Longest wait for anything else.
const LIMIT: Duration = Duration::from_secs(60);

/// A signal that ends the process at once leaves it no time for anything.
const AT_ONCE: Duration = Duration::from_secs(1);

const FLAGS: [&str; 6] = ["--simulate-failures", "0.1", "--retry-delay", "200ms", "-o", "json"];

/// Starts a consumer on a stream of orders and waits until it has committed some.
fn busy(pipeline: &Pipeline) -> (Process, Process) {
    busy_with(pipeline, &FLAGS)
}

fn busy_with(pipeline: &Pipeline, flags: &[&str]) -> (Process, Process) {
    let load = ["--count", "0", "--rate", "2000/s", "--quiet", "--seed", "9"];
    let producer = Process::producer(pipeline, &load);
    let consumer = Process::consumer(pipeline, flags);
    wait::is_true("work", LIMIT, || {
        pipeline.committed(&pipeline.orders).into_iter().flatten().sum::<i64>() > 1_000
    });
    (producer, consumer)
}

#[test]
fn sigterm_without_transactions_repeats_nothing_either() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let flags = [&FLAGS[..], &["--guarantee", "at-least-once"]].concat();
    let (producer, consumer) = busy_with(&pipeline, &flags);
    consumer.sigterm();
    consumer.wait(STOP_MAX).expect_code(0);
    producer.sigterm();
    producer.wait(LIMIT).expect_code(0);
    let flags = [&flags[..], &["--exit-at-end"]].concat();
    Process::consumer(&pipeline, &flags).wait(LIMIT).expect_code(0);
    verify::exact(&pipeline, &Rules::new(&[&pipeline.orders_v1()]).failing(0.1));
}

#[test]
fn sigterm_under_load_ends_in_time_and_leaves_everything_exact() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let (producer, consumer) = busy(&pipeline);
    let asked = Instant::now();
    consumer.sigterm();
    let stopped = consumer.wait(STOP_MAX);
    eprintln!("stopped after {:?}:\n{}", asked.elapsed(), stopped.stderr);
    let printed = stopped.expect_code(0).stats();
    assert!(printed["consumed"].as_u64() > Some(1_000), "{printed}");
    producer.sigterm();
    producer.wait(LIMIT).expect_code(0);
    let flags = [&FLAGS[..], &["--exit-at-end"]].concat();
    let finished = Process::consumer(&pipeline, &flags).wait(LIMIT);
    let rest = finished.expect_code(0).stats();
    let rules = Rules::new(&[&pipeline.orders_v1()]).failing(0.1);
    let totals = verify::exact(&pipeline, &rules);
    totals.expect_state(&rest);
    for (name, expected) in [
        ("consumed", totals.orders),
        ("succeeded", totals.succeeded),
        ("retried", totals.retried),
        ("dead_lettered", totals.dead_lettered),
    ] {
        let both = printed[name].as_u64().zip(rest[name].as_u64()).map(|(a, b)| a + b);
        assert_eq!(both, Some(expected), "{name} of both runs: {printed} and {rest}");
    }
}

#[test]
fn sigterm_while_the_broker_is_away_ends_in_time_and_a_second_signal_at_once() {
    let _machine = machine::shared();
    let mut cluster = Cluster::own_kafka(&[]);
    let [one, two, three] = [1, 2, 3].map(|partitions| cluster.pipeline(partitions));
    let (feeds, consumers): (Vec<_>, Vec<_>) = [&one, &two].map(busy).into_iter().unzip();
    cluster.pause_kafka();
    let asked = Instant::now();
    consumers.iter().for_each(Process::sigterm);
    let [patient, hasty] = <[Process; 2]>::try_from(consumers).ok().expect("two were started");
    let mut hasty = hasty;
    hasty.wait_for_log("a second signal ends at once", AT_ONCE);
    hasty.sigterm();
    let ended = hasty.wait(AT_ONCE);
    assert_eq!(ended.code, Some(128 + 15), "{}", ended.stderr);
    let ended = patient.wait(STOP_MAX.saturating_sub(asked.elapsed()));
    eprintln!("stopped after {:?}:\n{}", asked.elapsed(), ended.stderr);
    ended.expect_code(0).stats();
    drop(feeds); // killed: what they had sent is in the topic or is not
    cluster.resume_kafka();
    let flags = [&FLAGS[..], &["--exit-at-end"]].concat();
    for pipeline in [&one, &two] {
        Process::consumer(pipeline, &flags).wait(LIMIT).expect_code(0);
        verify::exact(pipeline, &Rules::new(&[&pipeline.orders_v1()]).failing(0.1).after_kills());
    }
    let (feed, consumer) = busy(&three);
    cluster.kill_kafka();
    drop(feed);
    let asked = Instant::now();
    consumer.sigterm();
    let ended = consumer.wait(STOP_MAX);
    eprintln!("stopped after {:?}:\n{}", asked.elapsed(), ended.stderr);
    ended.expect_code(0).stats();
}
