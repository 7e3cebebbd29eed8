//! Stores with TLS and a login, and stores that refuse to write: an outage, and never the fault of a report.

use std::fs;
use std::path::Path;

use stack::RedisServer;
use stack::Server as _;
use tempfile::TempDir;
use testkit::cluster::Cluster;
use testkit::security::{Authority, Validity};
use testkit::{Process, wait};

use crate::rig::{Rig, SOON, Stores, Totals, post};

const PASSWORD: &str = "s3cret-of-the-test";

/// Arguments of a store with TLS that lets nobody do anything but its one user.
fn guarded(tls_port: &str, authority: &Authority) -> Vec<String> {
    let identity = authority.issue("store", &["localhost"], Validity::Good);
    let path = |path: &Path| path.to_str().expect("paths of tests are UTF-8").to_owned();
    let (certificate, key) = (path(&identity.certificate), path(&identity.key));
    let password = format!(">{PASSWORD}");
    let all = [
        "--tls-port",
        tls_port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        authority.location(),
        "--tls-auth-clients",
        "no",
        "--user",
        "weather",
        "on",
        &password,
        "~*",
        "+@all",
        "--user",
        "default",
        "on",
        "nopass",
        "-@all",
        "+ping",
    ];
    all.iter().map(|arg| (*arg).to_owned()).collect()
}

struct Guarded {
    redis: RedisServer,
    url: String,
    authority: Authority,
    dir: TempDir,
}

impl Guarded {
    fn start() -> Self {
        let dir = TempDir::with_prefix("weather-tls-").expect("a directory");
        let authority = Authority::new(dir.path(), "authority");
        let port = stack::ports::free().expect("a free port").to_string();
        let config = stack::RedisConfig::in_dir(dir.path().join("redis"));
        let args = guarded(&port, &authority);
        let redis = RedisServer::start(stack::RedisConfig { args, ..config }).expect("a store");
        Self { redis, url: format!("rediss://weather@localhost:{port}"), authority, dir }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("a file");
        path.to_str().expect("paths of tests are UTF-8").to_owned()
    }
}

#[test]
fn a_store_is_entered_over_tls_with_a_password_and_no_other_way() {
    let (store, stores) = (Guarded::start(), Stores::start(&[]));
    let mut rig = Rig::new(Cluster::shared().names(1), &stores);
    rig.redis_url = store.url.clone();
    let right = store.file("password", PASSWORD);
    let wrong = store.file("wrong", "not-the-s3cret");
    let stranger = Authority::new(store.dir.path(), "stranger");
    let ca = store.authority.location();
    for (password, authority, why) in
        [(&wrong, ca, "authentication failed"), (&right, stranger.location(), "TLS")]
    {
        let args = ["--redis-password-file", password.as_str(), "--redis-ca", authority];
        let finished = rig.start("kafka-consumer", &args).wait(SOON);
        finished.expect_code(1);
        let told = finished.stderr;
        assert!(told.contains("Redis at localhost:") && told.contains(why), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
    let mut all = rig.start_all(&["--redis-password-file", &right, "--redis-ca", ca]);
    let api = all.address_of("api");
    wait::is_true("the report is taken", SOON, || {
        post(&api, "k1", "GT", "rainy").is_some_and(|answer| answer.status == 202)
    });
    let mut expected = Totals::default();
    expected.count("GT", "rainy");
    let (_, place) =
        store.redis.url().split_once("://").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let plain = format!("redis://weather:{PASSWORD}@{place}");
    for url in [&plain, &rig.valkey_url] {
        wait::is_true("the count", SOON, || Totals::of(url).as_ref() == Some(&expected));
    }
    let finished = all.stop();
    finished.expect_code(0);
    assert!(!finished.stderr.contains(PASSWORD));
}

pub(crate) fn command(url: &str, words: &[&str]) {
    let mut store = redis::Client::open(url).unwrap().get_connection().expect("a connection");
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.exec(&mut store).unwrap_or_else(|error| panic!("{words:?}: {error}"));
}

pub(crate) fn unavailable_writes(all: &mut Process, store: &str) -> f64 {
    let sample = format!("weather_writes_total{{store=\"{store}\",result=\"unavailable\"}}");
    all.metric(&sample).unwrap_or_else(|| panic!("no sample {sample}"))
}

#[test]
fn a_store_that_refuses_or_says_nothing_is_an_outage_and_no_report_becomes_a_dead_letter() {
    let stores = Stores::start(&[]);
    let rig = Rig::new(Cluster::shared().names(1), &stores);
    let mut all = rig.start_all(&["--max-retries", "0"]);
    let api = all.address_of("api");
    let urls = [&rig.redis_url, &rig.valkey_url];
    let mut expected = Totals::default();
    let troubles: [(&str, &[&str], &[&str]); 3] = [
        ("OOM", &["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
        ("READONLY", &["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
        ("silence", &[], &[]),
    ];
    for (name, begins, ends) in troubles {
        let both = [stores.redis.nodes(), stores.valkey.nodes()];
        for (url, nodes) in urls.into_iter().zip(both) {
            if begins.is_empty() { nodes[0].pause() } else { command(url, begins) }
        }
        let before = ["redis", "valkey"].map(|store| unavailable_writes(&mut all, store));
        wait::is_true("the report is taken", SOON, || {
            post(&api, name, "GT", "rainy").is_some_and(|answer| answer.status == 202)
        });
        for (store, before) in ["redis", "valkey"].into_iter().zip(before) {
            wait::is_true(name, SOON, || unavailable_writes(&mut all, store) > before);
        }
        for (url, nodes) in urls.into_iter().zip(both) {
            if ends.is_empty() { nodes[0].resume() } else { command(url, ends) }
        }
        expected.count("GT", "rainy");
        for url in urls {
            wait::is_true(name, SOON, || Totals::of(url).as_ref() == Some(&expected));
        }
    }
    assert_eq!((rig.dead_records(), rig.dead_messages()), (0, 0));
    for store in ["redis", "valkey"] {
        let sample = format!("weather_country_reports{{store=\"{store}\",country=\"GT\"}}");
        wait::is_true("both stores show as many reports of the country", SOON, || {
            all.metric(&sample) == Some(troubles.len() as f64)
        });
    }
    all.stop().expect_code(0);
}
