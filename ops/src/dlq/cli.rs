//! Subcommands of `orders dlq`.

use clap::{Args, Subcommand};
use service_kit::exit::{AppError, ExitStatus};

use super::export::{self, Form};
use super::flags::{Connection, LedgerFlags, Output, Which};
use super::printed::Source;
use super::redrive::{self, DiscardFlags, RedriveFlags};
use super::show::{self, PlaceArg};
use super::{list, stats};

/// What `orders dlq --help` says first.
pub(crate) const ABOUT: &str = "Look at dead letters, whichever tool wrote them.

Reads the headers of this pipeline, Spring (also @RetryableTopic), Kafka Connect, Kafka Streams, \
share groups, SmallRye and Karafka. Records are read once, up to the ends that the partitions have \
at the start, and none is kept in memory. Joins no group and commits no offset; only redrive and \
discard with --execute write anything.";

/// What `orders dlq --help` says last.
pub(crate) const EXAMPLES: &str = "Examples:
  orders dlq stats
  orders dlq list --class transient --from -1h

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 partly done (export
--values left something out, redrive left some behind, or it was stopped)";

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// One line for each dead letter
    #[command(after_help = "Examples:
  orders dlq list --reason handler --from -15m
  orders dlq list -t shop-dlt --class IllegalStateException --key tea -o jsonl |
    jq -r '[.partition, .offset, .detail] | @tsv'

Columns: PLACE is PARTITION:OFFSET, for 'orders dlq show'; TRIES are attempts;
CAUSE is the reason, or the exception at the root")]
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

Causes have the same fingerprint: that of the record, or one of class, reason,
schema and message without what names the record. Beyond 10,000 causes only
the number of dead letters is told")]
    Stats(Box<StatsFlags>),

    /// Dead letters as JSON Lines, no byte lost
    #[command(after_help = "Examples:
  orders dlq export --fingerprint d0186006 > dead.jsonl
  orders dlq export --values --reason handler | producer --input - \\
    --input-format jsonl

Bytes that are no text are in base64; value_base64 always has the value as it
lies in the topic")]
    Export(Box<ExportFlags>),

    /// Send dead letters back, each exactly once; previews without --execute
    #[command(after_help = "Examples:
  orders dlq redrive --fingerprint d0186006
  orders dlq redrive --fingerprint d0186006 --execute --rate 500/s

Those of this pipeline go to the group's retry topic and begin anew; those of
other tools to the topic that they came from, or --to-topic. Key, value and
headers stay byte for byte. A run may be killed at any moment: the next one
passes over what went back.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 partly done (some
that match stay, or it was stopped: run it again)")]
    Redrive(Box<RedriveFlags>),

    /// Mark dead letters as handled: they are passed over from then on; previews without --execute
    #[command(after_help = "Examples:
  orders dlq discard --class invalid --to -30d
  orders dlq discard --fingerprint d0186006 --execute

Nothing can be removed from a log: the records stay until the topic's
retention takes them. They are noted in the ledger, and list, stats and
redrive leave them out; --handled shows them, and 'redrive --handled' sends
them back after all. The audit counts them as the dead letters that they are.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 it was stopped: the
same command goes on from there")]
    Discard(Box<DiscardFlags>),
}

/// Flags of `list`.
#[derive(Debug, Args)]
pub struct ListFlags {
    #[command(flatten)]
    which: Which,
    /// Also those that went back or were discarded, as the ledger says
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
    /// Count those that went back or were discarded as well, as the ledger says
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
    /// Where it lies, as 'orders dlq list' prints it
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
pub fn command(command: DlqCommand) -> Result<ExitStatus, AppError> {
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
            let source = Source::open(&flags.connection, flags.output, &Which::default())?;
            show::run(&source, flags.place)?;
        }
        DlqCommand::Redrive(flags) => return redrive::redrive(&flags),
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
