//! `weather`: parse, load, build, run, report.

use std::process::ExitCode;

use service_kit::exit::{AppError, ExitStatus};
use service_kit::program::Program;
use service_kit::shutdown::Shutdown;
use service_kit::{metrics_recorder, settings, telemetry};
use weather::{Cli, Command, Services, Settings};

fn main() -> ExitCode {
    Program::new("weather", build_info::commit!()).run(run)
}

fn run(program: &Program, cli: Cli) -> Result<ExitStatus, AppError> {
    let (flags, services) = match cli.command {
        Command::All(flags) => (flags, Services::All),
        Command::Api(flags) => (flags, Services::Api),
        Command::Publisher(flags) => (flags, Services::Publisher),
        Command::KafkaConsumer(flags) => (flags, Services::KafkaConsumer),
        Command::RabbitConsumer(flags) => (flags, Services::RabbitConsumer),
    };
    let flags = settings::load("weather", flags.config.clone().as_deref(), flags)?;
    telemetry::init(flags.log.format());
    let traces = flags.trace.check()?;
    let checked = Settings::check(&flags, services)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| AppError::failed(error.to_string()))?;
    let stop = Shutdown::on_signals().map_err(|error| AppError::failed(error.to_string()))?;
    let metrics =
        metrics_recorder::install(program).map_err(|error| AppError::failed(error.to_string()))?;
    let _exporting = otlp::start(program, traces)?;
    let ran = weather::run(&checked, metrics, &stop, runtime.handle());
    // What is in hand after the time for draining is handed out again to the next run.
    runtime.shutdown_background();
    ran.map(|()| ExitStatus::Done)
}
