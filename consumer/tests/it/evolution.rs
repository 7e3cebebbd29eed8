//! Writers of several versions of the order's schema and one reader.

use std::time::Duration;

use order_schemas::ORDER_V2;
use testkit::oracle::{Rules, decimal4, ten_thousandths};
use testkit::{Cluster, Input, Process, machine, verify, wait};

/// Longest run of a program over a few hundred records.
const RUN_MAX: Duration = Duration::from_secs(40);

#[test]
fn producers_of_both_versions_feed_one_consumer() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let produce = |version: &str, seed: &str| {
        let args = ["--schema-version", version, "--seed", seed, "--count", "300"];
        Process::producer(&pipeline, &[&args[..], &["--interval", "0ms", "-q"]].concat())
    };
    // Both at once, so that the versions alternate.
    for producer in [produce("1", "1"), produce("2", "2")] {
        producer.wait(RUN_MAX).expect_code(0);
    }
    let args =
        ["--exit-at-end", "-o", "json", "--simulate-failures", "0.2", "--retry-delay", "100ms"];
    let stats = Process::consumer(&pipeline, &args).wait(RUN_MAX).expect_code(0).stats();
    let rules = Rules::new(&[&pipeline.orders_v1(), &pipeline.orders_v2()]).failing(0.2);
    let totals = verify::exact(&pipeline, &rules);
    totals.expect_stats(&stats);
    assert_eq!(totals.orders, 600);
    let ids: std::collections::BTreeSet<_> = pipeline
        .records(&pipeline.orders)
        .iter()
        .map(|record| record.value.as_ref().expect("an order")[..5].to_vec())
        .collect();
    assert_eq!(ids.len(), 2, "both versions were written");
}

/// Version 2 with one more field that has a default.
fn order_v3() -> String {
    let mut schema: serde_json::Value = serde_json::from_str(ORDER_V2).expect("a schema");
    let coupon =
        serde_json::json!({ "name": "coupon", "type": ["null", "string"], "default": null });
    schema["fields"].as_array_mut().expect("fields").push(coupon);
    schema.to_string()
}

#[test]
fn retries_parked_under_older_and_newer_schemas_are_finished_after_a_restart() {
    const PRICE: f32 = 2.35;
    const PER_VERSION: usize = 50;
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let (v1, v2) = (pipeline.orders_v1(), pipeline.orders_v2());
    let v3_id = pipeline.register(&order_v3());
    assert!(v3_id != v1.schema_id && v3_id != v2.schema_id);
    let as_v3 = |mut input: Input| {
        let value = input.value.as_mut().expect("an order");
        value[1..5].copy_from_slice(&v3_id.to_be_bytes());
        value.extend(b"\x02\x08SAVE"); // the second branch of the union: a string of 4 bytes
        input
    };
    let mut inputs = Vec::new();
    for n in 0..PER_VERSION {
        inputs.push(v1.input(0, &format!("v1-{n}"), "one", PRICE));
        inputs.push(v2.input(0, &format!("v2-{n}"), "two", PRICE));
        inputs.push(as_v3(v2.input(0, &format!("v3-{n}"), "three", PRICE)));
    }
    pipeline.send(&pipeline.orders, &inputs);

    let parking = ["-o", "json", "--simulate-failures", "1.0", "--retry-delay", "5s"];
    let consumer = Process::consumer(&pipeline, &parking);
    let count = inputs.len();
    wait::is_true("everything being parked", RUN_MAX, || {
        pipeline.committed(&pipeline.orders) == [Some(count as i64)]
    });
    consumer.sigterm();
    let stats = consumer.wait(RUN_MAX).expect_code(0).stats();
    assert_eq!((&stats["retried"], &stats["waiting"]), (&count.into(), &count.into()));

    let finished = Process::consumer(&pipeline, &["--exit-at-end", "-o", "json"]).wait(RUN_MAX);
    let stats = finished.expect_code(0).stats();
    assert_eq!((&stats["succeeded"], &stats["dead_lettered"]), (&count.into(), &0.into()));
    let sum = decimal4(ten_thousandths(PRICE) * PER_VERSION as i128);
    for (index, product) in ["one", "three", "two"].into_iter().enumerate() {
        let totals = &stats["products"][index];
        assert_eq!((&totals["product"], &totals["sum"]), (&product.into(), &sum.clone().into()));
        assert_eq!(totals["count"], PER_VERSION);
    }
    assert_eq!(pipeline.lag(), 0);
}
