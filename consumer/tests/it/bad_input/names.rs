//! Headers that look like ours: on an order they prove nothing, in the retry topic they decide.

use std::time::Duration;

use testkit::{Cluster, Input, Process, machine};

use super::{consume, dead_letters, passed_through};

/// Names of ours and of Spring's with values that would do harm if they were believed.
const FORGED: [(&str, &str); 29] = [
    ("x-origin-topic", "elsewhere"),
    ("x-origin-partition", "7"),
    ("x-origin-offset", "99"),
    ("x-origin-timestamp-ms", "1"),
    ("x-origin-timestamp-type", "LogAppendTime"),
    ("x-origin-group", "others"),
    ("x-first-failed-at-ms", "1"),
    ("x-attempt", "50"),
    ("x-due-at-ms", "99999999999999"),
    ("x-failure-class", "malformed"),
    ("x-failure-reason", "bad-magic"),
    ("x-failure-detail", "forged"),
    ("x-fingerprint", "00000000"),
    ("x-redrive-count", "3"),
    ("x-redrive-id", "forged"),
    ("x-truncated", "forged"),
    ("retry_topic-attempts", "forged"),
    ("retry_topic-backoff-timestamp", "forged"),
    ("retry_topic-original-timestamp", "forged"),
    ("kafka_dlt-original-topic", "forged"),
    ("kafka_dlt-original-partition", "forged"),
    ("kafka_dlt-original-offset", "forged"),
    ("kafka_dlt-original-timestamp", "forged"),
    ("kafka_dlt-original-timestamp-type", "forged"),
    ("kafka_dlt-original-consumer-group", "forged"),
    ("kafka_dlt-exception-fqcn", "forged"),
    ("kafka_dlt-exception-message", "forged"),
    ("x-attempt", "51"),
    ("x-redrive-count", "4"),
];

fn forged(input: Input) -> Input {
    let start = input.with_header("before", Some(b"kept"));
    let headers =
        FORGED.iter().fold(start, |i, (name, value)| i.with_header(name, Some(value.as_bytes())));
    headers.with_header("after", Some(b"kept"))
}

#[test]
fn names_of_ours_on_an_order_are_ignored_and_replaced() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let inputs = [
        forged(encoder.input(0, "dead-at-once", "tea", -1.0)),
        forged(encoder.input(0, "dead-after-retries", "tea", 1.0)),
    ];
    pipeline.send(&pipeline.orders, &inputs);
    // Were the forged due time believed, this would not end.
    let arguments = ["--simulate-failures", "1.0", "--max-retries", "1", "--retry-delay", "50ms"];
    consume(&pipeline, &arguments);

    let retry = pipeline.records(&pipeline.retry);
    assert_eq!(retry.len(), 1);
    let dead = dead_letters(&pipeline);
    assert_eq!(dead.len(), 2);
    let in_retry = [
        "x-due-at-ms",
        "retry_topic-attempts",
        "retry_topic-backoff-timestamp",
        "retry_topic-original-timestamp",
    ];
    for (record, is_retry) in
        retry.iter().map(|r| (r, true)).chain(dead.values().map(|r| (r, false)))
    {
        assert_eq!(record.header_text("x-origin-topic"), pipeline.orders);
        assert_eq!(record.header_text("x-origin-partition"), "0");
        assert_eq!(record.header_text("x-origin-group"), pipeline.group);
        assert_eq!(record.header_text("x-origin-timestamp-type"), "CreateTime");
        for (name, value) in FORGED {
            let found = record.headers_named(name);
            assert!(found.len() <= 1, "{name} stands {} times", found.len());
            let is_spring_of_dlq = name.starts_with("kafka_dlt-") && is_retry;
            let differs = found.iter().all(|found| *found != Some(value.as_bytes()));
            // x-origin-partition and the attempt may well be equal to a forged one by chance, but these are not.
            assert!(differs || is_spring_of_dlq, "{name} is still {value} (in retry: {is_retry})");
        }
        for name in in_retry {
            assert_eq!(record.headers_named(name).len(), usize::from(is_retry), "{name}");
        }
        for name in ["x-redrive-count", "x-redrive-id", "x-truncated"] {
            assert!(record.headers_named(name).is_empty(), "{name} is believed");
        }
        let kept = |name: &[u8]| (name.to_vec(), Some(b"kept".to_vec()));
        let mut others = passed_through(record);
        others.retain(|(name, _)| name == b"before" || name == b"after");
        assert_eq!(others, [kept(b"before"), kept(b"after")]);
    }
    assert_eq!(dead[&(0, 0)].header_text("x-failure-reason"), "negative-price");
    assert_eq!(dead[&(0, 0)].header_text("x-attempt"), "1");
    assert_eq!(dead[&(0, 1)].header_text("x-failure-reason"), "simulated");
    assert_eq!(dead[&(0, 1)].header_text("x-attempt"), "2");
}

