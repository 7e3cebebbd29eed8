//! When retries run: never before they are due, soon after, and whatever else waits.

use std::collections::BTreeMap;
use std::time::Duration;

use order_schemas::Outcome;
use testkit::oracle::{Rules, fails};
use testkit::verify::{self, Origin};
use testkit::{Cluster, Input, OrderEncoder, Pipeline, Process, Role, machine, wait};

/// Longest time until something that is due has happened, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// In an idle pipeline a retry runs within this time after it is due, in milliseconds.
const LATE_MAX_MS: i64 = 300;

/// A retry that was run: when it was due, when it ran, and when that was written.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) origin: Origin,
    pub(crate) due_at_ms: i64,
    pub(crate) settled_at_ms: i64,
    pub(crate) written_at_ms: i64,
}

/// All retries that were run so far, in the order of the outcome log.
pub(crate) fn retries_run(pipeline: &Pipeline) -> Vec<Ran> {
    let outcomes = pipeline.outcomes_log(); // first: whatever ran has its record in retry
    let due: BTreeMap<(Origin, i64), i64> = pipeline
        .records(&pipeline.retry)
        .iter()
        .map(|record| {
            let key = (record.origin(), record.header_number("x-attempt"));
            (key, record.header_number("x-due-at-ms"))
        })
        .collect();
    let ran = outcomes.into_iter().filter(|entry| entry.outcome.attempt > 1).map(|entry| {
        let outcome = &entry.outcome;
        let origin = (outcome.origin_partition, outcome.origin_offset);
        Ran {
            origin,
            due_at_ms: due[&(origin, i64::from(outcome.attempt) - 1)],
            settled_at_ms: outcome.settled_at_ms,
            written_at_ms: entry.timestamp_ms,
        }
    });
    ran.collect()
}

/// The first ids of which exactly the first `failures` attempts fail.
pub(crate) fn ids(failures: usize, count: usize, rate: f64) -> Vec<String> {
    let all = (0..).map(|n| format!("order-{n}"));
    let fitting = all.filter(|id| {
        (1..=4).take_while(|attempt| fails(id, *attempt, 42, rate)).count() == failures
    });
    fitting.take(count).collect()
}

fn inputs(encoder: &OrderEncoder, ids: &[String]) -> Vec<Input> {
    ids.iter().map(|id| encoder.input(0, id, "tea", 2.5)).collect()
}

/// A pipeline whose broker notes when orders and outcomes arrive: what a sender of this test
/// needs to connect is not the consumer's delay.
fn timed_pipeline() -> Pipeline {
    let arrival = |role| (role, "message.timestamp.type", "LogAppendTime");
    Cluster::shared().pipeline_with(1, &[arrival(Role::Orders), arrival(Role::Outcomes)])
}

/// Lets one order through: only then has every connection been made.
fn warm_up(pipeline: &Pipeline, consumer: &mut Process, encoder: &OrderEncoder, rate: f64) {
    consumer.wait_ready(LIMIT);
    pipeline.send(&pipeline.orders, &inputs(encoder, &ids(0, 1, rate)));
    wait::is_true("the first order being counted", LIMIT, || succeeded(pipeline) == 1);
}

fn succeeded(pipeline: &Pipeline) -> usize {
    let log = pipeline.outcomes_log();
    log.iter().filter(|entry| entry.outcome.outcome == Outcome::Succeeded).count()
}

/// These measure time.
mod alone {
    use super::*;

