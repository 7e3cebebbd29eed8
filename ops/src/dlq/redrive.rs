//! `orders dlq redrive`: sends dead letters back, each exactly once.
//!
//! ```text
//! DeadLetter ─► Rules ─► Target or Skip ─► Plan            (preview: nothing is written)
//!                             └─────────► Sender ─► records and ledger entry, one transaction
//! ```
//!
//! The ledger is what makes it resumable: a run that is killed, at whatever moment, has sent the records
//! that the ledger names and no others, and the next run passes them over.

mod handled;
mod ledger;
mod plan;
mod rules;
mod sender;

use std::ops::ControlFlow;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::note;
use service_kit::units::RateArg;

pub use handled::{Entry, Handled};
pub use plan::Plan;
pub use rules::{OwnedHeader, Rules, Skip, Target, headers};

pub(crate) use self::ledger::Ledger;
use self::ledger::Partitions;
use self::sender::{Run, Sender};
use super::dead_letter::DeadLetter;
use super::dialect::Dialect;
use super::error::DlqError;
use super::flags::{Connection, Group, LedgerFlags, Output, Which};
use super::moment::Utc;
use super::printed::{Source, json_line, now_ms, written};
use crate::replay::Replays;

/// How often a dead letter may come back where nothing else is said.
const REDRIVES_MAX: u32 = 3;

/// Flags of `redrive`.
#[derive(Debug, Args)]
pub struct RedriveFlags {
    /// Send them; without it, only what would be done is shown
    #[arg(long, help_heading = "Redrive")]
    execute: bool,
    /// With --execute and no filter: all dead letters of the topic
    #[arg(long, help_heading = "Redrive")]
    all: bool,
    /// A dead letter that came back so often already stays [default: 3]
    #[arg(long, value_name = "N", help_heading = "Redrive")]
    max_redrives: Option<u32>,
    /// No more than so many: 100/s, 6000/m [default: as fast as it goes]
    #[arg(long, value_name = "RATE", help_heading = "Redrive")]
    rate: Option<RateArg>,
    /// Topic for dead letters of other tools, instead of the origin that they name
    #[arg(long, value_name = "TOPIC", help_heading = "Redrive")]
    to_topic: Option<String>,
    /// Ledger of 'orders replay' [default: orders-replays]
    #[arg(long, value_name = "TOPIC", help_heading = "Redrive")]
    replays_topic: Option<String>,
    #[command(flatten)]
    group: Group,
    #[command(flatten)]
    ledger: LedgerFlags,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Result of a run, as `-o json` prints it.
#[derive(Serialize)]
struct Told<'a> {
    executed: bool,
    redrive_id: Option<&'a str>,
    sent: u64,
    #[serde(flatten)]
    plan: &'a Plan,
}

/// Previews a redrive, or does it.
///
/// # Errors
///
/// Fails for wrong settings (2), for servers and topics that are not there (1), and where the brokers
/// stop it in the middle (3): a run after it goes on where this one stopped.
pub(super) fn command(flags: &RedriveFlags) -> Result<ExitStatus, AppError> {
    let is_for_all = flags.which.filter(now_ms())?.is_empty();
    if flags.execute && is_for_all && !flags.all {
        return Err(AppError::usage("no filter is given: that would be every dead letter")
            .hint("name a filter such as --fingerprint, or say --all"));
    }
    let source = Source::open_for(&flags.connection, flags.output, &flags.group, &flags.which)?;
    let settings = &source.settings;
    let ledger_topic = flags.ledger.topic();
    let rules = Rules {
        dlq_topic: settings.topic.clone(),
        group: settings.group.clone(),
        retry_topic: settings.retry_topic.clone(),
        to: flags.to_topic.clone(),
        redrives_max: flags.max_redrives.unwrap_or(REDRIVES_MAX),
    };
    let ledger = Ledger::new(&settings.kafka, ledger_topic)?;
    let open = || sender(&source, &ledger, ledger_topic, flags.rate);
    let mut sender = flags.execute.then(open).transpose()?;
    // After the id was taken over: an entry that is not there now never comes.
    let before = Before {
        handled: ledger.read(&settings.topic)?,
        replays: Replays::read(&settings.kafka, flags.replays_topic(), &settings.group)?,
    };
    let (plan, sent) = go(&source, &rules, &before, sender.as_mut().map(|(_, sender)| sender))?;
    let id = sender.as_ref().map(|(id, _)| id.as_str());
    tell(&source, &Told { executed: flags.execute, redrive_id: id, sent, plan: &plan })?;
    let is_partial = flags.execute && plan.left_behind() > 0;
    Ok(if is_partial { ExitStatus::Partial } else { ExitStatus::Done })
}

