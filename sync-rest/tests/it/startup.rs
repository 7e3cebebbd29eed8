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
        (&["everything"], "everything"),
        (&[], "SERVICE"),
    ] {
        let (code, stderr) = ends(args);
        assert_eq!(code, 2, "{args:?}: {stderr}");
        assert!(stderr.contains(named), "{args:?}: {stderr}");
    }
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
