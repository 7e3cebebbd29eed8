//! What is wrong before the first order: settings, servers, addresses.

use testkit::{Cluster, Process};

use crate::rig::{Rig, SOON};

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
        (&["all", "--simulate-failures", "1.1"][..], "--simulate-failures"),
        (&["all", "--exit-at-end"], "--exit-at-end"),
        (&["analytics", "--report-interval", "0s"], "--report-interval"),
        (&["inventory", "-X", "acks=0"], "acks"),
    ] {
        let finished = Process::start("streaming", args, &[]).wait(SOON);
        finished.expect_code(2);
        assert!(finished.stderr.contains(named), "{args:?}: {}", finished.stderr);
    }
}

#[test]
fn missing_topics_can_be_an_error() {
    let rig = Rig::on(Cluster::shared());
    let mut args = vec!["all".to_owned()];
    args.extend(rig.common_args());
    args.extend(
        ["order", "inventory", "analytics", "notification"]
            .iter()
            .flat_map(|name| [format!("--{name}-listen"), "127.0.0.1:0".to_owned()]),
    );
    args.push("--create-topics=false".to_owned());
    let finished = Process::start("streaming", &args, &[]).wait(SOON);
    finished.expect_code(1);
    assert!(finished.stderr.contains("--create-topics"), "{}", finished.stderr);
}
