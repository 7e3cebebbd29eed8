//! Flags of `orders monitor`.

use std::time::Duration;

use clap::Args;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::units::DurationArg;

use super::run;
use crate::lag::{Connection, Groups, Output, Settings};

/// What `orders monitor --help` says last.
pub(crate) const EXAMPLES: &str = "Examples:
  orders monitor
  orders monitor --group order-consumer --interval 5s
  orders monitor > monitor.log     # plain lines if stdout is not a terminal

Keys: 1 to 6 and Tab select a page, s sorts, r reverses the order, / filters,
arrows scroll, ? shows all keys, q quits. The monitor joins no group and commits
nothing.";

/// Shortest time between two looks.
const INTERVAL_MIN: Duration = Duration::from_millis(200);

/// Flags of `orders monitor`.
#[derive(Debug, Args)]
pub struct MonitorFlags {
    /// Time between two samples [default: 1s, without a terminal 5s]
    #[arg(long, value_name = "TIME", help_heading = "Run")]
    interval: Option<DurationArg>,

    /// Only this group [default: all]
    #[arg(long, visible_alias = "group-id", value_name = "GROUP", help_heading = "What is shown")]
    group: Option<String>,

    /// Topic in which records wait for a retry; T-retry is one for a group that reads T
    /// [default: orders-retry]
    #[arg(long, env = "ORDERS_RETRY_TOPIC", value_name = "TOPIC", help_heading = "What is shown")]
    retry_topic: Option<String>,

    /// Topic of dead letters, whichever tool writes them [default: orders-dlq]
    #[arg(long, env = "ORDERS_DLQ_TOPIC", value_name = "TOPIC", help_heading = "What is shown")]
    dlq_topic: Option<String>,

    #[command(flatten)]
    connection: Connection,
}

/// Watches until it is stopped.
///
/// # Errors
///
/// Fails for wrong settings (2), and for brokers and a group that are not there at the start (1).
pub fn command(flags: &MonitorFlags) -> Result<ExitStatus, AppError> {
    let interval = flags.interval.map(DurationArg::get);
    if interval.is_some_and(|interval| interval < INTERVAL_MIN) {
        let text = format!("--interval is below {} ms", INTERVAL_MIN.as_millis());
        return Err(AppError::usage(text));
    }
    let groups = Groups {
        all_groups: flags.group.is_none(),
        group: flags.group.clone(),
        retry_topic: flags.retry_topic.clone(),
    };
    let dlq_topic = flags.dlq_topic.as_deref();
    let settings = Settings::load(&flags.connection, &groups, dlq_topic, Output::default())?;
    run::run(&settings, interval)
}
