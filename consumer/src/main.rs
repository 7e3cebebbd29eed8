//! `consumer`: parse, load, build, run, report.

use std::process::ExitCode;

use consumer::{App, Flags, Settings};
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::result_line;
use service_kit::program::Program;
use service_kit::shutdown::Shutdown;
use service_kit::terminal::tame_json;
use service_kit::{metrics_recorder, settings, telemetry};

fn main() -> ExitCode {
    Program::new("consumer", build_info::commit!()).run(run)
}

fn run(program: &Program, flags: Flags) -> Result<ExitStatus, AppError> {
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
        metrics_recorder::install(program).map_err(|error| AppError::failed(error.to_string()))?;
    let app = App::start(checked, stop, runtime.handle(), Some(metrics))?;
    let statistics = app.run(|_| {})?;
    match output {
        OutputFormat::Table => result_line(&statistics.table().to_string())?,
        OutputFormat::Json | OutputFormat::Jsonl => {
            let text = serde_json::to_string(&statistics)
                .map_err(|error| AppError::failed(error.to_string()))?;
            result_line(&tame_json(text))?;
        }
    }
    // A lane that a broker holds is left behind; waiting for the runtime would wait for it.
    runtime.shutdown_background();
    Ok(ExitStatus::Done)
}
