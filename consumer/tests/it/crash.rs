//! `kill -9` at any moment: nothing is counted twice, nothing is missing.

use std::time::Duration;

use order_schemas::Outcome;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use testkit::oracle::{Rules, fails};
use testkit::{Cluster, Input, OrderEncoder, Pipeline, Process, machine, verify, wait};

/// Longest time for the run that finishes what the killed ones left.
const FINISH_MAX: Duration = Duration::from_secs(90);

/// A dead writer's open transaction is aborted after 10 s, and the coordinator looks every 10 s.
const RECOVERY_MAX: Duration = Duration::from_secs(40);

/// Orders that wait long at the head of the retry topic.
const HEADS: usize = 6;

const FLAGS: [&str; 4] = ["--simulate-failures", "0.1", "--retry-delay", "200ms"];

/// Random moments that a failed run can be repeated with.
fn random() -> StdRng {
    let seed = rand::random::<u64>();
    eprintln!("seed {seed}");
    StdRng::seed_from_u64(seed)
}

fn backlog(encoder: &OrderEncoder, partitions: i32, count: usize) -> Vec<Input> {
    let order = |n: usize| {
        let partition = i32::try_from(n % partitions.unsigned_abs() as usize).expect("small");
        let cents = u16::try_from(n % 10_000).expect("small");
        encoder.input(
            partition,
            &format!("order-{n}"),
            ["tea", "cake", "rice"][n / 7 % 3],
            f32::from(cents) / 100.0,
        )
    };
    (0..count).map(order).collect()
}

/// Lets a new consumer finish, and checks everything.
fn finish(pipeline: &Pipeline, rules: &Rules, flags: &[&str]) -> verify::Totals {
    let flags = [&FLAGS[..], &["--exit-at-end", "-o", "json"], flags].concat();
    let finished = Process::consumer(pipeline, &flags).wait(FINISH_MAX);
    eprintln!("{}", finished.stderr);
    finished.expect_code(0);
    let totals = verify::exact(pipeline, &rules.clone().after_kills());
    totals.expect_state(&finished.stats());
    totals
}

/// Orders whose outcome is known so far: tells how far a run has come.
fn settled(pipeline: &Pipeline) -> i64 {
    let positions = pipeline.committed(&pipeline.orders).into_iter().flatten();
    positions.sum()
}

#[test]
fn ten_kills_under_load_leave_every_order_counted_once() {
    let _machine = machine::shared();
    let mut random = random();
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &backlog(&encoder, 3, 20_000));
    let load = ["--count", "0", "--rate", "3000/s", "--quiet", "--seed", "7"];
    let producer = Process::producer(&pipeline, &load);
    let flags = [&FLAGS[..], &["--instance-id", "one"]].concat();
    for kill in 0..10 {
        let mut consumer = Process::consumer(&pipeline, &flags);
        // From before it joins to well into its work.
        let after = Duration::from_millis(random.random_range(0..3_000));
        std::thread::sleep(after); // the moment of the kill is the input of this test
        consumer.kill_9();
        eprintln!("kill {kill} after {after:?}, {} committed", settled(&pipeline));
    }
    producer.sigterm();
    producer.wait(FINISH_MAX).expect_code(0);
    let rules = Rules::new(&[&encoder]).failing(0.1);
    let totals = finish(&pipeline, &rules, &["--instance-id", "one"]);
    assert!(totals.orders > 40_000, "{totals:?}");
}

#[test]
fn without_an_instance_id_a_killed_consumer_is_recovered_from_as_well() {
    let _machine = machine::shared();
    let mut random = random();
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    let orders = backlog(&encoder, 3, 60_000);
    let (first, second) = orders.split_at(orders.len() / 2);
    for part in [first, second] {
        pipeline.send(&pipeline.orders, part);
        let before = settled(&pipeline);
        let mut consumer = Process::consumer(&pipeline, &FLAGS);
        wait::is_true("a commit", RECOVERY_MAX, || settled(&pipeline) > before);
        std::thread::sleep(Duration::from_millis(random.random_range(0..300))); // as above
        consumer.kill_9();
    }
    finish(&pipeline, &Rules::new(&[&encoder]).failing(0.1), &[]);
}

