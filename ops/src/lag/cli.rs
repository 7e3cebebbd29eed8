//! Subcommands of `orders lag`.

use std::time::Duration;

use clap::{Args, Subcommand};
use service_kit::exit::{AppError, ExitStatus};
use service_kit::units::DurationArg;

use super::flags::{Connection, Groups, Output, Settings};
use super::limits::Limits;
use super::run;

/// What `orders lag --help` says first.
pub(crate) const ABOUT: &str = "Show how far groups are behind and whether they are stuck.

Lag is the number of records above the commit position that could be settled and are not, \
and the age of the oldest of them in seconds. Records of a retry topic whose due time is in the \
future are not lag; they are counted separately. Overdue retries are lag.

Each partition has a status, judged over a window of several samples. OK: it keeps up. WARN: \
records arrive faster than they are settled. STALLED: nothing is settled while records wait. \
ERROR: the group has no member, the partition has no leader, or the commit position went back. \
The commands join no group and commit nothing.";

/// What `orders lag --help` says last.
pub(crate) const EXAMPLES: &str = "Examples:
  orders lag show
  orders lag check --max-records 10000 --max-seconds 60

Exit codes: 0 done, 1 failed, 2 usage or configuration, 4 check found lag
above a limit, or STALLED or ERROR where no limit is given";

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum LagCommand {
    /// Each partition: committed offset, end, lag in records and seconds, status
    #[command(after_help = "Examples:
  orders lag show
  orders lag show --all-groups -o jsonl | jq 'select(.status != \"OK\")'

Columns: SECS is the age of the oldest uncommitted record, WAIT the number of
records that wait for their due time, IN the time until the first of them is
due. STATUS is '-' while the window is too short to judge")]
    Show(Box<ShowFlags>),

    /// The same, repeated at an interval
    #[command(after_help = "Examples:
  orders lag watch
  orders lag watch --interval 10s -o jsonl >> lag.jsonl

Ctrl-C ends it")]
    Watch(Box<WatchFlags>),

    /// Exit 4 and name the partitions if a group is behind
    #[command(after_help = "Examples:
  orders lag check --max-records 10000 --max-seconds 60
  orders lag check --all-groups --window 30s

The limits apply to each partition. With limits the command takes one sample;
without limits it reports the partitions that are STALLED or ERROR.

Exit codes: 0 nothing found, 1 failed, 2 usage or configuration, 4 lag above a
limit, or STALLED or ERROR where no limit is given")]
    Check(Box<CheckFlags>),
}

/// Flags of `show`.
#[derive(Debug, Args)]
pub struct ShowFlags {
    /// Time over which the status is judged; longer than the time between two commits; 0 takes one
    /// sample [default: 3s]
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
    /// Time between two samples [default: 2s]
    #[arg(long, value_name = "TIME", help_heading = "Run")]
    interval: Option<DurationArg>,
    /// Time over which the status is judged [default: 30s]
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
    /// Time over which the status is judged [default: 3s; with limits one sample]
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

/// Time between two samples of `watch`.
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
