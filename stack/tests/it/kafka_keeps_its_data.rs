//! Kafka: data over `kill -9`, the caller's settings and listeners, and three brokers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
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

/// Names in the file that tells whose storage a folder is.
fn identity_names(data: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(data.join("meta.properties")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect()
}

#[test]
fn storage_is_formatted_as_kafkas_own_tool_formats_it() {
    let dir = tempfile::tempdir().unwrap();
    // The first start may keep what the tool made, the second takes it.
    for name in ["first", "second"] {
        let kafka = KafkaServer::start(KafkaConfig::in_dir(dir.path().join(name))).unwrap();
        let broker = dir.path().join(name).join("broker-1");
        let (own, by_tool) = (broker.join("data"), broker.join("by-tool"));
        let settings = fs::read_to_string(broker.join("server.properties")).unwrap();
        let lines = settings.lines().filter(|line| !line.starts_with("log.dirs="));
        let settings: String = lines.map(|line| format!("{line}\n")).collect();
        let path = broker.join("by-tool.properties");
        fs::write(&path, settings + &format!("log.dirs={}\n", by_tool.display())).unwrap();
        let config = path.to_string_lossy();
        let args = ["format", "--cluster-id", "AAAAAAAAAAAAAAAAAAAAAA", "--config", &config];
        let run = kafka.tools().run("kafka.tools.StorageTool", &args, TOOL_LIMIT);
        run.unwrap().checked().unwrap();

        let files: BTreeSet<String> = fs::read_dir(&by_tool)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(files, ["bootstrap.checkpoint", "meta.properties"].map(str::to_owned).into());
        assert_eq!(identity_names(&own), identity_names(&by_tool));
        // They differ in their times only.
        let length = |data: &Path| fs::metadata(data.join("bootstrap.checkpoint")).unwrap().len();
        assert_eq!(length(&own), length(&by_tool));
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
