//! What documents say of tests: each test that docs/delivery.md names exists, and no row of its
//! tables is without one. And what they say of files: links, paths and the pages of the book.

#[path = "documents/architecture.rs"]
mod architecture;
#[path = "documents/book.rs"]
mod book;
#[path = "documents/links.rs"]
mod links;

use std::fs;
use std::path::{Path, PathBuf};

use testkit::conformance::{self, Kind, Offer, ROWS};

/// Words of a row that no test shows.
const NOT_TESTED: &str = "*not tested*";

/// Head of the column that names tests.
const SHOWN_BY: &str = "shown by";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the root exists")
}

/// Names of tests in a text: `package::module::test`, in backticks.
fn named(text: &str) -> Vec<&str> {
    let spans = text.split('`').skip(1).step_by(2);
    let is_name = |span: &&str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-:".contains(c);
        span.matches("::").count() >= 2 && span.chars().all(plain)
    };
    spans.filter(is_name).collect()
}

/// Folder of a package: it has the package's name, at the top or in `crates`.
fn folder(package: &str) -> Option<PathBuf> {
    let folders = [root().join(package), root().join("crates").join(package)];
    folders.into_iter().find(|folder| folder.join("Cargo.toml").is_file())
}

/// Files in which a module of a package may stand.
fn files(folder: &Path, modules: &[&str]) -> Vec<PathBuf> {
    let (last, above) = modules.split_last().expect("a test stands in a module");
    let above = above.join("/");
    let file = |path: String| format!("{}.rs", path.trim_start_matches('/'));
    let all = file(format!("{above}/{last}"));
    let inline = if above.is_empty() { "lib.rs".to_owned() } else { file(above.clone()) };
    let beside = file(format!("{above}_{last}"));
    ["src", "tests/it", "tests"]
        .iter()
        .flat_map(|base| [&all, &inline, &beside].map(|path| folder.join(base).join(path)))
        .collect()
}

/// Whether a source has this test: a function, or a name that a macro makes one of.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    let is_function = lines.iter().enumerate().any(|(index, line)| {
        let is_head = line.starts_with(&head) || line.starts_with(&format!("async {head}"));
        let before = lines[..index].iter().rev().take_while(|line| line.starts_with("#["));
        is_head && before.into_iter().any(|line| line.contains("test"))
    });
    let makes_tests = source.contains("#[test] fn $");
    is_function || (makes_tests && lines.iter().any(|line| line.starts_with(&format!("{name}: "))))
}

/// What is wrong with the name of a test.
fn fault(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split("::").collect();
    let [package, modules @ .., test] = &parts[..] else { return Some(format!("{name}: no test")) };
    let Some(folder) = folder(package) else { return Some(format!("{name}: no such package")) };
    let sources =
        files(&folder, modules).into_iter().filter_map(|file| fs::read_to_string(file).ok());
    let exists = sources.into_iter().any(|source| has_test(&source, test));
    (!exists).then(|| format!("{name}: no such test"))
}

/// Rows of the tables that have a column for tests with this head, and name none in it.
fn rows_without_a_test<'t>(text: &'t str, head: &str) -> Vec<&'t str> {
    let mut names_tests = false;
    let mut without = Vec::new();
    for line in text.lines() {
        if !line.starts_with('|') {
            names_tests = false;
        } else if line.contains(head) {
            names_tests = true;
        } else if names_tests
            && !line.starts_with("|---")
            && !line.starts_with("| ---")
            && named(line).is_empty()
            && !line.contains(NOT_TESTED)
        {
            without.push(line);
        }
    }
    without
}

fn delivery() -> String {
    document("docs/delivery.md")
}

fn document(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("the document exists")
}

#[test]
fn every_limit_of_the_document_on_limits_names_a_test_that_exists_or_says_that_there_is_none() {
    let text = document("docs/limits.md");
    let names = named(&text);
    assert!(names.len() > 20, "only {} names were found", names.len());
    let faults: Vec<String> = names.into_iter().filter_map(fault).collect();
    assert!(faults.is_empty(), "docs/limits.md:\n{}", faults.join("\n"));
    assert_eq!(rows_without_a_test(&text, SHOWN_BY), Vec::<&str>::new());
}

#[test]
fn every_test_that_the_document_on_delivery_names_exists() {
    let text = delivery();
    let names = named(&text);
    assert!(names.len() > 80, "only {} names were found", names.len());
    let faults: Vec<String> = names.into_iter().filter_map(fault).collect();
    assert!(faults.is_empty(), "docs/delivery.md:\n{}", faults.join("\n"));
}

#[test]
fn every_row_of_the_document_on_delivery_names_a_test_or_says_that_there_is_none() {
    let text = delivery();
    assert!(text.matches(SHOWN_BY).count() >= 7, "the tables were not found");
    assert_eq!(rows_without_a_test(&text, SHOWN_BY), Vec::<&str>::new());
}

