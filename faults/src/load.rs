//! What goes into the pipeline.

use std::time::Duration;

use testkit::{Input, OrderEncoder, Pipeline, Process};

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
pub(crate) struct Feed(Process);

impl Feed {
    /// Starts it with so many orders in a second.
    pub(crate) fn start(pipeline: &Pipeline, seed: u64, rate: &str) -> Self {
        let seed = (seed % 1_000_000).to_string();
        let args = ["--count", "0", "--rate", rate, "--quiet", "--seed", &seed];
        Self(Process::producer(pipeline, &args))
    }

    /// Stops it, and expects that all it has sent is acknowledged.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.0.sigterm();
        self.0.wait(STOP_MAX).expect_code(0);
    }
}
