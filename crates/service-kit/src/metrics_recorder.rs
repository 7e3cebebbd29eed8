//! The process-wide metrics recorder and its Prometheus text.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::program::Program;

/// Upper bounds, in seconds, of every histogram whose name ends in `_seconds`: from half a
/// millisecond (a decode, a small transaction) to five minutes (the end of a long retry).
pub const SECONDS_BUCKETS: [f64; 18] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 120.0, 300.0,
];

/// Samples of histograms pile up until they are moved into buckets this often.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Renders what was measured.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Returns all metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Returns what was measured up to now, to be asked for single numbers.
    #[must_use]
    pub fn samples(&self) -> Samples {
        Samples::of(self.render())
    }
}

/// Counters and gauges of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    text: String,
}

impl Samples {
    /// Reads Prometheus' text format.
    #[must_use]
    pub const fn of(text: String) -> Self {
        Self { text }
    }

    /// Returns the sum of all samples of this name that have these labels, as a whole number; none if
    /// there is no such sample.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
        let has =
            |all: &str| labels.iter().all(|(label, value)| value_of(all, label) == Some(*value));
        let values = self.named(name).filter(|(labels, _)| has(labels)).map(|(_, value)| value);
        values.fold(None, |sum, value| Some(sum.unwrap_or(0) + value))
    }

    /// Returns the sums of all samples of this name by the value of a label.
    #[must_use]
    pub fn by_label(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for (labels, value) in self.named(name) {
            if let Some(of_label) = value_of(labels, label) {
                *sums.entry(of_label.to_owned()).or_default() += value;
            }
        }
        sums
    }

    /// Labels and values of the samples of this name.
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        self.text.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            let is_whole_name = labels.is_empty() || labels.starts_with('{');
            let value: f64 = value.parse().ok()?;
            #[expect(clippy::cast_possible_truncation, reason = "counts are far below 2^52")]
            let whole = value.max(0.0).round() as u64;
            is_whole_name.then_some((labels, whole))
        })
    }
}

/// The value of a label in `{a="1",b="2"}`. Our labels have no quotes in their values.
fn value_of<'a>(labels: &'a str, label: &str) -> Option<&'a str> {
    let mut parts = labels.trim_matches(['{', '}']).split(',');
    parts.find_map(|part| part.strip_prefix(label)?.strip_prefix("=\"")?.strip_suffix('"'))
}

/// Why the recorder could not be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// Another recorder is installed in this process.
    #[error("the metrics recorder cannot be installed: {0}")]
    Install(#[from] BuildError),
    /// The thread that moves samples into buckets cannot start.
    #[error("the metrics thread cannot start: {0}")]
    Thread(#[from] std::io::Error),
}

/// Installs the recorder for the `metrics` macros and the thread that does its upkeep, and says
/// which build of which program this is.
///
/// # Errors
///
/// Fails if the process has a recorder already, or cannot start a thread.
pub fn install(program: &Program) -> Result<Metrics, MetricsError> {
    let handle = builder()?.install_recorder()?;
    say_which_build(program);
    let upkeep = handle.clone();
    thread::Builder::new().name("metrics-upkeep".to_owned()).spawn(move || {
        loop {
            thread::sleep(UPKEEP_INTERVAL);
            upkeep.run_upkeep();
        }
    })?;
    Ok(Metrics { handle })
}

fn say_which_build(program: &Program) {
    let Program { name, version, commit } = *program;
    metrics::describe_gauge!(
        "orders_build_info",
        "always 1; program, version and commit of the build"
    );
    metrics::gauge!("orders_build_info", "program" => name, "version" => version, "commit" => commit)
        .set(1.0);
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(seconds, &SECONDS_BUCKETS)
}

#[cfg(test)]
pub(crate) fn unregistered() -> (metrics_exporter_prometheus::PrometheusRecorder, Metrics) {
    let recorder = builder().expect("the bucket list is not empty").build_recorder();
    let handle = recorder.handle();
    (recorder, Metrics { handle })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_histograms_with_our_buckets() {
        let (recorder, metrics) = unregistered();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("orders_transaction_seconds").record(0.004);
            metrics::counter!("orders_consumed_total", "topic" => "orders").increment(3);
        });
        let text = metrics.render();
        assert!(text.contains("orders_transaction_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("orders_transaction_seconds_bucket{le=\"0.0025\"} 0"), "{text}");
        assert!(text.contains("orders_consumed_total{topic=\"orders\"} 3"), "{text}");
    }

    #[test]
    fn samples_are_added_up_by_name_and_label() {
        let (recorder, metrics) = unregistered();
        metrics::with_local_recorder(&recorder, || {
            for (queue, result, count) in [("a", "done", 2), ("b", "done", 3), ("a", "failed", 4)] {
                let labels = [("queue", queue), ("result", result)];
                metrics::counter!("deliveries_total", &labels).increment(count);
            }
            metrics::counter!("deliveries_total_of_others").increment(100);
            metrics::gauge!("waiting").set(7.0);
        });
        let samples = metrics.samples();
        assert_eq!(samples.sum("deliveries_total", &[]), Some(9));
        assert_eq!(samples.sum("deliveries_total", &[("result", "done")]), Some(5));
        assert_eq!(samples.sum("waiting", &[]), Some(7));
        assert_eq!(samples.sum("nothing", &[]), None);
        let by_queue = samples.by_label("deliveries_total", "queue");
        assert_eq!(by_queue.into_iter().collect::<Vec<_>>(), [("a".into(), 6), ("b".into(), 3)]);
    }

    #[test]
    fn a_second_recorder_in_one_process_is_an_error_and_the_first_names_the_build() {
        let program = Program::new("test", "0123456789ab");
        let text = install(&program).expect("the first one").render();
        assert!(matches!(install(&program), Err(MetricsError::Install(_))));
        let build = format!(
            "orders_build_info{{program=\"test\",version=\"{}\",commit=\"0123456789ab\"}} 1",
            program.version
        );
        assert!(text.contains(&build), "{text}");
    }

    #[test]
    fn buckets_ascend() {
        assert!(SECONDS_BUCKETS.is_sorted_by(|a, b| a < b));
    }
}
