//! `orders dlq redrive`: sends dead letters back, each exactly once.
//!
//! ```text
//! DeadLetter ─► Work ─► Fate or Skip ─► Plan               (preview: nothing is written)
//!                           └─────────► Sender ─► records and ledger entry, one transaction
//! ```
//!
//! The ledger is what makes it resumable: a run that is killed, at whatever moment, has handled the
//! dead letters
//! that the ledger names and no others, and the next run passes them over. `orders dlq discard`
//! takes the same way,
//! and sends no records.

mod handled;
mod ledger;
mod plan;
mod rules;
mod run;
#[cfg(test)]
mod samples;
mod sender;
mod traced;

use clap::Args;
use otlp::TraceArgs;
use serde::Serialize;
use service_kit::clock::now_ms;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::note;
use service_kit::program::Program;
use service_kit::terminal::one_line;

pub use handled::{Entry, Handled, Mark, Ranges};
pub use plan::Plan;
pub use rules::{Fate, OwnedHeader, Rules, Skip, Target, Work, headers};

pub(crate) use self::ledger::Ledger;
pub(super) use self::run::Act;
pub(crate) use self::run::run_id;
use self::run::{Ledgers, Outcome, Words};
pub(crate) use self::sender::transactional_id;
use super::dialect::Dialect;
use super::error::DlqError;
use super::flags::{Connection, Group, LedgerFlags, Output, Which};
use super::printed::{LookOn, Source};
use super::source::Taken;
use crate::progress::Results;

/// How often a dead letter may come back where nothing else is said.
const REDRIVES_MAX: u32 = 3;

/// What is said of dead letters that go back.
const BACK: Words = Words {
    would: "would be sent back",
    done: "sent",
    nothing: "nothing was sent; --execute sends them",
    none: "nothing would be sent",
};

/// What is said of those that are discarded.
const DISCARDED: Words = Words {
    would: "would be discarded",
    done: "discarded",
    nothing: "nothing was marked; --execute marks them as handled",
    none: "nothing would be discarded",
};

/// Flags of `redrive`.
#[derive(Debug, Args)]
pub struct RedriveFlags {
    #[command(flatten)]
    act: Act,
    /// Skip dead letters that were already redriven this many times [default: 3]
    #[arg(long, value_name = "N", help_heading = "Redrive")]
    max_redrives: Option<u32>,
    /// Topic for dead letters of other tools, instead of the origin in their headers
    #[arg(long, value_name = "TOPIC", help_heading = "Redrive")]
    to_topic: Option<String>,
    /// Include discarded ones; redriven ones are never sent again
    #[arg(long, help_heading = "Redrive")]
    handled: bool,
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
    #[command(flatten)]
    trace: TraceArgs,
}

/// Flags of `discard`.
#[derive(Debug, Args)]
pub struct DiscardFlags {
    #[command(flatten)]
    act: Act,
    #[command(flatten)]
    ledger: LedgerFlags,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Result of a redrive, as `-o json` prints it.
#[derive(Serialize)]
struct Redriven<'a> {
    executed: bool,
    stopped: bool,
    redrive_id: Option<&'a str>,
    sent: u64,
    to_send: u64,
    #[serde(flatten)]
    plan: &'a Plan,
}

/// Result of a discard, as `-o json` prints it.
#[derive(Serialize)]
struct Discarded<'a> {
    executed: bool,
    stopped: bool,
    discard_id: Option<&'a str>,
    discarded: u64,
    to_discard: u64,
    #[serde(flatten)]
    plan: &'a Plan,
}

