//! Commands on results that are there already.

use std::path::Path;
use std::process::{Command, Output};

use lab::results::{Results, ServerInfo};
use tempfile::TempDir;

use crate::sample::results;

fn lab(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lab")).args(args).output().unwrap()
}

fn write(dir: &Path, name: &str, results: &Results) -> String {
    let path = dir.join(name);
    std::fs::write(&path, serde_json::to_string(results).unwrap()).unwrap();
    path.display().to_string()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_report_is_made_again_from_the_results_alone() {
    let dir = TempDir::new().unwrap();
    let path = write(dir.path(), "results.json", &results());
    let output = lab(&["report", &path, "--pages", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let own = std::fs::read_to_string(dir.path().join("rabbit/RESULTS.md")).unwrap();
    assert!(own.contains("| inventory-away | RabbitMQ |") && !own.contains("| HTTP |"), "{own}");
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert_eq!(page, lab::report::html(&results()));
    assert!(String::from_utf8_lossy(&output.stdout).contains("baseline"));
    let csv = std::fs::read_to_string(dir.path().join("csv/headline.csv")).unwrap();
    assert!(csv.starts_with("workload,paradigm,offered per s,\"to accept, p50\""), "{csv}");
    assert!(
        csv.lines().any(|line| line.starts_with("poison,RabbitMQ,100,") && line.ends_with(",no")),
        "{csv}"
    );
    let hgrm =
        std::fs::read_to_string(dir.path().join("hgrm/baseline-rabbit-100-outcome.hgrm")).unwrap();
    assert!(hgrm.contains("#[Max"), "{hgrm}");
}

#[test]
fn results_come_back_as_they_were_and_of_an_unknown_form_are_refused() {
    let written = serde_json::to_string(&results()).unwrap();
    // Fractions may differ in their last digit.
    let again = Results::parse(&written).unwrap();
    assert!(lab::report::html(&again) == lab::report::html(&results()), "another page");
    assert_eq!(again.runs.len(), results().runs.len());
    let other = written.replace("lab-results/1", "lab-results/9");
    assert!(Results::parse(&other).unwrap_err().contains("lab-results/9"));
    let more = written.replacen("\"seed\":42", "\"seed\":42,\"sede\":1", 1);
    assert!(Results::parse(&more).unwrap_err().contains("sede"));
    let output = lab(&["report", "/not-there.json"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn results_of_a_mock_are_refused() {
    let dir = TempDir::new().unwrap();
    let mut mocked = results();
    let settings = Vec::new();
    let name = "Kafka cluster mockCluster1".to_owned();
    mocked.environment.servers =
        vec![ServerInfo { name, version: String::new(), settings, is_mock: true }];
    let path = write(dir.path(), "results.json", &mocked);
    let output = lab(&["report", &path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("was a mock"), "{}", stderr(&output));
}

#[test]
fn the_same_twice_is_no_regression_and_a_slower_one_ends_with_4() {
    let dir = TempDir::new().unwrap();
    let old = write(dir.path(), "old.json", &results());
    let same = lab(&["compare", &old, &old]);
    assert_eq!(same.status.code(), Some(0), "{}", stderr(&same));
    let mut slower = results();
    for run in slower.runs.iter_mut().filter(|run| run.workload == "baseline") {
        for us in [&mut run.outcome.quantiles.p50_us, &mut run.outcome.quantiles.p99_us] {
            *us *= 2;
        }
    }
    let new = write(dir.path(), "new.json", &slower);
    let worse = lab(&["compare", &old, &new, "-o", "jsonl"]);
    assert_eq!(worse.status.code(), Some(4), "{}", stderr(&worse));
    let text = String::from_utf8_lossy(&worse.stdout).into_owned();
    let found: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|change: &serde_json::Value| change["is_worse"] == true)
        .collect();
    assert_eq!(found.len(), 6, "two figures of three paradigms: {text}");
    assert!(found.iter().all(|change| change["workload"] == "baseline"));
    // The other way round it got better.
    assert_eq!(lab(&["compare", &new, &old]).status.code(), Some(0));
    assert_eq!(lab(&["compare", &old, &new, "--slower-max", "1.5"]).status.code(), Some(0));
}

#[test]
fn a_workload_file_that_is_wrong_ends_with_2_before_anything_is_started() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("wrong.toml");
    std::fs::write(&path, "name = 'x'\n[[workload]]\nname = 'a'\nrats = 1\n").unwrap();
    let out = dir.path().join("out");
    let output = lab(&["run", path.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("line 4: unknown field `rats`"), "{}", stderr(&output));
    assert!(!out.exists());
    let missing = lab(&["run", "/not-there.toml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("hint: config/workloads"), "{}", stderr(&missing));
}
