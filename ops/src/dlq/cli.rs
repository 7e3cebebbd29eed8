//! Subcommands of `orders dlq`.

use clap::{Args, Subcommand};
use service_kit::exit::{AppError, ExitStatus};
use service_kit::program::Program;

use super::export::{self, Form};
use super::flags::{Connection, LedgerFlags, Output, Which};
use super::printed::Source;
use super::redrive::{self, DiscardFlags, RedriveFlags};
use super::show::{self, PlaceArg};
use super::{list, stats};

/// What `orders dlq --help` says first.
pub(crate) const ABOUT: &str = "Inspect dead letters, whichever tool wrote them.

Reads the headers of this pipeline, Spring (also @RetryableTopic), Kafka Connect, Kafka Streams, \
share groups, SmallRye and Karafka. The commands read each partition once, up to its end at the \
start, and keep no record in memory. They join no group and commit no offset; only redrive and \
discard with --execute write anything.";

/// What `orders dlq --help` says last.
pub(crate) const EXAMPLES: &str = "Examples:
  orders dlq stats
  orders dlq list --class transient --from -1h

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 partly done (export
--values left something out, redrive skipped some, or it was stopped)";

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// One line for each dead letter
    #[command(after_help = "Examples:
  orders dlq list --reason handler --from -15m
  orders dlq list -t shop-dlt --class IllegalStateException --key tea -o jsonl |
    jq -r '[.partition, .offset, .detail] | @tsv'

Columns: PLACE is PARTITION:OFFSET, for 'orders dlq show'; TRIES is the number
of attempts; CAUSE is the reason, or the root exception. With --handled, the
column HANDLED says redriven or discarded, and only -o json has the attempts.
Where the topic has dead letters of more than one group, a line says of which
group the next ones are; --header x-origin-group=NAME shows those of one")]
    List(Box<ListFlags>),

    /// Everything about one dead letter: cause, origin, headers, decoded value
    #[command(after_help = "Examples:
  orders dlq show 0:133
  orders dlq show 0:133 -o json | jq .value")]
    Show(Box<ShowFlags>),

    /// Dead letters by cause: how many, first, last, an example
    #[command(after_help = "Examples:
  orders dlq stats
  orders dlq stats --from -1h -o json | jq '.groups[] | {fingerprint, count}'

Dead letters with the same fingerprint have the same cause. The fingerprint is
that of the record, or is computed from class, reason, schema and the message
without identifiers. Beyond 10,000 causes only the number of dead letters is
shown")]
    Stats(Box<StatsFlags>),

    /// Dead letters as JSON Lines, byte for byte
    #[command(after_help = "Examples:
  orders dlq export --fingerprint d0186006 > dead.jsonl
  orders dlq export --values --reason handler | producer --input - \\
    --input-format jsonl

Bytes that are not text are printed in base64; value_base64 always has the
value as it is in the topic")]
    Export(Box<ExportFlags>),

    /// Send dead letters back, each exactly once; previews without --execute
    #[command(after_help = "Examples:
  orders dlq redrive --fingerprint d0186006
  orders dlq redrive --fingerprint d0186006 --execute --rate 500/s

Dead letters of this pipeline are sent to the group's retry topic, with their
attempts counted from 0; those of other tools to their origin topic, or
--to-topic. Key, value and headers stay as they are, byte for byte. A run may
be killed at any moment: the next one skips what was already redriven.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 partly done (some
matching dead letters were skipped, or it was stopped: run it again)")]
    Redrive(Box<RedriveFlags>),

    /// Mark dead letters as handled, so that other commands skip them; previews without --execute
    #[command(after_help = "Examples:
  orders dlq discard --class invalid --to -30d
  orders dlq discard --fingerprint d0186006 --execute

The records stay in the topic until its retention deletes them. The command
marks them in the ledger: list, stats and redrive skip them, --handled shows
them, and 'redrive --handled' sends them back after all. The audit still counts
them as dead letters.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 it was stopped: run
the same command to continue")]
    Discard(Box<DiscardFlags>),
}

/// Flags of `list`.
#[derive(Debug, Args)]
pub struct ListFlags {
    #[command(flatten)]
    which: Which,
    /// Include those that were redriven or discarded, according to the ledger
    #[arg(long, help_heading = "Run")]
    handled: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    ledger: LedgerFlags,
    #[command(flatten)]
    connection: Connection,
}

/// Flags of `stats`.
#[derive(Debug, Args)]
pub struct StatsFlags {
    #[command(flatten)]
    which: Which,
    /// Count those that were redriven or discarded too, according to the ledger
    #[arg(long, help_heading = "Run")]
    handled: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    ledger: LedgerFlags,
    #[command(flatten)]
    connection: Connection,
}

/// Flags of `show`.
#[derive(Debug, Args)]
pub struct ShowFlags {
    /// Partition and offset, as 'orders dlq list' prints them; TOPIC/PARTITION@OFFSET names the topic as well
    #[arg(value_name = "PARTITION:OFFSET")]
    place: PlaceArg,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Flags of `export`.
#[derive(Debug, Args)]
pub struct ExportFlags {
    /// Decode nothing: the value is in value_base64 only, and no registry is needed
    #[arg(long, conflicts_with = "values")]
    raw: bool,
    /// Only the decoded values, as 'producer --input' reads them; others are left out (exit 3)
    #[arg(long)]
    values: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    connection: Connection,
}

/// Runs a subcommand: checks settings, reads, prints.
///
/// # Errors
///
/// Fails for wrong settings (2), and for servers, topics and records that are not there (1).
pub fn command(program: &Program, command: DlqCommand) -> Result<ExitStatus, AppError> {
    match command {
        DlqCommand::List(flags) => {
            let mut source = Source::open(&flags.connection, flags.output, &flags.which)?;
            source.handled = redrive::handled(&source, &flags.ledger)?;
            source.shows_handled = flags.handled;
            list::run(&source)?.inspect(|tally| source.tell(*tally));
        }
        DlqCommand::Stats(flags) => {
            let mut source = Source::open(&flags.connection, flags.output, &flags.which)?;
            source.handled = redrive::handled(&source, &flags.ledger)?;
            source.shows_handled = flags.handled;
            stats::run(&source)?.inspect(|tally| source.tell(*tally));
        }
        DlqCommand::Show(flags) => {
            let connection = flags.connection.with_topic(flags.place.topic.as_deref());
            let source = Source::open(&connection, flags.output, &Which::default())?;
            show::run(&source, &flags.place)?;
        }
        DlqCommand::Redrive(flags) => return redrive::redrive(program, &flags),
        DlqCommand::Discard(flags) => return redrive::discard(&flags),
        DlqCommand::Export(flags) => {
            let form = match (flags.raw, flags.values) {
                (true, _) => Form::Raw,
                (false, true) => Form::Values,
                (false, false) => Form::Whole,
            };
            let source = Source::open(&flags.connection, Output::default(), &flags.which)?;
            let (tally, status) = export::run(&source, form)?;
            tally.inspect(|tally| source.tell(*tally));
            return Ok(status);
        }
    }
    Ok(ExitStatus::Done)
}
