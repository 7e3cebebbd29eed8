//! What is wrong before the first order: settings, files, addresses.

use std::net::TcpListener;

use testkit::Process;

use crate::rig::{Rig, SOON, Service};

/// Runs the program to its end, which should be near, and returns its code and what it says.
fn ends(args: &[&str]) -> (i32, String) {
    let finished = Process::start("sync-rest", args, &[]).wait(SOON);
    (finished.code.expect("no signal"), finished.stderr)
}

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
        (&["all", "--inventory-failure-rate", "1.5"], "--inventory-failure-rate"),
        (&["all", "--http-max-in-flight", "0"], "--http-max-in-flight"),
        (&["all", "--menu", "nothing.toml"], "nothing.toml"),
        (&["all", "--listen", "127.0.0.1:0"], "--listen"),
        (&["everything"], "<SERVICE>"),
        (&[], "SERVICE"),
    ] {
        let (code, stderr) = ends(args);
        assert_eq!(code, 2, "{args:?}: {stderr}");
        assert!(stderr.contains(named), "{args:?}: {stderr}");
    }
}

#[test]
fn counters_begin_at_0_and_everything_measured_has_a_help() {
    let rig = Rig::start(&[]);
    for service in Service::ALL {
        let text = testkit::http::get(&rig.address(service), "/metrics").expect("an answer").body;
        testkit::promtool::check(&text);
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = line.split(' ').next().expect("a name");
            assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
        }
        let name = service.name();
        assert!(text.contains(&format!("http_shed_total{{service=\"{name}\"}} 0")), "{text}");
    }
    let text =
        testkit::http::get(&rig.address(Service::Order), "/metrics").expect("an answer").body;
    for sample in [
        "orders_accepted_total 0",
        "orders_replayed_total 0",
        "orders_rejected_total{reason=\"out-of-stock\"} 0",
        "order_outcomes_total{outcome=\"confirmed\"} 0",
        "sync_orders_seen_to_total{result=\"released\"} 0",
        "sync_breaker_open{service=\"inventory\"} 0",
        "sync_orders_unfinished 0",
        "http_requests_total{service=\"order\",route=\"/order\",status=\"200\"} 0",
    ] {
        assert!(text.lines().any(|line| line == sample), "{sample}: {text}");
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
    let stock = testkit::http::get(&inventory, "/stock/burger").expect("an answer");
    assert_eq!(stock.status, 200, "the built-in menu has burgers");
}

#[test]
fn an_address_or_a_folder_that_is_in_use_ends_with_1_and_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("bound").to_string();
    let rig = Rig::start(&[]);
    let (menu, data) = (rig.menu(), rig.data_dir());
    let other_data = tempfile::tempdir().expect("a directory");
    let other_data = other_data.path().to_str().expect("text");
    let run = |at: &str, data: &str| {
        ends(&["inventory", "--menu", &menu, "--listen", at, "--data-dir", data])
    };
    let (code, stderr) = run(&taken, other_data);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(&taken) && stderr.contains("--listen"), "{stderr}");
    let (code, stderr) = run("127.0.0.1:0", &data);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("another process"), "{stderr}");
    assert_eq!(rig.get(Service::Inventory, "/livez", "/livez").status, 200);
}