/// Previews a redrive, or does it.
///
/// # Errors
///
/// Fails for wrong settings (2), for servers and topics that are not there (1), and where the brokers
/// stop it in the middle (3): a run after it goes on where this one stopped.
pub(super) fn redrive(program: &Program, flags: &RedriveFlags) -> Result<ExitStatus, AppError> {
    let _exporting = otlp::start(program, flags.trace.check()?)?;
    flags.act.check(&flags.which.filter(now_ms())?)?;
    let mut source = Source::open_for(&flags.connection, flags.output, &flags.group, &flags.which)?;
    // What is only shown may go by a guess; what is sent may not: another group's retry topic may be another.
    if !flags.act.execute
        && let Some(group) = only_group(&source)?
    {
        let told = as_word(&group);
        note(&format!("orders: all are of group {told}: to send them, add --group-id {told}"));
        source.settings.group = group;
    }
    let settings = &source.settings;
    let work = Work::Redrive(Rules {
        dlq_topic: settings.topic.clone(),
        group: settings.group.clone(),
        retry_topic: settings.retry_topic.clone(),
        to: flags.to_topic.clone(),
        redrives_max: flags.max_redrives.unwrap_or(REDRIVES_MAX),
        takes_discarded: flags.handled,
    });
    let replays = Some((settings.replays.as_str(), settings.group.as_str()));
    let ledgers = Ledgers { handled: flags.ledger.topic(), replays };
    let outcome = run::run(&source, &work, &ledgers, &flags.act)?;
    let Outcome { plan, done, id, is_stopped } = &outcome;
    let told = Redriven {
        executed: flags.act.execute,
        stopped: *is_stopped,
        redrive_id: id.as_deref(),
        sent: *done,
        to_send: plan.to_do,
        plan,
    };
    outcome.tell(source.settings.output, &told, &BACK)
}

/// Previews a discard, or does it.
///
/// # Errors
///
/// As [`redrive`].
pub(super) fn discard(flags: &DiscardFlags) -> Result<ExitStatus, AppError> {
    flags.act.check(&flags.which.filter(now_ms())?)?;
    let source = Source::open(&flags.connection, flags.output, &flags.which)?;
    let ledgers = Ledgers { handled: flags.ledger.topic(), replays: None };
    let outcome = run::run(&source, &Work::Discard, &ledgers, &flags.act)?;
    let Outcome { plan, done, id, is_stopped } = &outcome;
    let told = Discarded {
        executed: flags.act.execute,
        stopped: *is_stopped,
        discard_id: id.as_deref(),
        discarded: *done,
        to_discard: plan.to_do,
        plan,
    };
    outcome.tell(source.settings.output, &told, &DISCARDED)
}

/// A group's name as a word of a command. It stands in a record, so it may be anything.
pub(super) fn as_word(group: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match group.chars().all(is_plain) && !group.is_empty() && !group.starts_with('-') {
        true => group.to_owned(),
        false => format!("'{}'", one_line(group).replace('\'', "'\\''")),
    }
}

/// The group that all dead letters that are meant are of, where nobody has named one and it is not the default. Reads
/// the topic, but for the rest of it once that is plain.
fn only_group(source: &Source) -> Result<Option<String>, DlqError> {
    if source.settings.is_group_given {
        return Ok(None);
    }
    let mut only: Option<String> = None;
    let mut is_one = true;
    source.each(None, LookOn::at(Results::AtTheEnd), |letter| {
        let origin = letter.origin.as_ref().filter(|_| letter.dialect == Dialect::Orders);
        if let Some(group) = origin.and_then(|origin| origin.group.as_deref()) {
            let is_other = only.as_deref().is_some_and(|only| only != group);
            is_one = !is_other && group != source.settings.group;
            only.get_or_insert_with(|| group.to_owned());
        }
        Ok(if is_one { Taken::Meant } else { Taken::Last })
    })?;
    Ok(only.filter(|_| is_one))
}

/// What was handled of a topic of dead letters; nothing where there is no ledger yet.
///
/// # Errors
///
/// Fails for brokers that are not there, and for a ledger that cannot be read.
pub(super) fn handled(source: &Source, ledger: &LedgerFlags) -> Result<Handled, DlqError> {
    Ledger::new(source.topic.connected(), ledger.topic()).read(&source.topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_a_record_is_one_word_of_a_command_whatever_stands_in_it() {
        assert_eq!(as_word("push-payments"), "push-payments");
        assert_eq!(as_word("$(rm -rf ~)"), "'$(rm -rf ~)'");
        assert_eq!(as_word("it's"), r"'it'\''s'");
        assert_eq!(as_word("--execute"), "'--execute'");
        assert_eq!(as_word("a\u{1b}[31m\n"), r"'a\x1b[31m\n'");
        assert_eq!(as_word(""), "''");
    }
}
