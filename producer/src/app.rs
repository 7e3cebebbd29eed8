//! The program: load, connect, send, report.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use codec::encode::Encoder;
use codec::registry::{AwayCause, Registry, RegistryError, value_subject};
use kafka_io::client_config::{AwayReason, Role, probe_brokers};
use kafka_io::publisher::{TopicError, partition_count};
use order_schemas::OrderRecord;
use service_kit::admin_http;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::health::{HealthReport, HealthSource};
use service_kit::output::note;
use service_kit::program::Program;
use service_kit::shutdown::Shutdown;
use service_kit::unavailable::{Thing, of_process};
use service_kit::{metrics_recorder, telemetry};
use tokio::runtime::Runtime;

use crate::console::{Console, ConsoleSettings};
use crate::generate::Generator;
use crate::import::{Importer, InputError, RejectsFile, RejectsMode};
use crate::report;
use crate::send::{SendError, Sender, Summary};
use crate::settings::{Flags, Origin, Settings};
use crate::source::Source;

/// Brokers, topic and registry must all have answered so long after the start.
const START_LIMIT: Duration = Duration::from_secs(4);
/// What is left for a question at least, however long the earlier ones took.
const QUESTION_LIMIT_MIN: Duration = Duration::from_millis(250);
/// What to do when no broker answers.
const BROKER_HINT: &str = "start brokers with 'cargo run --bin stack -- up', or choose others with \
                           --bootstrap-server HOST:PORT (KAFKA_BOOTSTRAP_SERVERS)";
/// One thread serves metrics, the main one sends.
const RUNTIME_THREADS: usize = 1;

