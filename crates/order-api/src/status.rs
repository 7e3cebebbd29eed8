//! How an order flow gets on: a line in the log every few seconds, and a table at the end.
//!
//! Every number is one that is measured anyway, so that a line costs nothing between two of them, and
//! agrees with what `/metrics` says. One process has one status, however many services it runs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use service_kit::health::HealthSource;
use service_kit::metrics_recorder::{Metrics, Samples};
use service_kit::shutdown::Shutdown;
use service_kit::table::{Side, Table};
use service_kit::units::DurationArg;

use crate::metrics::{ACCEPTED, OUTCOMES};

/// While something changes there is a line this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// While nothing changes there is a line this often.
const IDLE_LINE_EVERY: Duration = Duration::from_secs(60);

/// Where a flow counts what the front does not know.
#[derive(Debug, Clone, Copy)]
pub struct Sources {
    /// What the services behind the front settle, and the label that says how: a counter's name.
    pub settled: (&'static str, &'static str),
    /// Tries that are made again.
    pub retries: &'static str,
    /// Dead letters, if the flow has any.
    pub dead_letters: Option<&'static str>,
    /// Orders without an outcome, where they are counted; elsewhere they are those that were taken and
    /// have none yet.
    pub waiting: Option<&'static str>,
}

/// Numbers of one moment. Without the front there is no order, but what its services have settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    orders: Option<OrderNumbers>,
    settled: u64,
    retries: u64,
    dead_letters: u64,
}

/// What the front knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct OrderNumbers {
    taken: u64,
    confirmed: u64,
    failed: u64,
    waiting: u64,
}

/// When the next line is due.
#[derive(Debug)]
pub(crate) struct Rhythm {
    line_at: Duration,
    last: (Numbers, String),
}

/// The status of one process. Clones share it.
#[derive(Clone)]
pub struct Status {
    metrics: Metrics,
    sources: Sources,
    started_at: Instant,
    /// A service that has ended takes its connections with it: nothing here keeps them.
    health: Arc<Mutex<Vec<Weak<dyn HealthSource>>>>,
}

impl std::fmt::Debug for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Status").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl Status {
    /// Returns the status of this process, which starts now.
    #[must_use]
    pub fn new(metrics: Metrics, sources: Sources) -> Self {
        Self { metrics, sources, started_at: Instant::now(), health: Arc::default() }
    }

    /// From now on lines say what this one lacks to be ready.
    /// It is not kept alive.
    pub fn watch(&self, health: &Arc<dyn HealthSource>) {
        let health = Arc::downgrade(health);
        self.health.lock().unwrap_or_else(PoisonError::into_inner).push(health);
    }

    /// Logs lines until `stop`.
    pub async fn log(self, stop: Shutdown) {
        let mut rhythm = Rhythm::new();
        loop {
            tokio::select! {
                () = stop.requested() => return,
                () = tokio::time::sleep(LINE_EVERY) => {}
            }
            let numbers = Numbers::of(&self.metrics.samples(), &self.sources);
            let now = self.started_at.elapsed();
            if let Some(per_second) = rhythm.due(now, &numbers, &self.unavailable()) {
                numbers.log(per_second, &rhythm.last.1);
            }
        }
    }

    /// Returns the table for the end of a run, with a line break after it.
    #[must_use]
    pub fn table(&self) -> String {
        let samples = self.metrics.samples();
        table(&samples, &self.sources, self.started_at.elapsed())
    }

    /// Names of what is not there now.
    fn unavailable(&self) -> String {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let reasons =
            health.iter().filter_map(Weak::upgrade).flat_map(|source| source.ready().reasons);
        let names: BTreeSet<String> = reasons.map(|reason| reason.condition).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    }
}

