//! How long partitions stand still when an instance dies, is replaced, or starts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use order_schemas::OrderOutcome;
use testkit::{Cluster, Pipeline, Process};

use crate::bars::Bars;
use crate::cpu::build_ours;
use crate::figures::Spread;
use crate::live::{OpenLoop, Watch};
use crate::orders_log::PARTITIONS;

const RATE: u32 = 300;
const PRODUCTS: u64 = 999;
const READY_MAX: Duration = Duration::from_secs(30);
const SEEN_MAX: Duration = Duration::from_secs(60);

/// Restarts of the same instance, one after the other.
const RESTARTS: u32 = 5;

/// The consumer's default.
const SESSION_SECONDS: f64 = 10.0;

pub(crate) fn run() {
    build_ours();
    let mut bars = Bars::new("recovery", &format!("{RATE} orders/s, two instances, one lane each"));
    let (slowest, fastest) = killed();
    let what = "kill -9 of one of two to the first new outcome on each of its partitions";
    bars.at_most(what, slowest, SESSION_SECONDS + 1.0, "s");
    bars.told("the same on the partition that was first", fastest, "s");
    let (whole, stop) = restarted();
    let what = format!("planned restart with --instance-id, median of {RESTARTS}");
    bars.at_most(&what, whole.median, 1.0, "s");
    bars.told("the slowest of them", whole.most, "s");
    bars.told("of it until the process has ended, median", stop.median, "s");
    bars.at_most("start of the only instance to its first outcome", started(), 1.5, "s");
    bars.publish();
}

fn instance(pipeline: &Pipeline, name: Option<&str>) -> Process {
    let name = name.map(|name| ["--instance-id", name]);
    let arguments = [&["--lanes", "1"][..], name.as_ref().map_or(&[], |name| &name[..])].concat();
    Process::consumer(pipeline, &arguments)
}

/// Waits until every partition has an outcome of an order that was to be sent after `since`; seconds of the last and the
/// first of them.
fn back(pipeline: &Pipeline, watch: &Watch, load: &OpenLoop, since: Instant) -> (f64, f64) {
    let mut first = BTreeMap::new();
    watch.until::<OrderOutcome>(SEEN_MAX, |partition, outcome, seen_at| {
        let order = outcome.order_id["order-".len()..].parse().expect("an order of ours");
        if load.planned(order) > since {
            first.entry(partition).or_insert((seen_at - since).as_secs_f64());
        }
        first.len() == usize::try_from(pipeline.partitions).expect("small")
    });
    let seconds = first.values().copied();
    (seconds.clone().fold(0.0, f64::max), seconds.fold(f64::MAX, f64::min))
}

fn killed() -> (f64, f64) {
    let pipeline = Cluster::shared().pipeline(PARTITIONS);
    let mut both = [instance(&pipeline, None), instance(&pipeline, None)];
    let watch = Watch::start(&pipeline, &pipeline.outcomes);
    let mut load = OpenLoop::start(&pipeline, RATE, PRODUCTS);
    both.iter_mut().for_each(|one| one.wait_ready(READY_MAX));
    settle(&pipeline, &watch, &load);
    let [dies, _lives] = &mut both;
    let since = Instant::now();
    dies.kill_9();
    let seconds = back(&pipeline, &watch, &load, since);
    load.stop();
    seconds
}

/// How long restarts take in seconds, and of that the stops.
fn restarted() -> (Spread, Spread) {
    let pipeline = Cluster::shared().pipeline(PARTITIONS);
    let mut first = instance(&pipeline, Some("first"));
    let mut second = instance(&pipeline, Some("second"));
    let watch = Watch::start(&pipeline, &pipeline.outcomes);
    let mut load = OpenLoop::start(&pipeline, RATE, PRODUCTS);
    first.wait_ready(READY_MAX);
    second.wait_ready(READY_MAX);
    let mut restarts = Vec::new();
    for _ in 0..RESTARTS {
        settle(&pipeline, &watch, &load);
        let since = Instant::now();
        first.stop().expect_code(0);
        let stop = since.elapsed().as_secs_f64();
        first = instance(&pipeline, Some("first"));
        let (slowest, _) = back(&pipeline, &watch, &load, since);
        eprintln!("stopped after {stop:.3} s, all partitions back after {slowest:.3} s");
        restarts.push((slowest, stop));
    }
    load.stop();
    let of = |figure: fn(&(f64, f64)) -> f64| Spread::of(restarts.iter().map(figure));
    (of(|restart| restart.0), of(|restart| restart.1))
}

fn started() -> f64 {
    let pipeline = Cluster::shared().pipeline(PARTITIONS);
    let watch = Watch::start(&pipeline, &pipeline.outcomes);
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &[encoder.input(0, "order-0", "product-000", 1.0)]);
    let since = Instant::now();
    let _one = instance(&pipeline, None);
    let mut seconds = 0.0;
    watch.until::<OrderOutcome>(SEEN_MAX, |_, _, seen_at| {
        seconds = (seen_at - since).as_secs_f64();
        true
    });
    seconds
}

/// Waits until new orders are settled on all partitions, a few times over: the group has come to rest.
fn settle(pipeline: &Pipeline, watch: &Watch, load: &OpenLoop) {
    for _ in 0..5 {
        back(pipeline, watch, load, Instant::now());
    }
}
