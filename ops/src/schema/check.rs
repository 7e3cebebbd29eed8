//! `orders schema check`: by the registry, by our own readers, and by what waits.

use std::path::PathBuf;

use clap::Args;
use codec::candidate::resolves;
use codec::scalar::AvroRecord as _;
use codec::writer_schema::WriterSchema;
use order_schemas::OrderRecord;
use serde::Serialize;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::live::fit;
use service_kit::output::note;
use service_kit::table::{Side, Table};
use service_kit::terminal::one_line;

use super::cli::{SUBJECT, may_follow, print};
use super::parked::{Group, Parked, Reading, Trial};
use super::registry::{Asking, read_file};
use crate::audit::{Settings, runtime};
use crate::dlq::{DlqTopic, Filter, Selection, Taken};
use crate::group_flags::GroupFlags;
use crate::progress::Lines;
use crate::standing::Standing;

/// What `orders schema check --help` says first.
pub(super) const ABOUT: &str = "Check whether a schema is compatible and whether all records stay readable.

Asks the registry whether the subject's compatibility rule accepts the schema, and tries the readers \
of this pipeline: a reader with the schema on every version of the subject, and the current \
consumer on records written with the schema. With --against-parked it reads the records that \
wait in the retry topic and the dead letters with the schema (without a FILE: with the current \
consumer's schema), and reports by schema id what would become unreadable. It joins no group, \
commits nothing and registers nothing.";

/// Columns of a reason in a table.
const WHY_COLUMNS: usize = 78;

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct CheckFlags {
    /// File with the schema [default: the current consumer's schema, with --against-parked]
    #[arg(value_name = "FILE", required_unless_present = "against_parked")]
    file: Option<PathBuf>,
    /// Subject whose next version it would be [default: orders-value]
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Read the waiting retries and the dead letters with it
    #[arg(long)]
    against_parked: bool,
    #[command(flatten)]
    group: GroupFlags,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Fit {
    /// What was tried.
    check: String,
    ok: bool,
    /// Why it does not fit.
    why: Option<String>,
}

#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    subject: &'a str,
    checks: Vec<Fit>,
    parked: Option<Parked>,
}

/// Checks, and prints what fits and what does not.
pub(super) fn command(flags: &CheckFlags) -> Result<ExitStatus, AppError> {
    let (settings, output) = flags.group.load()?;
    let subject = flags.subject.as_deref().unwrap_or(SUBJECT);
    let file = flags.file.as_deref().map(read_file).transpose()?;
    let checks = match &file {
        Some(text) => fits(&Asking::new(settings.registry.clone())?, subject, text)?,
        None => Vec::new(),
    };
    let candidate = file.as_deref().unwrap_or(OrderRecord::SCHEMA);
    let parked = flags.against_parked.then(|| parked(&settings, candidate)).transpose()?;
    let ok = checks.iter().all(|one| one.ok) && parked.as_ref().is_none_or(|parked| parked.ok);
    let checked = Checked { ok, subject, checks, parked };
    let groups = checked.parked.iter().flat_map(|parked| &parked.groups);
    let rows: Vec<Row<'_>> =
        checked.checks.iter().map(Row::Fit).chain(groups.map(Row::Group)).collect();
    print(output, &checked, &rows, &page(&checked))?;
    if let Some(parked) = &checked.parked {
        note(&format!(
            "orders: {} records read, {} of them would become unreadable",
            parked.checked, parked.unreadable
        ));
    }
    Ok(if ok { ExitStatus::Done } else { ExitStatus::Finding })
}

