//! The first start of every program on servers that nobody has used yet: all is well, and no line
//! says otherwise.

use std::time::Duration;

use tempfile::TempDir;
use testkit::{Cluster, Finished, Process, machine, wait};

/// Longest start of a program on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);

/// What only somebody understands who knows the client libraries, or what frightens.
const FOREIGN: [&str; 10] = [
    " WARN ",
    " ERROR ",
    "rdkafka",
    "lapin",
    "AllBrokersDown",
    "broker version",
    "Failed to acquire",
    "in-flight",
    "Disconnected",
    "io_loop",
];

#[track_caller]
fn is_calm(name: &str, finished: &Finished) {
    finished.expect_code(0);
    for words in FOREIGN {
        assert!(!finished.stderr.contains(words), "{name}: {words:?} in:\n{}", finished.stderr);
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: start the servers first"))
}

#[test]
fn a_good_first_start_on_fresh_servers_frightens_nobody() {
    let _guard = machine::shared();
    let cluster = Cluster::own_kafka(&[]);
    let dir = TempDir::with_prefix("testkit-first-").expect("a directory");
    let names = cluster.names(3);
    let folder = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let stored = ["streaming", "sync-rest", "rabbit"].map(folder);
    let servers = cluster.servers();
    let kafka = ["-b", &servers.bootstrap_servers, "--schema-registry-url", &servers.registry_url];

    let mut consumer = Process::consumer(&names, &["--create-topics", "--create-partitions", "3"]);
    let listen = ["--listen", "127.0.0.1:0"];
    let streaming = [&["order", "--create-topics", "--data-dir", &stored[0]][..], &listen, &kafka];
    let mut streaming = Process::start("streaming", &streaming.concat(), &[]);
    let inventory = [&["inventory", "--create-topics"][..], &listen, &kafka];
    let mut inventory = Process::start("streaming", &inventory.concat(), &[]);
    let url = variable("RABBITMQ_URL");
    let rabbit = ["inventory", "--rabbitmq-url", &url, "--prefix", &names.prefix];
    let rabbit_data = ["--data-dir", &stored[2], kafka[2], kafka[3]];
    let rabbit = [&rabbit[..], &listen, &rabbit_data].concat();
    let mut rabbit = Process::start("rabbit", &rabbit, &[]);
    let sync_rest = [&["inventory", "--data-dir", &stored[1]][..], &listen].concat();
    let mut sync_rest = Process::start("sync-rest", &sync_rest, &[]);

    consumer.wait_ready(START_MAX);
    let flags = ["--count", "20", "--rate", "100/s"];
    is_calm("producer", &Process::producer(&names, &flags).wait(START_MAX));
    wait::is_true("orders being settled", START_MAX, || names.lag() == 0);
    for (service, process) in [
        ("order", &mut streaming),
        ("inventory", &mut inventory),
        ("inventory", &mut rabbit),
        ("inventory", &mut sync_rest),
    ] {
        let address = process.address_of(service);
        let is_ready = || testkit::http::get(&address, "/readyz").is_ok_and(|a| a.status == 200);
        wait::is_true("being ready", START_MAX, is_ready);
    }
    let audit = Process::start("orders", &names.audit_args(false), &[]);
    is_calm("orders", &audit.wait(START_MAX));
    for (name, process) in [
        ("consumer", consumer),
        ("streaming order", streaming),
        ("streaming inventory", inventory),
        ("rabbit", rabbit),
        ("sync-rest", sync_rest),
    ] {
        is_calm(name, &process.stop());
    }
}
