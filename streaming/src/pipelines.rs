//! Starts pipelines on the engine, each with a server for its health, and runs them to their end.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Instant;

use codec::registry::{Registration, Registry};
use codec::resolver::SchemaResolver;
use order_api::status::Status;
use relane::settings::EngineSettings;
use relane::stage::Stage;
use relane::{Connections, Engine, Resources};
use service_kit::admin_http::Admin;
use service_kit::args::OutputFormat;
use service_kit::exit::AppError;
use service_kit::http::{Limits, Routes, Server};
use service_kit::metrics_recorder::Metrics;
use service_kit::output;
use service_kit::shutdown::Shutdown;
use tokio::runtime::Handle;

use crate::decisions::DecisionsStage;
use crate::report::Report;
use crate::settings::Reporting;
use crate::tally::Tally;
use crate::web::Board;

/// What every service of the process uses.
pub(crate) struct Parts {
    pub(crate) connections: Connections,
    pub(crate) registry: Registry,
    pub(crate) registration: Registration,
    pub(crate) resolver: SchemaResolver,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) status: Status,
    pub(crate) stop: Shutdown,
    pub(crate) runtime: Handle,
}

/// Something that runs until it is asked to stop.
pub(crate) type Running = JoinHandle<Result<(), AppError>>;

/// One pipeline, and where it is asked.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) listen: SocketAddr,
    /// Besides metrics and health.
    pub(crate) routes: Routes,
    pub(crate) settings: EngineSettings,
}

impl Parts {
    /// Starts a pipeline and its server. `run` runs the pipeline to its end, in a thread.
    ///
    /// # Errors
    ///
    /// Fails within 5 s when a topic or permission is missing, or the address is taken.
    pub(crate) fn start<S: Stage>(
        &self,
        plan: Plan,
        make_stage: impl FnMut() -> S,
        run: impl FnOnce(Engine<S>) -> Result<(), AppError> + Send + 'static,
    ) -> Result<Running, AppError> {
        let Plan { name, listen, routes, settings } = plan;
        let server = self.runtime.block_on(Server::bind(name, listen, self.limits))?;
        let around = Resources {
            connections: self.connections.clone(),
            resolver: self.resolver.clone(),
            stop: self.stop.clone(),
            runtime: self.runtime.clone(),
        };
        let engine = Engine::start(settings, around, make_stage, |health| {
            self.status.watch(&health);
            let admin = Admin::new(self.metrics.clone(), health);
            // It ends with the process: what it answers comes from memory.
            self.runtime.spawn(server.serve(routes, admin, self.stop.clone()));
            Ok(())
        })?;
        thread(name, move || run(engine))
    }
}

/// Runs something in a thread of this name.
pub(crate) fn thread(
    name: &str,
    run: impl FnOnce() -> Result<(), AppError> + Send + 'static,
) -> Result<Running, AppError> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(run).map_err(|error| AppError::failed(format!("{name} did not start: {error}")))
}

/// Runs a pipeline whose states add up to what `board` shows.
pub(crate) fn run_showing<S: Stage>(
    mut engine: Engine<S>,
    board: &Board<S::Summary>,
    sum: fn(Vec<S::Summary>) -> S::Summary,
) -> Result<(), AppError> {
    engine.run(|engine| board.put(sum(engine.summaries())))?;
    Ok(())
}

/// Runs analytics: a report at each interval, and one at the end.
pub(crate) fn run_reporting(
    mut engine: Engine<DecisionsStage>,
    board: &Board<Tally>,
    reporting: Reporting,
) -> Result<(), AppError> {
    let mut report_at = Instant::now() + reporting.every;
    engine.run(|engine| {
        let tally = sum_of_tallies(engine.summaries());
        if report_at <= Instant::now() {
            report_at = Instant::now() + reporting.every;
            print(&tally, reporting.form);
        }
        board.put(tally);
    })?;
    print(&sum_of_tallies(engine.summaries()), reporting.form);
    Ok(())
}

/// Adds up what the lanes of this process have counted.
pub(crate) fn sum_of_tallies(tallies: Vec<Tally>) -> Tally {
    DecisionsStage::summarize(tallies.iter())
}

fn print(tally: &Tally, form: OutputFormat) {
    let report = Report::of(tally);
    let printed = match form {
        OutputFormat::Table => output::text(&report.table()),
        OutputFormat::Json | OutputFormat::Jsonl => output::result_line(&report.json()),
    };
    if let Err(error) = printed {
        tracing::warn!(%error, "the report is not printed");
    }
}
