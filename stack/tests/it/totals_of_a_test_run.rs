//! The last line of `make test` tells the truth about a run.

use std::io::Write;
use std::process::{Command, Stdio};

/// Sums `output` of a test run; returns the line of totals and whether the run counts as good.
#[track_caller]
fn check(output: &str, totals: &str, is_good: bool) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/test-totals.awk");
    let mut child = Command::new(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(output.as_bytes()).unwrap();
    let result = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(result.stdout).unwrap(), format!("{totals}\n"));
    assert_eq!(result.status.success(), is_good);
}

const SUITE: &str = "     Running unittests src/lib.rs (target/debug/deps/a)\n";
const GOOD: &str = "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
const FAILED: &str = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";

#[test]
fn all_suites_are_summed() {
    check(&[SUITE, GOOD, "   Doc-tests b\n", GOOD].concat(), "6 passed, 0 failed", true);
    check(&[SUITE, GOOD, SUITE, FAILED].concat(), "4 passed, 2 failed", false);
}

#[test]
fn a_suite_that_gives_no_result_fails_the_run() {
    check(&[SUITE, SUITE, GOOD].concat(), "3 passed, 0 failed", false);
    check(&[SUITE, GOOD, SUITE].concat(), "3 passed, 0 failed", false);
}

#[test]
fn what_one_part_of_a_suite_leaves_out_another_must_have_run() {
    let part = GOOD.replace("0 filtered", "2 filtered");
    let rest = GOOD.replace("3 passed", "2 passed").replace("0 filtered", "3 filtered");
    let two_suites = [SUITE, &part, "   Doc-tests b\n", GOOD, SUITE, &rest].concat();
    check(&two_suites, "8 passed, 0 failed", true);
    let less = rest.replace("2 passed", "1 passed").replace("3 filtered", "4 filtered");
    check(&[SUITE, &part, SUITE, &less].concat(), "4 passed, 0 failed", false);
    let failed = rest.replace("2 passed; 0 failed", "1 passed; 1 failed");
    check(&[SUITE, &part, SUITE, &failed].concat(), "4 passed, 1 failed", false);
}

#[test]
fn ignored_and_filtered_tests_fail_the_run_and_so_does_an_empty_one() {
    check(&[SUITE, &GOOD.replace("0 ignored", "1 ignored")].concat(), "3 passed, 0 failed", false);
    check(
        &[SUITE, &GOOD.replace("0 filtered", "1 filtered")].concat(),
        "3 passed, 0 failed",
        false,
    );
    check(&[SUITE, &GOOD.replace("3 passed", "0 passed")].concat(), "0 passed, 0 failed", false);
    check("", "0 passed, 0 failed", false);
}