    #[test]
    fn a_retry_is_never_early_and_in_an_idle_pipeline_at_most_300_ms_late() {
        let _machine = machine::alone();
        let pipeline = timed_pipeline();
        let encoder = pipeline.orders_v1();
        let flags = ["--simulate-failures", "0.5", "--retry-delay", "2s", "--lanes", "1"];
        let mut consumer = Process::consumer(&pipeline, &flags);
        warm_up(&pipeline, &mut consumer, &encoder, 0.5);
        let ids = ids(1, 12, 0.5);
        for (sent, part) in (1..).zip(ids.chunks(3)) {
            // Each batch fails at a moment of its own, and all wait side by side.
            pipeline.send(&pipeline.orders, &inputs(&encoder, part));
            wait::is_true("the batch failing", LIMIT, || {
                pipeline.records(&pipeline.retry).len() == sent * part.len()
            });
        }
        wait::is_true("every order being counted", LIMIT, || succeeded(&pipeline) == 1 + ids.len());
        let first_attempts: BTreeMap<Origin, i64> = pipeline
            .outcomes_log()
            .iter()
            .filter(|entry| entry.outcome.attempt == 1)
            .map(|entry| {
                let outcome = &entry.outcome;
                ((outcome.origin_partition, outcome.origin_offset), outcome.settled_at_ms)
            })
            .collect();
        let ran = retries_run(&pipeline);
        assert_eq!(ran.len(), ids.len());
        for retry in &ran {
            let delay = retry.due_at_ms - first_attempts[&retry.origin];
            assert!((1_950..=2_050).contains(&delay), "{delay} ms instead of 2 s: {retry:?}");
            assert!(retry.settled_at_ms >= retry.due_at_ms, "early: {retry:?}");
            assert!(retry.written_at_ms >= retry.due_at_ms, "early: {retry:?}");
            assert!(retry.written_at_ms <= retry.due_at_ms + LATE_MAX_MS, "late: {retry:?}");
        }
        let lateness: Vec<i64> =
            ran.iter().map(|retry| retry.written_at_ms - retry.due_at_ms).collect();
        eprintln!("late by {lateness:?} ms");
    }

    #[test]
    fn a_waiting_retry_delays_neither_fresh_orders_nor_shorter_retries_behind_it() {
        let _machine = machine::alone();
        let pipeline = timed_pipeline();
        let encoder = pipeline.orders_v1();
        let rate = 0.4;
        let flags = ["--simulate-failures", "0.4", "--retry-delay", "200ms,5s"];
        let mut consumer = Process::consumer(&pipeline, &flags);
        warm_up(&pipeline, &mut consumer, &encoder, rate);
        let (heads, fresh, short) = (ids(2, 3, rate), ids(0, 10, rate), ids(1, 10, rate));
        pipeline.send(&pipeline.orders, &inputs(&encoder, &heads));
        wait::is_true("the heads waiting long", LIMIT, || {
            pipeline.records(&pipeline.retry).len() == 2 * heads.len()
        });
        let others: Vec<String> = fresh.iter().chain(&short).cloned().collect();
        pipeline.send(&pipeline.orders, &inputs(&encoder, &others));
        wait::is_true("the others being counted", LIMIT, || {
            succeeded(&pipeline) == 1 + others.len()
        });
        let at_others = pipeline.outcomes_log();
        wait::is_true("the heads being counted", LIMIT, || {
            succeeded(&pipeline) == 1 + others.len() + heads.len()
        });
        let orders = pipeline.records(&pipeline.orders);
        let sent: BTreeMap<Origin, i64> =
            orders.iter().map(|order| (order.coordinates(), order.timestamp_ms)).collect();
        for entry in at_others.iter().filter(|entry| entry.outcome.attempt == 1) {
            let origin = (entry.outcome.origin_partition, entry.outcome.origin_offset);
            if origin.1 == 0 {
                continue; // it warmed the connections up
            }
            let took = entry.timestamp_ms - sent[&origin];
            assert!(took <= LATE_MAX_MS, "a fresh order took {took} ms: {entry:?}");
        }
        for retry in retries_run(&pipeline) {
            assert!(retry.settled_at_ms >= retry.due_at_ms, "early: {retry:?}");
            assert!(retry.written_at_ms <= retry.due_at_ms + LATE_MAX_MS, "late: {retry:?}");
        }
        consumer.sigterm();
        consumer.wait(LIMIT).expect_code(0);
        verify::exact(&pipeline, &Rules::new(&[&encoder]).failing(rate));
    }
}
