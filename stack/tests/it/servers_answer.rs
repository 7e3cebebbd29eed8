//! What holds for every server: it answers when `start` returns, and does what the signals say.

use std::net::TcpListener;

use stack::process::ProcessId;
use stack::{
    Probe, PrometheusConfig, PrometheusServer, RabbitConfig, RabbitServer, RedisConfig,
    RedisServer, RegistryConfig, RegistryServer, Server, probe,
};

/// Takes `server` through pause, kill -9, restart and stop; `probe` is its question.
#[track_caller]
fn check(mut server: impl Server, probe: &Probe) {
    probe.ask().expect("it answers when started");
    let first = ProcessId::of(server.pid().unwrap()).unwrap();

    server.pause();
    probe.ask().expect_err("a paused server is silent");
    assert!(first.is_alive(), "a paused server still runs");
    server.resume();
    probe.ask().expect("it answers again");

    server.kill_9();
    assert!(!first.is_alive());
    probe.ask().expect_err("a killed server is away");
    let address = server.address();
    server.restart().expect("it starts again");
    assert_eq!(server.address(), address, "a restart keeps the ports");
    probe.ask().expect("it answers after the restart");

    let processes: Vec<ProcessId> =
        server.nodes().iter().filter_map(stack::Node::process).collect();
    assert_eq!(processes.len(), server.nodes().len());
    server.stop();
    assert!(processes.iter().all(|process| !process.is_alive()), "nothing is left after stop");
}

#[test]
fn redis_and_valkey_or_its_stand_in_answer() {
    let dir = tempfile::tempdir().unwrap();
    for config in [RedisConfig::in_dir(dir.path()), RedisConfig::valkey_in_dir(dir.path())] {
        let server = RedisServer::start(config).unwrap();
        assert_eq!(server.url(), format!("redis://{}", server.address()));
        let port = server.nodes()[0].port();
        check(server, &Probe::Redis { port });
    }
}

#[test]
fn prometheus_answers() {
    let dir = tempfile::tempdir().unwrap();
    let server = PrometheusServer::start(PrometheusConfig::in_dir(dir.path())).unwrap();
    let port = server.nodes()[0].port();
    check(server, &Probe::Http { port, path: "/-/ready".into(), authorization: None });
}

#[test]
fn rabbitmq_answers_and_brings_its_own_epmd() {
    let dir = tempfile::tempdir().unwrap();
    let server = RabbitServer::start(RabbitConfig::in_dir(dir.path())).unwrap();
    let names: Vec<&str> = server.nodes().iter().map(stack::Node::name).collect();
    assert_eq!(names, ["epmd", "rabbitmq"]);
    let (port, management) = (server.main_node().port(), server.management_url());
    let management_port = management.rsplit(':').next().unwrap().parse().unwrap();
    check(server, &Probe::Rabbit { port, management_port, nodes: 1 });
}

#[test]
fn the_registry_answers_and_keeps_its_schemas_and_their_compatibility_over_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = RegistryServer::start(RegistryConfig::in_dir(dir.path())).unwrap();
    assert_eq!(server.url(), format!("http://{}/apis/ccompat/v7", server.address()));
    // Until the rule is set, this question is answered by 404.
    let port = server.nodes()[0].port();
    let rule = Probe::Http { port, path: "/apis/ccompat/v7/config".into(), authorization: None };
    rule.ask().unwrap();
    let versions = "/apis/ccompat/v7/subjects/kept/versions";
    let schema = r#"{"schema":"\"string\""}"#;
    let (status, _) = probe::http(port, "POST", versions, None, schema).unwrap();
    assert_eq!(status, 200);
    server.kill_9();
    server.restart().unwrap();
    rule.ask().unwrap();
    let kept = Probe::Http { port, path: format!("{versions}/1"), authorization: None };
    kept.ask().unwrap();
    server.pause();
    rule.ask().unwrap_err();
    server.resume();
    rule.ask().unwrap();
}

#[test]
fn a_port_that_a_stranger_took_during_a_kill_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = RedisServer::start(RedisConfig::in_dir(dir.path())).unwrap();
    server.kill_9();
    let _stranger = TcpListener::bind(server.address()).unwrap();
    let error = server.restart().unwrap_err().to_string();
    assert!(error.contains(&format!("redis cannot use {}", server.address())), "{error}");
}

#[test]
fn a_server_that_ends_at_once_is_an_error_with_the_end_of_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let args = vec!["--no-such-setting".to_owned(), "x".to_owned()];
    let error =
        RedisServer::start(RedisConfig { args, ..RedisConfig::in_dir(dir.path()) }).unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("redis ended (exit status: 1) instead of answering on 127.0.0.1:"),
        "{error}"
    );
    assert!(error.contains("no-such-setting"), "{error}");
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let starter =
        std::thread::spawn(move || RedisServer::start(RedisConfig::in_dir(path)).unwrap());
    let server = starter.join().unwrap();
    // By the time the pause has been undone, a death signal tied to that thread would have struck.
    server.pause();
    server.resume();
    Probe::Redis { port: server.nodes()[0].port() }.ask().unwrap();
    assert!(server.nodes()[0].is_running());
}
