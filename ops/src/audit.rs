//! `orders audit`: whether every order was counted once, waits, or is a dead letter.
//!
//! ```text
//! for each partition:  cut ─► averages ─► retry ─► dead letters ─► outcomes ─► orders ─► sums
//!                     (cut.rs)          (books.rs)               (outcomes.rs) (orders_read.rs)
//! ```
//!
//! It trusts nothing of the pipeline but the contract: it decodes and validates every order
//! itself, folds money exactly, and compares that with what the group has written.

mod averages;
mod books;
mod borrowed;
mod claims;
mod cut;
mod flags;
mod forwarded;
mod hop_headers;
mod judge;
mod noted;
mod offsets;
mod orders_read;
mod outcomes;
mod repeated;
mod report;
mod spot;
mod strangers;
mod sums;
mod surroundings;
mod table;
mod times;
mod walk;

#[cfg(test)]
mod damage;

use std::thread;

use codec::registry::Registry;
use codec::resolver::SchemaResolver;
use kafka_io::client_config::{AwayReason, Role};
use kafka_io::ends::GroupOffsets;
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::{note, result_line, text};
use service_kit::program::Program;
use service_kit::{settings, telemetry};
use tokio::runtime::Handle;

use crate::connected::{Connected, END_WAIT_MS};
use crate::replay::Replays;
use crate::scan::ScanError;

pub(crate) use averages::GROUP;
#[cfg(test)]
pub(crate) use cut::{AllBounds, Offsets, Settled};
pub(crate) use cut::{Begins, Cut, Cutter, Hanging};
pub(crate) use flags::{ABOUT, EXAMPLES, kafka_settings, named};
pub(crate) use noted::{MAIN_OFFSET, RESET, RETRY_COMPLETION, RETRY_OFFSET};
pub(crate) use surroundings::Surroundings;
pub(crate) use walk::{SCHEMA_MAX as ASK_SCHEMA_MAX, resolved};

pub use flags::{Flags, OrderArg, Promises, Settings, Topics};
pub use report::{At, Invariant, PartitionView, Report, SHOWN_MAX, State, Verdict, Violation};

/// How records are fetched, where the user says nothing else.
const FETCH: [(&str, &str); 1] = [("fetch.wait.max.ms", END_WAIT_MS)];

pub(crate) const BROKER_HINT: &str =
    "is Kafka running there? name it with --bootstrap-server or KAFKA_BOOTSTRAP_SERVERS";
const REGISTRY_HINT: &str = "run the audit again when it does; --schema-registry-url or \
                             SCHEMA_REGISTRY_URL names another one";

/// Why the log could not be audited.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    #[error("{0}")]
    Kafka(String),
    #[error("the schema registry does not give schema {schema_id}: {detail}")]
    Registry { schema_id: u32, detail: String },
    #[error("the committed offset was written by a newer consumer ({0})")]
    NewerMetadata(String),
    #[error("a transaction over the offsets of partition {0} stays undecided")]
    OffsetsUndecided(i32),
    #[error(transparent)]
    Scan(#[from] ScanError),
}

impl AuditError {
    pub(crate) fn into_app(self, registry: &str) -> AppError {
        let message = self.to_string();
        let failed = AppError::failed(message);
        match self {
            Self::Kafka(_) | Self::Scan(ScanError::Kafka(_)) => failed.hint(BROKER_HINT),
            Self::Registry { .. } => {
                let text = format!("{failed} (registry {registry})");
                AppError::failed(text).hint(REGISTRY_HINT)
            }
            Self::NewerMetadata(_) => failed.hint("run that version of orders or a newer one"),
            Self::OffsetsUndecided(_) | Self::Scan(ScanError::Stalled(..)) => failed.hint(
                "a transaction may have been left open: find its producer with \
                 kafka-transactions describe-producers; see docs/runbook.md",
            ),
            Self::Scan(ScanError::CutOff(_)) => failed.hint("run it again"),
        }
    }
}

