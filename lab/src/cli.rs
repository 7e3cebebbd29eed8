//! Commands and flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::program::Program;

use crate::compare::{Limits, compare_files};
use crate::results::Results;
use crate::session::Session;
use crate::{report, session};

/// Compares the order flow over HTTP, RabbitMQ and Kafka: latency, loss, cost, and what an outage does.
#[derive(Debug, Parser)]
#[command(
    name = "lab",
    version,
    after_help = "Examples:
  cargo run --release --bin lab -- run config/workloads/standard.toml
  lab run config/workloads/standard.toml --quick
  lab run config/workloads/standard.toml --targets ours.toml
  lab report lab-results/standard/results.json
  lab compare before/results.json after/results.json

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 partly done, 4 an
audit failed or a figure got worse"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start servers and services, run every workload against all paradigms, and write the report
    #[command(after_help = "Examples:
  lab run config/workloads/standard.toml --out lab-results/monday
  lab run config/workloads/standard.toml --quick --seed 7

It needs Java, Maven, RabbitMQ and the programs of the flows; what is missing is
named. Ctrl-C ends it and keeps the runs that were made.")]
    Run(RunArgs),
    /// Write the report of results again, without running anything
    #[command(after_help = "Examples:
  lab report lab-results/standard/results.json
  lab report old/results.json --out /tmp/old
  lab report lab-results/standard/results.json --pages .")]
    Report(ReportArgs),
    /// Compare two results, and end with 4 where the newer one is worse
    #[command(after_help = "Examples:
  lab compare before/results.json after/results.json
  lab compare a.json b.json --slower-max 0.1 -o json

A workload, rate or figure that only OLD has counts as worse, unless
--allow-missing is given.")]
    Compare(CompareArgs),
}

/// What is run, and where to.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Workload file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Each workload once and cut short: less than 3 minutes, to see that all works
    #[arg(long, env = "LAB_QUICK")]
    pub(crate) quick: bool,
    /// Folder of the results [default: lab-results/NAME, NAME being the file's]
    #[arg(long, env = "LAB_OUT", value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seed instead of the file's
    #[arg(long, env = "LAB_SEED", value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Drive services that run elsewhere, as this file says; nothing is started, and nothing broken
    #[arg(long, env = "LAB_TARGETS", value_name = "FILE")]
    pub(crate) targets: Option<PathBuf>,
}

/// Whose report.
#[derive(Debug, Args)]
struct ReportArgs {
    /// results.json
    #[arg(value_name = "RESULTS")]
    results: PathBuf,
    /// Folder of the report [default: that of the results]
    #[arg(long, env = "LAB_OUT", value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also write what is kept with the project below this folder: PARADIGM/RESULTS.md, docs/comparison.md and
    /// what lies in docs/comparison
    #[arg(long, env = "LAB_PAGES", value_name = "DIR")]
    pages: Option<PathBuf>,
}

/// What is compared.
#[derive(Debug, Args)]
struct CompareArgs {
    /// The results to compare with
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The results to be judged
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Share by which a time may grow, beside the spread over rounds
    #[arg(long, env = "LAB_SLOWER_MAX", value_name = "SHARE", default_value_t = 0.25, value_parser = service_kit::units::finite)]
    slower_max: f64,
    /// Share by which throughput may shrink, and cost grow
    #[arg(long, env = "LAB_LESS_MAX", value_name = "SHARE", default_value_t = 0.15, value_parser = service_kit::units::finite)]
    less_max: f64,
    /// Take what only the old results have as left out on purpose, and not as worse
    #[arg(long, env = "LAB_ALLOW_MISSING")]
    allow_missing: bool,
    /// Form of the result
    #[arg(
        short,
        long,
        env = "LAB_OUTPUT",
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    output: OutputFormat,
}

impl Cli {
    /// Runs the command that was asked for.
    ///
    /// # Errors
    ///
    /// Fails with the exit code that the error asks for.
    pub fn run(self, program: &Program) -> Result<ExitStatus, AppError> {
        match self.command {
            Command::Run(args) => Session::start(program, &args)?.run(),
            Command::Report(args) => {
                let results = Results::read(&args.results)?;
                let beside = args.results.parent().map(PathBuf::from).unwrap_or_default();
                let out = args.out.unwrap_or(beside);
                report::write_all(&results, &out)?;
                if let Some(root) = &args.pages {
                    report::publish::publish(&results, &args.results, root)?;
                }
                session::tell(&results, &out)?;
                Ok(ExitStatus::Done)
            }
            Command::Compare(args) => {
                let limits = Limits {
                    slower_max: args.slower_max,
                    less_max: args.less_max,
                    allows_missing: args.allow_missing,
                };
                compare_files(&args.old, &args.new, limits, args.output)
            }
        }
    }
}
