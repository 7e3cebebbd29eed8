//! What Prometheus' own tool says of a page of metrics.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Checks that `promtool check metrics` has nothing to say of the page: names, types and help texts are as Prometheus
/// wants them.
///
/// # Panics
///
/// Panics with what it says, or where it is not installed.
#[track_caller]
pub fn check(page: &str) {
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool comes with Debian's prometheus");
    tool.stdin.take().expect("it is piped").write_all(page.as_bytes()).expect("it reads");
    let output = tool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "promtool: {said}\n{page}");
}