/// Runs the subcommand: checks settings, audits, prints.
///
/// # Errors
///
/// Fails for wrong settings (2) and for servers and topics that are not there (1).
pub fn command(program: &Program, flags: Flags) -> Result<ExitStatus, AppError> {
    let flags = settings::load("orders", flags.config.clone().as_deref(), flags)?;
    telemetry::init(flags.log.format());
    let checked = Settings::check(&flags)?;
    let repeat = flags.repeat()?;
    let runtime = runtime()?;
    if let Some(repeat) = repeat {
        let output = flags.output.unwrap_or_default();
        let ended = repeated::repeated(program, &checked, &repeat, output, runtime.handle());
        runtime.shutdown_background();
        return ended;
    }
    let report = run(&checked, runtime.handle(), |progress| note(&format!("orders: {progress}")))?;
    runtime.shutdown_background();
    print(&report, flags.output.unwrap_or_default())?;
    let is_proven = report.proven || flags.allow_unprovable.unwrap_or(false);
    Ok(if report.ok && is_proven { ExitStatus::Done } else { ExitStatus::Finding })
}

/// What asks the registry.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, AppError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| AppError::failed(format!("no runtime: {error}")))
}

/// What a look at a group asks: its brokers, what it has committed, and the registry.
pub(crate) struct Asking {
    pub(crate) connected: Connected,
    pub(crate) offsets: GroupOffsets,
    pub(crate) registry: Registry,
}

impl Asking {
    /// Connects. Nothing waits for another: the registry's trust in authorities takes the longest to load.
    ///
    /// # Errors
    ///
    /// Fails within 5 s for brokers that are not there, and for settings that cannot be used.
    pub(crate) fn open(settings: &Settings) -> Result<Self, AppError> {
        let Settings { kafka, group, .. } = settings;
        thread::scope(|scope| {
            let registry = scope.spawn(|| Registry::new(settings.registry.clone()));
            let offsets = GroupOffsets::new(&kafka.base(Role::Consumer), group);
            let connected = Connected::open(kafka, &FETCH, group).map_err(|error| {
                let status = match error.reason {
                    AwayReason::Settings => ExitStatus::Usage,
                    _ => ExitStatus::Failed,
                };
                AppError::new(status, error.to_string()).hint(error.hint().unwrap_or(BROKER_HINT))
            })?;
            let offsets = offsets.map_err(|error| AppError::failed(error.to_string()))?;
            let registry = registry.join().expect("making a client does not panic");
            let registry = registry.map_err(|error| AppError::usage(error.to_string()))?;
            Ok(Self { connected, offsets, registry })
        })
    }
}

fn print(report: &Report, format: OutputFormat) -> Result<(), AppError> {
    let failed = |error: serde_json::Error| AppError::failed(error.to_string());
    match format {
        OutputFormat::Table => text(&(report.table() + "\n")),
        OutputFormat::Json => result_line(&serde_json::to_string(report).map_err(failed)?),
        OutputFormat::Jsonl => {
            for verdict in &report.verdicts {
                result_line(&serde_json::to_string(verdict).map_err(failed)?)?;
            }
            Ok(())
        }
    }
}

/// Audits what a group left in its topics. `progress` is told a line every few seconds.
/// Blocks for as long as the topics take to be read; `runtime` asks the registry.
///
/// # Errors
///
/// Fails within 5 s for brokers, registry or topics that are not there, naming them.
pub fn run(
    settings: &Settings,
    runtime: &Handle,
    progress: impl FnMut(&str),
) -> Result<Report, AppError> {
    let Asking { connected, offsets, registry } = Asking::open(settings)?;
    let surroundings = Surroundings::ask(settings, &connected, &offsets, runtime)?;
    let address = registry.address().to_owned(); // without the password that it may carry
    let resolver = SchemaResolver::new(registry, runtime.clone());
    let replays = Replays::read(&connected, &settings.replays, &settings.group)?;
    let cutter = Cutter::new(&connected, offsets, &settings.topics);
    let walk =
        walk::Walk::new(settings, connected, cutter, surroundings, replays, resolver, progress);
    walk.all().map_err(|error| error.into_app(&address))
}