fn lineage(input: Input, group: &str, offset: &str, attempt: &str) -> Input {
    [
        ("x-origin-topic", "orders-of-somebody"),
        ("x-origin-partition", "0"),
        ("x-origin-offset", offset),
        ("x-origin-timestamp-ms", "1700000000000"),
        ("x-origin-timestamp-type", "CreateTime"),
        ("x-origin-group", group),
        ("x-first-failed-at-ms", "1700000000001"),
        ("x-attempt", attempt),
        ("x-due-at-ms", "1700000002001"),
    ]
    .into_iter()
    .fold(input, |input, (name, value)| input.with_header(name, Some(value.as_bytes())))
}

#[test]
fn retries_of_another_group_are_skipped_and_those_without_lineage_are_first_attempts() {
    const LIMIT: Duration = Duration::from_secs(20);
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let order = |id: &str, price| encoder.input(0, id, "tea", price);
    let partial = order("half-a-lineage", 4.0).with_header("x-origin-offset", Some(b"3"));
    let retries = [
        lineage(order("foreign", 100.0), "another-group", "0", "1"),
        order("no-lineage", 1.0),
        order("no-lineage-and-invalid", -1.0),
        lineage(order("own", 2.0), &pipeline.group, "17", "1"),
        lineage(order("own-and-invalid", -2.0), &pipeline.group, "18", "2"),
        partial,
        lineage(Input::new(0, None, None), "another-group", "1", "1"),
    ];
    pipeline.send(&pipeline.retry, &retries);
    let mut consumer = Process::consumer(&pipeline, &["-o", "json"]);
    testkit::wait::is_true("all retries being settled", LIMIT, || {
        pipeline.committed(&pipeline.retry) == [Some(7)]
    });
    testkit::wait::is_true("the metrics following", LIMIT, || {
        consumer.metric("orders_foreign_retries_total") == Some(2.0)
    });
    consumer.sigterm();
    let finished = consumer.wait(LIMIT);
    let told = format!("{}/0 also holds retries of group \"another-group\"", pipeline.retry);
    assert_eq!(finished.stderr.matches(&told).count(), 1, "{}", finished.stderr);
    let stats = finished.expect_code(0).stats();
    assert_eq!(
        (&stats["overall"]["count"], &stats["overall"]["sum"]),
        (&3.into(), &"7.0000".into())
    );
    assert_eq!(stats["consumed"], 0, "nothing came from the main topic");

    let dead = pipeline.records(&pipeline.dlq);
    let said: Vec<_> = dead
        .iter()
        .map(|record| {
            let names = ["x-origin-topic", "x-origin-offset", "x-attempt", "x-first-failed-at-ms"];
            names.map(|name| record.header_text(name).to_owned())
        })
        .collect();
    let first_failed = dead[0].header_text("x-first-failed-at-ms").to_owned();
    assert!(first_failed.parse::<i64>().expect("a number") > 1_700_000_000_001);
    assert_eq!(
        said,
        [
            [pipeline.retry.clone(), "2".into(), "1".into(), first_failed],
            ["orders-of-somebody".into(), "18".into(), "3".into(), "1700000000001".into()],
        ]
    );
}
