//! Flags and subcommands.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Parser, Subcommand, ValueEnum};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use service_kit::output::{note, result_line, text};

use crate::run::Size;
use crate::scenario::Scenario;
use crate::{runner, scenarios, table};

/// Breaks things on purpose, on real servers, and audits what is left.
#[derive(Debug, Parser)]
#[command(
    name = "faults",
    version,
    after_help = "Examples:
  faults list
  faults run                                  # everything, at most 15 minutes
  faults run abort-at-each-step --seed 42     # one again, as it was
  faults run --short -o json |
    jq '.scenarios[] | select(.verdict != \"passed\")'

The servers are those of KAFKA_BOOTSTRAP_SERVERS and SCHEMA_REGISTRY_URL
(`make up`); a scenario that breaks a server starts its own. The consumer must
be built with its feature failpoints: `make faults` sees to all of it.

Exit codes: 0 all passed, 1 one did not, 2 usage"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say which scenarios there are
    List(ListArgs),
    /// Run scenarios, all of them if none is named
    Run(RunArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t = OutputForm::Table)]
    output: OutputForm,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Scenarios, as `faults list` names them
    names: Vec<String>,
    /// Seed of random choices [default: a new one, which is printed]
    #[arg(long, env = "FAULTS_SEED", value_name = "N")]
    seed: Option<u64>,
    /// The forms that `make test` runs: a few seconds each
    #[arg(long)]
    short: bool,
    /// Format of the results
    #[arg(short, long, value_enum, default_value_t = OutputForm::Table)]
    output: OutputForm,
}

/// Format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputForm {
    /// Aligned columns
    Table,
    /// One JSON value
    Json,
}

impl Cli {
    /// Runs the command and returns its exit code.
    ///
    /// # Errors
    ///
    /// Fails for a scenario that does not exist.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::List(args) => list(args),
            Command::Run(args) => run(args),
        }
    }
}

fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    if args.output == OutputForm::Json {
        let one = |s: &Scenario| {
            serde_json::json!({
                "scenario": s.name, "rows": s.rows, "does": s.does, "expects": s.expects,
            })
        };
        let all: Vec<_> = scenarios::ALL.iter().map(one).collect();
        result_line(&serde_json::to_string(&all)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for scenario in scenarios::ALL {
        let rows: Vec<String> = scenario.rows.iter().map(ToString::to_string).collect();
        let Scenario { name, does, expects, .. } = scenario;
        let rows = rows.join(", ");
        text(&format!("{name}  (rows {rows})\n    {does}\n    expected: {expects}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let mut chosen = Vec::new();
    for name in &args.names {
        match scenarios::find(name) {
            Some(scenario) => chosen.push(scenario),
            None => bail!("there is no scenario {name:?}; `faults list` names them"),
        }
    }
    if chosen.is_empty() {
        chosen = scenarios::ALL.iter().collect();
    }
    let seed = args.seed.unwrap_or_else(rand::random);
    let size = if args.short { Size::Short } else { Size::Full };
    let outcomes = runner::execute_all(&chosen, size, seed);
    match args.output {
        OutputForm::Table => text(&(table::table(&outcomes) + "\n"))?,
        OutputForm::Json => result_line(&table::json(&outcomes).to_string())?,
    }
    if outcomes.iter().all(runner::Outcome::is_passed) {
        return Ok(ExitCode::SUCCESS);
    }
    end_children();
    Ok(ExitCode::FAILURE)
}

/// Ends the programs of a scenario that is stuck: its thread does not come to it any more.
fn end_children() {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for thread in threads {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for pid in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            if let Err(error) = kill(Pid::from_raw(pid), Signal::SIGKILL) {
                note(&format!("faults: {pid} is not killed: {error}")); // it may have ended by itself
            }
        }
    }
}
