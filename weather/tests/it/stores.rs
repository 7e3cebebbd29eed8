//! Stores with TLS and a login, and stores that refuse to write: an outage, and never the fault of a report.

use std::fs;
use std::path::Path;

use stack::{RedisConfig, RedisServer, Server as _};
use tempfile::TempDir;
use testkit::cluster::Cluster;
use testkit::security::{Authority, Identity, Validity};
use testkit::{Process, wait};

use crate::rig::{Rig, SOON, Stores, Totals, post};
use crate::tls_front;

const PASSWORD: &str = "s3cret-of-the-test";

/// Arguments of a store that lets nobody do anything but its one user.
fn guarded() -> Vec<String> {
    let password = format!(">{PASSWORD}");
    let user = ["--user", "weather", "on", &password, "~*", "+@all"];
    let stranger = ["--user", "default", "on", "nopass", "-@all", "+ping"];
    user.into_iter().chain(stranger).map(str::to_owned).collect()
}

/// Arguments of a store with TLS at this port.
fn encrypted(port: &str, authority: &Authority, identity: &Identity) -> Vec<String> {
    let path = |path: &Path| path.to_str().expect("paths of tests are UTF-8").to_owned();
    let (certificate, key) = (path(&identity.certificate), path(&identity.key));
    let all = [
        "--tls-port",
        port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        authority.location(),
        "--tls-auth-clients",
        "no",
    ];
    all.iter().map(|arg| (*arg).to_owned()).collect()
}

/// A store that is entered over TLS, with a password.
struct Guarded {
    store: RedisServer,
    url: String,
    authority: Authority,
    dir: TempDir,
}

impl Guarded {
    fn start(start: impl FnOnce(&TempDir, &Authority, &Identity) -> (RedisServer, u16)) -> Self {
        let dir = TempDir::with_prefix("weather-tls-").expect("a directory");
        let authority = Authority::new(dir.path(), "authority");
        let identity = authority.issue("store", &["localhost"], Validity::Good);
        let (store, port) = start(&dir, &authority, &identity);
        Self { store, url: format!("rediss://weather@localhost:{port}"), authority, dir }
    }

    /// Redis speaks TLS itself.
    fn redis() -> Self {
        Self::start(|dir, authority, identity| {
            let port = stack::ports::free().expect("a free port");
            let config = RedisConfig::in_dir(dir.path().join("redis"));
            let args = [encrypted(&port.to_string(), authority, identity), guarded()].concat();
            (RedisServer::start(RedisConfig { args, ..config }).expect("a store"), port)
        })
    }

    /// A Valkey that was built without TLS does not start with such arguments: then TLS ends in front of it.
    fn valkey() -> Self {
        Self::start(|dir, authority, identity| {
            let start = |args| {
                let config = RedisConfig::valkey_in_dir(dir.path().join("valkey"));
                RedisServer::start(RedisConfig { args, ..config })
            };
            let port = stack::ports::free().expect("a free port");
            let args = [encrypted(&port.to_string(), authority, identity), guarded()].concat();
            if let Ok(store) = start(args) {
                return (store, port);
            }
            let store = start(guarded()).expect("a store");
            let port = tls_front::start(store.address(), identity);
            (store, port)
        })
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("a file");
        path.to_str().expect("paths of tests are UTF-8").to_owned()
    }
}

/// A service is let into its store only with the right password and authority; what it counts there is what the
/// `other` store counts.
fn is_let_in(store: &Guarded, rig: &Rig, (service, name): (&str, &str), other: &str) {
    let flag = |what: &str| format!("--{}-{what}", name.to_lowercase());
    let (password_file, ca_file) = (flag("password-file"), flag("ca"));
    let right = store.file("password", PASSWORD);
    let wrong = store.file("wrong", "not-the-s3cret");
    let stranger = Authority::new(store.dir.path(), "stranger");
    let ca = store.authority.location();
    for (password, authority, why) in
        [(&wrong, ca, "authentication failed"), (&right, stranger.location(), "TLS")]
    {
        let args = [password_file.as_str(), password, &ca_file, authority];
        let finished = rig.start(service, &args).wait(SOON);
        finished.expect_code(1);
        let told = finished.stderr;
        assert!(told.contains(&format!("{name} at localhost:")) && told.contains(why), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
    let mut all = rig.start_all(&[&password_file, &right, &ca_file, ca]);
    let api = all.address_of("api");
    wait::is_true("the report is taken", SOON, || {
        post(&api, "k1", "GT", "rainy").is_some_and(|answer| answer.status == 202)
    });
    let mut expected = Totals::default();
    expected.count("GT", "rainy");
    let plain = format!("redis://weather:{PASSWORD}@{}", store.store.address());
    for url in [&plain, other] {
        wait::is_true("the count", SOON, || Totals::of(url).as_ref() == Some(&expected));
    }
    let finished = all.stop();
    finished.expect_code(0);
    assert!(!finished.stderr.contains(PASSWORD));
}

#[test]
fn a_store_is_entered_over_tls_with_a_password_and_no_other_way() {
    let (store, stores) = (Guarded::redis(), Stores::start(&[]));
    let mut rig = Rig::new(Cluster::shared().names(1), &stores);
    rig.redis_url = store.url.clone();
    is_let_in(&store, &rig, ("kafka-consumer", "Redis"), &rig.valkey_url);
}

#[test]
fn valkey_is_entered_over_tls_with_a_password_and_no_other_way() {
    let (store, stores) = (Guarded::valkey(), Stores::start(&[]));
    let mut rig = Rig::new(Cluster::shared().names(1), &stores);
    rig.valkey_url = store.url.clone();
    is_let_in(&store, &rig, ("rabbit-consumer", "Valkey"), &rig.redis_url);
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
