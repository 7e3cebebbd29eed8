//! A comparison that is ended early.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::results::Results;
use tempfile::TempDir;

use crate::elsewhere::START_MAX;

/// Without a broker it starts in a moment.
const WORKLOADS: &str = "name = 'stopped'\nrounds = 50\nwarm-up = '100ms'\nparadigms = ['sync-rest']\n\
                         [[workload]]\nname = 'baseline'\nrate = 20\nfor = '500ms'\n";

#[test]
fn ctrl_c_keeps_the_runs_that_were_made_and_their_report_and_ends_with_3() {
    let dir = TempDir::with_prefix("lab-stopped-").unwrap();
    let (file, out) = (dir.path().join("stopped.toml"), dir.path().join("out"));
    std::fs::write(&file, WORKLOADS).unwrap();
    let mut running = Command::new(env!("CARGO_BIN_EXE_lab"))
        .arg("run")
        .arg(&file)
        .arg("--out")
        .arg(&out)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let path = out.join("results.json");
    let deadline = Instant::now() + START_MAX;
    while !Results::read(&path).is_ok_and(|results| !results.runs.is_empty()) {
        assert!(Instant::now() < deadline && running.try_wait().unwrap().is_none(), "no run");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = running.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    let results = Results::read(&path).unwrap();
    assert!(!results.is_complete && (1..50).contains(&results.runs.len()), "{stderr}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("The comparison was ended before all of its runs were made."));
    assert!(out.join("csv/headline.csv").is_file() && out.join("summary.md").is_file());
}