/// Runs the program.
///
/// # Errors
///
/// Fails with the exit code, the message and the hint for the user.
pub fn run(program: &Program, flags: Flags) -> Result<ExitStatus, AppError> {
    let settings = Settings::load(flags)?;
    telemetry::init(settings.log_format);
    let failed = |error: &dyn std::fmt::Display| AppError::failed(error.to_string());
    let stop = Shutdown::on_signals().map_err(|error| failed(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build()
        .map_err(|error| failed(&error))?;

    let Some(mut origin) = Opened::open(&settings.origin, &stop)? else {
        note("the import was stopped before its first row");
        return Ok(ExitStatus::Partial);
    };
    // A pipe may have taken its time.
    let deadline = Instant::now() + START_LIMIT;
    let (encoder, partition_count) = connect(&settings, &runtime, deadline)?;
    serve_metrics(program, &settings, &runtime)?;

    let console = Arc::new(Console::new(
        ConsoleSettings {
            output: settings.output,
            log_format: settings.log_format,
            is_quiet: settings.is_quiet,
            orders_total: settings.send.count_max,
            bytes_total: origin.bytes_total,
        },
        origin.bytes_read.take(),
        of_process().reporter(Thing::KAFKA, "kafka"),
    ));
    let seed = origin.seed;
    if let Some(seed) = seed {
        note(&format!("seed {seed}: --seed {seed} generates the same orders again"));
    }
    let listener = Arc::clone(&console);
    let sender = Sender::new(&settings.kafka, encoder, settings.send.clone(), listener)
        .map_err(|error| failed(&error))?;
    sender.note_partitions(partition_count);
    // Nothing of the start can fail any more: only now the rejects of the run before may go.
    if let Some((path, mode)) = &origin.rejects {
        console.keep_rejects(open_rejects(path, *mode)?);
    }
    let (summary, result) = sender.send_all(origin.source.as_mut(), &stop);
    console
        .finish(&summary, seed)
        .map_err(|error| AppError::failed(format!("rejected rows cannot be kept: {error}")))?;
    if let Some(skipped) = origin.skipped {
        let rejects = origin.rejects.as_ref().map(|(path, _)| path.as_path());
        let is_cut_short = summary.is_stopped || result.is_err();
        for line in report::of_import(&summary, skipped, is_cut_short, rejects) {
            note(&line);
        }
    }
    result.map_err(|error| send_failed(&error))?;
    Ok(status(&summary, origin.skipped.is_some()))
}

fn status(summary: &Summary, is_import: bool) -> ExitStatus {
    if summary.totals.counts.failed > 0 {
        ExitStatus::Failed
    } else if summary.totals.rejected > 0 || (is_import && summary.is_stopped) {
        ExitStatus::Partial
    } else {
        ExitStatus::Done
    }
}

fn send_failed(error: &SendError) -> AppError {
    match error {
        SendError::Input(input) if input.is_usage() => input_failed(input),
        other => AppError::failed(other.to_string()),
    }
}

fn input_failed(error: &InputError) -> AppError {
    let failed = AppError::usage(error.to_string());
    match error.hint() {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// The source of orders, with what belongs to it.
struct Opened {
    source: Box<dyn Source>,
    /// The file for rejected rows, and how it begins.
    rejects: Option<(PathBuf, RejectsMode)>,
    /// Rows that are left out at the start of an import.
    skipped: Option<u64>,
    bytes_read: Option<Arc<std::sync::atomic::AtomicU64>>,
    bytes_total: Option<u64>,
    seed: Option<u64>,
}

impl Opened {
    /// Opens the input before anything connects: a wrong column is an error of the settings.
    fn open(origin: &Origin, stop: &Shutdown) -> Result<Option<Self>, AppError> {
        let (settings, rejects) = match origin {
            Origin::Generated(settings) => {
                return Ok(Some(Self {
                    source: Box::new(Generator::new(*settings)),
                    rejects: None,
                    skipped: None,
                    bytes_read: None,
                    bytes_total: None,
                    seed: Some(settings.seed),
                }));
            }
            Origin::Imported { settings, rejects } => (settings, rejects),
        };
        let mut importer = Importer::start(settings.clone())
            .map_err(|error| AppError::failed(format!("cannot read: {error}")))?;
        tracing::debug!(input = %settings.input, "waiting for the input");
        let opened = importer.wait_until_open(|| !stop.is_requested());
        if !opened.map_err(|error| input_failed(&error))? {
            return Ok(None);
        }
        // What goes on keeps the rejects of what came before.
        let mode = if settings.skip_rows > 0 { RejectsMode::GoOn } else { RejectsMode::New };
        Ok(Some(Self {
            rejects: rejects.clone().map(|path| (path, mode)),
            skipped: Some(settings.skip_rows),
            bytes_read: Some(importer.bytes_read()),
            bytes_total: importer.bytes_total(),
            source: Box::new(importer),
            seed: None,
        }))
    }
}

fn open_rejects(path: &Path, mode: RejectsMode) -> Result<RejectsFile, AppError> {
    RejectsFile::open(path, mode).map_err(|error| {
        AppError::usage(format!("--rejects {} cannot be written: {error}", path.display()))
    })
}

/// Asks brokers, topic and registry whether they are there, all before `deadline`.
fn connect(
    settings: &Settings,
    runtime: &Runtime,
    deadline: Instant,
) -> Result<(Encoder<OrderRecord>, usize), AppError> {
    let left = || deadline.saturating_duration_since(Instant::now()).max(QUESTION_LIMIT_MIN);
    probe_brokers(&settings.kafka.base(Role::Admin), left()).map_err(|error| {
        let status = match error.reason {
            AwayReason::Settings => ExitStatus::Usage,
            _ => ExitStatus::Failed,
        };
        AppError::new(status, error.to_string()).hint(error.hint().unwrap_or(BROKER_HINT))
    })?;
    let topic = &settings.send.topic;
    let partition_count = check_topic(settings, left())?;
    let registry = Registry::new(settings.registry.clone())
        .map_err(|error| AppError::usage(error.to_string()))?;
    let subject = value_subject(topic);
    let schema = settings.schema_version.schema();
    let connecting = Encoder::connect_as(&registry, &subject, schema, settings.registration);
    let result = block_on(runtime, left(), connecting);
    let address = registry.address();
    let away = |cause: AwayCause, detail: &str| {
        let failed =
            AppError::failed(format!("the schema registry at {address} cannot be used: {detail}"));
        match cause {
            AwayCause::Unreachable => failed.hint(
                "start one with 'cargo run --bin stack -- up', or choose another with \
                 --schema-registry-url URL (SCHEMA_REGISTRY_URL)",
            ),
            _ => failed.hint(cause.hint()),
        }
    };
    match result {
        None => Err(away(AwayCause::Silent, "no answer in time")),
        Some(Ok(encoder)) => Ok((encoder, partition_count)),
        Some(Err(RegistryError::Away { cause, detail })) => Err(away(cause, &detail)),
        Some(Err(RegistryError::NotFound { .. })) => Err(AppError::failed(format!(
            "the Order schema is not registered under subject '{subject}'"
        ))
        .hint("start once without --no-register, or have the schema registered")),
        Some(Err(error)) => Err(AppError::failed(format!(
            "the schema registry refuses the Order schema for subject '{subject}': {error}"
        ))
        .hint(error.start_hint())),
    }
}

fn block_on<F: Future>(runtime: &Runtime, limit: Duration, future: F) -> Option<F::Output> {
    runtime.block_on(async { tokio::time::timeout(limit, future).await.ok() })
}

/// Returns the number of its partitions.
fn check_topic(settings: &Settings, limit: Duration) -> Result<usize, AppError> {
    let topic = &settings.send.topic;
    let brokers = settings.kafka.bootstrap_servers();
    let asked = partition_count(&settings.kafka, topic, limit);
    match asked {
        Ok(partition_count) => Ok(partition_count),
        Err(error @ TopicError::Missing(_)) => {
            Err(AppError::failed(format!("{error} on {brokers}")).hint(format!(
                "create it with 'cargo run --bin consumer -- --create-topics', or with \
                 kafka-topics.sh --bootstrap-server {brokers} --create --topic {topic} --partitions 3"
            )))
        }
        Err(TopicError::Denied { missing }) => {
            let hint = format!("grant it: {}", missing.commands(brokers));
            Err(AppError::failed(missing.to_string()).hint(hint))
        }
        Err(error) => Err(AppError::failed(error.to_string())),
    }
}

fn serve_metrics(
    program: &Program,
    settings: &Settings,
    runtime: &Runtime,
) -> Result<(), AppError> {
    let Some(listen) = settings.metrics else { return Ok(()) };
    let metrics =
        metrics_recorder::install(program).map_err(|error| AppError::failed(error.to_string()))?;
    describe_metrics();
    runtime.block_on(admin_http::serve(listen, metrics, Arc::new(ProducerHealth)))?;
    Ok(())
}

/// Ready while nothing is unavailable.
struct ProducerHealth;

impl HealthSource for ProducerHealth {
    fn live(&self) -> HealthReport {
        HealthReport::default()
    }

    fn ready(&self) -> HealthReport {
        HealthReport { reasons: of_process().reasons() }
    }
}

/// Says what each metric means, and lets the counters start at 0.
fn describe_metrics() {
    use metrics::{counter, describe_counter, describe_gauge, gauge};
    describe_counter!("orders_produced_total", "orders by their delivery report");
    describe_counter!(
        "orders_import_rejected_total",
        "rows that could not be converted to an order"
    );
    describe_gauge!("orders_produce_in_flight", "orders sent and not acknowledged so far");
    for result in ["acknowledged", "failed"] {
        counter!("orders_produced_total", "result" => result).absolute(0);
    }
    counter!("orders_import_rejected_total").absolute(0);
    gauge!("orders_produce_in_flight").set(0.0);
}
