//! Every order ends as the contract's formula says, and every trace of it tells the same story.

use std::collections::BTreeMap;
use std::time::Duration;

use testkit::oracle::Rules;
use testkit::verify::Totals;
use testkit::{Cluster, Input, OrderEncoder, Pipeline, Process, machine, verify};

/// Orders of a full run.
const ORDERS: usize = 10_000;

/// Longest time for a full run with its retries.
const RUN_MAX: Duration = Duration::from_secs(60);

const FLAGS: [&str; 7] =
    ["--simulate-failures", "0.1", "--retry-delay", "200ms", "--exit-at-end", "-o", "json"];

/// Orders of which one in a hundred is bad, one kind after the other, with headers of any bytes
/// here and there.
fn orders(encoder: &OrderEncoder, partitions: i32) -> Vec<Input> {
    let products = ["tea", "cake", "crème brûlée", "日本茶", "x"];
    let order = |n: usize| {
        let partition = i32::try_from(n % partitions.unsigned_abs() as usize).expect("small");
        let (id, product) = (format!("order-{n}"), products[n % products.len()]);
        let cents = u16::try_from(n * 37 % 50_000).expect("small");
        let price = f32::from(cents) / 100.0 + 0.000_05;
        let mut input = encoder.input(partition, &id, product, price);
        if n % 100 == 99 {
            input = match n / 100 % 8 {
                0 => Input { value: None, ..input },
                1 => Input { value: Some(b"???".to_vec()), ..input },
                2 => Input { value: Some(b"not an order".to_vec()), ..input },
                3 => cut(input),
                4 => encoder.input(partition, &id, product, -price),
                5 => encoder.input(partition, &id, " ", price),
                6 => encoder.input(partition, "", product, price),
                _ => encoder.input(partition, &id, product, f32::NAN),
            };
        }
        if n.is_multiple_of(7) {
            input = input
                .with_header("trace", Some(format!("{n}").as_bytes()))
                .with_header([0xff, 0xfe], Some(&[0, 0xff]))
                .with_header("trace", None)
                .with_header("x-attempt", Some(b"77"));
        }
        input
    };
    (0..ORDERS).map(order).collect()
}

fn cut(mut input: Input) -> Input {
    input.value.as_mut().expect("an order").pop();
    input
}

/// Sends the orders, runs the consumer to the end, and checks everything.
fn run_all(flags: &[&str]) -> (Pipeline, Totals) {
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &orders(&encoder, 3));
    let finished = Process::consumer(&pipeline, &[&FLAGS[..], flags].concat()).wait(RUN_MAX);
    eprintln!("{}", finished.stderr); // shown when the test fails
    let rules = Rules::new(&[&encoder]).failing(0.1);
    let totals = verify::exact(&pipeline, &rules);
    totals.expect_stats(&finished.expect_code(0).stats());
    (pipeline, totals)
}

#[test]
fn ten_thousand_orders_end_as_the_formula_says() {
    let _machine = machine::shared();
    let (pipeline, totals) = run_all(&[]);
    assert_eq!(totals.orders, ORDERS as u64);
    assert!(totals.retried > 900, "{totals:?}");
    assert!(totals.dead_lettered >= 100, "{totals:?}");
    assert_eq!(pipeline.lag(), 0);
    java_reads_the_dead_letters(&pipeline, totals.dead_lettered);
}

/// The console consumer of Kafka itself reads the dead letters and prints their headers.
fn java_reads_the_dead_letters(pipeline: &Pipeline, count: u64) {
    let max = count.to_string();
    let args = [
        "--topic",
        &pipeline.dlq,
        "--from-beginning",
        "--max-messages",
        &max,
        "--isolation-level",
        "read_committed",
        "--timeout-ms",
        "20000",
        "--formatter-property",
        "print.headers=true",
        "--formatter-property",
        "print.value=false",
    ];
    let printed = pipeline.java("org.apache.kafka.tools.consumer.ConsoleConsumer", &args);
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for letter in pipeline.records(&pipeline.dlq) {
        *reasons.entry(letter.header_text("x-failure-reason").to_owned()).or_default() += 1;
    }
    assert!(reasons.len() >= 8, "{reasons:?}");
    for (reason, count) in reasons {
        let told = printed.matches(&format!("x-failure-reason:{reason},")).count();
        assert_eq!(told, count, "{reason} in:\n{printed}");
    }
    let group = format!("kafka_dlt-original-consumer-group:{}", pipeline.group);
    assert_eq!(printed.matches(&group).count().to_string(), max);
}

#[test]
fn without_a_crash_at_least_once_is_exact_as_well() {
    let _machine = machine::shared();
    // One lane: what a rebalance moves before its commit is worked on again by the next owner.
    let flags = ["--guarantee", "at-least-once", "--lanes", "1"];
    let (_, totals) = run_all(&flags);
    assert_eq!(totals.orders, ORDERS as u64);
}

#[test]
fn a_second_run_finds_nothing_to_do_and_prints_the_same_state() {
    let _machine = machine::shared();
    let (pipeline, totals) = run_all(&[]);
    let finished = Process::consumer(&pipeline, &FLAGS).wait(RUN_MAX);
    let statistics = finished.expect_code(0).stats();
    assert_eq!((&statistics["consumed"], &statistics["succeeded"]), (&0.into(), &0.into()));
    totals.expect_state(&statistics);
}
