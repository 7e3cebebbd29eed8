//! Commits whose outcome is unknown, producers that are fenced, servers that are away in the
//! middle of a transaction: whatever happens, every order is counted once.
//!
//! Single requests are caught on their way by a proxy in front of a broker of the test's own.

mod brokers;
mod commits;
mod hanging;
mod identity;
mod offsets;
mod resets;
mod unclean;

use std::time::Duration;

use testkit::oracle::Rules;
use testkit::proxy;
use testkit::{
    Cluster, Finished, Input, KafkaProxy, OrderEncoder, Pipeline, Process, verify, wait,
};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(90);

/// Share of the attempts that fail.
const RATE: f64 = 0.2;

const FLAGS: [&str; 4] = ["--lanes", "1", "--simulate-failures", "0.2"];

const SHORT_DELAY: &str = "200ms";

/// Partitions of every topic.
const PARTITIONS: i32 = 3;

/// Orders that are sent at a time.
const BATCH: i32 = 300;

/// Brokers of a test's own with a proxy in front of each, and a pipeline on them.
struct Rig {
    cluster: Cluster,
    proxies: Vec<KafkaProxy>,
    pipeline: Pipeline,
    encoder: OrderEncoder,
    sent: i32,
}

impl Rig {
    /// One broker with these lines of `server.properties`.
    fn one_broker(properties: &[&str]) -> Self {
        let (cluster, proxy) = Cluster::behind_proxy(properties);
        Self::on(cluster, vec![proxy])
    }

    fn on(cluster: Cluster, proxies: Vec<KafkaProxy>) -> Self {
        let pipeline = cluster.pipeline(PARTITIONS);
        let encoder = pipeline.orders_v1();
        Self { cluster, proxies, pipeline, encoder, sent: 0 }
    }

    fn proxy(&self) -> &KafkaProxy {
        &self.proxies[0]
    }

    /// A consumer that sees the brokers through the proxies.
    fn consumer(&self, args: &[&str]) -> Process {
        self.consumer_with_delay(SHORT_DELAY, args)
    }

    fn consumer_with_delay(&self, delay: &str, args: &[&str]) -> Process {
        let proxied = proxy::before(&self.proxies, &self.pipeline);
        Process::consumer(&proxied, &[&FLAGS[..], &["--retry-delay", delay], args].concat())
    }

    /// Sends orders past the proxies.
    fn send(&mut self) {
        let orders: Vec<Input> =
            (self.sent..self.sent + BATCH).map(|n| order(&self.encoder, n)).collect();
        self.pipeline.send(&self.pipeline.orders, &orders);
        self.sent += BATCH;
    }

    /// Waits until everything is settled, and checks all of it.
    fn finish(&self, mut consumer: Process) {
        wait::is_true("everything being settled", LIMIT, || {
            assert!(consumer.is_running(), "it has ended");
            self.pipeline.lag() == 0
        });
        consumer.sigterm();
        consumer.wait(LIMIT).expect_code(0);
        check(&self.pipeline, &self.encoder);
    }
}

/// A consumer that sees the brokers as the pipeline does.
fn direct(pipeline: &Pipeline, args: &[&str]) -> Process {
    Process::consumer(pipeline, &[&FLAGS[..], &["--retry-delay", SHORT_DELAY], args].concat())
}

/// Sends orders with these numbers, round-robin over the partitions that there are.
fn send(pipeline: &Pipeline, encoder: &OrderEncoder, numbers: std::ops::Range<i32>) {
    let placed = |n| Input { partition: n % pipeline.partitions, ..order(encoder, n) };
    pipeline.send(&pipeline.orders, &numbers.map(placed).collect::<Vec<_>>());
}

fn order(encoder: &OrderEncoder, n: i32) -> Input {
    let product = ["tea", "cake", "rice"][n as usize / 5 % 3];
    encoder.input(n % PARTITIONS, &format!("order-{n}"), product, 0.25 + (n % 400) as f32)
}

/// Verifies and audits what lies in the topics of a pipeline that has settled everything.
#[track_caller]
fn check(pipeline: &Pipeline, encoder: &OrderEncoder) {
    verify::exact(pipeline, &Rules::new(&[encoder]).failing(RATE).after_kills());
    audit(pipeline).expect_code(0);
}

fn audit(pipeline: &Pipeline) -> Finished {
    Process::start("orders", &pipeline.audit_args(true), &[]).wait(LIMIT)
}
