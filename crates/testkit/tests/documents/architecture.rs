//! What ARCHITECTURE.md names: its paths, types and tests exist.

use std::collections::BTreeSet;
use std::fs;

use pulldown_cmark::{Event, Options, Parser};

use super::{NOT_TESTED, document, fault, folder, named, root, rows_without_a_test};

/// From where its paths are.
const BASES: [&str; 3] = ["", "crates", "crates/relane/src"];

/// Head of the column that names tests, in the tables of findings and of invariants.
const HEADS: [&str; 2] = ["| its test |", "| the test that would fail |"];

/// Names that look like types of ours, and are those of others.
const OF_OTHERS: [&str; 2] = ["AllBrokersDown", "Describe"];

/// What stands in backticks, code blocks left out.
fn spans(text: &str) -> BTreeSet<String> {
    let parser = Parser::new_ext(text, Options::ENABLE_TABLES);
    parser
        .filter_map(|event| match event {
            Event::Code(code) => Some(code.into_string()),
            _ => None,
        })
        .collect()
}

/// Whether a span is the path of a file or folder: not of a URL, and no command.
fn is_path(span: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let is_relative = !span.starts_with('/') && span.chars().all(is_plain);
    is_relative && (span.contains('/') || span.ends_with(".rs"))
}

/// Parts of a span that is a name in code, such as `Stage::settled`, if one of them is a type.
fn parts_with_a_type(span: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = span.split("::").collect();
    let is_word = |part: &&str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let is_type = |part: &&str| {
        part.starts_with(|c: char| c.is_ascii_uppercase())
            && part.contains(|c: char| c.is_ascii_lowercase())
    };
    (parts.iter().all(is_word) && parts.iter().any(is_type)).then_some(parts)
}

/// All source files of the workspace, one after the other.
fn sources() -> String {
    let files = super::links::files_below(&root(), "rs");
    files.iter().map(|file| fs::read_to_string(file).expect("it is text")).collect()
}

/// Whether a part of a name in code is defined somewhere.
fn is_defined(sources: &str, part: &str) -> bool {
    let keywords: &[&str] = match part.starts_with(|c: char| c.is_ascii_uppercase()) {
        true => &["struct", "enum", "trait", "type", "const"],
        false => &["fn", "mod"],
    };
    let is_package = folder(&part.replace('_', "-")).is_some();
    is_package
        || keywords.iter().any(|keyword| {
            let head = format!("{keyword} {part}");
            let mut found = sources.match_indices(&head);
            found.any(|(at, _)| {
                let rest = &sources[at + head.len()..];
                !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            })
        })
}

#[test]
fn every_path_in_the_page_on_architecture_exists() {
    let spans = spans(&document("ARCHITECTURE.md"));
    let paths: Vec<&String> = spans.iter().filter(|span| is_path(span)).collect();
    assert!(paths.len() > 40, "only {} paths were found", paths.len());
    let exists = |path: &str| BASES.iter().any(|base| root().join(base).join(path).exists());
    let gone: Vec<_> = paths.into_iter().filter(|path| !exists(path)).collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md names what is not there: {gone:?}");
}

#[test]
fn every_type_in_the_page_on_architecture_exists() {
    let spans = spans(&document("ARCHITECTURE.md"));
    let names: Vec<Vec<&str>> = spans.iter().filter_map(|span| parts_with_a_type(span)).collect();
    assert!(names.len() > 12, "only {} names were found", names.len());
    let sources = sources();
    let parts = names.into_iter().flatten().filter(|part| !OF_OTHERS.contains(part));
    let gone: BTreeSet<&str> = parts.filter(|part| !is_defined(&sources, part)).collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md names what is not there: {gone:?}");
}

#[test]
fn every_test_that_the_page_on_architecture_names_exists() {
    let text = document("ARCHITECTURE.md");
    let names = named(&text);
    assert!(names.len() > 40, "only {} names were found", names.len());
    let faults: Vec<String> = names.into_iter().filter_map(fault).collect();
    assert!(faults.is_empty(), "ARCHITECTURE.md:\n{}", faults.join("\n"));
}

#[test]
fn every_finding_and_every_invariant_names_a_test_or_says_that_there_is_none_and_why() {
    let text = document("ARCHITECTURE.md");
    for head in HEADS {
        assert!(text.contains(head), "no table has the column {head}");
        assert_eq!(rows_without_a_test(&text, head), Vec::<&str>::new());
    }
    let after = |line: &str| line.split_once(NOT_TESTED).map(|(_, after)| after.to_owned());
    let untested = text.lines().filter(|line| line.starts_with('|')).filter_map(after);
    let unexplained: Vec<String> = untested.filter(|after| !after.starts_with(": ")).collect();
    assert_eq!(unexplained, Vec::<String>::new(), "a reason follows {NOT_TESTED}");
}

#[test]
fn paths_and_types_are_told_from_other_words() {
    for path in ["lane/take.rs", "kafka_commands.rs", "stack/", "docs/limits.md"] {
        assert!(is_path(path), "{path}");
    }
    for other in ["/readyz", "GET /orders", "read_committed", "a/{b}", "x::y::z"] {
        assert!(!is_path(other), "{other}");
    }
    assert_eq!(parts_with_a_type("Stage::settled"), Some(vec!["Stage", "settled"]));
    for other in ["HEAD", "read_committed", "--lanes N", "codec::any", "{group}-{lane}"] {
        assert_eq!(parts_with_a_type(other), None, "{other}");
    }
    let sources = "pub struct Lane { }\nfn settle() {}";
    assert!(is_defined(sources, "Lane") && is_defined(sources, "settle"));
    assert!(!is_defined(sources, "Lan") && !is_defined(sources, "Turn"));
}
