//! Subcommands of `orders schema`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use codec::registry::{Registry, RegistryError, SubjectVersion};
use serde::Serialize;
use serde_json::Value;
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::{note, result, result_line};
use service_kit::table::{Side, Table};
use service_kit::terminal::{one_line, tame_json};

use super::check::{self, CheckFlags};
use super::diff::{Change, changes};
use super::registry::{Asking, RegistryConnection, read_file};

/// What `orders schema --help` says first.
pub(crate) const ABOUT: &str = "Inspect schemas and change them safely.

Subjects are named after topics (TopicNameStrategy): orders-value holds the schemas of the values of \
orders. Only register with --execute changes anything.";

/// What `orders schema --help` says last.
pub(crate) const EXAMPLES: &str = "Examples:
  orders schema list
  orders schema check v3.avsc --against-parked

Exit codes: 0 done, 1 failed, 2 usage or configuration, 4 the check found
something incompatible";

/// Subject where none is named.
pub(super) const SUBJECT: &str = "orders-value";

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Subjects, their versions and the ids of the latest ones
    #[command(after_help = "Examples:
  orders schema list
  orders schema list -o jsonl | jq -r .subject")]
    List(RegistryConnection),

    /// One schema: the latest version of a subject, or another one
    #[command(after_help = "Examples:
  orders schema show orders-value
  orders schema show orders-value 1 -o json | jq -r .id
  orders schema show --id 3")]
    Show(ShowFlags),

    /// Whether a schema may follow, and whether everything stays readable
    #[command(long_about = check::ABOUT, after_help = "Examples:
  orders schema check schemas/order/v2.avsc
  orders schema check v3.avsc --against-parked -o json
  orders schema check --against-parked

Exit codes: 0 compatible, 1 failed, 2 usage or configuration, 4 something is
incompatible or would become unreadable")]
    Check(Box<CheckFlags>),

    /// Add a version to a subject; previews without --execute
    #[command(after_help = "Examples:
  orders schema register v3.avsc
  orders schema register v3.avsc --subject orders-value --execute

A schema that the subject already has, however it is written, is not added
again.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 4 the subject's
compatibility rule refuses it")]
    Register(RegisterFlags),

    /// What changed between two versions: fields, types and defaults
    #[command(after_help = "Examples:
  orders schema diff orders-value
  orders schema diff orders-value 1 2 -o json")]
    Diff(DiffFlags),
}

/// Flags of `show`.
#[derive(Debug, Args)]
pub struct ShowFlags {
    /// Subject [default: orders-value]
    #[arg(value_name = "SUBJECT")]
    subject: Option<String>,
    /// Version [default: the latest]
    #[arg(value_name = "VERSION")]
    version: Option<u32>,
    /// The schema of this id instead, as frames carry it
    #[arg(long, value_name = "N", conflicts_with_all = ["subject", "version"])]
    id: Option<u32>,
    #[command(flatten)]
    registry: RegistryConnection,
}

/// Flags of `register`.
#[derive(Debug, Args)]
pub struct RegisterFlags {
    /// File with the schema
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Subject [default: orders-value]
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Do it; without this flag, only show what would be done
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    registry: RegistryConnection,
}

/// Flags of `diff`.
#[derive(Debug, Args)]
pub struct DiffFlags {
    /// Subject [default: orders-value]
    #[arg(value_name = "SUBJECT")]
    subject: Option<String>,
    /// Version to compare [default: the one before the latest]
    #[arg(value_name = "FROM")]
    from: Option<u32>,
    /// Version to compare it with [default: the latest]
    #[arg(value_name = "TO")]
    to: Option<u32>,
    #[command(flatten)]
    registry: RegistryConnection,
}

/// Runs a subcommand.
///
/// # Errors
///
/// Fails for wrong settings (2), and for servers, subjects and versions that are not there (1).
pub fn command(command: SchemaCommand) -> Result<ExitStatus, AppError> {
    match command {
        SchemaCommand::List(flags) => list(&flags),
        SchemaCommand::Show(flags) => show(&flags),
        SchemaCommand::Check(flags) => check::command(&flags),
        SchemaCommand::Register(flags) => register(&flags),
        SchemaCommand::Diff(flags) => diff(&flags),
    }
}

