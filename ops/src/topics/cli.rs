//! Subcommands of `orders topics`.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use serde::Serialize;
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::{note, result, text};
use service_kit::terminal::tame_json;

use super::apply::{Applied, apply};
use super::brokers::Brokers;
use super::flags::{Connection, DescribeFormat, Output, Which, deletable, is_internal};
use super::plan::Plan;
use super::printed::{Described, Listed, PlanTold, declaration, list_table, plan_page, taken_line};

/// What `orders topics --help` says first.
pub(crate) const ABOUT: &str = "Keep topics as declared in a file.

The file declares topics with their partitions, keys with a reason, and settings. Plan shows the \
differences between file and brokers; apply removes them. Both leave every setting alone that \
the file does not name. Only topics named with --delete are deleted.";

/// What `orders topics --help` says last.
pub(crate) const EXAMPLES: &str = "Examples:
  orders topics plan
  orders topics apply -f config/topics.toml --execute

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 partly done, 4 plan
found a difference";

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// Differences between the file and the brokers; exit 4 if there are any
    #[command(after_help = "Examples:
  orders topics plan
  orders topics plan orders orders-dlq -f config/topics.toml -o json

'+' is created, '~' changed, '!' cannot be changed. The command compares only
what the file declares; it shows other settings of a topic and leaves them.

Exit codes: 0 as declared, 1 failed, 2 usage or configuration, 4 something
differs")]
    Plan(Box<PlanFlags>),

    /// Create and change topics as declared; previews without --execute
    #[command(after_help = "Examples:
  orders topics apply
  orders topics apply ecommerce.orders ecommerce.payments --execute
  orders topics apply --delete orders-old --execute

Creates topics, adds partitions and sets single settings; settings that the
file does not name stay as they are. It may be run again at any time.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 partly done: a step
failed, or a difference cannot be changed")]
    Apply(Box<ApplyFlags>),

    /// Topics of the cluster
    #[command(after_help = "Examples:
  orders topics list
  orders topics list --internal -o json | jq -r '.[].name'")]
    List(Box<ListFlags>),

    /// Partitions, replicas, offsets and settings of topics
    #[command(after_help = "Examples:
  orders topics describe orders
  orders topics describe orders orders-dlq -o toml > topics.toml

-o toml prints what 'orders topics apply -f FILE' reads: use it to create the
same topic on another cluster")]
    Describe(Box<DescribeFlags>),
}

