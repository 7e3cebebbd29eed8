//! Subcommands of `orders lag`.

use std::time::Duration;

use clap::{Args, Subcommand};
use service_kit::exit::{AppError, ExitStatus};
use service_kit::units::DurationArg;

use super::flags::{Connection, Groups, Output, Settings};
use super::limits::Limits;
use super::run;

/// What `orders lag --help` says first.
pub(crate) const ABOUT: &str = "Show how far groups are behind, and whether that is wrong.

Lag is what could be settled and is not: records above the commit position, and their age in \
seconds, that of the oldest of them. Records of a retry topic that wait for a due time in the \
future are no lag; they are counted apart. Overdue ones are lag.

A word for each partition, judged over a window of looks: OK; WARN, more comes than is settled; \
STALLED, nothing is settled while records wait; ERROR, nobody reads them, no broker leads the \
partition, or the commit position went back. Joins no group, commits nothing.";

/// What `orders lag --help` says last.
pub(crate) const EXAMPLES: &str = "Examples:
  orders lag show
  orders lag check --max-records 10000 --max-seconds 60

Exit codes: 0 done, 1 failed, 2 usage or configuration, 4 check found lag
above a limit, or STALLED or ERROR where no limit is given";

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum LagCommand {
    /// Each partition: committed offset, end, lag in records and seconds, and a word
    #[command(after_help = "Examples:
  orders lag show
  orders lag show --all-groups -o jsonl | jq 'select(.status != \"OK\")'

Columns: SECS is the age of the oldest record that is not committed, WAIT are
records that wait for their due time on purpose, IN is the time to the first
of them. STATUS is '-' where the window is too short to judge")]
    Show(Box<ShowFlags>),

    /// The same, again and again
    #[command(after_help = "Examples:
  orders lag watch
  orders lag watch --interval 10s -o jsonl >> lag.jsonl

Ends with ctrl-C")]
    Watch(Box<WatchFlags>),

    /// Exit 4 if a group is behind, and name the partitions
    #[command(after_help = "Examples:
  orders lag check --max-records 10000 --max-seconds 60
  orders lag check --all-groups --window 30s

Limits are for each partition, and are passed by more than them. With limits
one look is enough; without them STALLED and ERROR are findings.

Exit codes: 0 none, 1 failed, 2 usage or configuration, 4 findings")]
    Check(Box<CheckFlags>),
}

/// Flags of `show`.
#[derive(Debug, Args)]
pub struct ShowFlags {
    /// Time over which is judged, longer than between two commits; 0 takes one look [default: 3s]
    #[arg(long, value_name = "TIME", help_heading = "Run")]
    window: Option<DurationArg>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    groups: Groups,
    #[command(flatten)]
    connection: Connection,
}

/// Flags of `watch`.
#[derive(Debug, Args)]
pub struct WatchFlags {
    /// Time between two looks [default: 2s]
    #[arg(long, value_name = "TIME", help_heading = "Run")]
    interval: Option<DurationArg>,
    /// Time over which is judged [default: 30s]
    #[arg(long, value_name = "TIME", help_heading = "Run")]
    window: Option<DurationArg>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    groups: Groups,
    #[command(flatten)]
    connection: Connection,
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct CheckFlags {
    /// Most records that a partition may be behind [default: none]
    #[arg(long, visible_alias = "max", value_name = "N", help_heading = "Limits")]
    max_records: Option<u64>,
    /// Most seconds that the oldest of them may wait [default: none]
    #[arg(long, value_name = "SECONDS", help_heading = "Limits")]
    max_seconds: Option<u64>,
    /// Time over which is judged [default: 3s, with limits one look]
    #[arg(long, value_name = "TIME", help_heading = "Run")]
    window: Option<DurationArg>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    groups: Groups,
    #[command(flatten)]
    connection: Connection,
}

/// Window of `show` and `check`: consumers of this pipeline commit every 100 ms.
const WINDOW: Duration = Duration::from_secs(3);

/// Window of `watch`.
const WATCH_WINDOW: Duration = Duration::from_secs(30);

/// Time between two looks of `watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Shortest time between two looks of `watch`.
const WATCH_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Runs a subcommand: checks settings, looks, prints.
///
/// # Errors
///
/// Fails for wrong settings (2), and for brokers and groups that are not there (1).
pub fn command(command: LagCommand) -> Result<ExitStatus, AppError> {
    let of = |time: Option<DurationArg>, default| time.map_or(default, DurationArg::get);
    match command {
        LagCommand::Show(flags) => {
            let settings = Settings::load(&flags.connection, &flags.groups, None, flags.output)?;
            run::show(&settings, of(flags.window, WINDOW))
        }
        LagCommand::Watch(flags) => {
            let interval = of(flags.interval, WATCH_INTERVAL);
            if interval < WATCH_INTERVAL_MIN {
                let text = format!("--interval is below {} ms", WATCH_INTERVAL_MIN.as_millis());
                return Err(AppError::usage(text));
            }
            let settings = Settings::load(&flags.connection, &flags.groups, None, flags.output)?;
            run::watch(&settings, interval, of(flags.window, WATCH_WINDOW))
        }
        LagCommand::Check(flags) => {
            let limits = Limits {
                records_max: flags.max_records,
                age_max: flags.max_seconds.map(Duration::from_secs),
            };
            let window = if limits.is_empty() { WINDOW } else { Duration::ZERO };
            let settings = Settings::load(&flags.connection, &flags.groups, None, flags.output)?;
            run::check(&settings, of(flags.window, window), limits)
        }
    }
}
