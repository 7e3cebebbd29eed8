//! `orders doctor`: what a fault report needs, in one command to paste.
//!
//! The brokers and the registry are asked side by side, each for at most [`ASK_MAX`]: what one of them does not tell is said, and
//! everything else is printed all the same. No record is changed, no group is joined.

mod brokers;
mod found;
mod page;
mod told;

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use codec::registry::{Registry, RegistrySettings};
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::{result, result_line};
use service_kit::terminal::tame_json;

pub(crate) use self::told::{SettingTold, settings_told};

use self::found::{Brokers, RegistryTold, Report, Server, Versions};
use crate::audit::runtime;
use crate::group_flags::GroupFlags;

/// What `orders doctor --help` says first.
pub(crate) const ABOUT: &str = "Everything a fault report needs, to paste.

Prints versions, the settings in effect and where each comes from, which servers answer and how fast, topics beside what \
the pipeline needs of them, the group's offsets and lag, waiting retries and the number of dead letters. \
Secrets are not printed: no password, no login of an address, no value of a sasl or ssl setting. A server that does not answer \
is named, and the rest is printed. The command joins no group and changes nothing.";

/// What `orders doctor --help` says last.
pub(crate) const EXAMPLES: &str = "Examples:
  orders doctor
  orders doctor -o json | jq .findings
  orders doctor --group-id order-consumer -b kafka-1:9092,kafka-2:9092

Exit codes: 0 nothing found, 1 a server does not answer (after 5 s at most),
2 usage or configuration, 4 something differs from what the pipeline needs";

/// Longest wait for the answers of all servers.
const ASK_MAX: Duration = Duration::from_millis(4500);

/// Flags of `doctor`.
#[derive(Debug, Clone, Default, Args)]
pub struct DoctorFlags {
    #[command(flatten)]
    group: GroupFlags,
}

/// Looks at everything, and prints it.
///
/// # Errors
///
/// Fails for wrong settings (2). Servers that do not answer are a part of the result.
pub fn command(flags: &DoctorFlags) -> Result<ExitStatus, AppError> {
    let (settings, output, told) = flags.group.load_told()?;
    let registry = ask(settings.registry.clone(), ask_registry);
    let brokers = ask(settings.clone(), |settings| brokers::ask(&settings));
    let give_up_at = Instant::now() + ASK_MAX;
    let report = Report {
        versions: Versions {
            orders: env!("CARGO_PKG_VERSION"),
            commit: build_info::commit!(),
            librdkafka: kafka_io::librdkafka_version(),
            platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        },
        settings: told,
        brokers: answer(&brokers, give_up_at)
            .unwrap_or_else(|| Brokers::silent(&settings, ASK_MAX)),
        registry: answer(&registry, give_up_at)
            .unwrap_or_else(|| RegistryTold::of(Server::silent("registry", ASK_MAX))),
        group: settings.group,
        findings: Vec::new(),
    }
    .judged();
    print(&report, output)?;
    Ok(report.status())
}

/// Asks on a thread of its own, which nobody waits for at the end.
fn ask<S: Send + 'static, T: Send + 'static>(
    settings: S,
    ask: impl FnOnce(S) -> T + Send + 'static,
) -> Receiver<T> {
    let (sender, answer) = channel();
    thread::spawn(move || {
        // Where nobody listens any more the time was up.
        let _ = sender.send(ask(settings));
    });
    answer
}

/// The answer, if it comes in time.
fn answer<T>(asked: &Receiver<T>, give_up_at: Instant) -> Option<T> {
    asked.recv_timeout(give_up_at.saturating_duration_since(Instant::now())).ok()
}

fn ask_registry(settings: RegistrySettings) -> RegistryTold {
    let registry = match Registry::new(settings) {
        Ok(registry) => registry,
        Err(error) => return RegistryTold::of(Server::away("registry", "", error.to_string())),
    };
    let address = registry.address().to_owned(); // without the login that it may carry
    let begun_at = Instant::now();
    let asked = runtime().map_err(|error| error.to_string()).and_then(|runtime| {
        let subjects = runtime.block_on(registry.subjects()).map_err(|error| error.to_string())?;
        let latency = begun_at.elapsed();
        let compatibility = runtime.block_on(registry.compatibility()).ok();
        runtime.shutdown_background();
        Ok((subjects.len(), compatibility, latency))
    });
    match asked {
        Ok((subjects, compatibility, latency)) => RegistryTold {
            server: Server::there("registry", &address, latency),
            subjects: Some(subjects),
            compatibility,
        },
        Err(error) => RegistryTold::of(Server::away("registry", &address, error)),
    }
}

fn print(report: &Report, format: OutputFormat) -> Result<(), AppError> {
    match format {
        OutputFormat::Table => result(&page::page(report)),
        OutputFormat::Json | OutputFormat::Jsonl => {
            let json = serde_json::to_string(report);
            let json = json.map_err(|error| AppError::failed(error.to_string()))?;
            result_line(&tame_json(json))
        }
    }
}
