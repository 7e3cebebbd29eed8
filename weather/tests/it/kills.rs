//! Every part dies while reports come, each of them twice and more: both stores count the same, and exactly what was
//! sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use stack::Server as _;
use stack::redis::DURABLE;
use testkit::cluster::Cluster;
use testkit::input::Input;
use testkit::{Services, wait};

use crate::rig::{Rig, SOON, Stores, Totals, post, unavailable};

/// Reports of the test.
const REPORTS: usize = 240;
/// Clients that send them.
const CLIENTS: usize = 4;
/// Parts that are killed, one after the other, each when so many more reports have been taken.
const PARTS: [&str; 6] =
    ["kafka-consumer", "rabbit-consumer", "publisher", "redis", "api", "valkey"];
const COUNTRIES: [&str; 5] = ["GT", "MX", "SV", "HN", "US"];
const KINDS: [(&str, &str); 3] = [("Lluvioso", "rainy"), ("Nubloso", "cloudy"), ("sunny", "sunny")];

/// The report of a number: its country, and its kind as it is sent and as it is counted.
fn report(n: usize) -> (&'static str, (&'static str, &'static str)) {
    (COUNTRIES[n % COUNTRIES.len()], KINDS[n % KINDS.len()])
}

/// Sends a report until it is taken, and once more.
fn send(api: &str, n: usize) {
    let (country, (weather, _)) = report(n);
    let key = format!("k{n}");
    let is_taken = || {
        let Some(answer) = post(api, &key, country, weather) else { return false };
        if answer.status == 202 {
            return true;
        }
        let known = ["kafka", "rabbitmq", "publisher"];
        let names = unavailable(&answer);
        assert!(
            !names.is_empty() && names.iter().all(|name| known.contains(&&**name)),
            "{names:?}"
        );
        false
    };
    wait::is_true("a report is taken", SOON, is_taken);
    if n.is_multiple_of(3) {
        let _again = post(api, &key, country, weather); // whatever comes of it
    }
}

struct Running<'a> {
    rig: &'a Rig,
    stores: &'a mut Stores,
    services: Services,
    consumers: Vec<(&'static str, testkit::Process)>,
    grpc: String,
}

impl Running<'_> {
    fn start(&mut self, part: &'static str, listen: &str) {
        let url = format!("http://{}", self.grpc);
        match part {
            "api" => {
                let args = ["--listen", listen, "--publisher-url", &url];
                self.services.put(part, self.rig.start(part, &args));
            }
            "publisher" => {
                let args = ["--listen", listen, "--grpc-listen", &self.grpc];
                self.services.put(part, self.rig.start(part, &args));
            }
            consumer => {
                // A static member is back at once.
                let args = ["--metrics-addr", "127.0.0.1:0", "--instance-id", "a"];
                let mut process = self.rig.start(consumer, &args);
                process.metrics_addr();
                self.consumers.push((part, process));
            }
        }
    }

    fn kill_and_start(&mut self, part: &'static str) {
        match part {
            "redis" | "valkey" => {
                let store =
                    if part == "redis" { &mut self.stores.redis } else { &mut self.stores.valkey };
                store.kill_9();
                store.restart().expect("it starts again");
            }
            "api" | "publisher" => {
                let address = self.services.end(part);
                self.start(part, &address);
            }
            _ => {
                self.consumers.retain(|(name, _)| *name != part); // killed with its handle
                self.start(part, "");
            }
        }
    }
}

#[test]
fn both_stores_count_each_report_once_while_every_part_is_killed_and_reports_come_twice() {
    let mut stores = Stores::start(&DURABLE);
    let rig = Rig::new(Cluster::shared().names(3), &stores);
    let grpc = format!("127.0.0.1:{}", stack::ports::free().expect("a free port"));
    let (services, consumers) = (Services::default(), Vec::new());
    let mut running = Running { rig: &rig, stores: &mut stores, services, consumers, grpc };
    for part in ["kafka-consumer", "rabbit-consumer", "publisher", "api"] {
        running.start(part, "127.0.0.1:0");
    }
    // What is no report is given up on each side, once, and holds up nothing.
    rig.topics.send(&rig.topics.orders, &[Input::new(0, Some(b"k"), Some(b"nothing"))]);
    rig.amqp(async |channel| {
        let (options, about) = (BasicPublishOptions::default(), BasicProperties::default());
        let to = rig.queue.as_str().into();
        channel.basic_publish("".into(), to, options, b"nothing", about).await.map(|_| ())
    });

    let api = running.services.address("api");
    let taken = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (api, taken) = (&api, &taken);
            scope.spawn(move || {
                for n in (client..REPORTS).step_by(CLIENTS) {
                    send(api, n);
                    taken.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for (part, nth) in PARTS.into_iter().zip(1..) {
            let enough = nth * REPORTS / (PARTS.len() + 1);
            wait::is_true("reports are taken", SOON, || taken.load(Ordering::Relaxed) >= enough);
            running.kill_and_start(part);
        }
    });

    let mut expected = Totals::default();
    for n in 0..REPORTS {
        let (country, (_, kind)) = report(n);
        expected.count(country, kind);
    }
    for url in [&rig.redis_url, &rig.valkey_url] {
        wait::within(SOON, || Totals::of(url).is_some_and(|totals| totals.total >= expected.total));
        assert_eq!(Totals::of(url), Some(expected.clone()), "{url}");
    }
    wait::is_true("the dead letters", SOON, || (rig.dead_records(), rig.dead_messages()) == (1, 1));

    // A late duplicate changes nothing, and each service ends in order.
    send(&api, 0);
    for (name, process) in std::mem::take(&mut running.consumers) {
        let finished = process.stop();
        finished.expect_code(0);
        assert!(finished.stdout.contains("counted"), "{name}: {}", finished.stdout);
    }
    for (name, counted) in [("api", "published"), ("publisher", "rabbitmq confirmed")] {
        let finished = running.services.stop(name);
        finished.expect_code(0);
        assert!(finished.stdout.contains(counted), "{name}: {}", finished.stdout);
    }
    for url in [&rig.redis_url, &rig.valkey_url] {
        assert_eq!(Totals::of(url), Some(expected.clone()), "{url}");
    }
}
