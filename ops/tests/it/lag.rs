//! How far groups are behind, against what lies in the topics.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipeline::record::{CommitPosition, Offset};
use pipeline::window::Window;
use serde_json::Value;
use testkit::{Cluster, Finished, Pipeline, Process, wait};

use crate::rig::Log;

const RUN_MAX: Duration = Duration::from_secs(60);

/// Due in an hour.
const LATER_MS: i64 = 3_600_000;

fn lag(pipeline: &Pipeline, args: &[&str]) -> Finished {
    let (servers, group) = (pipeline.servers.bootstrap_servers.as_str(), pipeline.group.as_str());
    let fixed = ["-b", servers, "--group", group, "--retry-topic", &pipeline.retry];
    let all = [&["lag"], args, &fixed[..]].concat();
    Process::start("orders", &all, &[]).wait(RUN_MAX)
}

/// What `show` says of the group, after one look.
fn shown(pipeline: &Pipeline, window: &str) -> Value {
    let finished = lag(pipeline, &["show", "-o", "json", "--window", window]);
    finished.expect_code(0);
    finished.stats()["groups"][0].clone()
}

/// What is said of one partition.
fn partition<'a>(group: &'a Value, topic: &str, number: i32) -> &'a Value {
    let mut all = group["partitions"].as_array().expect("a list").iter();
    let found = all.find(|found| found["topic"] == topic && found["partition"] == number);
    found.unwrap_or_else(|| panic!("{topic}/{number} is told: {group:#}"))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("it fits")
}

/// Ten orders of which six are settled. In retry two are settled, two overdue and one waits.
fn half_done() -> Log {
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let order = |n: u8| encoder.input(0, &format!("o-{n}"), "tea", f32::from(n));
    pipeline.send(&pipeline.orders, &(0..10).map(order).collect::<Vec<_>>());
    let mut log = Log::empty(pipeline);
    (0..6).for_each(|offset| log.main.settle_new(Offset(offset)));
    let now = now_ms();
    let due = [now - 9_000, now - 5_000, now - 5_000, now + LATER_MS, now - 1_000];
    log.retries = due.iter().zip(0..).map(|(due, n)| log.retry_of(n, 1, *due)).collect();
    log.dead_letters =
        vec![log.dead_letter_of(3, 1, pipeline::failure::FailureReason::NegativePrice)];
    log.retry = Window::new(CommitPosition(0));
    (0..4).for_each(|offset| log.retry.hold(Offset(offset)));
    [0, 2].into_iter().for_each(|offset| log.retry.settle(Offset(offset)));
    log
}

#[test]
fn lag_is_what_an_independent_count_finds_and_waiting_retries_are_none() {
    let log = half_done();
    log.send();
    let pipeline = &log.pipeline;
    let group = shown(pipeline, "0");
    let committed = pipeline.committed(&pipeline.orders)[0].expect("it is committed");
    let end = pipeline.ends(&pipeline.orders)[0];
    let main = partition(&group, &pipeline.orders, 0);
    assert_eq!((main["committed"].as_i64(), main["end"].as_i64()), (Some(committed), Some(end)));
    assert_eq!(main["lag"].as_i64(), Some(end - committed));
    assert_eq!(main["lag"], 4);
    let written_ms = log.orders[6].timestamp_ms;
    let seconds = main["lag_seconds"].as_f64().expect("its record was read");
    let at_most = (now_ms() - written_ms) as f64 / 1000.0;
    assert!(seconds > 0.0 && seconds <= at_most, "{seconds} of at most {at_most}");
    let retry = partition(&group, &pipeline.retry, 0);
    assert_eq!((retry["role"].as_str(), retry["committed"].as_i64()), (Some("retry"), Some(1)));
    assert_eq!((&retry["lag"], &retry["waiting"]), (&2.into(), &1.into()), "{retry:#}");
    let overdue = retry["lag_seconds"].as_f64().expect("a due time");
    assert!(overdue >= 5.0, "the oldest of both: {overdue}");
    assert!(retry["next_due_ms"].as_i64().expect("one waits") > now_ms(), "{retry:#}");
    assert_eq!(group["status"], "ERROR", "nobody reads what waits: {group:#}");
    check_names_the_partitions(pipeline);
    a_group_that_does_not_exist_comes_with_the_one_that_was_meant(pipeline);
}

