//! The engine's messages name its settings; flags are the programs' own.

use super::{functions, workspace_sources};

/// The one file of the engine whose texts hold flags: those of Kafka's own tools.
const KAFKA_COMMANDS: &str = "crates/relane/src/kafka_commands.rs";

/// The engine's sources, those of its tests left out.
pub(super) fn engine_sources() -> impl Iterator<Item = (String, String)> {
    let is_product = |(name, _): &(String, String)| {
        name.starts_with("crates/relane/src/")
            && !name.ends_with("_tests.rs")
            && !name.contains("/simulation")
    };
    workspace_sources().into_iter().filter(is_product)
}

/// The first flag in a text, as a program takes it: `--name`.
fn flag(text: &str) -> Option<&str> {
    let starts = text.match_indices("--").map(|(at, _)| at);
    let is_flag = |at: &usize| {
        let before = text[..*at].chars().last();
        let after = text[at + 2..].chars().next();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '-')
            && after.is_some_and(|c| c.is_ascii_lowercase())
    };
    starts.filter(is_flag).map(|at| text[at..].split([' ', '"', ')']).next().unwrap_or("")).next()
}

#[test]
fn no_text_of_the_engine_names_a_flag_of_a_program() {
    let mut texts = 0;
    let mut found = Vec::new();
    for (name, source) in engine_sources().filter(|(name, _)| name != KAFKA_COMMANDS) {
        for text in functions::texts(&source) {
            texts += 1;
            found.extend(flag(text).map(|flag| format!("{name}: {flag}")));
        }
    }
    assert!(texts > 300, "only {texts} texts are seen");
    assert!(found.is_empty(), "name the setting, and let the program name its flag: {found:#?}");
}

#[test]
fn flags_are_seen_in_texts_and_not_in_comments_or_tests() {
    let source = "// \"--a\"\nfn f() { g(\"start with --create-topics\", '\"', r#\"x\"--y\"#); }\n\
                  #[cfg(test)]\nmod tests { const A: &str = \"--b\"; }";
    let texts = functions::texts(source);
    let flags: Vec<_> = texts.iter().filter_map(|text| flag(text)).collect();
    assert_eq!((texts.len(), flags), (2, vec!["--create-topics", "--y"]));
    assert_eq!((flag("a -- b"), flag("----------"), flag("x--y")), (None, None, None));
}
