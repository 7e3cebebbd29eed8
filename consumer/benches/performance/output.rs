//! Where figures go: a file of JSON, and a page of the documents.

use std::path::PathBuf;

use serde_json::Value;

use crate::program::target;

/// Writes the figures of a part: into the file that `BENCH_JSON` names, or into the folder of the build.
pub(crate) fn write_json(part: &str, figures: &Value) {
    let default = || target().join(format!("bench-{part}.json"));
    let path = std::env::var_os("BENCH_JSON").map_or_else(default, PathBuf::from);
    std::fs::write(&path, format!("{figures:#}\n")).expect("the file can be written");
    eprintln!("all figures: {}", path.display());
}

/// Prints what a part has measured, and puts it into the page that `BENCH_PAGE` names, between the part's marks.
///
/// # Panics
///
/// Panics when the page has no such marks.
pub(crate) fn publish(part: &str, text: &str) {
    let text = format!("**{part}**: {text}");
    println!("{text}");
    let Some(path) = std::env::var_os("BENCH_PAGE").map(PathBuf::from) else { return };
    let page = std::fs::read_to_string(&path).expect("BENCH_PAGE can be read");
    let (begin, end) = (format!("<!-- bench:{part} -->\n"), format!("<!-- /bench:{part} -->"));
    let (before, rest) = page.split_once(&begin).expect("BENCH_PAGE has the begin of the part");
    let (_, after) = rest.split_once(&end).expect("BENCH_PAGE has the end of the part");
    let page = format!("{before}{begin}{}\n{end}{after}", text.trim_end());
    std::fs::write(&path, page).expect("BENCH_PAGE can be written");
    eprintln!("written into {}", path.display());
}

/// A number that a variable may set.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number"))
}
