//! What nobody can tell from an outage waits, and says so; what has a wait of its own is left alone until then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testkit::{machine, wait};

use crate::receiver::{Receiver, Reply};
use crate::rig::{LIMIT, Rig};

#[test]
fn a_record_that_alone_gets_503_waits_and_says_so_until_another_one_is_accepted() {
    let _machine = machine::shared();
    // With retries, and with a first attempt that is the last.
    for retries in ["1", "0"] {
        let rig = Rig::new(1);
        rig.send([("a", "bad".to_owned())]);
        let receiver = Receiver::start(|call, _| {
            if call.text() == "bad" { Reply::status(503) } else { Reply::status(204) }
        });
        let args = ["--max-retries", retries, "--retry-delay", "100ms", "--exit-at-end"];
        let mut push = rig.push(&receiver.url(), &args);
        let told = push.wait_for_log("503 Service Unavailable; record ", LIMIT);
        assert!(told.contains("is unavailable"), "{told}");
        let told = push.wait_for_log("waits_for=", LIMIT);
        let waits_for = if retries == "0" { "the last 1 offsets of" } else { "1 record in retry" };
        assert!(told.contains(waits_for) && told.contains("nothing else was accepted"), "{told}");
        assert_eq!(rig.dead_letters(), [], "--max-retries {retries}");
        push.stop().expect_code(0);
        assert_eq!(rig.dead_letters(), [], "--max-retries {retries}");
        // The next run waits as well, until another record comes and is accepted.
        let calls = receiver.calls().len();
        let push = rig.push(&receiver.url(), &args[..4]);
        wait::is_true("another attempt", LIMIT, || receiver.calls().len() > calls);
        rig.send([("b", "good".to_owned())]);
        wait::is_true("the end", LIMIT, || rig.topics.lag() == 0);
        push.stop().expect_code(0);
        let letters = rig.dead_letters();
        assert_eq!(letters.len(), 1, "--max-retries {retries}");
        assert_eq!(letters[0].header_text("x-failure-reason"), "handler");
    }
}

#[test]
fn an_outage_of_few_keys_makes_no_dead_letter_without_retries_and_a_wait_that_is_asked_for_holds() {
    let _machine = machine::shared();
    let rig = Rig::new(1);
    rig.send((0..9).map(|n| (["a", "b", "c"][n % 3], n.to_string())));
    let is_over = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&is_over);
    let receiver = Receiver::start(move |_, _| match is_well.load(Ordering::SeqCst) {
        true => Reply::status(204),
        false => Reply::Status(503, "retry-after: 3\r\n".to_owned(), Duration::ZERO),
    });
    let push = rig.push(&receiver.url(), &["--max-retries", "0", "--order", "key"]);
    wait::is_true("calls in an outage", LIMIT, || receiver.calls().len() >= 3);
    is_over.store(true, Ordering::SeqCst);
    wait::is_true("the end of an outage", LIMIT, || rig.topics.lag() == 0);
    push.stop().expect_code(0);
    assert_eq!(rig.dead_letters(), []);
    let calls = receiver.calls();
    let last_refused = calls.iter().filter(|call| !call.was_well()).map(|call| call.at).max();
    let first_taken = calls.iter().filter(|call| call.was_well()).map(|call| call.at).min();
    let left_alone = first_taken.expect("some") - last_refused.expect("some");
    assert!(left_alone >= Duration::from_secs(3), "asked again after {left_alone:?}");
}
