//! `push`: parse, load, build, run, report.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use push::{App, Flags, Settings};
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::live::{Leave, Live};
use service_kit::program::Program;
use service_kit::shutdown::Shutdown;
use service_kit::{metrics_recorder, output, settings, telemetry};

fn main() -> ExitCode {
    Program::new("push", build_info::commit!()).run(run)
}

fn run(program: &Program, flags: Flags) -> Result<ExitStatus, AppError> {
    let flags = settings::load("push", flags.config.clone().as_deref(), flags)?;
    let log_format = flags.log.format();
    telemetry::init(log_format);
    let traces = flags.trace.check()?;
    let form = flags.output.unwrap_or_default();
    let checked = Settings::check(&flags)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("calls")
        .build()
        .map_err(|error| AppError::failed(format!("no runtime: {error}")))?;
    let stop = Shutdown::on_signals().map_err(|error| AppError::failed(error.to_string()))?;
    let metrics =
        metrics_recorder::install(program).map_err(|error| AppError::failed(error.to_string()))?;
    let _exporting = otlp::start(program, traces)?;
    let live = Live::on_stderr(log_format);
    let app = App::start(checked, stop, runtime.handle(), Some(metrics), live)?;
    // What a table on the same terminal says is not said twice.
    let has_table = io::stdout().is_terminal() && form == OutputFormat::Table;
    let (tally, ended) = app.run(if has_table { Leave::Nothing } else { Leave::LastLines });
    let written = match form {
        OutputFormat::Table => output::text(&tally.text()),
        OutputFormat::Json | OutputFormat::Jsonl => output::result_by(|out| tally.write_json(out)),
    };
    // A lane that a broker holds is left behind; waiting for the runtime would wait for it.
    runtime.shutdown_background();
    ended?;
    written.map(|()| ExitStatus::Done)
}
