//! The program as its users meet it.

use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::{Cluster, Process};

use crate::rig::{Log, audit};

const RUN_MAX: Duration = Duration::from_secs(20);

/// Longest time until a user is told that a server is not there: 5 s, and what a busy machine adds to them.
pub(crate) const TOLD_MAX: Duration = Duration::from_secs(12);

#[test]
fn a_broker_that_is_not_there_is_told_in_time() {
    let finished = Process::start("orders", &["audit", "-b", "127.0.0.1:9"], &[]).wait(RUN_MAX);
    finished.expect_code(1);
    assert!(finished.elapsed < TOLD_MAX, "{:?}", finished.elapsed);
    assert!(finished.stderr.contains("127.0.0.1:9"), "{}", finished.stderr);
    assert!(finished.stderr.contains("--bootstrap-server"), "{}", finished.stderr);
}

#[test]
fn a_registry_that_is_not_there_is_told_in_time_and_without_its_password() {
    let log = Log::new(Cluster::shared().pipeline(1));
    log.send();
    let mut all = log.pipeline.audit_args(true);
    let at = all.iter().position(|arg| arg == "--schema-registry-url").expect("it is named");
    all.drain(at..at + 2); // a password may not stand there
    let variables = [("SCHEMA_REGISTRY_URL", "http://user:canary@127.0.0.1:9")];
    let finished = Process::start("orders", &all, &variables).wait(RUN_MAX);
    finished.expect_code(1);
    assert!(finished.elapsed < TOLD_MAX, "{:?}", finished.elapsed);
    assert!(finished.stderr.contains("127.0.0.1:9"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("canary"), "{}", finished.stderr);
}

#[test]
fn missing_topics_are_named() {
    let pipeline = Cluster::shared().names(1);
    let finished = audit(&pipeline, true, &[]);
    finished.expect_code(1);
    for name in [&pipeline.orders, &pipeline.outcomes] {
        assert!(finished.stderr.contains(name.as_str()), "{}", finished.stderr);
    }
}

#[test]
fn settings_that_contradict_each_other_are_exit_2() {
    let pipeline = Cluster::shared().names(1);
    let order = audit(&pipeline, false, &["--order", "key"]);
    order.expect_code(2);
    assert!(order.stderr.contains("--outcomes-topic"), "{}", order.stderr);
    audit(&pipeline, true, &["--dedupe", "0"]).expect_code(2);
    audit(&pipeline, true, &["--group-id", ""]).expect_code(2);
    Process::start("orders", &["audit", "--no-such-flag"], &[]).wait(RUN_MAX).expect_code(2);
}

#[test]
fn help_shows_examples_exit_codes_and_what_it_costs() {
    let help = |args: &[&str]| Process::start("orders", args, &[]).wait(RUN_MAX).stdout;
    let top = help(&["--help"]);
    assert!(top.contains("orders audit --outcomes-topic"), "{top}");
    let audit = help(&["audit", "--help"]);
    for text in ["32 bytes per order", "Exit codes", "ORDERS_GROUP_ID", "--allow-unprovable"] {
        assert!(audit.contains(text), "{text}: {audit}");
    }
}

#[test]
fn verdicts_are_a_table_for_people_and_json_of_the_contract_for_programs() {
    let mut log = Log::new(Cluster::shared().pipeline(1));
    log.dead_letters.pop();
    log.send();
    let run = |format: &str| {
        let mut all = log.pipeline.audit_args(true);
        all.extend(["-o".to_owned(), format.to_owned()]);
        let finished = Process::start("orders", &all, &[]).wait(RUN_MAX);
        finished.expect_code(4);
        finished.stdout
    };
    let table = run("table");
    assert!(
        table.contains("RED") && table.contains(&format!("{}/0@7", log.pipeline.orders)),
        "{table}"
    );
    let json: serde_json::Value = serde_json::from_str(&run("json")).expect("one object");
    assert_eq!(json["ok"], false);
    for verdict in json["verdicts"].as_array().expect("a list") {
        assert!(verdict["invariant"].is_string() && verdict["ok"].is_boolean(), "{verdict}");
        assert!(verdict["checked"].is_u64() && verdict["violations"].is_array(), "{verdict}");
    }
    let lines = run("jsonl");
    assert_eq!(lines.lines().count(), json["verdicts"].as_array().expect("a list").len());
    assert!(lines.lines().all(|line| line.starts_with("{\"invariant\":\"I")), "{lines}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_changes_no_exit_code() {
    let mut log = Log::new(Cluster::shared().pipeline(1));
    log.dead_letters.pop();
    log.send();
    let audit = log.pipeline.audit_args(true);
    let with = |more: &[&str]| -> Vec<String> {
        audit.iter().cloned().chain(more.iter().map(|arg| (*arg).to_owned())).collect()
    };
    let args = |all: &[&str]| all.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
    for (all, code) in [
        (with(&["-o", "table"]), 4),
        (with(&["-o", "json"]), 4),
        (with(&["-o", "jsonl"]), 4),
        (args(&["--help"]), 0),
        (args(&["audit", "--help"]), 0),
        (args(&["--version"]), 0),
        (args(&["audit", "--no-such-flag"]), 2),
        (args(&["audit", "-b", "127.0.0.1:9"]), 1),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_orders"))
            .args(&all)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop((child.stdout.take(), child.stderr.take()));
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(code), "{all:?}: {status}");
    }
}
