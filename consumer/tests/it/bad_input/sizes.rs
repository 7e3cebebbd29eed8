//! Records that a topic refuses for their size: never lost, never in the way of others.

use sha2::Digest as _;
use testkit::{Cluster, LogRecord, OrderEncoder, Pipeline, Role, machine};

use super::{consume, coordinates, dead_letters, passed_through};

/// Largest record of the narrow topic, in bytes.
const NARROW_BYTES: usize = 20_000;

/// Failing orders in one batch that are too large for the narrow topic. More than a turn is
/// redone: each of them must not cost a round of its own.
const LARGE_COUNT: usize = 40;

/// Healthy orders around each large one.
const HEALTHY_PER_LARGE: usize = 3;

fn large_order(encoder: &OrderEncoder, n: usize, bytes: usize) -> testkit::Input {
    let id = format!("{n:04}-{}", "x".repeat(bytes));
    encoder.input(0, &id, "tea", -1.0).with_header("trace", Some(b"kept"))
}

/// Checks a dead letter whose value stands in for one that the topic refused.
#[track_caller]
fn check_truncated(pipeline: &Pipeline, record: &LogRecord, value: &[u8]) {
    let (partition, offset) = record.origin();
    let digest = sha2::Sha256::digest(value);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    for part in [format!("{}/{partition}/{offset}", pipeline.orders), value.len().to_string(), hex]
    {
        let text = record.header_text("x-truncated");
        assert!(text.contains(&part), "{part:?} is missing in {text:?}");
        let stand_in = String::from_utf8_lossy(record.value.as_deref().expect("a value"));
        assert!(stand_in.contains(&part), "{part:?} is missing in {stand_in:?}");
    }
    assert_eq!(record.header_text("x-failure-reason"), "negative-price");
    assert_eq!(record.key.as_deref(), Some(&b"tea"[..]));
    assert_eq!(passed_through(record), [(b"trace".to_vec(), Some(b"kept".to_vec()))]);
}

fn check_oversized_dead_letters(guarantee: &str) {
    let _guard = machine::shared();
    let limit = NARROW_BYTES.to_string();
    let changes = [(Role::DeadLetter, "max.message.bytes", limit.as_str())];
    let pipeline = Cluster::shared().pipeline_with(1, &changes);
    let encoder = pipeline.orders_v1();
    let mut inputs = Vec::new();
    for n in 0..LARGE_COUNT {
        inputs.push(large_order(&encoder, n, NARROW_BYTES + 500 * (n % 7)));
        inputs.push(encoder.input(0, &format!("small-{n}"), "tea", -2.0));
        for m in 0..HEALTHY_PER_LARGE {
            inputs.push(encoder.input(0, &format!("healthy-{n}-{m}"), "tea", 1.0));
        }
    }
    pipeline.send(&pipeline.orders, &inputs);
    let stats = consume(&pipeline, &["--guarantee", guarantee]);

    assert_eq!(stats["overall"]["count"], LARGE_COUNT * HEALTHY_PER_LARGE);
    assert_eq!(stats["dead_lettered"], 2 * LARGE_COUNT);
    let dead = dead_letters(&pipeline);
    assert_eq!(dead.len(), 2 * LARGE_COUNT);
    for (at, input) in coordinates(&inputs).iter().zip(&inputs) {
        let Some(record) = dead.get(at) else { continue };
        let value = input.value.as_deref().expect("an order");
        if value.len() > NARROW_BYTES {
            check_truncated(&pipeline, record, value);
        } else {
            assert_eq!(record.value.as_deref(), Some(value));
            assert!(record.header("x-truncated").is_none());
        }
    }
    let mut origins: Vec<_> =
        pipeline.outcomes_log().iter().map(|o| o.outcome.origin_offset).collect();
    origins.sort_unstable();
    assert_eq!(origins, (0..inputs.len() as i64).collect::<Vec<_>>(), "one outcome for each");
    assert_eq!(pipeline.lag(), 0);
}

#[test]
fn records_that_the_dlq_refuses_are_replaced_by_their_coordinates_and_the_others_are_untouched() {
    check_oversized_dead_letters("exactly-once");
}

#[test]
fn without_transactions_a_refused_record_does_not_repeat_its_neighbors() {
    check_oversized_dead_letters("at-least-once");
}

#[test]
fn the_detail_goes_before_the_value() {
    let _guard = machine::shared();
    let limit = NARROW_BYTES.to_string();
    let changes = [(Role::DeadLetter, "max.message.bytes", limit.as_str())];
    let pipeline = Cluster::shared().pipeline_with(1, &changes);
    let encoder = pipeline.orders_v1();
    // From surely small enough to surely too large, in steps below the length of a detail.
    let sizes = (NARROW_BYTES - 2_000..NARROW_BYTES).step_by(20);
    let inputs: Vec<_> =
        sizes.enumerate().map(|(n, bytes)| large_order(&encoder, n, bytes)).collect();
    pipeline.send(&pipeline.orders, &inputs);
    let stats = consume(&pipeline, &[]);
    assert_eq!(stats["dead_lettered"], inputs.len());

    let dead = dead_letters(&pipeline);
    let mut kinds = Vec::new();
    for (at, input) in coordinates(&inputs).iter().zip(&inputs) {
        let record = &dead[at];
        let has_value = record.value == input.value;
        let has_detail = record.header("x-failure-detail").is_some();
        assert_eq!(has_value, record.header("x-truncated").is_none(), "{at:?}");
        if !has_value {
            check_truncated(&pipeline, record, input.value.as_deref().expect("an order"));
        }
        kinds.push((has_value, has_detail));
    }
    kinds.dedup();
    assert_eq!(kinds, [(true, true), (true, false), (false, false)], "larger and larger records");
}

#[test]
fn a_record_that_the_retry_topic_refuses_is_a_dead_letter() {
    let _guard = machine::shared();
    let limit = NARROW_BYTES.to_string();
    let changes = [(Role::Retry, "max.message.bytes", limit.as_str())];
    let pipeline = Cluster::shared().pipeline_with(1, &changes);
    let encoder = pipeline.orders_v1();
    let mut inputs = Vec::new();
    for n in 0..LARGE_COUNT {
        inputs.push(encoder.input(0, &format!("{n:04}-{}", "x".repeat(NARROW_BYTES)), "tea", 1.0));
        inputs.push(encoder.input(0, &format!("small-{n}"), "tea", 1.0));
    }
    pipeline.send(&pipeline.orders, &inputs);
    let arguments = ["--simulate-failures", "1.0", "--max-retries", "1", "--retry-delay", "50ms"];
    let stats = consume(&pipeline, &arguments);

    assert_eq!(
        (&stats["retried"], &stats["dead_lettered"]),
        (&LARGE_COUNT.into(), &inputs.len().into())
    );
    let dead = dead_letters(&pipeline);
    for (at, input) in coordinates(&inputs).iter().zip(&inputs) {
        let record = &dead[at];
        let is_large = input.value.as_ref().is_some_and(|value| value.len() > NARROW_BYTES);
        let said =
            ["x-failure-class", "x-failure-reason", "x-attempt"].map(|n| record.header_text(n));
        let (reason, attempts) =
            if is_large { ("too-large-to-retry", "1") } else { ("simulated", "2") };
        assert_eq!(said, ["transient", reason, attempts], "{at:?}");
        assert_eq!((&record.key, &record.value), (&input.key, &input.value));
    }
    assert_eq!(pipeline.lag(), 0);
}
