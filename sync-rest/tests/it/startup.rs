//! What is wrong before the first order: settings, files, addresses.

use testkit::{Process, http};

use crate::rig::{Rig, SOON, Service};

#[test]
fn the_settings_file_that_is_shipped_has_every_key_and_no_other() {
    testkit::settings_file::shipped("sync-rest", |path| {
        service_kit::settings::load("sync-rest", Some(path), sync_rest::Flags::default())
            .unwrap_or_else(|error| panic!("{error}"))
    });
}

#[test]
fn wrong_settings_end_with_2_and_name_the_setting() {
    for (args, named) in [
        (&["all", "--deadline", "0s"][..], "--deadline"),
        (&["all", "--inventory-url", "localhost"], "--inventory-url"),
        (&[], "SERVICE"),
    ] {
        let finished = Process::start("sync-rest", args, &[]).wait(SOON);
        finished.expect_code(2);
        assert!(finished.stderr.contains(named), "{args:?}: {}", finished.stderr);
    }
}

#[test]
fn counters_of_this_flow_alone_begin_at_0() {
    let rig = Rig::start(&[]);
    let page = http::get(&rig.address(Service::Order), "/metrics").expect("an answer").body;
    for sample in [
        "orders_rejected_total{reason=\"out-of-stock\"} 0",
        "sync_orders_seen_to_total{result=\"released\"} 0",
        "sync_breaker_open{service=\"inventory\"} 0",
        "sync_orders_unfinished 0",
    ] {
        assert!(page.lines().any(|line| line == sample), "{sample}: {page}");
    }
}

#[test]
fn a_menu_is_found_wherever_the_program_is_started_from() {
    let mut all = vec!["all", "--data-dir", "data"];
    for flag in ["--order-listen", "--inventory-listen", "--notification-listen"] {
        all.extend([flag, "127.0.0.1:0"]);
    }
    let mut all = Process::start("sync-rest", &all, &[]);
    let inventory = all.address_of("inventory");
    let stock = http::get(&inventory, "/stock/burger").expect("an answer");
    assert_eq!(stock.status, 200, "the built-in menu has burgers");
}
