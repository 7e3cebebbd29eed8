//! Before the first order: settings, files, topology, and servers that are not there.

use serde_json::{Value, json};
use testkit::Process;

use crate::rig::{Rig, SOON};

/// Runs the program to its end, which should be near, and returns its code and what it says.
fn ends(args: &[&str]) -> (i32, String) {
    let finished = Process::start("rabbit", args, &[]).wait(SOON);
    (finished.code.expect("no signal"), finished.stderr)
}

#[test]
fn the_settings_file_that_is_shipped_has_every_key_and_no_other() {
    testkit::settings_file::shipped("rabbit", |path| {
        service_kit::settings::load("rabbit", Some(path), rabbit::ServiceFlags::default())
            .unwrap_or_else(|error| panic!("{error}"))
    });
}

#[test]
fn wrong_settings_end_with_2_and_name_the_setting() {
    for (args, named) in [
        (&["all", "--prefetch", "0"][..], "--prefetch"),
        (&["all", "--simulate-failures", "1.5"], "--simulate-failures"),
        (&["all", "--rabbitmq-url", "localhost"], "--rabbitmq-url"),
        (&["dlq", "list", "--prefix", "a b"], "--prefix"),
        (&[], "Usage"),
    ] {
        let (code, stderr) = ends(args);
        assert_eq!(code, 2, "{args:?}: {stderr}");
        assert!(stderr.contains(named), "{args:?}: {stderr}");
    }
}

#[test]
fn the_topology_is_printed_without_a_broker_and_is_what_the_broker_has() {
    let rig = Rig::start(&["--retry-delay", "1s,5s"]);
    let nowhere = ["--rabbitmq-url", "amqp://127.0.0.1:9"];
    let args = ["topology", "--prefix", &rig.prefix, "--retry-delay", "1s,5s"];
    let table = Process::start("rabbit", &[&args[..], &nowhere].concat(), &[]).wait(SOON).stdout;
    let json = rig.command(&["topology", "-o", "json"]).stats();
    let queues = json["queues"].as_array().expect("a list");
    assert_eq!(queues.len(), 2 * 4 + 2 + 1);
    for queue in queues {
        let name = queue["name"].as_str().expect("a name");
        assert!(table.contains(name), "{name}");
        let found = rig.managed(&format!("queues/%2F/{name}"));
        let kind = &queue["arguments"]["x-queue-type"];
        assert_eq!((&found["type"], &found["durable"]), (kind, &json!(true)), "{name}");
        assert_eq!(found["arguments"], queue["arguments"], "{name}");
        let bindings = rig.managed(&format!("queues/%2F/{name}/bindings"));
        let bound: Vec<&Value> = bindings
            .as_array()
            .expect("a list")
            .iter()
            .filter(|binding| binding["source"] == json!(rig.prefix))
            .map(|binding| &binding["routing_key"])
            .collect();
        let planned = queue["routing_keys"].as_array().expect("a list");
        assert_eq!(bound.len(), planned.len(), "{name}: {bound:?}");
        assert!(planned.iter().all(|key| bound.contains(&key)), "{name}: {bound:?}");
    }
    for name in json["owner_queues"].as_array().expect("a list") {
        let name = name.as_str().expect("a name");
        assert!(table.contains(name), "{name}");
        let found = rig.managed(&format!("queues/%2F/{name}"));
        assert!(found["arguments"]["x-dead-letter-routing-key"].is_string(), "{found}");
    }
}

#[test]
fn a_look_at_dead_letters_makes_no_queues() {
    let rig = Rig::start(&[]);
    let nobody = format!("{}-nobody", rig.prefix);
    let (code, stderr) = ends(&["dlq", "list", "--prefix", &nobody, "--rabbitmq-url", &rig.url]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(&format!("{nobody}.inventory.dlq")), "{stderr}");
    assert!(stderr.contains("--prefix"), "{stderr}");
    let (code, again) = ends(&["dlq", "list", "--prefix", &nobody, "--rabbitmq-url", &rig.url]);
    assert_eq!((code, again), (1, stderr), "they are still not there");
}
