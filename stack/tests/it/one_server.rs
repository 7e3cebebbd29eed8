//! One server, or one process of it, by name: it ends and comes back, on its port and with its data, beside the others.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::Folder;
use crate::stack_up_and_down::{processes, rows, run, stderr};

pub(crate) fn ended_well(dir: &Path, args: &[&str]) -> String {
    let output = run(dir, args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    stderr(&output)
}

pub(crate) fn states(dir: &Path) -> Vec<(String, String)> {
    rows(&run(dir, &["status", "-o", "json"]))
}

pub(crate) fn pair(name: &str, state: &str) -> (String, String) {
    (name.to_owned(), state.to_owned())
}

/// What a tool of the stack prints.
fn told(dir: &Path, tool: &[&str]) -> String {
    let output = run_tool(dir, tool);
    assert!(output.status.success(), "{tool:?}: {}", stderr(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn run_tool(dir: &Path, tool: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stack"));
    command.args(["run", "--dir"]).arg(dir).args(tool).output().unwrap()
}

#[test]
fn a_server_is_stopped_killed_and_started_by_name_and_keeps_its_port_and_its_data() {
    let temporary = Folder::new();
    let dir = temporary.path();
    ended_well(dir, &["up", "--only", "redis"]);
    let (before, env) = (processes(dir), fs::read_to_string(dir.join("env")).unwrap());
    for client in ["redis-cli", "valkey-cli"] {
        assert_eq!(told(dir, &[client, "incrby", "kept", "7"]), "7");
    }

    ended_well(dir, &["stop", "redis"]);
    assert_eq!(states(dir), [pair("redis", "stopped"), pair("valkey", "answers")]);
    assert!(ended_well(dir, &["stop", "redis"]).contains("does not run"), "stop may be repeated");
    ended_well(dir, &["start", "redis"]);
    ended_well(dir, &["kill", "valkey"]);
    assert_eq!(states(dir), [pair("redis", "answers"), pair("valkey", "stopped")]);
    let redis = processes(dir)[0].clone();
    ended_well(dir, &["start", "valkey"]);
    assert_eq!(states(dir), [pair("redis", "answers"), pair("valkey", "answers")]);
    assert_eq!(processes(dir)[0], redis, "the other one was not touched");
    assert!(before.iter().all(|(_, process)| !process.is_alive()));
    assert_eq!(fs::read_to_string(dir.join("env")).unwrap(), env, "the ports are the same");
    for client in ["redis-cli", "valkey-cli"] {
        assert_eq!(told(dir, &[client, "get", "kept"]), "7", "{client}");
    }

    let unknown = run(dir, &["stop", "redis", "kafka-7"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        stderr(&unknown).contains("nothing is called kafka-7 in")
            && stderr(&unknown).contains("there are: redis, valkey"),
        "{}",
        stderr(&unknown)
    );
    assert_eq!(states(dir)[0].1, "answers", "a call with an unknown name does nothing");

    // A folder's servers have their ports also after `down`.
    ended_well(dir, &["down"]);
    ended_well(dir, &["up", "--only", "redis"]);
    assert_eq!(fs::read_to_string(dir.join("env")).unwrap(), env);
    ended_well(dir, &["down"]);
}

#[test]
fn up_mends_a_server_of_which_one_process_died_and_its_tools_run_by_name() {
    let temporary = Folder::new();
    let dir = temporary.path();
    ended_well(dir, &["up", "--only", "rabbitmq"]);
    let before = processes(dir);
    ended_well(dir, &["kill", "epmd"]);
    assert_eq!(states(dir), [pair("epmd", "stopped"), pair("rabbitmq", "answers")]);
    ended_well(dir, &["up", "--only", "rabbitmq"]);
    let after = processes(dir);
    assert_eq!(states(dir), [pair("epmd", "answers"), pair("rabbitmq", "answers")]);
    assert_eq!(after[1], before[1], "what ran was left alone");

    assert!(told(dir, &["rabbitmqctl", "list_vhosts", "--silent"]).contains('/'));
    ended_well(dir, &["down"]);
}

#[test]
fn up_mends_a_cluster_of_which_a_broker_was_killed_on_the_same_ports() {
    let temporary = Folder::new();
    let dir = temporary.path();
    ended_well(dir, &["up", "--only", "kafka", "--kafka-brokers", "3"]);
    let (before, env) = (processes(dir), fs::read_to_string(dir.join("env")).unwrap());
    let call = format!(
        ". {}/env; kafka-topics --bootstrap-server $KAFKA_BOOTSTRAP_SERVERS --create --topic kept",
        dir.display()
    );
    let made = Command::new("/bin/sh").args(["-c", &call]).output().unwrap();
    assert!(made.status.success(), "a shell with the env finds Kafka's tools: {}", stderr(&made));

    ended_well(dir, &["kill", "kafka-2"]);
    ended_well(dir, &["up", "--only", "kafka"]);
    let after = processes(dir);
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]), "the others went on");
    assert_ne!(after[1], before[1]);
    assert_eq!(fs::read_to_string(dir.join("env")).unwrap(), env);
    assert_eq!(told(dir, &["kafka-topics", "--list"]), "kept");
    ended_well(dir, &["kill", "kafka"]);
    ended_well(dir, &["down"]);
}
