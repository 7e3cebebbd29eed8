//! `rabbit`: parse, load, build, run, report.

use std::process::ExitCode;

use rabbit::{Broker, Cli, Command, DlqCommand, ServiceFlags, Services, Settings, TopologyFlags};
use service_kit::args::{LogFormat, OutputFormat};
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output;
use service_kit::program::Program;
use service_kit::shutdown::Shutdown;
use service_kit::{metrics_recorder, settings, telemetry};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    Program::new("rabbit", build_info::commit!()).run(run)
}

fn run(program: &Program, cli: Cli) -> Result<ExitStatus, AppError> {
    match cli.command {
        Command::All(flags) => serve(program, flags, Services::All),
        Command::Order(flags) => serve(program, flags, Services::Order),
        Command::Inventory(flags) => serve(program, flags, Services::Inventory),
        Command::Notification(flags) => serve(program, flags, Services::Notification),
        Command::Topology(flags) => topology(flags),
        Command::Dlq(command) => {
            telemetry::init(LogFormat::Text);
            let runtime = runtime()?;
            let status = runtime.block_on(async {
                match command {
                    DlqCommand::List(flags) => rabbit::list(flags).await,
                    DlqCommand::Redrive(flags) => {
                        let _exporting = otlp::start(program, flags.trace.check()?)?;
                        rabbit::redrive(flags).await
                    }
                }
            });
            runtime.shutdown_background();
            status
        }
    }
}

fn serve(
    program: &Program,
    flags: ServiceFlags,
    services: Services,
) -> Result<ExitStatus, AppError> {
    let flags = settings::load("rabbit", flags.config.clone().as_deref(), flags)?;
    telemetry::init(flags.log.format());
    let traces = flags.trace.check()?;
    let checked = Settings::check(flags, services)?;
    let runtime = runtime()?;
    let stop = Shutdown::on_signals().map_err(|error| AppError::failed(error.to_string()))?;
    let metrics =
        metrics_recorder::install(program).map_err(|error| AppError::failed(error.to_string()))?;
    let _exporting = otlp::start(program, traces)?;
    runtime.block_on(rabbit::run(checked, metrics, stop))?;
    // What is in hand after the time for draining is handed out again to the next run.
    runtime.shutdown_background();
    Ok(ExitStatus::Done)
}

fn topology(flags: TopologyFlags) -> Result<ExitStatus, AppError> {
    let broker = Broker::load(flags.config.as_deref(), flags.broker)?;
    match flags.output {
        OutputFormat::Table => output::text(&broker.topology().table()),
        OutputFormat::Json | OutputFormat::Jsonl => {
            output::result_line(&broker.topology().json().to_string())
        }
    }?;
    Ok(ExitStatus::Done)
}

fn runtime() -> Result<Runtime, AppError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| AppError::failed(error.to_string()))
}
