//! The log is read again, and by others: the same counts, to the byte.

use testkit::order_flow::{burgers, of};
use testkit::{Finished, Process, wait};

use crate::rig::{Rig, SOON, Service};

/// Reads everything there is under a group of its own, and reports.
fn replay(rig: &Rig, group: &str, args: &[&str]) -> Finished {
    let mut all = vec!["analytics".to_owned(), "--listen".to_owned(), "127.0.0.1:0".to_owned()];
    all.extend(rig.common_args_with("--analytics-group", &rig.name(group)));
    all.extend(["--exit-at-end", "-o", "json"].map(str::to_owned));
    all.extend(args.iter().map(|arg| (*arg).to_owned()));
    let finished = Process::start("streaming", &all, &[]).wait(SOON);
    finished.expect_code(0);
    finished
}

fn last_line(finished: &Finished) -> &str {
    finished.stdout.lines().last().expect("a report")
}

#[test]
fn a_replay_from_the_start_gives_the_same_report_byte_for_byte() {
    let mut rig = Rig::start(&Service::FLOW, &["--inventory-failure-rate", "0.2"]);
    rig.start_services(&[Service::Analytics], &["-o", "json", "--report-interval", "200ms"]);
    for batch in ["a", "b", "c"] {
        let lines: String =
            (0..1_000).map(|n| of(["burger", "tea", "few"][n % 3], 1) + "\n").collect();
        assert_eq!(rig.post_lines(batch, &lines).unwrap().status, 202);
        // Killed in between: what it reports at the end it has counted in several lives.
        rig.process(Service::Analytics).kill_9();
        rig.restart(Service::Analytics);
    }
    rig.wait_until_drained();
    wait::is_true("everything counted", SOON, || {
        rig.get(Service::Analytics, "/analytics").json()["total"] == 3_000
    });
    let told = rig.get(Service::Analytics, "/analytics").body;
    let live = rig.services.stop(Service::Analytics.name());
    live.expect_code(0);
    assert_eq!(last_line(&live), told.trim_end());
    assert!(live.stdout.lines().count() > 1, "a report every 200 ms, and one at the end");

    let once = replay(&rig, "again", &[]);
    let in_lanes = replay(&rig, "in-lanes", &["--lanes", "3"]);
    assert_eq!(last_line(&once), last_line(&live));
    assert_eq!(once.stdout, in_lanes.stdout);
    // The same group again has nothing to do, and knows what it knew.
    assert_eq!(replay(&rig, "again", &[]).stdout, once.stdout);

    let report = once.stats();
    let decisions = rig.decisions();
    let failed = decisions.values().filter(|results| results[0].reason.is_some()).count();
    assert_eq!((&report["total"], &report["failed"]), (&3_000.into(), &failed.into()));
    assert_eq!(report["succeeded"], 3_000 - failed);
    let minutes = report["minutes"].as_array().unwrap().iter();
    assert_eq!(minutes.map(|minute| minute["total"].as_u64().unwrap()).sum::<u64>(), 3_000);
}

#[test]
fn groups_read_the_same_topic_and_do_not_wait_for_each_other() {
    let mut rig = Rig::start(&Service::FLOW, &[]);
    rig.start_services(&[Service::Notification], &["--notification-delay", "1h"]);
    rig.start_services(&[Service::Analytics], &[]);
    let lines: String = (0..50).map(|_| burgers(1) + "\n").collect();
    assert_eq!(rig.post_lines("k", &lines).unwrap().status, 202);
    wait::is_true("everything counted", SOON, || {
        rig.get(Service::Analytics, "/analytics").json()["total"] == 50
    });
    assert_eq!(rig.records("notification-events").len(), 0);
}
