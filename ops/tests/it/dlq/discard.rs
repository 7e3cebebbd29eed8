//! Dead letters are marked as handled: each once, whenever the run is killed or asked to stop.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::terminal::OnTerminal;
use testkit::{Cluster, Finished, Input, Pipeline, Process, wait};

use super::planted::Topic;
use super::redrive::{is_ours, redrive, redrive_args, told};
use super::{dlq, lines, place};
use crate::rig::{Log, expect_green, make_dead_letters_anew};

const RUN_MAX: Duration = Duration::from_secs(60);

/// Runs that are killed before one may end.
const KILLS: usize = 6;

fn ledger_of(pipeline: &Pipeline) -> String {
    format!("{}-redrives", pipeline.prefix)
}

fn discard_args(pipeline: &Pipeline, more: &[&str]) -> Vec<String> {
    let ledger = ledger_of(pipeline);
    let all = [&["discard", "--ledger-topic", &ledger][..], more].concat();
    all.into_iter().map(str::to_owned).collect()
}

fn discard(pipeline: &Pipeline, more: &[&str]) -> Finished {
    let args = discard_args(pipeline, more);
    dlq(pipeline, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A run of these arguments that goes on beside the test.
fn start(pipeline: &Pipeline, args: &[String]) -> Process {
    let servers = &pipeline.servers;
    let connection = ["-b", &servers.bootstrap_servers, "--dlq-topic", &pipeline.dlq];
    let args = args.iter().map(String::as_str).chain(connection);
    Process::start("orders", &["dlq"].into_iter().chain(args).collect::<Vec<_>>(), &[])
}

/// What the ledger says, an entry each. It has one partition.
fn entries(pipeline: &Pipeline) -> Vec<Value> {
    let records = Cluster::shared().names(1).records(&ledger_of(pipeline));
    let parse = |value: &[u8]| serde_json::from_slice(value).expect("an entry is JSON");
    records.iter().map(|record| parse(record.value.as_deref().expect("it has one"))).collect()
}

/// Places that entries name with this mark; each must be named once.
#[track_caller]
fn marked(entries: &[Value], mark: &str) -> BTreeSet<(i64, i64)> {
    let mut all = BTreeSet::new();
    for entry in entries.iter().filter(|entry| entry["mark"] == mark) {
        let partition = entry["partition"].as_i64().expect("a number");
        for range in entry["ranges"].as_array().expect("a list") {
            let (first, last) = (range[0].as_i64().expect("first"), range[1].as_i64().expect("it"));
            for offset in first..=last {
                assert!(all.insert((partition, offset)), "{partition}:{offset} is named twice");
            }
        }
    }
    all
}

#[test]
fn those_that_are_discarded_are_left_out_and_told_and_go_back_on_request_only() {
    let topic = Topic::of(330);
    let pipeline = &topic.pipeline;
    let handler = topic.places(|planted| planted.reason == Some("handler"));
    let count = handler.len() as u64;
    let some = ["--reason", "handler", "-o", "json"];
    let preview = told(&discard(pipeline, &some), 0);
    assert_eq!(
        (preview["to_discard"].as_u64(), preview["discarded"].as_u64()),
        (Some(count), Some(0))
    );
    let listed = |more: &[&str]| {
        let ledger = ["--ledger-topic", &ledger_of(pipeline), "-o", "jsonl"];
        dlq(pipeline, &[&["list", "--reason", "handler"], more, &ledger].concat())
    };
    assert_eq!(lines(&listed(&[]), 0).len(), handler.len(), "a preview marks nothing");
    discard(pipeline, &["--execute"]).expect_code(2);
    let execute = ["--reason", "handler", "--execute", "-o", "json"];
    assert_eq!(told(&discard(pipeline, &execute), 0)["discarded"].as_u64(), Some(count));
    let again = told(&discard(pipeline, &execute), 0);
    assert_eq!(again["discarded"].as_u64(), Some(0), "{again}");
    assert_eq!(again["skipped"]["discarded"].as_u64(), Some(count));
    assert_eq!(marked(&entries(pipeline), "discarded").len(), handler.len());
    each_entry_says_who_when_and_which(pipeline, count);

    let left = listed(&[]);
    assert_eq!(lines(&left, 0), Vec::<Value>::new());
    assert!(left.stderr.contains(&format!("{count} of them were discarded")), "{}", left.stderr);
    let shown = lines(&listed(&["--handled"]), 0);
    assert_eq!(shown.iter().map(place).collect::<Vec<_>>(), handler);
    assert!(shown.iter().all(|line| line["handled"] == "discarded"));
    rows_are_marked(pipeline, handler.len());
    stats_tell(pipeline, count);

    let preview = told(&redrive(pipeline, "shop", &some), 0);
    assert_eq!(preview["skipped"]["discarded"].as_u64(), Some(count), "{preview}");
    let back = [&execute[..], &["--handled"]].concat();
    assert_eq!(told(&redrive(pipeline, "shop", &back), 0)["sent"].as_u64(), Some(count));
    assert_eq!(told(&redrive(pipeline, "shop", &back), 0)["sent"].as_u64(), Some(0));
    assert_eq!(pipeline.records(&pipeline.retry).len(), handler.len());
    assert!(lines(&listed(&["--handled"]), 0).iter().all(|line| line["handled"] == "redriven"));
}

/// What the ledger notes of a run besides the places.
fn each_entry_says_who_when_and_which(pipeline: &Pipeline, count: u64) {
    let entries = entries(pipeline);
    let first = &entries[0];
    for entry in &entries {
        assert_eq!(entry["filter"], serde_json::json!({"reasons": ["handler"]}), "{entry}");
        assert_eq!(entry["dlq_topic"], *pipeline.dlq);
        assert_eq!((&entry["redrive_id"], &entry["by"]), (&first["redrive_id"], &first["by"]));
        assert!(entry["by"].is_string() && entry["at_ms"].is_i64(), "{entry}");
    }
    let counts = entries.iter().filter_map(|entry| entry["count"].as_u64());
    assert_eq!(counts.sum::<u64>(), count);
}

/// `list --handled` as a table, after so many were discarded.
fn rows_are_marked(pipeline: &Pipeline, discarded: usize) {
    let flags = ["list", "--handled", "--ledger-topic", &ledger_of(pipeline)];
    let table = dlq(pipeline, &flags);
    table.expect_code(0);
    let mut rows = table.stdout.lines();
    assert!(rows.next().is_some_and(|heading| heading.contains("HANDLED")), "{}", table.stdout);
    let marks: Vec<&str> = rows.filter_map(|row| row.split_whitespace().nth(3)).collect();
    let count = |word: &str| marks.iter().filter(|mark| **mark == word).count();
    assert_eq!((count("discarded"), count("-")), (discarded, marks.len() - discarded));
}

/// `stats`, after so many of the reason *handler* were discarded.
fn stats_tell(pipeline: &Pipeline, count: u64) {
    let stats = |more: &[&str]| {
        let ledger = ["--ledger-topic", &ledger_of(pipeline), "-o", "json"];
        lines(&dlq(pipeline, &[&["stats"], more, &ledger].concat()), 0).remove(0)
    };
    let of_handler = |told: &Value| {
        let groups = told["groups"].as_array().expect("a list");
        let found = groups.iter().find(|group| group["reason"] == "handler");
        found.map(|group| (group["count"].as_u64(), group["discarded"].as_u64()))
    };
    let (open, all) = (stats(&[]), stats(&["--handled"]));
    assert_eq!((open["discarded"].as_u64(), of_handler(&open)), (Some(count), None));
    assert_eq!(of_handler(&all), Some((Some(count), Some(count))));
}

#[test]
fn runs_that_are_killed_at_any_moment_mark_each_dead_letter_once() {
    let topic = Topic::of(6_000);
    let pipeline = &topic.pipeline;
    let of_ledger = Cluster::shared().names(1);
    // The first run makes it.
    let one = ["--all", "--execute", "--limit", "1", "-o", "json"];
    told(&discard(pipeline, &one), 0);
    let written = || of_ledger.ends(&ledger_of(pipeline))[0];
    for round in 0..KILLS {
        let before = written();
        let rate = ["100/s", "1000/s"][round % 2];
        let args = discard_args(pipeline, &["--all", "--execute", "--rate", rate]);
        let mut process = start(pipeline, &args);
        let give_up_at = Instant::now() + RUN_MAX;
        // An entry, then its marker: without a pause the kill comes between them or just after.
        while written() < before + 1 + i64::try_from(round % 3).expect("small") {
            assert!(Instant::now() < give_up_at, "nothing is marked: {}", process.log());
        }
        process.kill_9();
    }
    let killed = marked(&entries(pipeline), "discarded").len();
    assert!(killed < 6_000, "the last run has something to do");
    let last = told(&discard(pipeline, &["--all", "--execute", "-o", "json"]), 0);
    let all = marked(&entries(pipeline), "discarded");
    assert_eq!(last["discarded"].as_u64(), Some(6_000 - killed as u64), "{last}");
    let expected: BTreeSet<(i64, i64)> =
        topic.places(|_| true).into_iter().map(|(p, offset)| (i64::from(p), offset)).collect();
    assert!(all == expected, "{} are marked, and not {}", all.len(), expected.len());
}

#[test]
fn a_run_that_is_asked_to_stop_commits_what_it_has_and_the_same_command_goes_on() {
    let topic = Topic::of(3_000);
    let pipeline = &topic.pipeline;
    let ours = topic.places(is_ours).len() as u64;
    let some = ["--header", "x-origin-group=shop", "--execute", "-o", "json"];
    let first = [&some[..], &["--limit", "1"]].concat();
    told(&redrive(pipeline, "shop", &first), 0);
    for (args, number) in [
        (redrive_args(pipeline, "shop", &some), "sent"),
        (discard_args(pipeline, &some), "discarded"),
    ] {
        // Entries, and not the end of the ledger: the marker of the run before may still come.
        let before = entries(pipeline).len();
        // 100 a second: there is something left when the signal comes.
        let slow: Vec<String> =
            args.into_iter().chain(["--rate", "100/s"].map(str::to_owned)).collect();
        let process = start(pipeline, &slow);
        wait::is_true("an entry of the ledger", RUN_MAX, || entries(pipeline).len() > before);
        process.sigterm();
        let stopped = process.wait(RUN_MAX);
        let result = told(&stopped, 3);
        assert_eq!(result["stopped"], true, "{result}");
        let done = result[number].as_u64().expect("a number");
        assert!(done > 0 && done < ours, "{result}");
        let words = "run the same command to continue";
        assert!(stopped.stderr.contains(words), "{}", stopped.stderr);
    }
    let redriven = marked(&entries(pipeline), "redriven").len();
    assert_eq!(pipeline.records(&pipeline.retry).len(), redriven, "what is noted was sent");
    let rest = told(&redrive(pipeline, "shop", &[&some[..], &["--handled"]].concat()), 0);
    assert_eq!(rest["sent"].as_u64(), Some(ours - redriven as u64), "{rest}");
    assert_eq!(pipeline.records(&pipeline.retry).len() as u64, ours);
}

#[test]
fn a_topic_that_is_deleted_and_made_anew_is_another_one() {
    let topic = Topic::of(60);
    let pipeline = &topic.pipeline;
    let all = ["--all", "--execute", "-o", "json"];
    assert_eq!(told(&discard(pipeline, &all), 0)["discarded"].as_u64(), Some(60));
    let list = || {
        let ledger = ledger_of(pipeline);
        dlq(pipeline, &["list", "-o", "jsonl", "--ledger-topic", &ledger])
    };
    assert_eq!(lines(&list(), 0).len(), 0);
    make_dead_letters_anew(pipeline, 3);
    let inputs: Vec<Input> = topic.planted.iter().map(|planted| planted.input.clone()).collect();
    pipeline.send(&pipeline.dlq, &inputs);
    let listed = list();
    assert_eq!(lines(&listed, 0).len(), 60, "the entries are about another topic");
    assert!(listed.stderr.contains("refer to an earlier topic"), "{}", listed.stderr);
    assert_eq!(told(&discard(pipeline, &all), 0)["discarded"].as_u64(), Some(60));
    assert_eq!(lines(&list(), 0).len(), 0);
}

#[test]
fn the_audit_counts_dead_letters_that_were_discarded() {
    let log = Log::new(Cluster::shared().pipeline(1));
    log.send();
    let pipeline = &log.pipeline;
    let all = ["--all", "--execute", "-o", "json"];
    assert_eq!(told(&discard(pipeline, &all), 0)["discarded"].as_u64(), Some(2));
    expect_green(pipeline, &[]);
}

#[test]
fn a_run_shows_a_bar_on_a_terminal_and_lines_elsewhere() {
    let topic = Topic::of(330);
    let pipeline = &topic.pipeline;
    let some = ["--header", "x-origin-group=shop", "--execute", "--rate", "10/s"];
    let args = redrive_args(pipeline, "shop", &some);
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    command.arg("dlq").args(&args).args(["-b", &pipeline.servers.bootstrap_servers]);
    command.args(["--dlq-topic", &pipeline.dlq]).env("NO_COLOR", "1");
    let terminal = OnTerminal::start(command, 24, 80);
    terminal.wait_for(" %, sent ");
    terminal.wait_for("[=");
    terminal.sigterm();
    let (code, printed) = terminal.wait();
    assert_eq!(code, Some(3), "{printed}");
    let mut elsewhere = start(pipeline, &args);
    elsewhere.wait_for_log(" offsets", RUN_MAX);
    elsewhere.sigterm();
    elsewhere.wait(RUN_MAX).expect_code(3);
}