fn check_names_the_partitions(pipeline: &Pipeline) {
    let both = [format!("{}/0", pipeline.orders), format!("{}/0", pipeline.retry)];
    for (args, code, named) in [
        (&["--max-records", "4", "--max-seconds", "86400"][..], 0, [false, false]),
        (&["--max", "3"], 4, [true, false]),
        (&["--max-records", "1"], 4, [true, true]),
        (&["--max-seconds", "4"], 4, [false, true]),
        (&[], 4, [true, true]),
    ] {
        let finished = lag(pipeline, &[&["check"], args].concat());
        finished.expect_code(code);
        let is_named = both.each_ref().map(|place| finished.stdout.contains(place));
        // By age, the orders may have become as old by now.
        let fits = is_named == named || (args.contains(&"--max-seconds") && is_named[1]);
        assert!(fits, "{args:?}: {}", finished.stdout);
    }
}

fn a_group_that_does_not_exist_comes_with_the_one_that_was_meant(pipeline: &Pipeline) {
    let servers = pipeline.servers.bootstrap_servers.as_str();
    let wrong = format!("{}x", pipeline.group);
    for command in [&["lag", "show"][..], &["lag", "check"], &["lag", "watch"], &["monitor"]] {
        let args = [command, &["-b", servers, "--group", &wrong]].concat();
        let finished = Process::start("orders", &args, &[]).wait(RUN_MAX);
        finished.expect_code(1);
        let hint = format!("did you mean {}?", pipeline.group);
        assert!(finished.stderr.contains(&hint), "{command:?}: {}", finished.stderr);
    }
}

#[test]
fn a_group_whose_consumer_is_frozen_while_records_arrive_is_stalled_and_then_ok_again() {
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let send = |from: u8| {
        let order = |n: u8| encoder.input(0, &format!("o-{n}"), "tea", f32::from(n));
        pipeline.send(&pipeline.orders, &(from..from + 5).map(order).collect::<Vec<_>>());
    };
    send(0);
    // Frozen for longer than a session, it would be no member any more.
    let consumer = Process::consumer(&pipeline, &["-X", "session.timeout.ms=60000"]);
    wait::is_true("everything being settled", RUN_MAX, || {
        pipeline.committed(&pipeline.orders)[0].is_some() && pipeline.lag() == 0
    });
    assert_eq!(shown(&pipeline, "1s")["status"], "OK");
    consumer.pause();
    send(5);
    let group = shown(&pipeline, "1s");
    let main = partition(&group, &pipeline.orders, 0);
    assert_eq!((&main["status"], &main["lag"]), (&"STALLED".into(), &5.into()), "{group:#}");
    assert!(main["why"].as_str().expect("words").contains("none was settled"), "{main:#}");
    assert_eq!((&group["status"], group["members"].as_u64()), (&"STALLED".into(), Some(1)));
    lag(&pipeline, &["check", "--window", "1s"]).expect_code(4);
    consumer.resume();
    wait::is_true("everything being settled", RUN_MAX, || pipeline.lag() == 0);
    assert_eq!(shown(&pipeline, "1s")["status"], "OK");
    lag(&pipeline, &["check", "--window", "1s"]).expect_code(0);
    consumer.stop().expect_code(0);
}

#[test]
fn lag_of_every_group_is_told_line_by_line_and_again_and_again() {
    let log = half_done();
    log.send();
    let servers = log.pipeline.servers.bootstrap_servers.as_str();
    let fixed = ["-b", servers, "-o", "jsonl", "--all-groups"];
    let show = [&["lag", "show", "--window", "0"], &fixed[..]].concat();
    let finished = Process::start("orders", &show, &[]).wait(RUN_MAX);
    finished.expect_code(0);
    let of_group = |text: &str| {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter(|line| line["group"] == log.pipeline.group.as_str()).count()
    };
    assert_eq!(of_group(&finished.stdout), 2, "two partitions: {}", finished.stdout);
    let watch = [&["lag", "watch", "--interval", "100ms"], &fixed[..]].concat();
    let watch = Process::start("orders", &watch, &[]);
    wait::is_true("three looks", RUN_MAX, || {
        let text = watch.printed();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        of_group(whole) >= 6
    });
    watch.stop().expect_code(0);
}
