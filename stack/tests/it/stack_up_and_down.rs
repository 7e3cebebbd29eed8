//! The program: `up`, `status`, `env`, `logs`, `down`, and what is left when something goes wrong.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;
use stack::process::ProcessId;

use crate::{Folder, wait_for};

fn stack(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stack"));
    command.args(args).arg("--dir").arg(dir).stdin(Stdio::null());
    command
}

pub(crate) fn run(dir: &Path, args: &[&str]) -> Output {
    stack(dir, args).output().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Returns the processes in `DIR/pids` with their names.
pub(crate) fn processes(dir: &Path) -> Vec<(String, ProcessId)> {
    let text = fs::read_to_string(dir.join("pids")).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (name, pid) = line.split_once(' ')?;
            Some((name.to_owned(), ProcessId::of(pid.parse().ok()?)?))
        })
        .collect()
}

pub(crate) fn rows(output: &Output) -> Vec<(String, String)> {
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(row, "name"), text(row, "state"))).collect()
}

#[test]
fn up_leaves_servers_that_answer_and_down_leaves_nothing() {
    let temporary = Folder::new();
    let dir = temporary.path();
    let up = run(dir, &["up", "--only", "redis,rabbitmq"]);
    assert_eq!(up.status.code(), Some(0), "{}", stderr(&up));
    let started = processes(dir);
    let names: Vec<&str> = started.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["epmd", "rabbitmq", "redis", "valkey"]);

    let status = run(dir, &["status", "-o", "json"]);
    assert_eq!(status.status.code(), Some(0));
    assert!(rows(&status).iter().all(|(_, state)| state == "answers"));
    let env = String::from_utf8(run(dir, &["env"]).stdout).unwrap();
    assert_eq!(env, fs::read_to_string(dir.join("env")).unwrap());
    let variables: Vec<&str> =
        env.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let expected = ["RABBITMQ_URL", "RABBITMQ_MANAGEMENT_URL", "REDIS_URL", "VALKEY_URL"];
    assert_eq!(variables, expected.map(|name| format!("export {name}")));
    let log = run(dir, &["logs", "redis"]);
    assert!(String::from_utf8_lossy(&log.stdout).contains("Ready to accept connections"));

    let again = run(dir, &["up", "--only", "redis,prometheus"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert!(
        stderr(&again).contains("redis        already running on 127.0.0.1:"),
        "{}",
        stderr(&again)
    );
    let all = processes(dir);
    assert_eq!(all.len(), 5, "prometheus was added: {all:?}");

    let down = run(dir, &["down"]);
    assert_eq!(down.status.code(), Some(0), "{}", stderr(&down));
    assert!(!stderr(&down).contains("killed"), "all hear TERM: {}", stderr(&down));
    assert!(all.iter().all(|(_, process)| !process.is_alive()));
    assert!(!dir.join("env").exists() && !dir.join("pids").exists());
    assert_eq!(run(dir, &["down"]).status.code(), Some(0), "down may be repeated");
}

#[test]
fn status_tells_a_silent_server_from_one_that_is_gone_and_up_replaces_the_latter() {
    let temporary = Folder::new();
    let dir = temporary.path();
    assert_eq!(run(dir, &["up", "--only", "redis"]).status.code(), Some(0));
    let [(_, redis), (_, valkey)] = processes(dir).try_into().unwrap();

    redis.signal(Signal::SIGSTOP);
    valkey.signal(Signal::SIGKILL);
    wait_for("valkey is gone", || !valkey.is_alive());
    let status = run(dir, &["status", "-o", "json"]);
    assert_eq!(status.status.code(), Some(1));
    assert_eq!(
        rows(&status),
        [("redis".into(), "silent".into()), ("valkey".into(), "gone".into())]
    );
    let refused = run(dir, &["up", "--only", "redis"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains(
            "does not answer (no answer within 2 s); if it is not just starting or paused, run: "
        ),
        "{}",
        stderr(&refused)
    );

    redis.signal(Signal::SIGCONT);
    assert_eq!(run(dir, &["up", "--only", "redis"]).status.code(), Some(0));
    let replaced = processes(dir);
    assert_eq!(replaced[0].1, redis);
    assert_ne!(replaced[1].1, valkey);
    // A paused server is stopped all the same.
    redis.signal(Signal::SIGSTOP);
    assert_eq!(run(dir, &["down"]).status.code(), Some(0));
    assert!(replaced.iter().all(|(_, process)| !process.is_alive()));
}

#[test]
fn an_up_that_fails_half_way_stops_what_it_started() {
    let temporary = Folder::new();
    let dir = temporary.path();
    fs::write(dir.join("prometheus"), "a file where a folder must be").unwrap();
    let up = run(dir, &["up", "--only", "redis,prometheus"]);
    assert_eq!(up.status.code(), Some(1));
    assert!(stderr(&up).contains("redis        ready on"), "{}", stderr(&up));
    assert!(
        stderr(&up).contains("stack: error: cannot start prometheus: cannot create "),
        "{}",
        stderr(&up)
    );
    let log = fs::read_to_string(dir.join("redis/redis.log")).unwrap();
    assert!(log.contains("User requested shutdown"), "redis was stopped: {log}");
    assert!(!dir.join("pids").exists());
}

#[test]
fn an_up_that_is_interrupted_stops_what_it_started() {
    let temporary = Folder::new();
    let dir = temporary.path();
    let up = stack(dir, &["up", "--only", "rabbitmq"]).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("both processes are written down", || processes(dir).len() == 2);
    let started = processes(dir);
    ProcessId::of(up.id()).unwrap().signal(Signal::SIGTERM);
    let output = up.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("stopping what was started"), "{}", stderr(&output));
    assert!(started.iter().all(|(_, process)| !process.is_alive()));
    assert!(!dir.join("pids").exists());
}

#[test]
fn a_missing_program_is_named_with_the_command_that_installs_it() {
    let programs = stack::Programs::in_folders("/nonexistent".as_ref());
    let needed = [stack::Program::RedisServer, stack::Program::Prometheus, stack::Program::Java];
    assert_eq!(
        programs.require(&needed).unwrap_err().to_string(),
        "not installed: redis-server, prometheus, java; install with: \
         apt-get install -y --no-install-recommends default-jre-headless prometheus redis-server"
    );
}

#[test]
fn wrong_usage_is_exit_code_2_and_no_stack_is_exit_code_1() {
    let temporary = Folder::new();
    let dir = temporary.path();
    assert_eq!(run(dir, &["up", "--only", "zookeeper"]).status.code(), Some(2));
    assert_eq!(run(dir, &["up", "--kafka-brokers", "2"]).status.code(), Some(2));
    let env = run(dir, &["env"]);
    assert_eq!(env.status.code(), Some(1));
    assert!(stderr(&env).contains("no stack runs in"), "{}", stderr(&env));
    assert_eq!(run(dir, &["logs", "kafka"]).status.code(), Some(1));
}
