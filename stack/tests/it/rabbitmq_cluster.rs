//! RabbitMQ of three nodes: they form a cluster, and what a quorum queue has taken is there when one of them is gone.

use std::fs;
use std::process::Command;

use stack::{RabbitConfig, RabbitServer, Server, probe};

use crate::one_server::{ended_well, pair, states};
use crate::stack_up_and_down::{processes, run, stderr};
use crate::{Folder, wait_for};

const GUEST: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";
const QUEUE: &str = "/api/queues/%2f/kept";
const MESSAGES: usize = 20;

/// Asks the management interface on `port`.
fn ask(port: u16, method: &str, path: &str, json: &str) -> (u16, String) {
    probe::http(port, method, path, Some(GUEST), json).unwrap_or_default()
}

/// Returns the number of the node that leads the queue, as the node behind `port` says.
fn leader(port: u16) -> Option<usize> {
    let (_, answer) = ask(port, "GET", QUEUE, "");
    let (_, after) = answer.split_once("\"leader\":\"rabbit-")?;
    after.split_once('@')?.0.parse().ok()
}

/// Returns how many messages of the queue the node behind `port` hands out; they go back.
fn messages(port: u16) -> usize {
    let json = r#"{"count":100,"ackmode":"ack_requeue_true","encoding":"auto"}"#;
    let (_, answer) = ask(port, "POST", &format!("{QUEUE}/get"), json);
    answer.matches("\"payload\":").count()
}

/// Publishes a message with a confirm; returns whether it was taken.
fn publish(port: u16) -> bool {
    let json = r#"{"properties":{"delivery_mode":2},"routing_key":"kept","payload":"x","payload_encoding":"string"}"#;
    let (status, answer) = ask(port, "POST", "/api/exchanges/%2f/amq.default/publish", json);
    status == 200 && answer.contains("\"routed\":true")
}

#[test]
fn a_quorum_queue_keeps_its_messages_and_takes_more_when_the_node_that_leads_it_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let config = RabbitConfig { nodes: 3, ..RabbitConfig::in_dir(dir.path()) };
    let mut rabbit = RabbitServer::start(config).unwrap();
    assert_eq!((rabbit.urls().len(), rabbit.address().split(',').count()), (3, 3));
    let ports = rabbit.management_ports().to_vec();
    let declared = r#"{"durable":true,"arguments":{"x-queue-type":"quorum"}}"#;
    let (status, answer) = ask(ports[0], "PUT", QUEUE, declared);
    assert_eq!(status, 201, "{answer}");
    for _ in 0..MESSAGES {
        assert!(publish(ports[1]));
    }
    let (_, answer) = ask(ports[0], "GET", QUEUE, "");
    let names = (1..=3).map(|number| format!("rabbit-{number}@localhost"));
    names.for_each(|name| assert!(answer.contains(&name), "a member on each: {answer}"));
    wait_for("the queue has a leader", || leader(ports[0]).is_some());
    let killed = leader(ports[0]).unwrap();

    rabbit.member_mut(killed).kill_9();
    let other = ports[killed % 3];
    wait_for("another node leads", || leader(other).is_some_and(|now| now != killed));
    wait_for("all messages are there", || messages(other) == MESSAGES);
    wait_for("it takes one more", || publish(other));

    rabbit.member_mut(killed).restart().unwrap();
    wait_for("the node that was killed hands out all", || {
        messages(ports[killed - 1]) == MESSAGES + 1
    });
    rabbit.restart().expect("all of it stops and starts");
    wait_for("nothing is lost over a restart of all", || messages(ports[0]) == MESSAGES + 1);
}

#[test]
fn up_starts_three_nodes_and_mends_the_cluster_on_the_same_ports() {
    let temporary = Folder::new();
    let dir = temporary.path();
    ended_well(dir, &["up", "--only", "rabbitmq", "--rabbitmq-nodes", "3"]);
    let (before, env) = (processes(dir), fs::read_to_string(dir.join("env")).unwrap());
    let names: Vec<&str> = before.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["epmd", "rabbitmq-1", "rabbitmq-2", "rabbitmq-3"]);

    ended_well(dir, &["kill", "rabbitmq-1"]);
    let [_, first, second, third] = &states(dir)[..] else { panic!("{:?}", states(dir)) };
    let expected = ["rabbitmq-2", "rabbitmq-3"].map(|name| pair(name, "answers"));
    assert_eq!(*first, pair("rabbitmq-1", "stopped"));
    assert_eq!([second.clone(), third.clone()], expected);
    // A tool asks a node that runs.
    let status = Command::new(env!("CARGO_BIN_EXE_stack"))
        .args(["run", "--dir"])
        .arg(dir)
        .args(["rabbitmqctl", "cluster_status", "--silent"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    let running = text.split_once("Running Nodes").map_or("", |(_, after)| after);
    let running = running.split_once("Versions").map_or(running, |(before, _)| before);
    assert!(running.contains("rabbit-2@localhost"), "{text}{}", stderr(&status));
    assert!(!running.contains("rabbit-1@localhost"), "{text}");

    ended_well(dir, &["up", "--only", "rabbitmq"]);
    let after = processes(dir);
    assert_eq!((&after[0], &after[2..]), (&before[0], &before[2..]), "the others went on");
    assert_ne!(after[1], before[1]);
    assert!(states(dir).iter().all(|(_, state)| state == "answers"), "{:?}", states(dir));

    // The folder keeps its ports and its number of nodes.
    ended_well(dir, &["down"]);
    let other = run(dir, &["up", "--only", "rabbitmq", "--rabbitmq-nodes", "1"]);
    assert!(stderr(&other).contains("holds a RabbitMQ of 3 node(s)"), "{}", stderr(&other));
    ended_well(dir, &["up", "--only", "rabbitmq"]);
    assert_eq!(fs::read_to_string(dir.join("env")).unwrap(), env);
    ended_well(dir, &["down"]);
}
