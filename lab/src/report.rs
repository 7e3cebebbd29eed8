//! What people read: one page that needs nothing but itself, a summary for pull requests, tables for spreadsheets, and
//! the histograms for other tools. All of it is made of the results alone.

mod about;
mod charts;
mod html;
mod plot;
pub mod publish;
mod style;
mod timeline_words;
mod timelines;

use std::fs;
use std::path::Path;

use service_kit::exit::AppError;
use service_kit::table::{Side, Table as TextTable};

use crate::cells::{Cell, cells};
use crate::results::Results;
use crate::tables::{Table, tables};
use crate::verdict::verdict;

pub use html::html;

/// Largest report: it is to be sent by mail.
pub const HTML_BYTES_MAX: usize = 2_000_000;
/// Columns of the table that a terminal shows, of those of the headline.
const TERMINAL_COLUMNS: [usize; 6] = [0, 1, 4, 6, 7, 8];

/// Writes `report.html`, `summary.md`, `csv/*.csv` and `hgrm/*.hgrm` into a folder.
///
/// # Errors
///
/// Fails if a file cannot be written.
pub fn write_all(results: &Results, out: &Path) -> Result<(), AppError> {
    let write = |path: &Path, text: &str| {
        let folder = path.parent().unwrap_or(out);
        fs::create_dir_all(folder).and_then(|()| fs::write(path, text)).map_err(|error| {
            AppError::failed(format!("{} cannot be written: {error}", path.display()))
                .hint("give another folder with --out")
        })
    };
    write(&out.join("report.html"), &html(results))?;
    write(&out.join("summary.md"), &markdown(results))?;
    let all = cells(results);
    for table in tables(results, &all) {
        write(&out.join("csv").join(format!("{}.csv", table.id)), &csv(&table))?;
    }
    for cell in &all {
        for (clock, times) in [("accept", cell.accepts()), ("outcome", cell.outcomes())] {
            if times.count() > 0 {
                let name = format!("{}-{clock}.hgrm", file_name(cell));
                write(&out.join("hgrm").join(name), &times.hgrm())?;
            }
        }
    }
    Ok(())
}

fn file_name(cell: &Cell<'_>) -> String {
    let name = format!("{}-{}", cell.workload.name, cell.paradigm.name());
    if cell.rate_per_s > 0.0 { format!("{name}-{}", cell.rate_per_s) } else { name }
}

/// A table as comma-separated values: numbers without units where there are some, times in microseconds.
#[must_use]
pub fn csv(table: &Table) -> String {
    let field = |text: &str| {
        let needs_quotes = text.contains([',', '"', '\n']);
        if needs_quotes { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
    };
    let heads: Vec<String> = table.columns.iter().map(|column| field(column.title)).collect();
    let mut text = heads.join(",") + ",counts\n";
    for row in &table.rows {
        let fields = row.iter().map(|entry| match entry.value {
            Some(value) => value.to_string(),
            None if entry.text.starts_with('–') => String::new(),
            None => field(&entry.text),
        });
        let counts = if row.iter().any(|entry| entry.is_struck) { "no" } else { "yes" };
        text.push_str(&fields.collect::<Vec<_>>().join(","));
        text.push_str(&format!(",{counts}\n"));
    }
    text
}

/// The summary: verdict and tables in Markdown.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let all = cells(results);
    let mut text = format!("# {}\n\n{}\n", title(results), verdict(results, &all));
    for table in tables(results, &all) {
        text.push_str(&format!("\n## {}\n\n{}\n\n", table.title, table.caption));
        text.push_str(&markdown_table(&table));
    }
    let of = &results.environment;
    text.push_str(&format!(
        "\nMeasured {} on {} ({} cores, {}), version {} ({}), {} build, seed {}. Again with:\n\n    {}\n",
        results.started_at, of.cpu, of.cores, of.kernel, of.version, of.commit, of.profile, results.seed, results.command
    ));
    text
}

fn markdown_table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(table.columns.iter().map(|column| column.title.to_owned()).collect());
    let rule = |is_number| if is_number { "--:" } else { "---" };
    text.push_str(&line(
        table.columns.iter().map(|column| rule(column.is_number).to_owned()).collect(),
    ));
    for row in &table.rows {
        let entry = |entry: &crate::tables::Entry| {
            let plain = entry.text.replace('|', "\\|");
            if entry.is_struck { format!("~~{plain}~~") } else { plain }
        };
        text.push_str(&line(row.iter().map(entry).collect()));
    }
    text
}

/// The headline for a terminal.
#[must_use]
pub fn for_terminal(results: &Results) -> String {
    let all = cells(results);
    let Some(headline) = tables(results, &all).into_iter().find(|table| table.id == "headline")
    else {
        return format!("{}\n", verdict(results, &all));
    };
    let heads = ["WORKLOAD", "PARADIGM", "ACCEPT p99", "OUTCOME p99", "NOT TAKEN", "AUDIT"];
    let side =
        |place: usize| if headline.columns[place].is_number { Side::Right } else { Side::Left };
    let columns: Vec<(&str, Side)> =
        heads.iter().zip(TERMINAL_COLUMNS).map(|(head, place)| (*head, side(place))).collect();
    let mut table = TextTable::new(&columns);
    for row in &headline.rows {
        let entry = |place: usize| {
            let text = &row[place].text;
            text.split(" (").next().unwrap_or(text).to_owned()
        };
        table.row(TERMINAL_COLUMNS.map(entry));
    }
    format!("{}\n\n{}\n", table.text(), verdict(results, &all))
}

/// The title of a report.
#[must_use]
pub(crate) fn title(results: &Results) -> String {
    let quick = if results.is_quick { ", quick" } else { "" };
    format!("One order flow, three paradigms ({}{quick})", results.name)
}
