//! What is not there, and what is wrong, is said within 5 s, with what to do next.

use std::net::TcpListener;
use std::time::Duration;

use crate::harness::{Finished, brokers, run, topic};

const ANSWER_LIMIT: Duration = Duration::from_secs(5);

#[track_caller]
fn check(finished: &Finished, code: i32, texts: &[&str]) {
    finished.expect_code(code);
    assert!(finished.duration < ANSWER_LIMIT, "{finished:?}");
    for text in texts {
        assert!(finished.stderr.contains(text), "'{text}' is missing: {finished:#?}");
    }
    assert_eq!(finished.stdout, "");
}

#[test]
fn a_missing_broker_is_named() {
    let finished = run(&["-b", "127.0.0.1:1"]);
    check(&finished, 1, &["127.0.0.1:1", "refused", "hint: ", "--bootstrap-server"]);
}

#[test]
fn a_broker_that_accepts_and_says_nothing_is_missing_too() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let finished = run(&["--brokers", &address]);
    check(&finished, 1, &[&address, "hint: "]);
}

#[test]
fn a_missing_registry_is_named() {
    let topic = topic(1);
    let finished = run(&["--topic", &topic, "--schema-registry-url", "http://127.0.0.1:1"]);
    check(&finished, 1, &["127.0.0.1:1", "hint: ", "--schema-registry-url"]);
}

#[test]
fn a_registry_that_accepts_and_says_nothing_is_missing_too() {
    let topic = topic(1);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let finished = run(&["--topic", &topic, "--schema-registry-url", &url]);
    check(&finished, 1, &[&url, "hint: "]);
}

#[test]
fn a_missing_topic_is_named_with_the_command_that_creates_it() {
    let finished = run(&["--topic", "no-such-topic"]);
    let texts = ["topic 'no-such-topic' does not exist", "--create-topics", "kafka-topics.sh"];
    check(&finished, 1, &texts);
    assert!(finished.stderr.contains(&brokers()));
}

#[test]
fn an_unregistered_schema_is_an_error_when_it_may_not_be_registered() {
    let topic = topic(1);
    let finished = run(&["--topic", &topic, "--no-register"]);
    check(&finished, 1, &[&format!("{topic}-value"), "--no-register"]);
    run(&["--topic", &topic, "--count", "1", "-q"]).expect_code(0);
    run(&["--topic", &topic, "--count", "1", "-q", "--no-register"]).expect_code(0);
}

#[test]
fn wrong_settings_end_with_code_two() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("producer.toml");
    std::fs::write(&config, "topik = \"orders\"\n").unwrap();
    let config = config.to_str().unwrap();
    check(&run(&["--no-such-flag"]), 2, &["--no-such-flag"]);
    check(&run(&["--count", "many"]), 2, &["many"]);
    check(&run(&["--interval", "5"]), 2, &["5ms"]);
    check(&run(&["-X", "enable.idempotence=false"]), 2, &["enable.idempotence"]);
    check(&run(&["-X", "linger.ms=soon"]), 2, &["linger.ms"]);
    let unknown_key = run(&["--config", config]);
    check(&unknown_key, 2, &[config, "'topik'", "did you mean 'topic'?"]);
    check(&run(&["--config", "/nonexistent.toml"]), 2, &["/nonexistent.toml"]);
}
