//! Ends before the story does.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{Running, demo};

/// A story that was cut short would last longer.
const AT_ONCE: Duration = Duration::from_secs(6);

#[test]
fn a_signal_ends_it_at_once_without_an_error() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut running = Running::start(demo(&[]));
        let stdout = running.read_until(", counted ");
        kill(Pid::from_raw(running.id()), signal).unwrap();
        let finished = running.finish();
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{signal}");
        assert!(finished.duration < AT_ONCE, "{signal}: {:?}", finished.duration);
        drop(stdout);
    }
}

#[test]
fn it_ends_when_nobody_reads_it_any_more() {
    let mut running = Running::start(demo(&[]));
    drop(running.read_until(", counted "));
    let finished = running.finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    assert!(finished.duration < AT_ONCE, "{:?}", finished.duration);
}

#[test]
fn a_bad_flag_is_a_usage_error() {
    let finished = Running::start(demo(&["--seed", "many"])).finish();
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("--seed"), "{}", finished.stderr);
}

#[test]
fn help_says_what_it_runs_on() {
    let finished = Running::start(demo(&["--help"])).finish();
    assert_eq!(finished.code, Some(0));
    assert!(finished.stdout.contains("mock") && finished.stdout.contains("at-least-once"));
}
