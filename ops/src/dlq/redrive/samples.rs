//! What documents show of `redrive` and `discard` is what the program prints.

use std::collections::BTreeMap;
use std::path::Path;

use super::plan::Plan;
use super::rules::Skip;
use super::run::Words;
use super::{BACK, DISCARDED};

/// Documents with samples of these commands.
const DOCUMENTS: [&str; 3] = ["README.md", "docs/dlq.md", "docs/operating.md"];

/// Stands for any name at the end of a line.
const NAME: &str = "NAME";

/// A line with each number as `#`.
fn masked(line: &str) -> String {
    let mut masked = String::new();
    for c in line.trim().chars() {
        match c.is_ascii_digit() {
            true if masked.ends_with('#') => {}
            true => masked.push('#'),
            false => masked.push(c),
        }
    }
    masked
}

/// Every line that the program may print, masked.
fn printed(done: &str, words: &Words) -> Vec<String> {
    let named = || BTreeMap::from([(NAME.to_owned(), 1)]);
    let plan = |to_do, newest_ms| Plan {
        scanned: 1,
        matched: 1,
        to_do,
        skipped: Skip::ALL.into_iter().map(|skip| (skip, 1)).collect(),
        oldest_ms: Some(0),
        newest_ms: Some(newest_ms),
        targets: named(),
        by_reason: named(),
        schema_ids: named(),
        other_groups: named(),
    };
    let pages = [plan(1, 0), plan(1, 86_400_000), plan(0, 0)].map(|plan| plan.page(done)).concat();
    let last = [
        format!("orders: {}", words.nothing),
        format!("orders: {}", words.none),
        format!("orders: {} 1 of 1 dead letters that match, as 1-1-1T1:1:1.1Z-1", words.done),
    ];
    pages.lines().map(masked).chain(last.iter().map(|line| masked(line))).collect()
}

fn is_printed(line: &str, printed: &[String]) -> bool {
    let line = masked(line);
    printed.iter().any(|form| match form.strip_suffix(NAME) {
        Some(start) => line.starts_with(start),
        None => line == *form,
    })
}

/// Lines of a document's samples that the program does not print, and how many samples there are.
fn strange(text: &str) -> (Vec<String>, usize) {
    let (mut strange, mut count, mut forms) = (Vec::new(), 0, None);
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            let words = [("redrive", &BACK), ("discard", &DISCARDED)].into_iter();
            let mut words =
                words.filter(|(name, _)| command.starts_with(&format!("orders dlq {name}")));
            forms = words.next().map(|(_, words)| {
                count += 1;
                let does = command.contains("--execute");
                printed(if does { words.done } else { words.would }, words)
            });
        } else if line.starts_with("```") {
            forms = None;
        } else if let Some(forms) = &forms
            && line != "…"
            && !is_printed(line, forms)
        {
            strange.push(line.to_owned());
        }
    }
    (strange, count)
}

#[test]
fn documents_show_redrives_and_discards_as_the_program_prints_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(root.join(document)).expect("the document exists");
        let (strange, count) = strange(&text);
        assert!(count >= 2, "{document}: only {count} samples were found");
        assert_eq!(strange, Vec::<String>::new(), "{document}");
    }
}

#[test]
fn a_sample_that_differs_is_found() {
    let sample = "$ orders dlq redrive\n     7  dead letters read\n     7  would be sent, written \
                  2026-11-29 22:50:03 to 22:50:10\n     7    to orders-retry\n```\nother";
    let (strange, count) = strange(sample);
    assert_eq!((strange.len(), count), (1, 1), "{strange:?}");
    assert!(strange[0].contains("would be sent, written"));
}
