//! `sync-rest`: parse, load, build, run, report.

use std::process::ExitCode;

use service_kit::exit::{AppError, ExitStatus};
use service_kit::program::Program;
use service_kit::shutdown::Shutdown;
use service_kit::{metrics_recorder, settings, telemetry};
use sync_rest::{App, Flags, Settings};

fn main() -> ExitCode {
    Program::new("sync-rest", build_info::commit!()).run(run)
}

fn run(program: &Program, flags: Flags) -> Result<ExitStatus, AppError> {
    let service = flags.service;
    let mut flags = settings::load("sync-rest", flags.config.clone().as_deref(), flags)?;
    flags.service = service;
    telemetry::init(flags.log.format());
    let traces = flags.trace.check()?;
    let checked = Settings::check(flags)?;
    let failed = |error: &dyn std::fmt::Display| AppError::failed(error.to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(&error))?;
    let stop = Shutdown::on_signals().map_err(|error| failed(&error))?;
    let metrics = metrics_recorder::install(program).map_err(|error| failed(&error))?;
    let _exporting = otlp::start(program, traces)?;
    runtime.block_on(async {
        let app = tokio::select! {
            app = App::bind(checked, metrics) => app?,
            // A standby that never had its turn.
            () = stop.requested() => return Ok(()),
        };
        app.run(stop).await
    })?;
    // What is left of orders stands in the store: the next start goes on with it.
    runtime.shutdown_background();
    Ok(ExitStatus::Done)
}
