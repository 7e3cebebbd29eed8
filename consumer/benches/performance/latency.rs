//! How long an order takes from when it was to be sent to where a reader of committed records sees its average.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use order_schemas::ProductAverage;
use testkit::{Cluster, Pipeline, Process};

use crate::bars::Bars;
use crate::cpu::build_ours;
use crate::live::{OpenLoop, Watch};
use crate::orders_log::PARTITIONS;
use crate::output::number;

const RATE: u32 = 1_000;
const SECONDS_DEFAULT: u64 = 30;
const WARM_UP_SECONDS: u64 = 3;

/// A multiple of the partitions: then all orders of a product lie on one, in their order.
const PRODUCTS: u64 = 999;

/// What a retried order waits at least; one that is seen earlier was not retried.
const RETRY_DELAY: Duration = Duration::from_secs(3);

const READY_MAX: Duration = Duration::from_secs(30);

pub(crate) fn run() {
    build_ours();
    let seconds = number("BENCH_SECONDS", SECONDS_DEFAULT);
    let what = format!("{RATE} orders/s in an open loop for {seconds} s, one lane");
    let mut bars = Bars::new("latency", &what);
    // A broker that has just started compiles its code first.
    measure(seconds, PRODUCTS, &["--guarantee", "exactly-once"]);
    let exactly = measure(seconds, PRODUCTS, &["--guarantee", "exactly-once"]);
    bars.at_most("exactly-once, p50", exactly.at(500), 12.0, "ms");
    bars.at_most("exactly-once, p99", exactly.at(990), 35.0, "ms");
    bars.told("exactly-once, p99.9", exactly.at(999), "ms");
    let least = measure(seconds, PRODUCTS, &["--guarantee", "at-least-once"]);
    bars.at_most("at-least-once, p50", least.at(500), 5.0, "ms");
    bars.told("at-least-once, p99", least.at(990), "ms");
    // Every order has a product of its own: then the average of one that is retried stays away.
    let healthy = measure(seconds, u64::MAX, &[]);
    let delay = format!("{}s", RETRY_DELAY.as_secs());
    // So many retries that no order is given up.
    let failures = ["--simulate-failures", "0.1", "--retry-delay", &delay, "--max-retries", "20"];
    let beside = measure(seconds, u64::MAX, &failures);
    let (without, with) = (healthy.at(990), beside.before(RETRY_DELAY).at(990));
    bars.told("exactly-once, a product for each order, p99", without, "ms");
    bars.told("the same of the healthy ones where 10 % are retried", with, "ms");
    bars.at_most("p99 of the healthy ones, beside that without retries", with / without, 1.2, "×");
    bars.publish();
}

/// Latencies in milliseconds, in order.
struct Latencies(Vec<f64>);

impl Latencies {
    /// What so many of a thousand stay below.
    fn at(&self, permille: usize) -> f64 {
        self.0[(self.0.len() - 1) * permille / 1_000]
    }

    fn before(&self, limit: Duration) -> Self {
        let limit = limit.as_secs_f64() * 1_000.0;
        Self(self.0.iter().copied().filter(|latency| *latency < limit).collect())
    }
}

fn measure(seconds: u64, products: u64, arguments: &[&str]) -> Latencies {
    let pipeline = Cluster::shared().pipeline(PARTITIONS);
    let mut consumer = Process::start("consumer", &consumer_arguments(&pipeline, arguments), &[]);
    consumer.wait_ready(READY_MAX);
    let watch = Watch::start(&pipeline, &pipeline.averages);
    let first = WARM_UP_SECONDS * u64::from(RATE);
    let last = (WARM_UP_SECONDS + seconds) * u64::from(RATE);
    let mut load = OpenLoop::start(&pipeline, RATE, products);
    let mut latencies = Vec::new();
    let mut counted: HashMap<String, u64> = HashMap::new();
    let mut seen = 0;
    let limit = Duration::from_secs(WARM_UP_SECONDS + seconds) + READY_MAX;
    watch.until::<ProductAverage>(limit, |_, average, seen_at| {
        let number: u64 = average.product["product-".len()..].parse().expect("a product of ours");
        let before = counted.entry(average.product).or_default();
        let now = average.count.unsigned_abs();
        for count in *before..now {
            let order = number + count * products.min(last);
            if (first..last).contains(&order) {
                latencies.push(millis(load.planned(order), seen_at));
            }
            seen += u64::from(order < last);
        }
        *before = now.max(*before);
        seen >= last
    });
    load.stop();
    consumer.stop().expect_code(0);
    latencies.sort_by(f64::total_cmp);
    Latencies(latencies)
}

fn millis(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1_000.0
}

/// Arguments that lead a consumer of one lane to a pipeline whose outcomes nobody asks for.
fn consumer_arguments(pipeline: &Pipeline, more: &[&str]) -> Vec<String> {
    let own = ["--averages-topic", &pipeline.averages, "--metrics-addr", "127.0.0.1:0"];
    let all = pipeline.engine_args().into_iter().chain(own).chain(["--lanes", "1"]);
    all.chain(more.iter().copied()).map(str::to_owned).collect()
}