/// What was done before.
struct Before {
    handled: Handled,
    replays: Replays,
}

impl RedriveFlags {
    fn replays_topic(&self) -> &str {
        self.replays_topic.as_deref().unwrap_or("orders-replays")
    }
}

/// What went back of a topic of dead letters; nothing where there is no ledger yet.
///
/// # Errors
///
/// Fails for brokers that are not there, and for a ledger that cannot be read.
pub(super) fn handled(source: &Source, ledger: &LedgerFlags) -> Result<Handled, DlqError> {
    Ledger::new(&source.settings.kafka, ledger.topic())?.read(&source.settings.topic)
}

/// Makes the ledger where there is none, and takes over the transactional id.
fn sender(
    source: &Source,
    ledger: &Ledger<'_>,
    ledger_topic: &str,
    rate: Option<RateArg>,
) -> Result<(String, Sender), DlqError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| DlqError::Settings(format!("no runtime: {error}")))?;
    runtime.block_on(ledger.ensure())?;
    let id = run_id();
    let filter = serde_json::to_value(&source.filter)
        .map_err(|error| DlqError::Ledger(error.to_string()))?;
    let run = Run {
        id: id.clone(),
        dlq_topic: source.settings.topic.clone(),
        ledger_topic: ledger_topic.to_owned(),
        by: std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()),
        filter,
    };
    Ok((id, Sender::open(&source.settings.kafka, run, rate)?))
}

/// Decides about each dead letter that is meant, and hands it on where there is a sender.
fn go(
    source: &Source,
    rules: &Rules,
    before: &Before,
    mut sender: Option<&mut Sender>,
) -> Result<(Plan, u64), DlqError> {
    let mut partitions = Partitions::new(&source.settings.kafka)?;
    let mut plan = Plan::default();
    // A limit counts what goes back: else a second run with the same limit would do nothing.
    let tally = source.each_until(None, |letter| {
        let decision = decide(rules, before, letter, &mut partitions)?;
        if let (Ok(target), Some(sender)) = (&decision, sender.as_deref_mut()) {
            sender.take(letter, *target, now_ms())?;
        }
        plan.add(letter, decision);
        let is_enough = source.limit.is_some_and(|limit| plan.to_send >= limit);
        Ok(if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    plan.scanned = tally.scanned;
    let sent = match sender {
        None => 0,
        Some(sender) => {
            sender.flush(now_ms())?;
            sender.sent()
        }
    };
    Ok((plan, sent))
}

fn decide<'a>(
    rules: &'a Rules,
    before: &Before,
    letter: &'a DeadLetter<'_>,
    partitions: &mut Partitions,
) -> Result<Result<Target<'a>, Skip>, DlqError> {
    let (partition, offset) = (letter.record.partition, letter.record.offset);
    if before.handled.has(partition, offset) {
        return Ok(Err(Skip::AlreadyRedriven));
    }
    let target = match rules.target(letter) {
        Ok(target) => target,
        Err(skip) => return Ok(Err(skip)),
    };
    // The rules let pass what is the group's only. Its order is read again.
    let is_ours = letter.dialect == Dialect::Orders;
    if is_ours && before.replays.is_earlier(&rules.dlq_topic, partition, offset) {
        return Ok(Err(Skip::Replayed));
    }
    let checked = target.check(partitions.of(target.topic)?);
    Ok(checked.map(|()| target))
}

fn tell(source: &Source, told: &Told<'_>) -> Result<(), AppError> {
    written(|out| {
        match source.settings.output {
            OutputFormat::Table => {
                let sends = if told.executed { "sent" } else { "would go back" };
                out.write_all(told.plan.page(sends).as_bytes())?;
            }
            OutputFormat::Json | OutputFormat::Jsonl => writeln!(out, "{}", json_line(told)?)?,
        }
        Ok(())
    })?;
    note(&match told {
        Told { executed: false, .. } => "orders: nothing was sent; --execute sends them".to_owned(),
        Told { sent, plan, redrive_id, .. } => format!(
            "orders: sent {sent} of {} dead letters that match, as {}",
            plan.matched,
            redrive_id.unwrap_or_default()
        ),
    });
    Ok(())
}

/// Names a run: when it began, and its process.
pub(crate) fn run_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = Utc(i64::try_from(now.as_millis()).ok()).to_string();
    format!("{time}-{}", std::process::id())
}
