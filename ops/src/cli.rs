//! Which subcommand runs.

use clap::{CommandFactory as _, Parser, Subcommand};
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::{result, result_by};
use service_kit::program::Program;

use crate::complete::{self, Shell};
use crate::{audit, averages, dlq, doctor, ecommerce, lag, monitor, replay, schema, topics};

/// Operates an order pipeline: inspects and checks its topics, groups and dead letters.
#[derive(Debug, Parser)]
#[command(
    name = "orders",
    version,
    after_help = "Examples:
  orders audit
  orders audit --outcomes-topic order-outcomes --order key -o json
  orders audit --group-id order-consumer --allow-unprovable
  orders averages --top 10
  orders doctor
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
    /// Prove that every order was counted once, waits for a retry, or is a dead letter
    #[command(long_about = audit::ABOUT, after_help = audit::EXAMPLES)]
    // Boxed: its flags are many.
    Audit(Box<audit::Flags>),

    /// The running averages, summed over partitions, and which orders they include
    #[command(long_about = averages::ABOUT, after_help = averages::EXAMPLES)]
    Averages(Box<averages::AveragesFlags>),

    /// Inspect dead letters, send them back, or mark them as handled
    #[command(subcommand, long_about = dlq::ABOUT, after_help = dlq::EXAMPLES)]
    Dlq(dlq::DlqCommand),

    /// Print what a fault report needs: versions, settings, servers, topics, lag
    #[command(long_about = doctor::ABOUT, after_help = doctor::EXAMPLES)]
    Doctor(Box<doctor::DoctorFlags>),

    /// Show how far groups are behind and whether they are stuck: show, watch, check
    #[command(subcommand, long_about = lag::ABOUT, after_help = lag::EXAMPLES)]
    Lag(lag::LagCommand),

    /// Watch brokers, topics, groups, lag, retries and dead letters live
    #[command(after_help = monitor::EXAMPLES)]
    Monitor(Box<monitor::MonitorFlags>),

    /// Make a group count its orders again from a given point; previews without --execute
    #[command(long_about = replay::ABOUT, after_help = replay::EXAMPLES)]
    Replay(Box<replay::ReplayFlags>),

    /// Keep topics as declared in a file: plan, apply, list, describe
    #[command(subcommand, long_about = topics::ABOUT, after_help = topics::EXAMPLES)]
    Topics(topics::TopicsCommand),

    /// Show what keys are for: publish purchases to three topics and read them in order
    #[command(after_help = ecommerce::EXAMPLES)]
    Ecommerce(Box<ecommerce::EcommerceFlags>),

    /// Schemas: list, show, compare, check what stays readable, register
    #[command(subcommand, long_about = schema::ABOUT, after_help = schema::EXAMPLES)]
    Schema(schema::SchemaCommand),

    /// Print a shell's completion script for subcommands, flags, topics and groups
    #[command(after_help = "Examples:
  orders completions bash > ~/.local/share/bash-completion/completions/orders
  orders completions zsh > ~/.zfunc/_orders     # a folder of fpath
  orders completions fish > ~/.config/fish/completions/orders.fish

To complete names of topics and groups, the program asks the brokers that the
command line, the environment or config/orders.toml names, for at most 1 s")]
    Completions {
        /// Shell
        #[arg(value_enum)]
        shell: Shell,
    },

    /// Print the manual of the program, or of a subcommand
    #[command(after_help = "Examples:
  orders man | man -l -
  orders man dlq redrive > orders-dlq-redrive.1")]
    Man {
        /// Subcommand
        #[arg(value_name = "SUBCOMMAND")]
        path: Vec<String>,
    },

    /// What may stand at the end of a line; for the scripts of completions
    #[command(name = "__complete", hide = true)]
    Complete {
        /// The line up to the cursor
        #[arg(allow_hyphen_values = true)]
        line: String,
    },
}

impl Cli {
    /// Runs the subcommand that was asked for.
    ///
    /// # Errors
    ///
    /// Fails with the exit code that the error asks for.
    pub fn run(self, program: &Program) -> Result<ExitStatus, AppError> {
        match self.command {
            Command::Audit(flags) => audit::command(program, *flags),
            Command::Averages(flags) => averages::command(&flags),
            Command::Dlq(command) => dlq::command(program, command),
            Command::Doctor(flags) => doctor::command(&flags),
            Command::Lag(command) => lag::command(command),
            Command::Monitor(flags) => monitor::command(&flags),
            Command::Replay(flags) => replay::command(&flags),
            Command::Topics(command) => topics::command(command),
            Command::Ecommerce(flags) => ecommerce::command(&flags),
            Command::Schema(command) => schema::command(command),
            Command::Completions { shell } => {
                result(shell.script())?;
                Ok(ExitStatus::Done)
            }
            Command::Man { path } => man(&path),
            Command::Complete { line } => {
                result(&complete::lines(&Self::command(), &line))?;
                Ok(ExitStatus::Done)
            }
        }
    }
}

/// Prints a manual page, as `man` reads it.
fn man(path: &[String]) -> Result<ExitStatus, AppError> {
    let mut root = Cli::command();
    root.build();
    let mut command = &root;
    for name in path {
        command = command.find_subcommand(name).filter(|found| !found.is_hide_set()).ok_or_else(
            || {
                AppError::usage(format!("there is no subcommand {}", path.join(" ")))
                    .hint("'orders --help' shows all subcommands")
            },
        )?;
    }
    let mut page = Vec::new();
    // The name of a built subcommand is the whole path: orders-dlq-redrive.
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut page);
    rendered.map_err(|error| AppError::failed(error.to_string()))?;
    result_by(|out| out.write_all(&page))?;
    Ok(ExitStatus::Done)
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    /// Each visible subcommand that runs something, with its whole name.
    fn visit(command: &Command, name: &str, see: &mut impl FnMut(&str, &Command)) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let name = format!("{name} {}", sub.get_name());
            see(&name, sub);
            visit(sub, &name, see);
        }
    }

    #[test]
    fn the_help_of_each_subcommand_has_two_examples_of_it_and_fits_80_columns() {
        let mut count = 0;
        visit(&Cli::command(), "orders", &mut |name, command| {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = format!("  {name}");
            let examples = help.lines().filter(|line| line.starts_with(&example)).count();
            assert!(examples >= 2, "{name}: {help}");
            assert!(help.lines().all(|line| line.chars().count() <= 80), "{name}: {help}");
            count += 1;
        });
        assert!(count > 15, "{count}");
    }

    #[test]
    fn flags_and_subcommands_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
