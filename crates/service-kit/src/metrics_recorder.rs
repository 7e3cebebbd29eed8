//! The process-wide metrics recorder and its Prometheus text.

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