/// Most subjects that the registry is asked about at the same time.
const ASKED_AT_ONCE_MAX: usize = 16;

#[derive(Serialize)]
struct Listed {
    subject: String,
    versions: Vec<u32>,
    latest_id: u32,
    kind: String,
}

fn list(flags: &RegistryConnection) -> Result<ExitStatus, AppError> {
    let (asking, output) = flags.open()?;
    let mut subjects = asking.ask(asking.registry.subjects())?;
    subjects.sort_unstable();
    let mut all = Vec::new();
    for some in subjects.chunks(ASKED_AT_ONCE_MAX) {
        let of = |subject: &String| {
            let (registry, subject) = (asking.registry.clone(), subject.clone());
            asking.runtime.spawn(async move { about(&registry, subject).await })
        };
        let asked: Vec<_> = some.iter().map(of).collect();
        for answer in asked {
            // One that was deleted since has no version.
            all.extend(asking.find(async { answer.await.expect("asking does not panic") })?);
        }
    }
    let mut table = Table::new(&[
        ("SUBJECT", Side::Left),
        ("VERSIONS", Side::Left),
        ("ID", Side::Right),
        ("KIND", Side::Left),
    ]);
    for one in &all {
        let versions: Vec<String> = one.versions.iter().map(u32::to_string).collect();
        let latest_id = one.latest_id.to_string();
        table.row([one_line(&one.subject), versions.join(" "), latest_id, one_line(&one.kind)]);
    }
    print(output, &all, &all, &table.text())?;
    Ok(ExitStatus::Done)
}

async fn about(registry: &Registry, subject: String) -> Result<Listed, RegistryError> {
    let (versions, latest) =
        tokio::try_join!(registry.versions(&subject), registry.version(&subject, None))?;
    Ok(Listed { subject, versions, latest_id: latest.id, kind: latest.kind })
}

#[derive(Serialize)]
struct Shown {
    subject: Option<String>,
    version: Option<u32>,
    id: u32,
    kind: String,
    schema: Value,
}

fn show(flags: &ShowFlags) -> Result<ExitStatus, AppError> {
    let (asking, output) = flags.registry.open()?;
    let shown = if let Some(id) = flags.id {
        let found = asking.ask(asking.registry.schema_by_id(id))?;
        let schema = parsed(&found.text);
        Shown { subject: None, version: None, id, kind: found.kind, schema }
    } else {
        let subject = flags.subject.clone().unwrap_or_else(|| SUBJECT.to_owned());
        let found = asking.ask(asking.registry.version(&subject, flags.version))?;
        let SubjectVersion { version, id, text, kind, .. } = found;
        Shown { subject: Some(subject), version: Some(version), id, kind, schema: parsed(&text) }
    };
    let pretty = match &shown.schema {
        Value::String(text) => text.clone(),
        schema => serde_json::to_string_pretty(schema).unwrap_or_default(),
    };
    print(output, &shown, std::slice::from_ref(&shown), &tame_json(pretty))?;
    let place = match (&shown.subject, shown.version) {
        (Some(subject), Some(version)) => format!("{} version {version}, ", one_line(subject)),
        _ => String::new(),
    };
    note(&format!("orders: {place}id {}, {}", shown.id, one_line(&shown.kind)));
    Ok(ExitStatus::Done)
}

/// JSON, or the text as it is where it is none (Protobuf).
pub(super) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[derive(Serialize)]
struct Registered<'a> {
    executed: bool,
    subject: &'a str,
    /// It is there already, in this or another spelling.
    known: bool,
    may_follow: bool,
    id: Option<u32>,
}

