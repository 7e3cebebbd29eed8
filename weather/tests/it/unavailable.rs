//! Who is unavailable is named, and the same report may come again.

use testkit::cluster::Cluster;
use testkit::{http, wait};

use crate::relay::Relay;
use crate::rig::{Rig, SOON, Stores, Totals, post, unavailable};

#[test]
fn a_broker_that_is_unavailable_is_named_and_the_same_report_is_counted_once_after_it_is_back() {
    let (cluster, kafka) = Cluster::behind_proxy(&[]);
    let stores = Stores::start(&[]);
    let mut rig = Rig::new(kafka.before(&cluster.names(1)), &stores);
    let url = rig.rabbitmq_url.clone();
    let (login, place) = url.split_once('@').expect("a login");
    let (server, vhost) = place.split_once('/').unwrap_or((place, "%2f"));
    let rabbitmq = Relay::to(server);
    rig.rabbitmq_url = format!("{login}@{}/{vhost}", rabbitmq.address());
    let mut all = rig.start_all(&[]);
    let (api, publisher) = (all.address_of("api"), all.address_of("publisher"));

    let cut_until_named = |key: &str, name: &str, address: &str| {
        wait::is_true("the broker is named", SOON, || {
            let answer = post(address, key, "GT", "rainy").expect("an answer");
            assert_ne!(answer.status, 202, "{name} has confirmed it while it was unavailable");
            assert_eq!(answer.json()["idempotency_key"], key);
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            unavailable(&answer) == [name]
        });
    };
    let is_taken = |key: &str, address: &str| {
        post(address, key, "GT", "rainy").is_some_and(|answer| answer.status == 202)
    };

    rabbitmq.cut();
    cut_until_named("k1", "rabbitmq", &api);
    rabbitmq.mend();
    wait::is_true("k1 is taken", SOON, || is_taken("k1", &api));
    kafka.cut();
    cut_until_named("k2", "kafka", &publisher);
    kafka.heal();
    wait::is_true("k2 is taken", SOON, || is_taken("k2", &publisher));
    assert!(is_taken("k1", &publisher), "through either front it is the same report");

    let mut expected = Totals::default();
    for _ in 0..2 {
        expected.count("GT", "rainy");
    }
    for url in [&rig.redis_url, &rig.valkey_url] {
        wait::is_true("the counts", SOON, || Totals::of(url).as_ref() == Some(&expected));
    }
    refuses_what_is_no_report(&api);
    all.stop().expect_code(0);
    // Nothing came late.
    for url in [&rig.redis_url, &rig.valkey_url] {
        assert_eq!(Totals::of(url).as_ref(), Some(&expected));
    }
}

fn refuses_what_is_no_report(api: &str) {
    let asked = |path: &str, body: &str| http::post_json(api, path, &[], body).unwrap();
    let report = |country: &str, weather: &str, description: &str| {
        serde_json::json!({"description": description, "country": country, "weather": weather})
            .to_string()
    };
    for (country, weather, description, reason) in [
        ("XX", "rainy", "", "unknown-country"),
        ("GT", "plague", "", "unknown-weather"),
        ("GT", "rainy", &*"x".repeat(501), "long-description"),
    ] {
        let answer = asked("/input", &report(country, weather, description));
        assert_eq!(answer.status, 422, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["reason"], reason);
    }
    assert_eq!(asked("/input", &report("GT", "rainy", &"x".repeat(9_000))).status, 413);
    assert_eq!(asked("/input", "{").status, 400);
    assert_eq!(http::get(api, "/health").unwrap().status, 200);
}
