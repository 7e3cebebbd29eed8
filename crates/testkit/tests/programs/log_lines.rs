//! Log lines are for people and for programs that search them: no field is written in the form that
//! Rust gives to a value for its programmers (`Some(Position { offset: 61 })`).

use std::path::{Path, PathBuf};

/// Fields whose value reads the same in that form: a list of partitions, a length of time.
const READS_THE_SAME: [&str; 4] = ["partitions", "wait", "time", "debugged"];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a folder of the workspace").flatten() {
        let path = entry.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "tests" {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Names of the fields that calls of `tracing`'s macros write in the form for programmers.
fn debug_fields(source: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let levels = ["error!(", "warn!(", "info!(", "debug!("];
    for (begin, _) in source.match_indices("tracing::") {
        let call = &source[begin + "tracing::".len()..];
        if !levels.iter().any(|level| call.starts_with(level)) {
            continue;
        }
        let end = call.find(");").unwrap_or(call.len());
        // What follows the first quote may be text with a question mark.
        for (at, _) in call[..end].match_indices('?') {
            let before = call[..at].trim_end();
            let is_in_text = before.matches('"').count() % 2 == 1;
            if is_in_text || !before.ends_with(['(', ',', '=']) {
                continue;
            }
            let name = before.strip_suffix('=').map_or_else(
                || call[at + 1..].split([',', ')']).next().unwrap_or_default(),
                |named| named.trim_end().rsplit([' ', '(', ',', '\n']).next().unwrap_or_default(),
            );
            fields.push(name.trim().to_owned());
        }
    }
    fields
}

#[test]
fn fields_in_the_form_for_programmers_are_found() {
    let source = r#"tracing::info!(?last, lane = 1, at = ?x.y, "why?, ?no"); f()?, tracing::warn!(%e, "a");"#;
    assert_eq!(debug_fields(source), ["last", "at"]);
}

#[test]
fn no_log_line_shows_how_a_program_keeps_a_value() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut seen = 0;
    for file in files {
        let source = std::fs::read_to_string(&file).expect("a source of the workspace");
        for field in debug_fields(&source) {
            seen += 1;
            assert!(READS_THE_SAME.contains(&&*field), "{}: the field {field}", file.display());
        }
    }
    assert!(seen > 0, "the search finds those that may be there");
}
