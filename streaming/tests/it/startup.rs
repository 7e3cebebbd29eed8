//! What is wrong before the first order: settings, servers, addresses.

use std::net::TcpListener;
use std::time::Duration;

use testkit::{Cluster, Process};

use crate::rig::{Rig, SOON, Service};

/// Runs the program to its end, which should be near, and returns its code and what it says.
fn ends(args: &[&str]) -> (i32, String) {
    let finished = Process::start("streaming", args, &[]).wait(SOON);
    (finished.code.expect("no signal"), finished.stderr)
}

#[test]
fn the_settings_file_that_is_shipped_has_every_key_and_no_other() {
    testkit::settings_file::shipped("streaming", |path| {
        service_kit::settings::load("streaming", Some(path), streaming::ServiceFlags::default())
            .unwrap_or_else(|error| panic!("{error}"))
    });
}

#[test]
fn wrong_settings_end_with_2_and_name_the_setting() {
    for (args, named) in [
        (&["all", "--inventory-failure-rate", "1.5"][..], "--inventory-failure-rate"),
        (&["all", "--simulate-failures", "1.1"], "--simulate-failures"),
        (&["all", "--menu", "nothing.toml"], "nothing.toml"),
        (&["all", "--listen", "127.0.0.1:0"], "--listen"),
        (&["all", "--exit-at-end"], "--exit-at-end"),
        (&["analytics", "--report-interval", "0s"], "--report-interval"),
        (&["inventory", "--processing-delay", "5x"], "5x"),
        (&["inventory", "-X", "acks=0"], "acks"),
        (&["everything"], "subcommand"),
    ] {
        let (code, stderr) = ends(args);
        assert_eq!(code, 2, "{args:?}: {stderr}");
        assert!(stderr.contains(named), "{args:?}: {stderr}");
    }
}

#[test]
fn servers_that_are_not_there_are_named_within_5_seconds() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = free.local_addr().expect("bound").to_string();
    drop(free);
    let rig = Rig::on(Cluster::shared());
    for (flag, value) in [
        ("--bootstrap-server", nobody.clone()),
        ("--schema-registry-url", format!("http://{nobody}")),
    ] {
        let mut args = vec!["all".to_owned()];
        args.extend(rig.common_args());
        args.extend([flag.to_owned(), value]);
        let at = args.iter().position(|arg| arg == flag).expect("among them");
        args.drain(at..at + 2); // the last one stays
        args.extend(
            ["order", "inventory", "analytics", "notification"]
                .iter()
                .flat_map(|name| [format!("--{name}-listen"), "127.0.0.1:0".to_owned()]),
        );
        let finished = Process::start("streaming", &args, &[]).wait(SOON);
        finished.expect_code(1);
        assert!(finished.stderr.contains(&nobody), "{}", finished.stderr);
        assert!(finished.stderr.contains(flag), "{}", finished.stderr);
        assert!(finished.elapsed < Duration::from_secs(6), "{:?}", finished.elapsed);
    }
}

#[test]
fn all_services_run_in_one_process_and_missing_topics_can_be_an_error() {
    let rig = Rig::on(Cluster::shared());
    let mut args = vec!["all".to_owned()];
    args.extend(rig.common_args());
    args.extend(
        ["order", "inventory", "analytics", "notification"]
            .iter()
            .flat_map(|name| [format!("--{name}-listen"), "127.0.0.1:0".to_owned()]),
    );
    let without: Vec<String> =
        args.iter().cloned().chain(["--create-topics=false".to_owned()]).collect();
    let finished = Process::start("streaming", &without, &[]).wait(SOON);
    finished.expect_code(1);
    assert!(finished.stderr.contains("--create-topics"), "{}", finished.stderr);

    let args: Vec<String> =
        args.into_iter().chain(["--log-format".into(), "json".into()]).collect();
    let mut process = Process::start("streaming", &args, &[]);
    let order = process.address_of("order");
    let analytics = process.address_of("analytics");
    let body = testkit::order_flow::burgers(1);
    let answer = testkit::http::post_json(&order, "/order", &[], &body).expect("an answer");
    assert_eq!(answer.status, 202, "{answer:?}");
    testkit::wait::is_true("the order counted", SOON, || {
        let report = testkit::http::get(&analytics, "/analytics").expect("an answer");
        report.json()["total"] == 1
    });
    for line in process.log().lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    process.sigterm();
    process.wait(Duration::from_secs(10)).expect_code(0);
}

#[test]
fn an_address_or_a_folder_that_is_in_use_ends_with_1_and_says_what_to_do() {
    let rig = Rig::start(&[Service::Order], &[]);
    let run = |at: &str| {
        let mut args = vec!["order".to_owned(), "--listen".to_owned(), at.to_owned()];
        args.extend(rig.common_args());
        ends(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (code, stderr) = run(&rig.address(Service::Order));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("--listen"), "{stderr}");
    let (code, stderr) = run("127.0.0.1:0");
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("--data-dir"), "{stderr}");
}
