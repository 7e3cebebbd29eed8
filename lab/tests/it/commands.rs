//! Commands on results that are there already.

use std::path::Path;
use std::process::{Command, Output};

use lab::results::{Results, ServerInfo};
use lab::workload::Paradigm;
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
    let standard = Results { name: "standard".to_owned(), ..results() };
    let path = write(dir.path(), "results.json", &standard);
    let output = lab(&["report", &path, "--pages", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let own = std::fs::read_to_string(dir.path().join("rabbit/RESULTS.md")).unwrap();
    assert!(own.contains("| inventory-away | RabbitMQ |") && !own.contains("| HTTP |"), "{own}");
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert_eq!(page, lab::report::html(&standard));
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
fn what_only_the_old_results_have_is_worse_unless_it_was_left_out_on_purpose() {
    let dir = TempDir::new().unwrap();
    let old = write(dir.path(), "old.json", &results());
    let mut fewer = results();
    fewer.runs.retain(|run| run.workload != "poison" || run.paradigm != Paradigm::Streaming);
    for run in fewer.runs.iter_mut().filter(|run| run.workload == "backlog") {
        run.drain = None;
    }
    let new = write(dir.path(), "new.json", &fewer);
    let output = lab(&["compare", &old, &new]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("missing")).collect();
    let is_cell = |line: &&str| {
        ["poison", "streaming", "runs", "worse"].iter().all(|word| line.contains(word))
    };
    assert_eq!(lines.iter().filter(|line| is_cell(line)).count(), 1, "{text}");
    let drained = lines.iter().filter(|line| line.contains("drained per s")).count();
    assert_eq!((drained, lines.len()), (3, 4), "{text}");
    let allowed = lab(&["compare", &old, &new, "--allow-missing"]);
    assert_eq!(allowed.status.code(), Some(0), "{}", stderr(&allowed));
}

#[test]
fn orders_that_are_no_longer_done_in_time_are_worse() {
    let dir = TempDir::new().unwrap();
    let old = write(dir.path(), "old.json", &results());
    let mut fewer = results();
    for run in fewer.runs.iter_mut().filter(|run| run.workload == "sweep") {
        run.achieved_per_s *= 0.8;
    }
    let new = write(dir.path(), "new.json", &fewer);
    let output = lab(&["compare", &old, &new]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let worse = text.lines().filter(|l| l.contains("done per s") && l.contains("worse")).count();
    assert_eq!(worse, 18, "six rates of three paradigms: {text}");
    assert_eq!(lab(&["compare", &old, &new, "--less-max", "0.3"]).status.code(), Some(0));
}

/// Every object in a JSON value, by its path.
fn objects(value: &serde_json::Value, path: String, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            found.push(path.clone());
            fields.iter().for_each(|(name, of)| objects(of, format!("{path}/{name}"), found));
        }
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, of)| objects(of, format!("{path}/{n}"), found));
        }
        _ => {}
    }
}

#[test]
fn a_field_that_nobody_knows_is_refused_wherever_it_stands() {
    let mut all = results();
    // One run of each workload shows every kind of object.
    all.runs.retain(|run| run.round == 0 && run.paradigm == Paradigm::Streaming);
    let value = serde_json::to_value(&all).unwrap();
    let mut found = Vec::new();
    objects(&value, String::new(), &mut found);
    // Names of failures are data.
    let of_ours = found.iter().filter(|path| !path.ends_with("/failures"));
    let mut kinds = std::collections::BTreeSet::new();
    for path in of_ours {
        let kind: String = path.chars().filter(|c| !c.is_ascii_digit()).collect();
        if !kinds.insert(kind) {
            continue;
        }
        let mut other = value.clone();
        let object = other.pointer_mut(path).and_then(|object| object.as_object_mut()).unwrap();
        object.insert("sede".to_owned(), serde_json::json!(1));
        let refused = Results::parse(&other.to_string());
        assert!(
            refused.is_err_and(|why| why.contains("sede")),
            "{path} takes what it does not know"
        );
    }
    assert!(kinds.iter().any(|kind| kind.ends_with("/timeline/")), "{kinds:?}");
    assert!(kinds.iter().any(|kind| kind.ends_with("/fault")), "{kinds:?}");
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