/// A line of JSON Lines.
#[derive(Serialize)]
#[serde(untagged)]
enum Row<'a> {
    Fit(&'a Fit),
    Group(&'a Group),
}

/// By the registry, and by our own readers.
fn fits(asking: &Asking, subject: &str, text: &str) -> Result<Vec<Fit>, AppError> {
    let follows = may_follow(asking, subject, text)?;
    let why = (!follows)
        .then(|| "the registry refuses it by the subject's compatibility rule".to_owned());
    let mut checks =
        vec![Fit { check: format!("as the next version of {subject}"), ok: follows, why }];
    let mut add = |check: String, result: Result<(), String>| {
        checks.push(Fit { check, ok: result.is_ok(), why: result.err() });
    };
    let written = WriterSchema::parse(text, &[]).map_err(|error| error.to_string());
    let today = written.and_then(|writer| resolves(&writer, OrderRecord::SCHEMA));
    add("for the current consumer, as a reader of its records".to_owned(), today);
    let versions = asking.find(asking.registry.versions(subject))?.unwrap_or_default();
    for version in versions {
        let found = asking.ask(asking.registry.version(subject, Some(version)))?;
        let writer = WriterSchema::parse(&found.text, &found.references);
        let read = writer.map_err(|error| error.to_string());
        let read = read.and_then(|writer| resolves(&writer, text));
        add(format!("as a reader of version {version} (id {})", found.id), read);
    }
    Ok(checks)
}

/// Reads what waits and what is dead with a candidate.
fn parked(settings: &Settings, candidate: &str) -> Result<Parked, AppError> {
    let mut trial = Trial::new(settings.registry.clone(), candidate)?;
    let mut parked = Parked::default();
    let progress = |text: &str| note(&format!("orders: {text}"));
    let runtime = runtime()?;
    let mut standing = Standing::open(settings, runtime.handle(), progress)?;
    let topics = &settings.topics;
    for partition in 0..standing.partitions {
        let cut = standing.cut(partition)?;
        standing.each_waiting(&cut, |offset, value| {
            let (schema_id, judged) = trial.read(value)?;
            parked.add((&topics.retry, partition, offset), schema_id, judged);
            Ok(())
        })?;
    }
    let filter = Filter::default();
    let selection = Selection { filter: &filter, limit: None, values: None };
    let mut failed = None;
    let mut watch = Lines::new(progress);
    let (connected, servers) = (standing.connected().clone(), settings.kafka.bootstrap_servers());
    DlqTopic::of(connected, servers, &topics.dead_letter)?.scan(
        selection,
        &mut watch,
        |letter| {
            let record = &letter.record;
            Ok(match trial.read(record.value) {
                Ok((schema_id, judged)) => {
                    let place = (topics.dead_letter.as_str(), record.partition, record.offset);
                    parked.add(place, schema_id, judged);
                    Taken::Meant
                }
                Err(error) => {
                    failed = Some(error);
                    Taken::Last
                }
            })
        },
    )?;
    runtime.shutdown_background();
    parked.close();
    failed.map_or(Ok(parked), Err)
}

fn page(checked: &Checked<'_>) -> String {
    let mut lines = Vec::new();
    let because = |why: &Option<String>| {
        why.as_ref().map(|why| format!("    {}", fit(&one_line(why), WHY_COLUMNS - 4)))
    };
    for one in &checked.checks {
        let verdict = if one.ok { "fits" } else { "DOES NOT FIT" };
        lines.push(format!("{verdict:<12}  {}", one_line(&one.check)));
        lines.extend(because(&one.why));
    }
    if let Some(parked) = &checked.parked {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(table(parked));
        let reasons = parked.groups.iter().filter(|one| one.reading != Reading::Readable);
        for one in reasons {
            let schema = one.schema_id.map_or("no schema".to_owned(), |id| format!("schema {id}"));
            lines.push(format!("{} of {schema}:", one.example));
            lines.extend(because(&one.why));
        }
    }
    lines.join("\n")
}

fn table(parked: &Parked) -> String {
    use Side::{Left, Right};
    let mut table = Table::new(&[
        ("TOPIC", Left),
        ("SCHEMA", Right),
        ("COUNT", Right),
        ("READING", Left),
        ("EXAMPLE", Left),
    ]);
    for one in &parked.groups {
        let reading = match one.reading {
            Reading::Readable => "readable",
            Reading::Unreadable => "UNREADABLE",
            Reading::Broken => "by no schema",
        };
        table.row([
            fit(&one_line(&one.topic), 30),
            one.schema_id.map_or("-".to_owned(), |id| id.to_string()),
            one.count.to_string(),
            reading.to_owned(),
            one.example.clone(),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use service_kit::live::width;

    use super::*;

    #[test]
    fn the_page_fits_80_columns_and_names_what_does_not_fit() {
        let fit = |ok: bool| Fit {
            check: "as a reader of version 2 (id 7)".to_owned(),
            ok,
            why: (!ok).then(|| "field user: the writer lacks it and it has no default ".repeat(4)),
        };
        let mut parked = Parked::default();
        let why = || Some("cannot-resolve: field user ".repeat(9));
        let place = ("a-topic-with-a-name-that-is-far-too-long-for-a-table", 0, 4);
        parked.add(place, Some(7), (Reading::Unreadable, "cannot-resolve", why()));
        parked.add(place, None, (Reading::Broken, "bad-magic", why()));
        parked.close();
        let checks = vec![fit(true), fit(false)];
        let page = page(&Checked { ok: false, subject: "s", checks, parked: Some(parked) });
        assert!(page.lines().all(|line| width(line) <= 80), "{page}");
        for text in ["fits", "DOES NOT FIT", "UNREADABLE", "by no schema", "0:4 of schema 7:"] {
            assert!(page.contains(text), "{text}: {page}");
        }
    }
}
