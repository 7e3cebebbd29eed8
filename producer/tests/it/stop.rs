//! A stop loses nothing that was reported, and takes no longer than it may.

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::{Running, producer, records, run, topic, topic_with};

const STOP_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_terminated_producer_accounts_for_every_order_and_exits_with_zero() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let topic = topic(3);
        let args = ["--topic", &topic, "--count", "0", "--interval", "0ms", "-o", "jsonl"];
        let mut running = Running::start(&mut producer(&args));
        for _ in 0..1_000 {
            running.next_stdout();
        }
        running.signal(signal);
        let signaled_at = Instant::now();
        let finished = running.finish();
        finished.expect_code(0);
        assert!(signaled_at.elapsed() < STOP_LIMIT);
        let written = records(&topic).len();
        assert_eq!(finished.json_lines().len(), written);
        let summary = format!("sent {written}, acknowledged {written}, failed 0");
        assert!(finished.stderr.contains(&summary), "{}", finished.stderr);
    }
}

#[test]
fn a_producer_that_waits_for_input_can_be_stopped() {
    let topic = topic(1);
    let args = ["--topic", &topic, "--input", "-", "--input-format", "csv", "-o", "jsonl"];
    let mut running = Running::start(producer(&args).stdin(Stdio::piped()));
    let mut stdin = running.child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"orderId,product,price\n1,tea,2\n").unwrap();
    // The row is delivered although the input is still open.
    running.next_stdout();
    running.signal(Signal::SIGTERM);
    let finished = running.finish();
    finished.expect_code(3);
    assert!(finished.stderr.contains("sent 1, acknowledged 1, failed 0"), "{finished:?}");
    assert!(finished.stderr.contains("--skip-rows 1"), "{finished:?}");
    drop(stdin);
}

#[test]
fn a_producer_whose_input_has_no_writer_yet_can_be_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe.csv");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let args = ["--input", pipe.to_str().unwrap()];
    let mut running = Running::start(producer(&args).env("RUST_LOG", "debug"));
    // Settings are read and signals are watched when this stands in the log.
    running.stderr_line_with("waiting for the input");
    running.signal(Signal::SIGTERM);
    let finished = running.finish();
    finished.expect_code(3);
    assert!(finished.duration < STOP_LIMIT, "{finished:?}");
}

#[test]
fn a_reader_of_stdout_that_goes_away_does_not_stop_the_sending() {
    let topic = topic(1);
    let args = ["--topic", &topic, "--count", "5000", "--interval", "0ms"];
    let mut command = producer(&args);
    command.stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = child.stderr.take().unwrap();
    std::io::copy(&mut stderr, &mut std::io::sink()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(records(&topic).len(), 5_000);
}

#[test]
fn orders_that_no_broker_takes_count_as_failed() {
    // The broker refuses every record that is larger than the topic allows.
    let topic = topic_with(1, &[("max.message.bytes", "10")]);
    let finished = run(&["--topic", &topic, "--count", "3", "--interval", "0ms", "-o", "json"]);
    finished.expect_code(1);
    let summary = &finished.json_lines()[0];
    assert_eq!(summary["sent"], 3, "{finished:?}");
    assert_eq!(summary["acknowledged"], 0, "{finished:?}");
    assert_eq!(summary["failed"], 3, "{finished:?}");
}
