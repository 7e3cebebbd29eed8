//! How the program gets on: a line in the log every few seconds, and a table at the end. Every number is one that is
//! measured anyway.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use service_kit::metrics_recorder::{Metrics, Samples};
use service_kit::shutdown::Shutdown;
use service_kit::table::{Side, Table};
use service_kit::unavailable::of_process;
use service_kit::units::DurationArg;

use crate::limits::{IDLE_LINE_EVERY, LINE_EVERY};
use crate::metrics::{PUBLISHED, REPORTS, WRITES};

/// Numbers of the engine and of the path through RabbitMQ that this program adds up.
const RETRIES: [&str; 2] = ["weather_retries_total", amqp_io::metrics::RETRIES];
const DEAD_LETTERED: [&str; 2] = ["weather_dead_lettered_total", amqp_io::metrics::DEAD_LETTERED];

/// The status of the process. Clones share it.
#[derive(Clone)]
pub(crate) struct Status {
    metrics: Metrics,
    started_at: Instant,
}

/// Numbers of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Numbers {
    /// By result, over all fronts of this process; those that are not 0.
    reports: Vec<(String, u64)>,
    /// By broker or store, and result; those that are not 0.
    servers: Vec<(String, u64)>,
    retries: u64,
    dead_letters: u64,
}

impl Status {
    /// The status of this process, which starts now.
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { metrics, started_at: Instant::now() }
    }

    /// Logs lines until `stop`.
    pub(crate) async fn log(self, stop: Shutdown) {
        let (mut said, mut said_at) = ((Numbers::default(), String::new()), Instant::now());
        loop {
            tokio::select! {
                () = stop.requested() => return,
                () = tokio::time::sleep(LINE_EVERY) => {}
            }
            let now = (Numbers::of(&self.metrics.samples()), unavailable());
            if now == said && said_at.elapsed() < IDLE_LINE_EVERY {
                continue;
            }
            let passed = said_at.elapsed();
            now.0.log(rate(now.0.work().saturating_sub(said.0.work()), passed), &now.1);
            (said, said_at) = (now, Instant::now());
        }
    }

    /// The table for the end of a run, with a line break after it.
    pub(crate) fn table(&self) -> String {
        table(&Numbers::of(&self.metrics.samples()), self.started_at.elapsed())
    }
}

/// Names of what is not there now.
fn unavailable() -> String {
    let names: BTreeSet<String> =
        of_process().reasons().into_iter().map(|reason| reason.condition).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

impl Numbers {
    fn of(samples: &Samples) -> Self {
        let sum = |names: [&str; 2]| names.iter().filter_map(|name| samples.sum(name, &[])).sum();
        let reports = samples.by_label(REPORTS, "result");
        let by_server = [
            (PUBLISHED, "broker", &["confirmed", "unconfirmed"][..]),
            (WRITES, "store", &["counted", "duplicate", "unavailable"]),
        ];
        let mut servers = Vec::new();
        for (name, label, results) in by_server {
            for server in samples.by_label(name, label).into_keys() {
                for result in results {
                    let labels = [(label, server.as_str()), ("result", *result)];
                    let count = samples.sum(name, &labels).unwrap_or(0);
                    if count > 0 {
                        servers.push((format!("{server} {result}"), count));
                    }
                }
            }
        }
        Self {
            reports: reports.into_iter().filter(|(_, count)| *count > 0).collect(),
            servers,
            retries: sum(RETRIES),
            dead_letters: sum(DEAD_LETTERED),
        }
    }

    fn work(&self) -> u64 {
        self.reports.iter().chain(&self.servers).map(|(_, count)| count).sum()
    }

    fn log(&self, per_second: f64, unavailable: &str) {
        let all = self.reports.iter().chain(&self.servers);
        let counts: Vec<String> = all.map(|(name, count)| format!("{name} {count}")).collect();
        let unavailable = (!unavailable.is_empty()).then_some(unavailable);
        let Self { retries, dead_letters, .. } = self;
        let counts = counts.join(", ");
        tracing::info!(counts, retries, dead_letters, per_second, unavailable, "so far");
    }
}

fn table(numbers: &Numbers, uptime: Duration) -> String {
    let mut table = Table::new(&[("RESULT", Side::Left), ("COUNT", Side::Right)]);
    for (name, count) in numbers.reports.iter().chain(&numbers.servers) {
        table.row([name.clone(), count.to_string()]);
    }
    let Numbers { retries, dead_letters, .. } = numbers;
    let per_second = rate(numbers.work(), uptime);
    let uptime = DurationArg::from(Duration::from_secs(uptime.as_secs()));
    format!(
        "{}\n\nretries {retries}, dead letters {dead_letters}\nup for {uptime}, {per_second} per \
         second\n",
        table.text()
    )
}

/// Per second, with one decimal.
fn rate(count: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let per_second = count as f64 / time.as_secs_f64().max(f64::EPSILON);
    (per_second * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_came_of_reports_at_fronts_brokers_and_stores() {
        let text = "weather_reports_total{front=\"api\",result=\"published\"} 40\n\
                    weather_reports_total{front=\"publisher\",result=\"published\"} 2\n\
                    weather_reports_total{front=\"api\",result=\"refused\"} 0\n\
                    weather_published_total{broker=\"kafka\",result=\"confirmed\"} 42\n\
                    weather_writes_total{store=\"redis\",result=\"counted\"} 41\n\
                    weather_writes_total{store=\"redis\",result=\"duplicate\"} 1\n\
                    rabbit_retries_total{queue=\"message\"} 3\n\
                    weather_dead_lettered_total{class=\"malformed\"} 2\n";
        let numbers = Numbers::of(&Samples::of(text.to_owned()));
        let table = table(&numbers, Duration::from_secs(10));
        assert_eq!(
            table,
            "RESULT           COUNT\npublished           42\nkafka confirmed     42\nredis counted       41\n\
             redis duplicate      1\n\nretries 3, dead letters 2\nup for 10s, 12.6 per second\n"
        );
    }
}
