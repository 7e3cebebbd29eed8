//! What of a comparison is kept with the project: its results and page in `docs/comparison`, its tables in
//! `docs/comparison.md`, with what the run does not show, between two marks, and a page for each paradigm. Of any other
//! comparison than the standard one, such as the replicated one, results and page are kept in a folder of its name there.
//! All of it is made of the results alone.

use std::fs;
use std::path::{Path, PathBuf};

use service_kit::exit::AppError;

use super::{html, markdown_table};
use crate::cells::cells;
use crate::gaps::gaps;
use crate::results::Results;
use crate::tables::{Entry, Table, tables};
use crate::verdict::verdict;
use crate::workload::Paradigm;

/// Begins what is made in a document that people write.
pub const BEGIN: &str = "<!-- results: made by `lab report --pages`, do not edit -->";
/// Ends it.
pub const END: &str = "<!-- end of results -->";
/// The document, from the root of the project.
pub const DOCUMENT: &str = "docs/comparison.md";
/// The results, from there.
pub const RESULTS: &str = "docs/comparison/results.json";
/// The page, from there.
pub const REPORT: &str = "docs/comparison/report.html";
/// Folder of both, and of those of other comparisons.
const FOLDER: &str = "docs/comparison";
/// Name of the comparison that the document is about.
const MAIN: &str = "standard";
/// Tables of the document, in their order.
const SHOWN: [&str; 10] = [
    "losses", "headline", "sweep", "replicas", "faults", "lots", "replay", "audit", "failures",
    "cost",
];

/// All files that are made anew, by their paths from the root of the project.
#[must_use]
pub fn pages(results: &Results) -> Vec<(PathBuf, String)> {
    let of = |paradigm: Paradigm| {
        (PathBuf::from(paradigm.name()).join("RESULTS.md"), page_of(results, paradigm))
    };
    results.paradigms.iter().map(|info| of(info.paradigm)).collect()
}

/// A document with this section between its marks; nothing where it does not have them.
#[must_use]
pub fn with_section(document: &str, section: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{section}{END}{after}"))
}

/// What stands between the marks: when and where it was measured, the verdict, what is not shown, and tables.
#[must_use]
pub fn section(results: &Results) -> String {
    let all = cells(results);
    let of = &results.environment;
    let day = results.started_at.get(..10).unwrap_or_default();
    let servers: Vec<String> =
        of.servers.iter().map(|server| format!("{} {}", server.name, server.version)).collect();
    let mut text = format!(
        "\n## One run\n\nMeasured on {day}: version {} ({}), {} build, seed {}, {}, on {} ({} cores, {}, data on {}). The whole of it is one page, \
         [comparison/report.html](comparison/report.html), made of [comparison/results.json](comparison/results.json). Again:\n\n    {}\n\n{}\n",
        of.version,
        of.commit,
        of.profile,
        results.seed,
        servers.join(", "),
        of.cpu,
        of.cores,
        of.kernel,
        of.storage,
        results.command,
        verdict(results, &all)
    );
    let gaps = gaps(results, &all);
    if !gaps.is_empty() {
        text.push_str("\n### What this run does not show\n\n");
    }
    for gap in gaps {
        text.push_str(&format!("- **{}** {}\n", gap.title, gap.words));
    }
    let tables = tables(results, &all);
    for id in SHOWN {
        let Some(table) = tables.iter().find(|table| table.id == id) else { continue };
        text.push_str(&format!("\n### {}\n\n{}\n\n", table.title, table.caption));
        text.push_str(&markdown_table(table));
    }
    text.push('\n');
    text
}

/// What was measured of one paradigm, in Markdown.
fn page_of(results: &Results, paradigm: Paradigm) -> String {
    let all = cells(results);
    let name = paradigm.name();
    let day = results.started_at.get(..10).unwrap_or_default();
    let mut text = format!(
        "# {name}: results\n\nMeasured by `lab` on {day} beside the other paradigms; method and limits: \
         [docs/comparison.md](../docs/comparison.md). Made by `lab report --pages`: do not edit.\n"
    );
    for table in tables(results, &all) {
        let Some(place) = table.columns.iter().position(|column| column.title == "paradigm") else {
            continue;
        };
        let is_own = |row: &Vec<Entry>| row[place].text == paradigm.title();
        let rows: Vec<_> = table.rows.iter().filter(|row| is_own(row)).cloned().collect();
        if !rows.is_empty() {
            let own = Table { rows, ..table.clone() };
            text.push_str(&format!("\n## {}\n\n{}", own.title, markdown_table(&own)));
        }
    }
    text
}

/// Writes the pages of all paradigms below a folder and, where that has `docs/comparison.md`, its section, with the
/// results of `results_path` and the page beside it. Of another comparison than the standard one only results and page are
/// written, where there is such a document.
///
/// # Errors
///
/// Fails if a file cannot be written, the document has no place for the section, or the comparison has no name that a
/// folder can have.
pub fn publish(results: &Results, results_path: &Path, root: &Path) -> Result<(), AppError> {
    let unwritable = |path: &Path, error: &std::io::Error| {
        AppError::failed(format!("{} cannot be written: {error}", path.display()))
    };
    let write = |path: PathBuf, text: &str| {
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| unwritable(&path, &error))
    };
    let document = root.join(DOCUMENT);
    if results.name != MAIN {
        if !document.is_file() {
            return Ok(());
        }
        crate::workload::name_of(&results.name).map_err(AppError::usage)?;
        let folder = root.join(FOLDER).join(&results.name);
        let kept =
            fs::read_to_string(results_path).map_err(|error| unwritable(results_path, &error))?;
        write(folder.join("results.json"), &kept)?;
        return write(folder.join("report.html"), &html(results));
    }
    for (path, text) in pages(results) {
        write(root.join(path), &text)?;
    }
    let Ok(text) = fs::read_to_string(&document) else { return Ok(()) };
    let text = with_section(&text, &section(results)).ok_or_else(|| {
        AppError::failed(format!("{} has no place for results", document.display()))
            .hint(format!("write two lines where they are to stand: {BEGIN} and {END}"))
    })?;
    // Read before anything is written: it may be the very file.
    let kept =
        fs::read_to_string(results_path).map_err(|error| unwritable(results_path, &error))?;
    write(document, &text)?;
    write(root.join(RESULTS), &kept)?;
    write(root.join(REPORT), &html(results))
}
