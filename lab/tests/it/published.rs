//! The results that are kept with the project, and what is made of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use lab::report;
use lab::report::publish::{BEGIN, DOCUMENT, END, REPORT, RESULTS, pages, section, with_section};
use lab::results::Results;
use lab::workload::Paradigm;
use tempfile::TempDir;

use crate::sample::results;

/// Largest results that are kept.
const RESULTS_BYTES_MAX: u64 = 5_000_000;

/// What to do when they differ.
const AGAIN: &str =
    "run: cargo run --bin lab -- report docs/comparison/results.json --out target/report --pages .";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(root().join(path)).ok()
}

#[test]
fn what_is_kept_with_the_project_is_what_its_results_render_to() {
    let document = read(DOCUMENT).unwrap();
    let Some(text) = read(RESULTS) else {
        // Then nobody claims to have measured anything.
        assert_eq!(with_section(&document, ""), Some(document));
        assert_eq!(read(REPORT), None);
        let page = |paradigm: Paradigm| read(format!("{}/RESULTS.md", paradigm.name()));
        assert_eq!(Paradigm::ALL.map(page), [None, None, None]);
        return;
    };
    assert!(text.len() as u64 <= RESULTS_BYTES_MAX, "{} bytes", text.len());
    let results = Results::parse(&text).unwrap();
    assert!(results.is_complete && !results.is_quick, "a whole run is kept");
    assert_eq!(results.environment.profile, "release");
    assert_eq!(results.paradigms.len(), Paradigm::ALL.len());
    for (path, page) in pages(&results) {
        assert!(read(&path) == Some(page), "{} differs; {AGAIN}", path.display());
    }
    assert!(read(REPORT) == Some(report::html(&results)), "{REPORT} differs; {AGAIN}");
    let again = with_section(&document, &section(&results));
    assert!(again == Some(document), "the section of {DOCUMENT} differs; {AGAIN}");
}

#[test]
fn the_page_of_every_other_comparison_is_what_its_results_render_to() {
    let folder = root().join(RESULTS).parent().unwrap().to_path_buf();
    for entry in std::fs::read_dir(folder).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(folder.join("results.json")) else { continue };
        assert!(text.len() as u64 <= RESULTS_BYTES_MAX, "{} bytes", text.len());
        let results = Results::parse(&text).unwrap();
        assert!(results.is_complete && !results.is_quick, "{}: a whole run", folder.display());
        assert_eq!(Some(results.name.as_str()), folder.file_name().and_then(|name| name.to_str()));
        let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
        let again = AGAIN.replace(RESULTS, &format!("{}/results.json", folder.display()));
        assert!(page == report::html(&results), "{} differs; {again}", folder.display());
    }
}

#[test]
fn of_another_comparison_than_the_standard_one_results_and_page_are_kept_in_its_own_folder() {
    let dir = TempDir::new().unwrap();
    let at = |path: &str| dir.path().join(path);
    std::fs::create_dir(at("docs")).unwrap();
    let document = format!("{BEGIN}\n{END}\n");
    std::fs::write(at(DOCUMENT), &document).unwrap();
    let publish = |name: &str| {
        let other = Results { name: name.to_owned(), ..results() };
        std::fs::write(at("r.json"), serde_json::to_string(&other).unwrap()).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_lab"))
            .args(["report", at("r.json").to_str().unwrap()])
            .args(["--out", at("out").to_str().unwrap()])
            .args(["--pages", dir.path().to_str().unwrap()])
            .output()
            .unwrap();
        (output.status.code(), other)
    };
    let (code, other) = publish("replicated");
    assert_eq!(code, Some(0));
    let page = std::fs::read_to_string(at("docs/comparison/replicated/report.html")).unwrap();
    assert_eq!(page, report::html(&other));
    assert!(Results::read(&at("docs/comparison/replicated/results.json")).is_ok());
    assert_eq!(std::fs::read_to_string(at(DOCUMENT)).unwrap(), document, "it is not about them");
    assert!(!at("rabbit/RESULTS.md").exists() && !at(RESULTS).exists());
    assert_eq!(publish("../elsewhere").0, Some(2), "that is no folder of its own");
}

#[test]
fn results_are_published_between_the_marks_and_the_same_again_the_second_time() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("docs")).unwrap();
    let at = |path: &str| dir.path().join(path);
    std::fs::write(at(DOCUMENT), format!("# Ours\n\n{BEGIN}\n{END}\n\nThe end.\n")).unwrap();
    let standard = Results { name: "standard".to_owned(), ..results() };
    std::fs::write(at("r.json"), serde_json::to_string(&standard).unwrap()).unwrap();
    let publish = |results: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_lab"))
            .args(["report", at(results).to_str().unwrap()])
            .args(["--out", at("out").to_str().unwrap()])
            .args(["--pages", dir.path().to_str().unwrap()])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let files = [DOCUMENT, RESULTS, REPORT, "streaming/RESULTS.md"];
        files.map(|path| std::fs::read_to_string(at(path)).unwrap())
    };
    let first = publish("r.json");
    assert_eq!(publish(RESULTS), first);
    let [document, ..] = first;
    assert!(document.starts_with("# Ours\n\n") && document.ends_with("\n\nThe end.\n"));
    let parts = [
        "### What this run does not show",
        "Kafka in broker-restart (no run counts)",
        "### Where each loses",
        "### Delivery audit",
        "A processor (2 cores",
    ];
    for part in parts {
        assert!(document.contains(part), "{part}: {document}");
    }
    // HTTP turns orders away while inventory is down, and says so in the table of losses.
    let lost = document.lines().find(|line| line.contains("inventory-away: not accepted"));
    assert!(lost.is_some_and(|line| line.ends_with("| HTTP |")), "{lost:?}");
}
