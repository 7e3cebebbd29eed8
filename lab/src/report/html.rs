//! The page.

use std::fmt::Write as _;

use super::about::{again, environment, method};
use super::charts::{Figure, spectrum, sweep};
use super::plot::escape;
use super::style::STYLE;
use super::timelines::{legend, timelines};
use super::{csv, title};
use crate::cells::{Cell, cells};
use crate::results::Results;
use crate::tables::{Entry, Table, tables};
use crate::verdict::verdict;
use crate::workload::Paradigm;

/// Columns from which on a table is set in smaller letters.
const WIDE_COLUMNS: usize = 10;

/// The whole report as one page without anything from elsewhere.
#[must_use]
pub fn html(results: &Results) -> String {
    let all = cells(results);
    let tables = tables(results, &all);
    let of = |id: &str| tables.iter().find(|table| table.id == id);
    let mut body = String::new();
    head(&mut body, results, &all);
    section(
        &mut body,
        "times",
        "Times",
        &[of("headline"), of("losses")],
        spectrum(&all).into_iter().collect(),
        results,
    );
    section(
        &mut body,
        "sweep",
        "How much each can take",
        &[of("sweep"), of("replicas")],
        sweep(&all).into_iter().collect(),
        results,
    );
    section(
        &mut body,
        "outages",
        "Outages, bursts and backlogs",
        &[of("faults"), of("lots"), of("replay")],
        timelines(&all),
        results,
    );
    section(
        &mut body,
        "audit",
        "What was promised, and what came of it",
        &[of("audit"), of("failures"), of("notes")],
        Vec::new(),
        results,
    );
    section(&mut body, "cost", "Cost", &[of("cost")], Vec::new(), results);
    section(
        &mut body,
        "qualities",
        "What numbers do not say",
        &[of("qualities")],
        Vec::new(),
        results,
    );
    method(&mut body, results, &all, of("generator"));
    environment(&mut body, results);
    again(&mut body, results);
    data(&mut body, &tables);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(&title(results))
    )
}

