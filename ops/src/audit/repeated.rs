//! `orders audit --every 15m`: the same audit again and again, and what it found as metrics. An alert
//! can then say that an order is missing, without anybody who looks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{counter, describe_counter, describe_gauge, gauge};
use service_kit::admin_http::{self, Listen};
use service_kit::args::{MetricsAddr, OutputFormat};
use service_kit::clock;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::health::Conditions;
use service_kit::metrics_recorder;
use service_kit::output::note;
use service_kit::program::Program;
use service_kit::shutdown::Shutdown;
use tokio::runtime::Handle;

use super::report::{Report, State};
use super::{Settings, print, run};

/// Where metrics are served if no address is given: the port after those of the other programs.
const METRICS_PORT: u16 = 9469;

/// Shortest pause between two audits: each reads every record.
pub(super) const EVERY_MIN: Duration = Duration::from_secs(1);

/// Audits by what they found: `green`, `red`, `unprovable`, or `failed` where the log could not be
/// read to its end.
const RUNS: &str = "orders_audit_runs_total";
/// 1 if the last audit found a violation. It is not there before the first has ended.
const RED: &str = "orders_audit_red";
/// Violations that the last audit found, by invariant.
const VIOLATIONS: &str = "orders_audit_violations";
/// When the last audit ended that could read the log.
const ENDED: &str = "orders_audit_last_timestamp_seconds";
/// How long that audit took.
const SECONDS: &str = "orders_audit_duration_seconds";

/// The condition of `/readyz`.
const CONDITION: &str = "audit";

/// How often, and where the metrics are served.
#[derive(Debug, Clone)]
pub(super) struct Repeat {
    pub(super) every: Duration,
    pub(super) metrics: Option<MetricsAddr>,
}

/// Audits until it is stopped. Servers that are unavailable fail one audit, not those after it.
///
/// # Errors
///
/// Fails for wrong settings (2), and for an address of metrics that cannot be used (1).
pub(super) fn repeated(
    program: &Program,
    settings: &Settings,
    repeat: &Repeat,
    output: OutputFormat,
    runtime: &Handle,
) -> Result<ExitStatus, AppError> {
    let failed = |error: &dyn std::fmt::Display| AppError::failed(error.to_string());
    let stop = Shutdown::on_signals().map_err(|error| failed(&error))?;
    let metrics = metrics_recorder::install(program).map_err(|error| failed(&error))?;
    describe();
    let health = Conditions::new();
    health.fail(CONDITION, "the first audit has not ended");
    let listen = match repeat.metrics {
        Some(MetricsAddr::Off) => None,
        Some(MetricsAddr::At(address)) => Some(Listen::Explicit(address)),
        None => Some(Listen::Default(SocketAddr::from(([127, 0, 0, 1], METRICS_PORT)))),
    };
    if let Some(listen) = listen {
        runtime.block_on(admin_http::serve(listen, metrics, Arc::new(health.clone())))?;
    }
    loop {
        let began_at = Instant::now();
        match run(settings, runtime, |progress| note(&format!("orders: {progress}"))) {
            Ok(report) => {
                tell(&report, began_at.elapsed());
                health.pass(CONDITION);
                print(&report, output)?;
            }
            Err(error) if error.status() == ExitStatus::Usage => return Err(error),
            Err(error) => {
                counter!(RUNS, "verdict" => "failed").increment(1);
                tracing::warn!(%error, "the audit could not read the log; the next one tries again");
                health.fail(CONDITION, error.to_string());
            }
        }
        if stop.wait(repeat.every) {
            return Ok(ExitStatus::Done);
        }
    }
}

fn describe() {
    describe_counter!(RUNS, "audits by what they found");
    describe_gauge!(RED, "1 if the last audit found a violation");
    describe_gauge!(VIOLATIONS, "violations that the last audit found, by invariant");
    describe_gauge!(ENDED, "when the last audit ended that could read the log");
    describe_gauge!(SECONDS, "how long that audit took");
    for verdict in ["green", "red", "unprovable", "failed"] {
        counter!(RUNS, "verdict" => verdict).increment(0);
    }
}

fn tell(report: &Report, elapsed: Duration) {
    let verdict = match (report.ok, report.proven) {
        (false, _) => "red",
        (true, false) => "unprovable",
        (true, true) => "green",
    };
    counter!(RUNS, "verdict" => verdict).increment(1);
    gauge!(RED).set(if report.ok { 0.0 } else { 1.0 });
    for verdict in report.verdicts.iter().filter(|verdict| verdict.state != State::NotJudged) {
        let invariant = format!("{:?}", verdict.invariant);
        gauge!(VIOLATIONS, "invariant" => invariant).set(verdict.violation_count as f64);
    }
    gauge!(ENDED).set(clock::now_ms() as f64 / 1000.0);
    gauge!(SECONDS).set(elapsed.as_secs_f64());
}
