//! `consumer`: parse, load, build, run, report.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use consumer::{App, Flags, Run, Settings, Statistics};
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::fold::{self, Stream};
use service_kit::live::{Leave, Live};
use service_kit::program::Program;
use service_kit::shutdown::Shutdown;
use service_kit::terminal::TameJson;
use service_kit::{metrics_recorder, output, settings, telemetry};

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _until_the_end = fail::FailScenario::setup();
    Program::new("consumer", build_info::commit!()).run(run)
}

fn run(program: &Program, flags: Flags) -> Result<ExitStatus, AppError> {
    let flags = settings::load("consumer", flags.config.clone().as_deref(), flags)?;
    let log_format = flags.log.format();
    telemetry::init(log_format);
    let traces = flags.trace.check()?;
    let form = flags.output.unwrap_or_default();
    let checked = Settings::check(flags)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| AppError::failed(format!("no runtime: {error}")))?;
    let stop = Shutdown::on_signals().map_err(|error| AppError::failed(error.to_string()))?;
    let metrics =
        metrics_recorder::install(program).map_err(|error| AppError::failed(error.to_string()))?;
    let _exporting = otlp::start(program, traces)?;
    let app = App::start(checked, stop, runtime.handle(), Some(metrics))?;
    let progress = app.show_progress(Live::on_stderr(log_format));
    let Run { statistics, ended } = app.run(|_| {});
    // What a table on the same terminal says is not said twice.
    let has_table = io::stdout().is_terminal() && form == OutputFormat::Table;
    progress.end(if has_table { Leave::Nothing } else { Leave::LastLines });
    let written = output::result_by(|out| write(out, &statistics, form));
    // A lane that a broker holds is left behind; waiting for the runtime would wait for it.
    runtime.shutdown_background();
    ended?;
    written.map(|()| ExitStatus::Done)
}

fn write(mut out: &mut dyn Write, statistics: &Statistics, form: OutputFormat) -> io::Result<()> {
    match form {
        OutputFormat::Table => statistics.write_table(&mut out, fold::columns(Stream::Stdout)),
        OutputFormat::Json | OutputFormat::Jsonl => {
            serde_json::to_writer(TameJson::new(&mut out), statistics)?;
            writeln!(out)
        }
    }
}
