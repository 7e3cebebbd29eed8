//! What goes into the pipeline.

use std::time::Duration;

use testkit::{Input, OrderEncoder, Pipeline, Process, wait};

/// Longest wait for a producer to stop.
const STOP_MAX: Duration = Duration::from_secs(30);

const PRODUCTS: [&str; 5] = ["tea", "cake", "rice", "soup", "bread"];

/// Orders spread over the partitions, `numbers` in their ids.
pub(crate) fn orders(
    encoder: &OrderEncoder,
    partitions: i32,
    numbers: std::ops::Range<usize>,
) -> Vec<Input> {
    numbers.map(|n| order(encoder, partitions, n)).collect()
}

fn order(encoder: &OrderEncoder, partitions: i32, n: usize) -> Input {
    let partition = i32::try_from(n % partitions.unsigned_abs() as usize).expect("small");
    let cents = u16::try_from(n % 10_000).expect("small");
    let product = PRODUCTS[n / 7 % PRODUCTS.len()];
    encoder.input(partition, &format!("order-{n}"), product, f32::from(cents) / 100.0)
}

/// Sends orders of version 1 and waits until they are acknowledged.
pub(crate) fn send(pipeline: &Pipeline, numbers: std::ops::Range<usize>) {
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &orders(&encoder, pipeline.partitions, numbers));
}

/// The real producer, which sends on until it is stopped.
pub(crate) struct Feed<'a> {
    producer: Process,
    pipeline: &'a Pipeline,
    /// Orders in the log when it began.
    logged: i64,
}

impl<'a> Feed<'a> {
    /// Starts it with so many orders in a second.
    pub(crate) fn start(pipeline: &'a Pipeline, seed: u64, rate: &str) -> Self {
        let seed = (seed % 1_000_000).to_string();
        let args = ["--count", "0", "--rate", rate, "--quiet", "--seed", &seed];
        let logged = logged(pipeline);
        Self { producer: Process::producer(pipeline, &args), pipeline, logged }
    }

    /// Waits until it has delivered more than it had.
    #[track_caller]
    pub(crate) fn delivers(&self, limit: Duration) {
        let before = logged(self.pipeline);
        wait::is_true("a delivery", limit, || logged(self.pipeline) > before);
    }

    /// Stops it, and expects that all it has sent is acknowledged, and that the log has all that
    /// was acknowledged.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.producer.sigterm();
        let finished = self.producer.wait(STOP_MAX);
        finished.expect_code(0);
        let last = finished.stdout.lines().rfind(|line| line.starts_with("sent "));
        let acknowledged = last.and_then(|line| {
            let (_, rest) = line.split_once("acknowledged ")?;
            rest.split(',').next()?.parse::<i64>().ok()
        });
        let acknowledged = acknowledged.unwrap_or_else(|| panic!("no count: {}", finished.stdout));
        let logged = logged(self.pipeline) - self.logged;
        assert!(logged >= acknowledged, "{acknowledged} acknowledged, {logged} in the log");
    }
}

/// Orders that were ever written.
fn logged(pipeline: &Pipeline) -> i64 {
    pipeline.ends(&pipeline.orders).iter().sum()
}