/// Flags of `plan`.
#[derive(Debug, Args)]
pub struct PlanFlags {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Flags of `apply`.
#[derive(Debug, Args)]
pub struct ApplyFlags {
    #[command(flatten)]
    which: Which,
    /// Do it; without this flag, only show what would be done
    #[arg(long, help_heading = "Run")]
    execute: bool,
    /// Delete this topic with all its records; the file must not declare it. May be repeated
    #[arg(long, value_name = "NAME", help_heading = "Run")]
    delete: Vec<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Flags of `list`.
#[derive(Debug, Args)]
pub struct ListFlags {
    /// Include topics in which Kafka keeps its own state
    #[arg(long, help_heading = "Run")]
    internal: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Flags of `describe`.
#[derive(Debug, Args)]
pub struct DescribeFlags {
    /// Topics [default: all but Kafka's own]
    #[arg(value_name = "TOPIC")]
    names: Vec<String>,
    /// Format of the results on stdout [default: table]
    #[arg(long, short = 'o', env = "ORDERS_OUTPUT", value_name = "FORMAT", help_heading = "Run")]
    output: Option<DescribeFormat>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs a subcommand: checks settings and the file, asks the brokers, prints.
///
/// # Errors
///
/// Fails for wrong settings and files (2), and for brokers and topics that are not there (1).
pub fn command(command: TopicsCommand) -> Result<ExitStatus, AppError> {
    match command {
        TopicsCommand::Plan(flags) => plan(&flags),
        TopicsCommand::Apply(flags) => execute(&flags),
        TopicsCommand::List(flags) => list(&flags),
        TopicsCommand::Describe(flags) => describe(&flags),
    }
}

fn plan(flags: &PlanFlags) -> Result<ExitStatus, AppError> {
    let (kafka, format) = flags.connection.load(flags.output.output)?;
    let declared = flags.which.declared()?;
    let brokers = Brokers::connect(&kafka)?;
    let none = BTreeSet::new();
    let plan = Plan::of(&declared, &brokers.of(&declared, &none)?, &none);
    print_plan(&plan, format)?;
    Ok(if plan.has_drift() { ExitStatus::Finding } else { ExitStatus::Done })
}

fn print_plan(plan: &Plan, format: OutputFormat) -> Result<(), AppError> {
    match format {
        OutputFormat::Table => text(&plan_page(plan)),
        OutputFormat::Json => result(&json_line(&PlanTold::of(plan))?),
        OutputFormat::Jsonl => plan.topics.iter().try_for_each(|topic| result(&json_line(topic)?)),
    }
}

/// What `apply` prints as JSON.
#[derive(Serialize)]
struct AppliedTold<'a> {
    executed: bool,
    #[serde(flatten)]
    plan: PlanTold<'a>,
    #[serde(flatten)]
    applied: Option<&'a Applied>,
}

fn execute(flags: &ApplyFlags) -> Result<ExitStatus, AppError> {
    let (kafka, format) = flags.connection.load(flags.output.output)?;
    // The whole file: a name that is declared is not deleted, whichever topics are meant.
    let whole = Which { names: vec![], ..flags.which.clone() }.declared()?;
    let delete = deletable(&flags.delete, &whole)?;
    let declared = flags.which.declared()?;
    let brokers = Brokers::connect(&kafka)?;
    let there = brokers.of(&declared, &delete)?;
    for name in delete.iter().filter(|name| !there.contains_key(*name)) {
        note(&format!("orders: there is no topic {name}: nothing to delete"));
    }
    let plan = Plan::of(&declared, &there, &delete);
    if format == OutputFormat::Table {
        text(&plan_page(&plan))?;
    }
    let applied = match flags.execute && plan.has_steps() {
        true => Some(apply(&brokers, &plan, &declared, &delete)?),
        false => None,
    };
    if format != OutputFormat::Table {
        let told = AppliedTold {
            executed: flags.execute,
            plan: PlanTold::of(&plan),
            applied: applied.as_ref(),
        };
        result(&json_line(&told)?)?;
    }
    Ok(conclude(flags.execute, &plan, applied.as_ref()))
}

/// Says how it ended, on stderr.
fn conclude(executes: bool, plan: &Plan, applied: Option<&Applied>) -> ExitStatus {
    let Some(applied) = applied else {
        // What stays different was to be made right.
        let stays = executes && plan.has_drift();
        note(match (executes, plan.has_steps()) {
            (false, true) => "orders: nothing was changed; --execute does it",
            _ if plan.has_drift() => "orders: these differences cannot be changed by this command",
            _ => "orders: there is nothing to do",
        });
        return if stays { ExitStatus::Partial } else { ExitStatus::Done };
    };
    applied.steps.iter().for_each(|taken| note(&format!("orders: {}", taken_line(taken))));
    let status = applied.status();
    if status != ExitStatus::Done {
        let words =
            "orders: not everything is as declared: 'orders topics plan' shows what differs";
        note(words);
    }
    status
}

fn list(flags: &ListFlags) -> Result<ExitStatus, AppError> {
    let (kafka, format) = flags.connection.load(flags.output.output)?;
    let mut topics = Brokers::connect(&kafka)?.all()?;
    topics.retain(|name, _| flags.internal || !is_internal(name));
    let listed: Vec<Listed<'_>> =
        topics.iter().map(|(name, topic)| Listed::of(name, topic)).collect();
    match format {
        OutputFormat::Table => result(&list_table(&topics))?,
        OutputFormat::Json => result(&json_line(&listed)?)?,
        OutputFormat::Jsonl => listed.iter().try_for_each(|topic| result(&json_line(topic)?))?,
    }
    Ok(ExitStatus::Done)
}

fn describe(flags: &DescribeFlags) -> Result<ExitStatus, AppError> {
    let (kafka, format) = flags.connection.load(None)?;
    let format = flags.output.unwrap_or(match format {
        OutputFormat::Table => DescribeFormat::Table,
        OutputFormat::Json => DescribeFormat::Json,
        OutputFormat::Jsonl => DescribeFormat::Jsonl,
    });
    let brokers = Brokers::connect(&kafka)?;
    let mut topics = match flags.names.as_slice() {
        [] => brokers.all()?,
        names => brokers.each(names)?,
    };
    topics.retain(|name, _| !flags.names.is_empty() || !is_internal(name));
    if format == DescribeFormat::Toml {
        let all: Vec<String> =
            topics.iter().map(|(name, topic)| declaration(name, topic)).collect();
        result(&all.join("\n"))?;
        return Ok(ExitStatus::Done);
    }
    let (offsets, ids) = (brokers.offsets(&topics), brokers.ids(&topics)?);
    let told = topics.iter().map(|(name, topic)| {
        let offsets = offsets.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        Described::of(name, topic, offsets, ids.get(name).map(String::as_str))
    });
    let told: Vec<Described<'_>> = told.collect();
    match format {
        DescribeFormat::Table | DescribeFormat::Toml => {
            let pages: Vec<String> = told.iter().map(Described::page).collect();
            result(&pages.join("\n"))?;
        }
        DescribeFormat::Json => result(&json_line(&told)?)?,
        DescribeFormat::Jsonl => told.iter().try_for_each(|topic| result(&json_line(topic)?))?,
    }
    Ok(ExitStatus::Done)
}

/// A value as one line of JSON that no terminal takes for a command.
fn json_line(value: &impl Serialize) -> Result<String, AppError> {
    let line = serde_json::to_string(value).map_err(|error| {
        AppError::failed(format!("the result cannot be written as JSON: {error}"))
    })?;
    Ok(tame_json(line) + "\n")
}