fn head(body: &mut String, results: &Results, cells: &[Cell<'_>]) {
    let when = results.started_at.split('.').next().unwrap_or_default().replace('T', " ");
    let _ = writeln!(
        body,
        "<h1>{}</h1>\n<p class=\"when\">{} UTC, version {} ({}), seed {}, {} runs</p>\n<p class=\"verdict\">{}</p>",
        escape(&title(results)),
        escape(when.trim_end_matches('Z')),
        escape(&results.environment.version),
        escape(&results.environment.commit),
        results.seed,
        results.runs.len(),
        escape(&verdict(results, cells))
    );
    if results.environment.profile == "debug" {
        body.push_str(
            "<p class=\"warn\">The programs were no release builds: their times say little.</p>\n",
        );
    }
    if !results.is_complete {
        body.push_str(
            "<p class=\"warn\">The comparison was ended before all of its runs were made.</p>\n",
        );
    }
    body.push_str(
        "<nav><a href=\"#times\">Times</a><a href=\"#sweep\">Throughput</a><a href=\"#outages\">Outages</a>\
         <a href=\"#audit\">Audit</a><a href=\"#cost\">Cost</a><a href=\"#method\">Method</a>\
         <a href=\"#again\">Run it again</a></nav>\n",
    );
}

fn section(
    body: &mut String,
    id: &str,
    title: &str,
    tables: &[Option<&Table>],
    figures: Vec<Figure>,
    results: &Results,
) {
    let tables: Vec<&Table> = tables.iter().copied().flatten().collect();
    if tables.is_empty() && figures.is_empty() {
        return;
    }
    let _ = writeln!(body, "<h2 id=\"{id}\">{title}</h2>");
    let shown: Vec<Paradigm> = results.paradigms.iter().map(|info| info.paradigm).collect();
    let has_one_title = tables.len() == 1;
    for (n, table) in tables.iter().enumerate() {
        if !has_one_title {
            let _ = writeln!(body, "<h3>{}</h3>", table.title);
        }
        body.push_str(&markup(table));
        if n == 0 {
            for figure in &figures {
                body.push_str(&figure_markup(figure, &shown));
            }
        }
    }
    if tables.is_empty() {
        for figure in &figures {
            body.push_str(&figure_markup(figure, &shown));
        }
    }
}

fn figure_markup(figure: &Figure, shown: &[Paradigm]) -> String {
    format!(
        "<figure>\n{}<div class=\"scroll\" tabindex=\"0\">\n{}</div>\n<figcaption><b>{}.</b> {}</figcaption>\n</figure>\n",
        legend(shown),
        figure.svg,
        escape(&figure.title),
        escape(&figure.finding)
    )
}

/// A table.
pub(super) fn markup(table: &Table) -> String {
    let is_wide = table.columns.len() >= WIDE_COLUMNS;
    // On a phone both names of a row stay while its figures are moved.
    let has_two_names = table.columns.get(1).is_some_and(|column| column.title == "paradigm");
    let classes = match (is_wide, has_two_names) {
        (true, true) => " class=\"wide two\"",
        (true, false) => " class=\"wide\"",
        (false, true) => " class=\"two\"",
        (false, false) => "",
    };
    let mut text = format!("<div class=\"scroll\" tabindex=\"0\"><table{classes}>\n");
    let _ = writeln!(
        text,
        "<caption>{} <a class=\"csv\" download=\"{}.csv\" href=\"data:text/csv;charset=utf-8,{}\">CSV</a></caption>",
        escape(&table.caption),
        table.id,
        percent_encoded(&csv(table))
    );
    let class = |is_number| if is_number { " class=\"n\"" } else { "" };
    let heads = table
        .columns
        .iter()
        .map(|c| format!("<th scope=\"col\"{}>{}</th>", class(c.is_number), c.title));
    let _ = writeln!(text, "<thead><tr>{}</tr></thead>\n<tbody>", heads.collect::<String>());
    let name_of = |row: &[Entry]| row.first().map_or_else(String::new, |entry| entry.text.clone());
    // Only where rows have a first entry in common there are groups to be told apart.
    let has_groups = table.rows.windows(2).any(|two| name_of(&two[0]) == name_of(&two[1]));
    let mut before = String::new();
    for row in &table.rows {
        let name = name_of(row);
        let is_first = has_groups && !before.is_empty() && before != name;
        before = name;
        let cells = row.iter().zip(&table.columns).map(|(entry, column)| {
            format!("<td{}>{}</td>", class(column.is_number), entry_markup(entry))
        });
        let first = if is_first { " class=\"first\"" } else { "" };
        let _ = writeln!(text, "<tr{first}>{}</tr>", cells.collect::<String>());
    }
    text.push_str("</tbody></table></div>\n");
    text
}

fn entry_markup(entry: &Entry) -> String {
    let parts = entry.text.split_once(" (").or_else(|| entry.text.split_once(", "));
    let (value, band) = match parts {
        Some((value, band)) if entry.value.is_some() => (value, Some(band.trim_end_matches(')'))),
        _ => (entry.text.as_str(), None),
    };
    let value = unbroken(&escape(value));
    let value = match value.as_str() {
        "RED" => "<span class=\"red\">red</span>".to_owned(),
        text if entry.is_struck => format!("<s>{text}</s>"),
        text => text.to_owned(),
    };
    let band = band.map_or_else(String::new, |band| {
        format!("<span class=\"band\">{}</span>", unbroken(&escape(band)))
    });
    value + &band
}

/// Keeps a number and its unit on one line.
fn unbroken(text: &str) -> String {
    const UNITS: [&str; 5] = ["s", "ms", "µs", "%", "MiB"];
    let mut kept = String::with_capacity(text.len() + 8);
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        kept.push_str(word);
        let is_number = word.ends_with(|last: char| last.is_ascii_digit());
        let Some(next) = words.peek() else { break };
        let next = next.trim_end_matches([',', ';', '.']);
        let is_unit = UNITS.iter().any(|unit| {
            next.starts_with(unit) && (next == *unit || next[unit.len()..].starts_with('–'))
        });
        kept.push(if is_number && is_unit { '\u{a0}' } else { ' ' });
    }
    kept
}

/// Text in an address: everything but letters, digits and what is safe there.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + text.len() / 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~,".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The tables for programs: in JSON that no `<` can end early.
fn data(body: &mut String, tables: &[Table]) {
    let rows = |table: &Table| -> Vec<Vec<serde_json::Value>> {
        let entry = |entry: &Entry| match entry.value {
            Some(value) => serde_json::json!(value),
            None => serde_json::json!(entry.text),
        };
        table.rows.iter().map(|row| row.iter().map(entry).collect()).collect()
    };
    let one = |table: &Table| {
        let columns: Vec<&str> = table.columns.iter().map(|column| column.title).collect();
        serde_json::json!({"id": table.id, "columns": columns, "rows": rows(table)})
    };
    let all: Vec<_> = tables.iter().map(one).collect();
    let text = serde_json::json!(all).to_string().replace('<', "\\u003c");
    let _ = writeln!(body, "<script type=\"application/json\" id=\"tables\">{text}</script>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_with_its_unit_and_words_may_part() {
        assert_eq!(unbroken("killed, again after 10 s"), "killed, again after 10\u{a0}s");
        assert_eq!(unbroken("6.30 ms–6.60 ms"), "6.30\u{a0}ms–6.60\u{a0}ms");
        assert_eq!(unbroken("3 sent twice: 2 taken"), "3 sent twice: 2 taken");
        assert_eq!(unbroken("1 of 3 void"), "1 of 3 void");
    }
}