#[test]
fn one_of_two_consumers_may_die_again_and_again() {
    let _machine = machine::shared();
    let mut random = random();
    let pipeline = Cluster::shared().pipeline(4);
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &backlog(&encoder, 4, 20_000));
    let load = ["--count", "0", "--rate", "2000/s", "--quiet", "--seed", "8"];
    let producer = Process::producer(&pipeline, &load);
    let flags = |id| [&FLAGS[..], &["--lanes", "1", "--instance-id", id]].concat();
    let mut survivor = Process::consumer(&pipeline, &flags("survivor"));
    for _ in 0..5 {
        let mut victim = Process::consumer(&pipeline, &flags("victim"));
        std::thread::sleep(Duration::from_millis(random.random_range(0..4_000)));
        victim.kill_9();
        assert!(survivor.is_running(), "{}", survivor.log());
    }
    producer.sigterm();
    producer.wait(FINISH_MAX).expect_code(0);
    survivor.sigterm();
    survivor.wait(FINISH_MAX).expect_code(0);
    let rules = Rules::new(&[&encoder]).failing(0.1);
    finish(&pipeline, &rules, &["--lanes", "1", "--instance-id", "survivor"]);
}

/// Orders that fail twice are sent first and then wait long. All behind them fail at most once,
/// so that they settle while the heads wait.
#[test]
fn what_was_settled_out_of_order_does_not_run_again_after_a_kill() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    let encoder = pipeline.orders_v1();
    let rate = 0.4;
    let failures =
        |id: &String| (1..=3).take_while(|attempt| fails(id, *attempt, 42, rate)).count();
    let ids: Vec<String> = (0..4_000).map(|n| format!("order-{n}")).collect();
    let on_partitions = |ids: Vec<&String>| -> Vec<Input> {
        let placed = ids.into_iter().zip([0, 1].into_iter().cycle());
        placed.map(|(id, partition)| encoder.input(partition, id, "tea", 2.5)).collect()
    };
    let heads = on_partitions(ids.iter().filter(|id| failures(id) == 2).take(HEADS).collect());
    let others = on_partitions(ids.iter().filter(|id| failures(id) <= 1).collect());
    let flags =
        ["--simulate-failures", "0.4", "--retry-delay", "200ms,30s", "--instance-id", "one"];
    let mut consumer = Process::consumer(&pipeline, &flags);
    pipeline.send(&pipeline.orders, &heads);
    wait::is_true("the heads waiting long", RECOVERY_MAX, || {
        let retries = pipeline.records(&pipeline.retry);
        retries.iter().filter(|record| record.header_text("x-attempt") == "2").count() == HEADS
    });
    pipeline.send(&pipeline.orders, &others);
    wait::is_true("all but the heads being settled", RECOVERY_MAX, || {
        let log = pipeline.outcomes_log();
        let succeeded = log.iter().filter(|entry| entry.outcome.outcome == Outcome::Succeeded);
        succeeded.count() == others.len()
    });
    consumer.kill_9();
    // The heads hold the committed offset back: what is settled above stands in its metadata.
    let (committed, ends) = (pipeline.committed(&pipeline.retry), pipeline.ends(&pipeline.retry));
    let is_behind = |(at, end): (&Option<i64>, &i64)| at.expect("a commit") + 100 < *end;
    assert!(committed.iter().zip(&ends).all(is_behind), "{committed:?} of {ends:?}");
    let flags = [&flags[..], &["--exit-at-end", "-o", "json"]].concat();
    let finished = Process::consumer(&pipeline, &flags).wait(FINISH_MAX);
    let totals = verify::exact(&pipeline, &Rules::new(&[&encoder]).failing(rate).after_kills());
    let statistics = finished.expect_code(0).stats();
    totals.expect_state(&statistics);
    assert_eq!(statistics["succeeded"], HEADS, "only the heads were left");
}
