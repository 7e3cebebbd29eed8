//! `orders averages` against the consumer's own statistics.

use serde_json::{Value, json};
use testkit::{Cluster, Process, machine, wait};

use super::{RUN_MAX, orders};
use crate::runs::mixed;

#[test]
fn averages_are_the_final_statistics_of_the_consumer_also_while_retries_wait() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 3_000));
    // One lane: a partition that moves between two as the stop comes is not in `waiting`.
    let flags = ["--lanes", "1", "--simulate-failures", "0.2", "--retry-delay", "1h", "-o", "json"];
    let mut consumer = Process::consumer(&pipeline, &flags);
    consumer.wait_ready(RUN_MAX);
    let ends: Vec<_> = pipeline.ends(&pipeline.orders).into_iter().map(Some).collect();
    wait::is_true("every order being settled", RUN_MAX, || {
        pipeline.committed(&pipeline.orders) == ends
    });
    consumer.sigterm();
    let finished = consumer.wait(RUN_MAX);
    finished.expect_code(0);
    let told = finished.stats();
    let found = orders(&pipeline, "averages", &["-o", "json"]);
    found.expect_code(0);
    let found = found.stats();
    for part in ["waiting", "overall", "products"] {
        assert_eq!(found[part], told[part], "{part}: {found:#}");
    }
    assert!(told["waiting"].as_u64() > Some(100), "{told:#}");
    for (partition, end) in (0..).zip(pipeline.ends(&pipeline.orders)) {
        let standing = &found["partitions"][partition];
        assert_eq!(standing["committed"].as_i64(), Some(end), "{found:#}");
        assert_eq!(standing["beyond"], 0, "{found:#}");
    }
    // What comes now lies beyond, and changes nothing else.
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 30));
    let later = orders(&pipeline, "averages", &["-o", "json", "--top", "1"]).stats();
    assert_eq!(later["overall"], told["overall"]);
    let beyond: u64 = (0..3).filter_map(|p| later["partitions"][p]["beyond"].as_u64()).sum();
    assert_eq!((beyond, later["products"].as_array().map(Vec::len)), (30, Some(1)));
    choices_and_forms(&pipeline, &told);
}

fn choices_and_forms(pipeline: &testkit::Pipeline, told: &Value) {
    let lines = orders(pipeline, "averages", &["-o", "jsonl", "--product", "tea"]);
    let tea: Value = serde_json::from_str(lines.stdout.trim()).expect("one line");
    let products = told["products"].as_array().expect("a list");
    assert!(products.contains(&tea) && tea["product"] == "tea", "{tea} {told:#}");
    let table = orders(pipeline, "averages", &["--product", "tea", "--product", "soup"]);
    table.expect_code(0);
    let all = format!("all  {}", told["overall"]["count"]);
    let lines: Vec<_> = table
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join("  "))
        .collect();
    assert!(lines.iter().any(|line| line.starts_with(&all)), "{}", table.stdout);
    assert!(!table.stdout.contains("cake"), "{}", table.stdout);
    assert!(table.stderr.contains("no order of product \"soup\""), "{}", table.stderr);
    let waiting = told["waiting"].as_u64().expect("a number");
    assert!(
        table.stdout.contains(&format!("{waiting} orders wait for a retry")),
        "{}",
        table.stdout
    );
}

#[test]
fn a_group_that_does_not_exist_is_told_and_one_that_counted_nothing_has_no_averages() {
    let pipeline = Cluster::shared().pipeline(1);
    let finished = orders(&pipeline, "averages", &[]);
    finished.expect_code(1);
    assert!(finished.stderr.contains("does not exist"), "{}", finished.stderr);
    crate::rig::Log::empty(pipeline.clone()).commit();
    let found = orders(&pipeline, "averages", &["-o", "json"]);
    found.expect_code(0);
    assert_eq!(found.stats()["overall"], json!({"count": 0, "sum": "0.0000", "average": null}));
}
