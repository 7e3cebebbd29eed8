//! Real servers, started by the library and by the program: each in a directory and on ports of its own.

mod servers_answer;
mod kafka_keeps_its_data;
mod one_server;
mod rabbitmq_cluster;
mod owner_is_killed;
mod stack_up_and_down;
mod totals_of_a_test_run;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a test waits for what must happen.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits until `is_done`; fails with `what` when it is not within the limit.
#[track_caller]
fn wait_for(what: &str, mut is_done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_done() {
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A folder for `stack up`; a test that fails leaves no server behind.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let down = ["down", "--dir"];
            let mut stack = Command::new(env!("CARGO_BIN_EXE_stack"));
            let _ended = stack
                .args(down)
                .arg(self.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}
