//! `consumer`: parse, load, build, run, report.

use std::process::ExitCode;

use clap::Parser as _;
use consumer::{App, Flags, Settings};
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus, run_main};
use service_kit::shutdown::Shutdown;
use service_kit::terminal::tame_json;
use service_kit::{metrics_recorder, settings, telemetry};

fn main() -> ExitCode {
    run_main("consumer", run)
}

fn run() -> Result<ExitStatus, AppError> {
    let flags = Flags::parse();
    let flags = settings::load("consumer", flags.config.clone().as_deref(), flags)?;
    telemetry::init(flags.log.format());
    let output = flags.output.unwrap_or_default();
    let checked = Settings::check(flags)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| AppError::failed(format!("no runtime: {error}")))?;
    let stop = Shutdown::on_signals().map_err(|error| AppError::failed(error.to_string()))?;
    let metrics =
        metrics_recorder::install().map_err(|error| AppError::failed(error.to_string()))?;
    let app = App::start(checked, stop, runtime.handle(), Some(metrics))?;
    let statistics = app.run(|_| {})?;
    match output {
        OutputFormat::Table => println!("{}", statistics.table()),
        OutputFormat::Json | OutputFormat::Jsonl => {
            let text = serde_json::to_string(&statistics)
                .map_err(|error| AppError::failed(error.to_string()))?;
            println!("{}", tame_json(text));
        }
    }
    // A lane that a broker holds is left behind; waiting for the runtime would wait for it.
    runtime.shutdown_background();
    Ok(ExitStatus::Done)
}