impl Numbers {
    pub(crate) fn of(samples: &Samples, sources: &Sources) -> Self {
        let dead_letters = sources.dead_letters.and_then(|name| samples.sum(name, &[]));
        let outcome = |name| samples.sum(OUTCOMES, &[("outcome", name)]).unwrap_or(0);
        let dead = outcome("dead-lettered");
        let orders = samples.sum(ACCEPTED, &[]).map(|accepted| {
            let confirmed = outcome("confirmed");
            let ended = samples.sum(OUTCOMES, &[]).unwrap_or(0);
            let failed = ended.saturating_sub(confirmed + dead);
            match sources.waiting.map(|name| samples.sum(name, &[]).unwrap_or(0)) {
                // The answer is the outcome: what is refused was never accepted.
                Some(waiting) => {
                    OrderNumbers { taken: accepted + failed, confirmed, failed, waiting }
                }
                None => {
                    let waiting = accepted.saturating_sub(ended);
                    OrderNumbers { taken: accepted, confirmed, failed, waiting }
                }
            }
        });
        // Beside orders it is not shown, and no reason for a line.
        let settled = if orders.is_none() { samples.sum(sources.settled.0, &[]) } else { None };
        Self {
            orders,
            settled: settled.unwrap_or(0),
            retries: samples.sum(sources.retries, &[]).unwrap_or(0),
            dead_letters: dead_letters.unwrap_or(dead),
        }
    }

    /// What a rate is made of.
    fn work(&self) -> u64 {
        self.orders.map_or(self.settled, |orders| orders.taken)
    }

    fn log(&self, per_second: f64, unavailable: &str) {
        let unavailable = (!unavailable.is_empty()).then_some(unavailable);
        let Self { settled, retries, dead_letters, .. } = self;
        if let Some(OrderNumbers { taken, confirmed, failed, waiting }) = self.orders {
            tracing::info!(
                taken,
                confirmed,
                failed,
                waiting,
                retries,
                dead_letters,
                per_second,
                unavailable,
                "orders so far"
            );
        } else {
            tracing::info!(settled, retries, dead_letters, per_second, unavailable, "so far");
        }
    }
}

impl Rhythm {
    pub(crate) fn new() -> Self {
        Self { line_at: Duration::ZERO, last: (Numbers::default(), String::new()) }
    }

    /// Returns what is done per second since the last line, with one decimal, if a line is due now.
    pub(crate) fn due(
        &mut self,
        now: Duration,
        numbers: &Numbers,
        unavailable: &str,
    ) -> Option<f64> {
        let passed = now.saturating_sub(self.line_at);
        let has_begun = numbers.work() + numbers.retries + numbers.dead_letters > 0;
        let is_same = self.last == (numbers.clone(), unavailable.to_owned())
            || (self.line_at.is_zero() && !has_begun && unavailable.is_empty());
        if passed < if is_same { IDLE_LINE_EVERY } else { LINE_EVERY } {
            return None;
        }
        let done = numbers.work().saturating_sub(self.last.0.work());
        self.line_at = now;
        self.last = (numbers.clone(), unavailable.to_owned());
        Some(rate(done, passed))
    }
}

/// The table of a run that ends after `uptime`.
pub(crate) fn table(samples: &Samples, sources: &Sources, uptime: Duration) -> String {
    let numbers = Numbers::of(samples, sources);
    let (counts, heading, what) = match numbers.orders {
        Some(_) => (samples.by_label(OUTCOMES, "outcome"), ["OUTCOME", "ORDERS"], "orders"),
        None => {
            let (name, label) = sources.settled;
            (samples.by_label(name, label), ["RESULT", "COUNT"], "settled")
        }
    };
    let mut table = Table::new(&[(heading[0], Side::Left), (heading[1], Side::Right)]);
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        table.row([name, count.to_string()]);
    }
    if let Some(orders) = numbers.orders {
        table.row(["waiting".to_owned(), orders.waiting.to_string()]);
        table.row(["taken".to_owned(), orders.taken.to_string()]);
    }
    let Numbers { retries, dead_letters, .. } = numbers;
    let per_second = rate(numbers.work(), uptime);
    let uptime = DurationArg::from(Duration::from_secs(uptime.as_secs()));
    format!(
        "{}\n\nretries {retries}, dead letters {dead_letters}\nup for {uptime}, {per_second} {what} \
         per second\n",
        table.text()
    )
}

/// Per second, with one decimal.
fn rate(count: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let per_second = count as f64 / time.as_secs_f64().max(f64::EPSILON);
    (per_second * 10.0).round() / 10.0
}
