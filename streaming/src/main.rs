//! `streaming`: parse, load, build, run, report.

use std::process::ExitCode;

use service_kit::exit::{AppError, ExitStatus};
use service_kit::program::Program;
use service_kit::shutdown::Shutdown;
use service_kit::{metrics_recorder, settings, telemetry};
use streaming::{Cli, Command, Service, Services, Settings};

fn main() -> ExitCode {
    Program::new("streaming", build_info::commit!()).run(run)
}

fn run(program: &Program, cli: Cli) -> Result<ExitStatus, AppError> {
    let (flags, services) = match cli.command {
        Command::All(flags) => (flags, Services::All),
        Command::Order(flags) => (flags, Services::One(Service::Order)),
        Command::Inventory(flags) => (flags, Services::One(Service::Inventory)),
        Command::Analytics(flags) => (flags, Services::One(Service::Analytics)),
        Command::Notification(flags) => (flags, Services::One(Service::Notification)),
    };
    let flags = settings::load("streaming", flags.config.clone().as_deref(), flags)?;
    telemetry::init(flags.log.format());
    let traces = flags.trace.check()?;
    let checked = Settings::check(flags, services)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| AppError::failed(format!("no runtime: {error}")))?;
    let stop = Shutdown::on_signals().map_err(|error| AppError::failed(error.to_string()))?;
    let metrics =
        metrics_recorder::install(program).map_err(|error| AppError::failed(error.to_string()))?;
    let _exporting = otlp::start(program, traces)?;
    streaming::run(checked, metrics, stop, runtime.handle())?;
    // A lane that a broker holds is left behind; waiting for the runtime would wait for it.
    runtime.shutdown_background();
    Ok(ExitStatus::Done)
}