#[test]
fn the_table_of_promises_is_the_one_that_the_flows_are_checked_against() {
    let table = conformance::table();
    let text = document("docs/paradigms.md");
    assert!(text.contains(&format!("\n\n{table}\n\n")), "docs/paradigms.md lacks this:\n{table}");
}

#[test]
fn a_promise_that_is_shown_by_a_test_of_a_flow_names_one_that_exists() {
    let offers = ROWS.iter().flat_map(|row| Kind::ALL.map(|kind| (kind, row.offer(kind))));
    let names: Vec<_> = offers
        .filter_map(|(kind, offer)| match offer {
            Offer::Own(name) => Some((kind, name)),
            Offer::Yes(_) | Offer::No(..) => None,
        })
        .collect();
    assert!(!names.is_empty());
    for (kind, name) in names {
        assert_eq!(fault(name), None);
        assert!(name.starts_with(&format!("{}::", kind.name())), "{name}");
    }
}

#[test]
fn no_promise_is_made_twice() {
    let promises: std::collections::BTreeSet<&str> = ROWS.iter().map(|row| row.promise).collect();
    assert_eq!(promises.len(), ROWS.len());
    for row in ROWS {
        assert!(!row.promise.ends_with('.') && !row.promise.contains('|'), "{}", row.promise);
    }
}

#[test]
fn every_test_that_the_page_of_push_names_exists() {
    let text = document("docs/push.md");
    let names = named(&text);
    assert!(names.len() >= 3, "only {} names were found", names.len());
    let faults: Vec<String> = names.into_iter().filter_map(fault).collect();
    assert!(faults.is_empty(), "docs/push.md:\n{}", faults.join("\n"));
}

/// Blocks of code in a language, without the spaces before their lines.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let blocks = text.split("\n```").skip(1).step_by(2);
    let of = |block: &str| Some(trimmed(block.strip_prefix(language)?.strip_prefix('\n')?));
    blocks.filter_map(of).collect()
}

fn trimmed(code: &str) -> String {
    code.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn all_code_of_the_page_on_your_own_topic_is_compiled_and_all_settings_are_there() {
    let text = document("docs/your-own-topic.md");
    let sources =
        ["main.rs", "tests.rs"].map(|file| document(&format!("examples/payments/src/{file}")));
    let sources = sources.map(|source| trimmed(&source));
    let code = blocks(&text, "rust");
    assert!(code.len() >= 4, "only {} blocks were found", code.len());
    for block in code {
        assert!(sources.iter().any(|source| source.contains(&block)), "not compiled:\n{block}");
    }
    let builder = document("crates/relane/src/builder.rs");
    let methods = builder.lines().filter(|line| line.contains("(mut self, "));
    let names = methods.filter_map(|line| line.split_once("fn ")?.1.split_once('('));
    let missing: Vec<&str> =
        names.map(|(name, _)| name).filter(|name| !text.contains(&format!("`{name}("))).collect();
    assert_eq!(missing, Vec::<&str>::new(), "settings that the page lacks");
    let faults: Vec<String> = named(&text).into_iter().filter_map(fault).collect();
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn the_page_on_your_own_topic_has_the_whole_program_in_its_order() {
    let code = blocks(&document("docs/your-own-topic.md"), "rust").join("\n");
    let program = document("examples/payments/src/main.rs");
    // The page says in words where the tests go.
    let is_elsewhere = |line: &&str| {
        line.is_empty()
            || line.starts_with("#![doc")
            || ["#[cfg(test)]", "mod tests;"].contains(line)
    };
    let lines = program.lines().map(str::trim).filter(|line| !is_elsewhere(line));
    let mut rest = code.lines();
    for line in lines {
        assert!(rest.any(|found| found == line), "the page lacks, or has too early:\n{line}");
    }
}

#[test]
fn every_test_that_the_page_of_weather_names_exists() {
    let text = document("weather/README.md");
    let names = named(&text);
    assert!(names.len() >= 5, "only {} names were found", names.len());
    let faults: Vec<String> = names.into_iter().filter_map(fault).collect();
    assert!(faults.is_empty(), "weather/README.md:\n{}", faults.join("\n"));
}

#[test]
fn a_name_that_is_wrong_anywhere_is_found() {
    let right = "testkit::documents::a_name_that_is_wrong_anywhere_is_found";
    assert_eq!(fault(right), None);
    for wrong in [
        "testkit::documents::a_name_that_is_wrong",
        "testkit::workspace::a_name_that_is_wrong_anywhere_is_found",
        "nobody::documents::a_name_that_is_wrong_anywhere_is_found",
        "testkit::documents::rows_without_a_test", // a function, and no test
    ] {
        assert!(fault(wrong).is_some(), "{wrong}");
    }
    let table =
        "| failure | shown by |\n|---|---|\n| a | `x::y::z` |\n| b | |\n| c | *not tested* |";
    assert_eq!(rows_without_a_test(table, SHOWN_BY), ["| b | |"]);
    assert_eq!(
        named("`a::b::c_d`, `no::test` and `kafka-io::e::f`"),
        ["a::b::c_d", "kafka-io::e::f"]
    );
}
