//! An owned server does not outlive its owner, not even when no destructor runs.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use stack::process::ProcessId;
use stack::{RedisConfig, RedisServer, Server};

use crate::wait_for;

/// Set for the process that plays the owner: the directory of its server.
const OWNERS_DIR: &str = "STACK_TEST_OWNERS_DIR";

#[test]
fn a_server_dies_with_its_owner_even_by_kill_9_and_even_when_paused() {
    if let Some(dir) = env::var_os(OWNERS_DIR) {
        own_a_server_until_killed(dir.as_ref());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let this_test =
        "owner_is_killed::a_server_dies_with_its_owner_even_by_kill_9_and_even_when_paused";
    let mut owner = Command::new(env::current_exe().unwrap())
        .args(["--exact", this_test, "--nocapture"])
        .env(OWNERS_DIR, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pid = lines
        .find_map(|line| line.split_once("owned server: ")?.1.parse().ok())
        .expect("the owner tells its pid");
    let server = ProcessId::of(pid).expect("the server runs");

    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_for("the server is gone", || !server.is_alive());
}

/// Starts and pauses a server, tells its pid, and waits.
fn own_a_server_until_killed(dir: &std::path::Path) {
    let server = RedisServer::start(RedisConfig::in_dir(dir)).unwrap();
    server.pause();
    println!("owned server: {}", server.pid().unwrap());
    // The other role never closes the pipe; if it dies itself, this returns and the server is dropped.
    let _closed = std::io::stdin().read_to_end(&mut Vec::new());
}