fn register(flags: &RegisterFlags) -> Result<ExitStatus, AppError> {
    let (asking, output) = flags.registry.open()?;
    let subject = flags.subject.as_deref().unwrap_or(SUBJECT);
    let text = read_file(&flags.file)?;
    let known = asking.find(asking.registry.look_up(subject, &text))?;
    let may_follow = known.is_some() || may_follow(&asking, subject, &text)?;
    let executed = flags.execute && known.is_none() && may_follow;
    let id = match (known, executed) {
        (None, true) => Some(asking.ask(asking.registry.register(subject, &text))?),
        (known, _) => known,
    };
    let told = Registered { executed, subject, known: known.is_some(), may_follow, id };
    let shown = one_line(subject);
    let line = match (&told, id) {
        (Registered { executed: true, .. }, Some(id)) => {
            format!("registered in {shown}, with id {id}")
        }
        (Registered { known: true, .. }, Some(id)) => {
            format!("{shown} already has this schema, with id {id}")
        }
        (Registered { may_follow: false, .. }, _) => {
            format!("the compatibility rule of {shown} refuses this schema")
        }
        _ => format!("{shown} would get a new version"),
    };
    print(output, &told, std::slice::from_ref(&told), &line)?;
    if !told.may_follow {
        note("orders: nothing was changed; 'orders schema check FILE' shows what is incompatible");
        return Ok(ExitStatus::Finding);
    }
    if !told.executed && !told.known {
        note("orders: nothing was changed; --execute registers it");
    }
    Ok(ExitStatus::Done)
}

/// Whether the registry lets a schema follow; a subject that is not there takes any.
pub(super) fn may_follow(asking: &Asking, subject: &str, text: &str) -> Result<bool, AppError> {
    let allowed = asking.find(asking.registry.may_follow(subject, text))?;
    Ok(allowed.unwrap_or(true))
}

#[derive(Serialize)]
struct Compared<'a> {
    subject: &'a str,
    from: u32,
    to: u32,
    changes: Vec<Change>,
}

fn diff(flags: &DiffFlags) -> Result<ExitStatus, AppError> {
    let (asking, output) = flags.registry.open()?;
    let subject = flags.subject.as_deref().unwrap_or(SUBJECT);
    let to = asking.ask(asking.registry.version(subject, flags.to))?;
    let from = match flags.from {
        Some(from) => from,
        None => {
            let mut versions = asking.ask(asking.registry.versions(subject))?;
            versions.retain(|version| *version < to.version);
            versions.into_iter().max().ok_or_else(|| {
                let only = to.version;
                AppError::failed(format!("{subject} has no version before {only}"))
                    .hint("'orders schema show' prints the only one")
            })?
        }
    };
    let before = asking.ask(asking.registry.version(subject, Some(from)))?;
    let changes = changes(&parsed(&before.text), &parsed(&to.text));
    let told = Compared { subject, from, to: to.version, changes };
    print(output, &told, &told.changes, &page(&told.changes))?;
    note(&format!("orders: {} from version {from} to {}", one_line(subject), to.version));
    Ok(ExitStatus::Done)
}

/// Changes for people: one a line, and below it what it means.
fn page(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "both mean the same".to_owned();
    }
    let lines = changes.iter().map(|change| {
        let Change { what, field, before, after, means } = change;
        let field = field.as_deref().unwrap_or("the record");
        let values = match (before, after) {
            (Some(before), Some(after)) => format!("{before} -> {after}"),
            (Some(before), None) if *what != "removed" => format!("{before} -> none"),
            (None, Some(after)) if *what != "added" => format!("none -> {after}"),
            (one, other) => one.clone().or_else(|| other.clone()).unwrap_or_default(),
        };
        one_line(&format!("{what:<8} {field}: {values}")) + &format!("\n         {means}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Prints one result in the form that was asked for: `rows` are the lines of JSON Lines.
pub(super) fn print(
    format: OutputFormat,
    whole: &impl Serialize,
    rows: &[impl Serialize],
    table: &str,
) -> Result<(), AppError> {
    let failed = |error: serde_json::Error| AppError::failed(error.to_string());
    match format {
        OutputFormat::Table => result(&format!("{table}\n")),
        OutputFormat::Json => {
            result_line(&tame_json(serde_json::to_string(whole).map_err(failed)?))
        }
        OutputFormat::Jsonl => rows.iter().try_for_each(|row| {
            result_line(&tame_json(serde_json::to_string(row).map_err(failed)?))
        }),
    }
}
