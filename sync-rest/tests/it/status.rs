//! What the program says of itself while it runs, and at its end.

use testkit::order_flow::{burgers, of};
use testkit::{Process, http};

use crate::rig::{Rig, SOON};

/// Texts of the lines that say how it goes.
fn status_lines(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("orders so far")).collect()
}

#[test]
fn services_of_one_process_have_one_status_line_and_one_table_at_the_end() {
    let rig = Rig::start(&[]);
    let (menu, data_dir) = (rig.menu(), format!("{}-all", rig.data_dir()));
    let mut args = vec!["all", "--menu", &menu, "--data-dir", &data_dir];
    for service in ["--order-listen", "--inventory-listen", "--notification-listen"] {
        args.extend([service, "127.0.0.1:0"]);
    }
    let mut all = Process::start("sync-rest", &args, &[]);
    let address = all.address_of("order");
    let post = |order: &str| http::post_json(&address, "/order", &[], order).expect("an answer");
    for _ in 0..3 {
        assert_eq!(post(&burgers(1)).status, 200);
    }
    assert_eq!(post(&of("last one", 2)).status, 409);
    let line = all.wait_for_log("orders so far", SOON);
    for field in ["taken=4", "confirmed=3", "failed=1", "waiting=0", "retries=0", "per_second="] {
        assert!(line.contains(field), "{field}: {line}");
    }
    assert!(!line.contains("unavailable"), "{line}");
    let finished = all.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let lines = status_lines(&finished.stderr);
    assert_eq!(lines.len(), 1, "one for all services, and none when nothing changes: {lines:?}");
    let rows: Vec<Vec<&str>> =
        finished.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [["OUTCOME", "ORDERS"], ["confirmed", "3"], ["out-of-stock", "1"], ["taken", "4"]] {
        assert_eq!(rows.iter().filter(|other| **other == row).count(), 1, "{}", finished.stdout);
    }
    assert!(finished.stdout.contains("\nup for "), "{}", finished.stdout);
}
