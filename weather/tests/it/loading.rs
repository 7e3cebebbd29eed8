//! A store that has restarted answers before it has read its data, and counts nothing until then.

use std::thread;

use stack::Server as _;
use testkit::cluster::Cluster;
use testkit::wait;

use crate::rig::{Rig, SOON, Stores, Totals, post};
use crate::stores::{command, unavailable_writes};

/// What a store is slowed down with, for tests of itself: it sleeps before each key, and answers in between.
const LOADS_SLOWLY: [&str; 6] = [
    "--key-load-delay",
    "100000", // microseconds
    "--loading-process-events-interval-bytes",
    "1024",
    "--rdbcompression",
    "no",
];
/// Keys beside those of the counts: six seconds.
const KEYS: usize = 60;

/// Whether a store says that it loads.
fn is_loading(url: &str) -> bool {
    let client = redis::Client::open(url).expect("an address");
    let Ok(mut store) = client.get_connection() else { return false };
    let answer = redis::cmd("GET").arg("messages:total").query::<Option<u64>>(&mut store);
    answer.is_err_and(|error| error.code() == Some("LOADING"))
}

#[test]
fn a_store_that_loads_its_data_is_an_outage_and_has_counted_nothing_twice_or_never_after_it() {
    let mut stores = Stores::start(&LOADS_SLOWLY);
    let rig = Rig::new(Cluster::shared().names(1), &stores);
    let mut all = rig.start_all(&["--max-retries", "0"]);
    let api = all.address_of("api");
    let send = |key: &str| {
        wait::is_true("the report is taken", SOON, || {
            post(&api, key, "GT", "rainy").is_some_and(|answer| answer.status == 202)
        });
    };
    let mut expected = Totals::default();
    send("k1");
    expected.count("GT", "rainy");
    let urls = [&rig.redis_url, &rig.valkey_url];
    for url in urls {
        wait::is_true("the count", SOON, || Totals::of(url).as_ref() == Some(&expected));
        for n in 0..KEYS {
            command(url, &["SETRANGE", &format!("filler:{n}"), "2048", "x"]);
        }
        command(url, &["SAVE"]);
    }
    thread::scope(|scope| {
        for store in [&mut stores.redis, &mut stores.valkey] {
            scope.spawn(move || {
                store.kill_9();
                store.restart().expect("it starts again");
            });
        }
        for url in urls {
            wait::is_true("it loads", SOON, || is_loading(url));
        }
        let names = ["redis", "valkey"];
        let before = names.map(|store| unavailable_writes(&mut all, store));
        for key in ["k1", "k2"] {
            send(key); // k1 once more
        }
        for (store, before) in names.into_iter().zip(before) {
            wait::is_true("a write was refused", SOON, || {
                unavailable_writes(&mut all, store) > before
            });
        }
        assert!(urls.into_iter().all(|url| is_loading(url)), "they were refused for another cause");
    });
    expected.count("GT", "rainy");
    for url in urls {
        wait::is_true("the counts", SOON, || Totals::of(url).as_ref() == Some(&expected));
    }
    assert_eq!((rig.dead_records(), rig.dead_messages()), (0, 0));
    all.stop().expect_code(0);
}
