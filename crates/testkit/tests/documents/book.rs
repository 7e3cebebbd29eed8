//! The pages of `docs/` as a book: its table of contents has each of them once, and nothing else.

use std::collections::BTreeSet;
use std::fs;

use super::links::{files_below, is_elsewhere, links};
use super::{document, root};

const CONTENTS: &str = "SUMMARY.md";

#[test]
fn the_contents_of_the_book_list_every_page_once_and_nothing_that_is_not_there() {
    let folder = root().join("docs");
    let listed = links(&document("docs/SUMMARY.md")).targets;
    let once: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(once.len(), listed.len(), "a page is listed twice: {listed:?}");
    let name = |path: std::path::PathBuf| {
        path.strip_prefix(&folder).expect("below docs").display().to_string()
    };
    let mut pages: BTreeSet<String> = files_below(&folder, "md").into_iter().map(name).collect();
    assert!(pages.remove(CONTENTS) && pages.len() > 10, "{pages:?}");
    assert_eq!(once, pages, "docs/SUMMARY.md has other pages than docs/");
}

#[test]
fn the_introduction_of_the_book_leads_to_every_page() {
    let linked: BTreeSet<String> = links(&document("docs/README.md")).targets.into_iter().collect();
    let listed = links(&document("docs/SUMMARY.md")).targets;
    let others = listed.into_iter().filter(|page| page != "README.md" && !is_elsewhere(page));
    let missing: Vec<String> = others.filter(|page| !linked.contains(page)).collect();
    assert!(missing.is_empty(), "docs/README.md leads to no {missing:?}");
}

#[test]
fn the_book_is_made_of_the_pages_where_they_are() {
    let settings = fs::read_to_string(root().join("docs/book.toml")).expect("settings");
    for line in ["src = \".\"", "create-missing = false"] {
        assert!(settings.lines().any(|found| found == line), "docs/book.toml lacks {line}");
    }
}
