//! Dead letters go back: each once, byte for byte, whenever the run is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kafka_io::ClientConfig;
use kafka_io::client_config::{KafkaSettings, Role};
use kafka_io::ends::Ends;
use kafka_io::write_error::WriteError;
use kafka_io::writer::{Guarantee, NO_TAG, Writer, topic_name};
use serde_json::Value;
use testkit::{Cluster, Finished, Input, LogRecord, Pipeline, Process};

use super::planted::{Planted, Topic};
use super::{dlq, lines, place};
use crate::rig::expect_green;

const RUN_MAX: Duration = Duration::from_secs(60);

/// Runs that are killed before one may end.
const KILLS: usize = 10;

/// Arguments that send dead letters back within a pipeline.
pub(super) fn redrive_args(pipeline: &Pipeline, group: &str, more: &[&str]) -> Vec<String> {
    let ledger = format!("{}-redrives", pipeline.prefix);
    let fixed = ["redrive", "--group-id", group, "--retry-topic", &pipeline.retry];
    let all = [&fixed[..], &["--ledger-topic", &ledger], more].concat();
    all.into_iter().map(str::to_owned).collect()
}

pub(super) fn redrive(pipeline: &Pipeline, group: &str, more: &[&str]) -> Finished {
    let args = redrive_args(pipeline, group, more);
    dlq(pipeline, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[track_caller]
pub(super) fn told(finished: &Finished, code: i32) -> Value {
    let mut lines = lines(finished, code);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

/// Names of the dead letters that a record which went back can be, and the headers that it must have.
fn origin_of(record: &LogRecord) -> Option<i64> {
    std::str::from_utf8(record.header("x-origin-offset")?).ok()?.parse().ok()
}

pub(super) fn config(pipeline: &Pipeline, role: Role) -> ClientConfig {
    let settings = KafkaSettings::new("it", &pipeline.servers.bootstrap_servers, Vec::new());
    settings.expect("brokers are named").base(role)
}

pub(super) fn is_ours(planted: &Planted) -> bool {
    planted.dialect == "orders"
}

/// `n` by which a dead letter was planted: its origin offset.
fn number(planted: &Planted) -> i64 {
    let mut headers = planted.input.headers.iter();
    let found = headers.find(|(name, _)| name == b"x-origin-offset");
    let (_, value) = found.expect("ours has one");
    String::from_utf8_lossy(value.as_deref().expect("a number")).parse().expect("a number")
}

#[test]
fn a_preview_counts_what_would_go_back_and_sends_nothing() {
    let topic = Topic::of(660);
    let pipeline = &topic.pipeline;
    let plan = told(&redrive(pipeline, "shop", &["-o", "json"]), 0);
    let ours = topic.planted.iter().filter(|p| is_ours(p)).count() as u64;
    let unknown = topic.planted.iter().filter(|p| p.dialect == "unknown").count() as u64;
    assert_eq!((&plan["executed"], plan["sent"].as_u64()), (&Value::Bool(false), Some(0)));
    assert_eq!(plan["matched"].as_u64(), Some(660));
    assert_eq!(plan["to_send"].as_u64(), Some(ours));
    assert_eq!(plan["targets"][&pipeline.retry].as_u64(), Some(ours));
    assert_eq!(plan["skipped"]["no-origin"].as_u64(), Some(unknown));
    // The topic "shop" is nowhere.
    assert_eq!(plan["skipped"]["no-topic"].as_u64(), Some(660 - ours - unknown));
    let by_reason = plan["by_reason"]["transient/handler"].as_u64();
    let handler = topic.places(|planted| planted.reason == Some("handler")).len() as u64;
    assert_eq!(by_reason, Some(handler));
    let others = told(&redrive(pipeline, "another", &["-o", "json"]), 0);
    assert_eq!(others["skipped"]["other-group"].as_u64(), Some(ours));
    let page = redrive(pipeline, "shop", &["--class", "transient"]);
    page.expect_code(0);
    assert!(page.stdout.contains("would be sent back"), "{}", page.stdout);
    assert!(page.stderr.contains("--execute"), "{}", page.stderr);
    assert!(pipeline.records(&pipeline.retry).is_empty(), "a preview sends nothing");
    redrive(pipeline, "shop", &["--execute"]).expect_code(2);
    assert!(pipeline.records(&pipeline.retry).is_empty(), "nor does one without a filter");
}

#[test]
fn each_goes_back_once_byte_for_byte_and_a_second_run_sends_none() {
    let topic = Topic::of(660);
    let pipeline = &topic.pipeline;
    let everything = ["--all", "--execute", "--to-topic", &pipeline.orders, "-o", "json"];
    let first = told(&redrive(pipeline, "shop", &everything), 0);
    assert_eq!(first["sent"].as_u64(), Some(660), "{first}");
    let arrived = pipeline.records(&pipeline.retry);
    let by_number: BTreeMap<i64, &Planted> =
        topic.planted.iter().filter(|p| is_ours(p)).map(|p| (number(p), p)).collect();
    assert_eq!(arrived.len(), by_number.len());
    let mut seen = BTreeSet::new();
    for record in &arrived {
        let n = origin_of(record).expect("it keeps its origin");
        assert!(seen.insert(n), "{n} arrived twice");
        let planted = by_number[&n];
        assert_eq!(record.partition, 0, "that of its origin");
        assert_eq!((&record.key, &record.value), (&planted.input.key, &planted.input.value));
        let is_kept = |name: &[u8]| {
            let per_hop = name.starts_with(b"x-failure") || name == b"x-attempt";
            !per_hop && name != b"x-fingerprint"
        };
        let kept: Vec<_> =
            planted.input.headers.iter().filter(|(name, _)| is_kept(name)).cloned().collect();
        assert_eq!(record.headers[..kept.len()], kept);
        assert_eq!(record.header("x-attempt"), Some(b"0".as_slice()));
        assert_eq!(record.header("x-redrive-count"), Some(b"1".as_slice()));
        assert_eq!(record.headers.len(), kept.len() + 4);
    }
    let others = pipeline.records(&pipeline.orders);
    assert_eq!(others.len(), 660 - arrived.len());
    assert!(others.iter().all(|r| r.headers_named("x-redrive-id").len() == 1));
    let second = told(&redrive(pipeline, "shop", &everything), 0);
    assert_eq!(second["sent"].as_u64(), Some(0));
    assert_eq!(second["skipped"]["already-redriven"].as_u64(), Some(660));
    assert_eq!(pipeline.records(&pipeline.retry).len(), arrived.len());
}

#[test]
fn a_limit_counts_what_goes_back_and_what_stays_is_exit_3() {
    let topic = Topic::of(330);
    let pipeline = &topic.pipeline;
    let ours = topic.planted.iter().filter(|p| is_ours(p)).count();
    let some = ["--class", "transient", "--limit", "10", "--execute", "-o", "json"];
    for round in 1..=2 {
        let done = told(&redrive(pipeline, "shop", &some), 0);
        assert_eq!(done["sent"].as_u64(), Some(10), "{done}");
        assert_eq!(pipeline.records(&pipeline.retry).len(), 10 * round);
    }
    let rest = told(&redrive(pipeline, "shop", &["--all", "--execute", "-o", "json"]), 3);
    assert_eq!(rest["sent"].as_u64(), Some(ours as u64 - 20), "{rest}");
    assert_eq!(pipeline.records(&pipeline.retry).len(), ours);
    let none = told(&redrive(pipeline, "shop", &["--max-redrives", "0", "-o", "json"]), 0);
    assert_eq!(none["to_send"].as_u64(), Some(0), "{none}");
}

#[test]
fn what_went_back_is_counted_by_stats_and_listed_only_on_request() {
    let topic = Topic::of(330);
    let pipeline = &topic.pipeline;
    let places = |reason: &str| topic.places(|planted| planted.reason == Some(reason));
    let (handler, simulated) = (places("handler").len(), places("simulated").len());
    let some = ["--reason", "handler", "--execute", "-o", "json"];
    told(&redrive(pipeline, "shop", &some), 0);
    let ledger = ["--ledger-topic", &format!("{}-redrives", pipeline.prefix)];
    let list = |more: &[&str]| {
        let all = [&["list", "--class", "transient", "-o", "jsonl"], more, &ledger].concat();
        dlq(pipeline, &all)
    };
    let left = list(&[]);
    let found: Vec<_> = lines(&left, 0).iter().map(place).collect();
    assert_eq!(found, places("simulated"));
    assert!(left.stderr.contains(&format!("{handler} of them were redriven")), "{}", left.stderr);
    assert_eq!(lines(&list(&["--handled"]), 0).len(), handler + simulated);
    let stats = dlq(pipeline, &[&["stats", "--handled", "-o", "jsonl"], &ledger[..]].concat());
    for group in lines(&stats, 0) {
        let expected = if group["reason"] == "handler" { handler as u64 } else { 0 };
        assert_eq!(group["redriven"].as_u64(), Some(expected), "{group}");
    }
}

#[test]
fn runs_that_are_killed_at_any_moment_send_each_dead_letter_exactly_once() {
    let topic = Topic::of(20_000);
    let pipeline = &topic.pipeline;
    let expected: BTreeSet<i64> = topic.planted.iter().filter(|p| is_ours(p)).map(number).collect();
    let start = |more: &[&str]| {
        let ours = ["--header", "x-origin-group=shop", "--execute", "-o", "json"];
        let args = redrive_args(pipeline, "shop", &[&ours, more].concat());
        let servers = &pipeline.servers;
        let connection = ["-b", &servers.bootstrap_servers, "--dlq-topic", &pipeline.dlq];
        let args = args.iter().map(String::as_str).chain(connection);
        Process::start("orders", &["dlq"].into_iter().chain(args).collect::<Vec<_>>(), &[])
    };
    // All of ours came from partition 0. Records of open transactions count here, and markers.
    let written = || pipeline.ends(&pipeline.retry)[0];
    let stable = Ends::stable(&config(pipeline, Role::Consumer)).expect("settings are good");
    let mut in_transactions = 0;
    for round in 0..KILLS {
        let before = written();
        // A transaction has 1,000 records; 100 at this rate.
        let (more, rate) =
            [(2, "100/s"), (150, "100/s"), (2, "1000/s"), (500, "1000/s")][round % 4];
        let mut process = start(&["--rate", rate]);
        let give_up_at = Instant::now() + RUN_MAX;
        // Without a pause: a transaction is open for some milliseconds.
        while written() < before + more {
            assert!(Instant::now() < give_up_at, "nothing goes back: {}", process.log());
        }
        process.kill_9();
        let (_, decided) = stable.bounds(&pipeline.retry, 0, RUN_MAX).expect("an answer");
        in_transactions += usize::from(decided < written());
    }
    let done = written();
    eprintln!("{KILLS} kills, {in_transactions} in a transaction, {done} written by then");
    assert!(done < i64::try_from(expected.len()).expect("few"), "the last run has something to do");
    let last = start(&[]).wait(RUN_MAX);
    told(&last, 0);
    let arrived: Vec<i64> =
        pipeline.records(&pipeline.retry).iter().filter_map(origin_of).collect();
    let distinct: BTreeSet<i64> = arrived.iter().copied().collect();
    assert_eq!(arrived.len(), distinct.len(), "some arrived twice");
    assert_eq!(distinct, expected);
}

#[test]
fn what_a_run_left_open_is_undone_by_the_next_and_can_no_longer_be_committed() {
    let topic = Topic::of(330);
    let pipeline = &topic.pipeline;
    let ours = topic.planted.iter().filter(|p| is_ours(p)).count();
    let config = config(pipeline, Role::Producer);
    let id = format!("orders-redrive-{}", pipeline.dlq);
    let mut stuck = Writer::open(&config, Guarantee::ExactlyOnce, &id, RUN_MAX).expect("it opens");
    stuck.begin().expect("a transaction begins");
    let retry = topic_name(&pipeline.retry);
    stuck.produce(&retry, 0, None, Some(b"half a run"), None, NO_TAG).expect("it is taken");
    stuck.acknowledged().expect("the broker has it");
    let args = ["--header", "x-origin-group=shop", "--execute", "-o", "json"];
    let done = told(&redrive(pipeline, "shop", &args), 0);
    assert_eq!(done["sent"].as_u64(), Some(ours as u64), "{done}");
    let error = stuck.commit_records().expect_err("another run has taken over");
    assert!(matches!(stuck.explain(error), WriteError::Fenced(_)), "it is told so");
    let arrived = pipeline.records(&pipeline.retry);
    assert_eq!(arrived.len(), ours);
    assert!(arrived.iter().all(|record| origin_of(record).is_some()), "nothing of the other run");
}

#[test]
fn a_ledger_that_would_lose_entries_or_has_others_is_refused() {
    let topic = Topic::of(33);
    let pipeline = &topic.pipeline;
    let run = |ledger: &str| {
        let group = ["redrive", "--group-id", "shop", "--retry-topic", &pipeline.retry];
        let all = [&group[..], &["--ledger-topic", ledger, "--class", "invalid", "--execute"]];
        dlq(pipeline, &all.concat())
    };
    // Dead letters are deleted after 30 days.
    let expires = run(&pipeline.outcomes);
    expires.expect_code(2);
    assert!(expires.stderr.contains("retention.ms to -1"), "{}", expires.stderr);
    let ledger = format!("{}-redrives", pipeline.prefix);
    run(&ledger).expect_code(0);
    let key = Some(pipeline.dlq.as_bytes());
    pipeline.send(&ledger, &[Input::new(0, key, Some(b"{\"version\": 2}"))]);
    let unreadable = run(&ledger);
    unreadable.expect_code(1);
    assert!(unreadable.stderr.contains("not a ledger entry"), "{}", unreadable.stderr);
}

#[test]
fn an_order_that_fails_and_is_redriven_counts_once_and_the_audit_is_green() {
    let pipeline = Cluster::shared().pipeline(2);
    let load = ["--count", "400", "--interval", "0ms", "--quiet", "--seed", "5"];
    Process::producer(&pipeline, &load).wait(RUN_MAX).expect_code(0);
    let flags = [
        "--exit-at-end",
        "--simulate-failures",
        "0.6",
        "--max-retries",
        "1",
        "--retry-delay",
        "50ms",
        "--dlq-limit",
        "off",
        "-o",
        "json",
    ];
    let consume = || Process::consumer(&pipeline, &flags).wait(RUN_MAX).stats();
    let before = consume();
    let dead = before["dead_lettered"].as_u64().expect("a number");
    assert!(dead > 50, "{before}");
    expect_green(&pipeline, &[]);
    let listed = lines(&dlq(&pipeline, &["list", "--class", "transient", "-o", "jsonl"]), 0);
    assert_eq!(listed.len() as u64, dead);
    let (partition, offset) = place(&listed[0]);
    let shown = dlq(&pipeline, &["show", &format!("{partition}:{offset}"), "-o", "json"]);
    let shown = lines(&shown, 0).remove(0);
    assert_eq!(shown["reason"], "simulated", "{shown}");
    assert!(shown["value"]["orderId"].is_string(), "{shown}");
    let args = ["--class", "transient", "--execute", "-o", "json"];
    let sent = told(&redrive(&pipeline, &pipeline.group, &args), 0);
    assert_eq!(sent["sent"].as_u64(), Some(dead), "{sent}");
    let after = consume();
    let counted = |stats: &Value| stats["overall"]["count"].as_u64().expect("a number");
    let dead_again = after["dead_lettered"].as_u64().expect("a number");
    assert!(dead_again < dead, "{after}");
    assert_eq!(counted(&after), 400 - dead_again, "each order counts once: {after}");
    assert!(counted(&after) > counted(&before));
    expect_green(&pipeline, &["--expect-drained"]);
}
