//! Which subcommand runs.

use clap::{Parser, Subcommand};
use service_kit::exit::{AppError, ExitStatus};

use crate::{audit, averages, dlq, ecommerce, lag, monitor, replay, schema, topics};

/// Looks after an order pipeline: what is in its topics, and whether that is right.
#[derive(Debug, Parser)]
#[command(
    name = "orders",
    version,
    after_help = "Examples:
  orders audit
  orders audit --outcomes-topic order-outcomes --order key -o json
  orders audit --group-id order-consumer --allow-unprovable
  orders averages --top 10
  orders dlq stats
  orders dlq list --reason handler --from -15m
  orders lag show
  orders lag check --max-records 10000 --max-seconds 60
  orders monitor
  orders topics plan

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 partly done, 4 a
check found something"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prove that every order was counted once, waits, or is a dead letter: exactly one of them
    #[command(long_about = audit::ABOUT, after_help = audit::EXAMPLES)]
    // Boxed: its flags are many.
    Audit(Box<audit::Flags>),

    /// The running averages, added up over partitions, and how far they go
    #[command(long_about = averages::ABOUT, after_help = averages::EXAMPLES)]
    Averages(Box<averages::AveragesFlags>),

    /// Look at dead letters, send them back, or mark them as handled
    #[command(subcommand, long_about = dlq::ABOUT, after_help = dlq::EXAMPLES)]
    Dlq(dlq::DlqCommand),

    /// Show how far groups are behind, and whether that is wrong: show, watch, check
    #[command(subcommand, long_about = lag::ABOUT, after_help = lag::EXAMPLES)]
    Lag(lag::LagCommand),

    /// Watch brokers, topics, groups, lag, retries and dead letters live
    #[command(after_help = monitor::EXAMPLES)]
    Monitor(Box<monitor::MonitorFlags>),

    /// Have a group count anew from a point of its orders; previews without --execute
    #[command(long_about = replay::ABOUT, after_help = replay::EXAMPLES)]
    Replay(Box<replay::ReplayFlags>),

    /// Keep topics as a file declares them: plan, apply, list, describe
    #[command(subcommand, long_about = topics::ABOUT, after_help = topics::EXAMPLES)]
    Topics(topics::TopicsCommand),

    /// See what keys are for: publish purchases to three topics and read them in order
    #[command(after_help = ecommerce::EXAMPLES)]
    Ecommerce(Box<ecommerce::EcommerceFlags>),

    /// Schemas: list, show, compare, check what stays readable, register
    #[command(subcommand, long_about = schema::ABOUT, after_help = schema::EXAMPLES)]
    Schema(schema::SchemaCommand),
}

impl Cli {
    /// Runs the subcommand that was asked for.
    ///
    /// # Errors
    ///
    /// Fails with the exit code that the error asks for.
    pub fn run(self) -> Result<ExitStatus, AppError> {
        match self.command {
            Command::Audit(flags) => audit::command(*flags),
            Command::Averages(flags) => averages::command(&flags),
            Command::Dlq(command) => dlq::command(command),
            Command::Lag(command) => lag::command(command),
            Command::Monitor(flags) => monitor::command(&flags),
            Command::Replay(flags) => replay::command(&flags),
            Command::Topics(command) => topics::command(command),
            Command::Ecommerce(flags) => ecommerce::command(&flags),
            Command::Schema(command) => schema::command(command),
        }
    }
}
