//! Kafka: data over `kill -9`, the caller's settings and listeners, and three brokers.

use std::time::{Duration, Instant};

use stack::process::ProcessId;
use stack::{KafkaConfig, KafkaServer, Listener, Probe, Server};

const TOOL_LIMIT: Duration = Duration::from_secs(60);
const ANSWER_MAX: Duration = Duration::from_secs(30);

fn topics(kafka: &KafkaServer, args: &[&str]) -> String {
    let servers = kafka.bootstrap_servers();
    let args = [&["--bootstrap-server", servers.as_str()], args].concat();
    let output = kafka.tools().run("org.apache.kafka.tools.TopicCommand", &args, TOOL_LIMIT);
    output.unwrap().checked().unwrap().text()
}

/// Asks until there is an answer: each question has a limit that a busy machine may need more than once.
fn wait_for_answer(probe: &Probe) {
    let give_up_at = Instant::now() + ANSWER_MAX;
    while let Err(error) = probe.ask() {
        assert!(Instant::now() < give_up_at, "no answer within {ANSWER_MAX:?}: {error}");
    }
}

#[test]
fn a_topic_survives_kill_9_and_the_callers_settings_hold() {
    let dir = tempfile::tempdir().unwrap();
    let listener =
        Listener { name: "SECOND".into(), protocol: "PLAINTEXT".into(), advertised: Vec::new() };
    let properties = vec!["num.partitions=7".to_owned()];
    let config =
        KafkaConfig { properties, listeners: vec![listener], ..KafkaConfig::in_dir(dir.path()) };
    let mut kafka = KafkaServer::start(config).unwrap();

    let second = kafka.listener_address("SECOND").unwrap();
    let port = second.rsplit(':').next().unwrap().parse().unwrap();
    // It advertises itself.
    wait_for_answer(&Probe::Kafka { port, brokers: 1 });
    assert_eq!(kafka.listener_address("THIRD"), None);

    topics(&kafka, &["--create", "--topic", "kept"]);
    let address = kafka.address();
    kafka.kill_9();
    kafka.restart().unwrap();
    assert_eq!(kafka.address(), address);
    let described = topics(&kafka, &["--describe", "--topic", "kept"]);
    assert!(described.contains("PartitionCount: 7"), "{described}");

    let plain = Probe::Kafka { port: kafka.nodes()[0].port(), brokers: 1 };
    kafka.pause();
    plain.ask().expect_err("a paused broker is silent");
    kafka.resume();
    wait_for_answer(&plain);
}

#[test]
fn three_brokers_know_each_other_and_one_can_die_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut kafka =
        KafkaServer::start(KafkaConfig { brokers: 3, ..KafkaConfig::in_dir(dir.path()) }).unwrap();
    assert_eq!(kafka.bootstrap_servers().split(',').count(), 3);
    for broker in kafka.brokers() {
        Probe::Kafka { port: broker.port(), brokers: 3 }.ask().unwrap();
    }
    kafka.broker_mut(2).kill_9();
    Probe::Kafka { port: kafka.brokers()[0].port(), brokers: 1 }.ask().expect("the others go on");
    kafka.broker_mut(2).restart().unwrap();
    Probe::Kafka { port: kafka.brokers()[1].port(), brokers: 3 }
        .ask()
        .expect("it knows the others again");

    let processes: Vec<ProcessId> = kafka.nodes().iter().filter_map(stack::Node::process).collect();
    assert_eq!(processes.len(), 3);
    drop(kafka);
    assert!(processes.iter().all(|process| !process.is_alive()));

    let error = KafkaServer::start(KafkaConfig::in_dir(dir.path())).unwrap_err().to_string();
    assert!(
        error.contains("holds a Kafka cluster of 3 broker(s), not 1 broker(s) as requested"),
        "{error}"
    );
}
