//! Logs in which nothing is wrong, though they are unusual.

use order_schemas::Outcome;
use pipeline::failure::{FailureReason, ReasonName};
use pipeline::record::Offset;

use super::super::flags::OrderArg;
use super::super::report::Invariant::{I1, I2, I5, I10};
use super::log::Log;
use super::{Green, Red, expect};

fn again(log: &mut Log) {
    log.averages = vec![log.average("tea", &[0, 2, 4, 8]), log.average("cake", &[1, 5, 9])];
}

#[track_caller]
fn expect_green(what: &str, log: &Log) {
    expect(what, &log.audit(true), Green);
    expect(what, &log.audit(false), Green);
}

#[test]
fn a_right_log_is_green() {
    let mut log = Log::right();
    expect_green("as it is", &log);
    log.flags.order = Some(OrderArg::Key);
    expect("by key", &log.audit(true), Green);
    log.outcomes.swap(2, 4);
    expect("by key, in another order", &log.audit(true), Red(I5));
    log.flags.order = None;
    expect("in another order", &log.audit(true), Green);
}

/// Order 8 waited untried behind order 6 of its key.
fn behind(log: &mut Log, ends: bool) {
    log.retries.push(log.retry_of(8, 0, 1_000));
    log.retry.hold(Offset(3));
    log.outcomes.remove(8);
    if ends {
        log.retry.settle(Offset(3));
    } else {
        log.averages = vec![log.average("tea", &[0, 2, 4])];
    }
}

#[test]
fn an_order_that_waits_untried_behind_its_key_is_settled_without_an_outcome() {
    let mut log = Log::right();
    behind(&mut log, false);
    log.averages = vec![log.average("tea", &[0, 2, 4]), log.average("cake", &[1, 5, 9])];
    expect_green("it waits", &log);
    let mut log = Log::right();
    behind(&mut log, true);
    let told = log.outcome(8, 1, Outcome::Succeeded);
    log.outcomes.push(told);
    again(&mut log);
    expect_green("it was counted", &log);
    log.retries[3].set("x-failure-class", "transient");
    expect("it cannot have failed", &log.audit(true), Red(I10));
}

#[test]
fn an_order_is_given_up_with_the_one_before_it_untried() {
    for (reason, is_retried) in [
        (FailureReason::PredecessorDead, true),
        (FailureReason::PredecessorDead, false),
        (FailureReason::TooLargeToRetry, false),
    ] {
        let mut log = Log::right();
        if is_retried {
            behind(&mut log, true);
        } else {
            log.outcomes.remove(8);
        }
        let letter = log.dead_letter_of(8, 0, reason);
        log.dead_letters.push(letter);
        let mut told = log.outcome(8, 0, Outcome::DeadLettered);
        // What was not tried may not have been read.
        (told.1.order_id, told.1.product) = (String::new(), String::new());
        log.outcomes.push(told);
        log.averages = vec![log.average("tea", &[0, 2, 4]), log.average("cake", &[1, 5, 9])];
        expect_green(reason.as_str(), &log);
    }
    // It had failed once before the one before it was given up.
    let mut log = Log::right();
    log.dead_letters[1] = log.dead_letter_of(7, 1, FailureReason::PredecessorDead);
    log.outcomes[10].1.attempt = 1;
    expect_green("after an attempt", &log);
    log.dead_letters[1] = log.dead_letter_of(7, 1, FailureReason::Simulated);
    expect("for another reason", &log.audit(true), Red(I2));
}

#[test]
fn a_valid_order_may_be_refused_for_a_reason_of_the_handlers_own() {
    const OWN: ReasonName = ReasonName::of("product-too-long");
    let mut log = Log::right();
    log.dead_letters[1] = log.dead_letter_of(7, 2, FailureReason::Permanent(OWN));
    log.outcomes[10].1.failure_class = Some("refused".into());
    expect_green("after a retry", &log);
    log.dead_letters[1].set("x-failure-reason", "Product Too Long");
    expect("no name of a reason", &log.audit(true), Red(I10));
    log.dead_letters[1] = log.dead_letter_of(7, 2, FailureReason::Permanent(OWN));
    log.dead_letters[1].set("x-failure-reason", "product-too-short");
    expect("the fingerprint is of another", &log.audit(true), Red(I10));
}

/// Order 7 comes back from the dead letters.
fn redriven(log: &mut Log, ends: &[Outcome]) {
    for (redrive, outcome) in (1..).zip(ends) {
        let mut back = log.retry_of(7, 0, 3_000);
        back.set("x-redrive-count", &format!("{redrive}"));
        back.set("x-redrive-id", "run");
        log.retries.push(back);
        let offset = Offset(super::log::offset(log.retries.len()) - 1);
        log.retry.hold(offset);
        log.retry.settle(offset);
        if *outcome == Outcome::DeadLettered {
            let mut letter = log.dead_letter_of(7, 1, FailureReason::Simulated);
            letter.set("x-redrive-count", &format!("{redrive}"));
            letter.set("x-redrive-id", "run");
            log.dead_letters.push(letter);
        }
        let told = log.outcome(7, 1, *outcome);
        log.outcomes.push(told);
    }
    let cake: &[u8] =
        if ends.last() == Some(&Outcome::Succeeded) { &[1, 5, 9, 7] } else { &[1, 5, 9] };
    log.averages = vec![log.average("tea", &[0, 2, 4, 8]), log.average("cake", cake)];
}

#[test]
fn an_order_that_was_redriven_counts_once_or_dies_again() {
    use Outcome::{DeadLettered as D, Succeeded as S};
    for ends in [&[S][..], &[D], &[D, S], &[D, D, D]] {
        let mut log = Log::right();
        redriven(&mut log, ends);
        expect_green(&format!("{ends:?}"), &log);
        // Its retries are trimmed once they are settled.
        if ends.last() == Some(&S) {
            log.lows[1] = 1;
            expect(&format!("{ends:?}, trimmed"), &log.audit(true), Green);
        }
    }
}

#[test]
fn what_is_wrong_in_the_lives_of_a_redriven_order_is_found() {
    use Outcome::{DeadLettered as D, Succeeded as S};
    type Lives = (&'static str, fn(&mut Log), &'static [Outcome]);
    let damages: [Lives; 7] = [
        ("a dead letter of the first life is missing", |l| drop(l.dead_letters.remove(1)), &[D, S]),
        ("that of the second", |l| drop(l.dead_letters.remove(2)), &[D, S]),
        ("that of the last", |l| drop(l.dead_letters.pop()), &[D, D]),
        (
            "one twice",
            |l| {
                let again = l.dead_letters[2].clone();
                l.dead_letters.push(again);
            },
            &[D, S],
        ),
        ("an attempt of the first life", |l| l.dead_letters[1].set("x-attempt", "3"), &[D, S]),
        ("an attempt of the second", |l| l.dead_letters[2].set("x-attempt", "2"), &[D, S]),
        ("its end is not told", |l| drop(l.outcomes.pop()), &[D, S]),
    ];
    for (what, damage, ends) in damages {
        let mut log = Log::right();
        redriven(&mut log, ends);
        damage(&mut log);
        let report = log.audit(true);
        assert!(!report.ok, "{what}: {}", report.table());
    }
    let mut log = Log::right();
    redriven(&mut log, &[Outcome::Succeeded]);
    log.averages = vec![log.average("tea", &[0, 2, 4, 8]), log.average("cake", &[1, 5, 9])];
    expect("it was not counted", &log.audit(true), Red(I1));
    expect("it was not counted", &log.audit(false), Red(I1));
}

#[test]
fn records_of_other_groups_are_passed_over() {
    let mut log = Log::right();
    let mut other = log.retry_of(4, 1, 5);
    other.set("x-origin-group", "another");
    log.retries.push(other);
    log.retry.hold(Offset(3));
    log.retry.settle(Offset(3));
    let mut letter = log.dead_letter_of(4, 1, FailureReason::Handler);
    letter.set("x-origin-group", "another");
    *letter.header("kafka_dlt-original-consumer-group") = Some(b"another".to_vec());
    log.dead_letters.push(letter);
    again(&mut log);
    expect_green("one in each topic", &log);
}

#[test]
fn at_least_once_allows_repeats_and_no_loss() {
    let mut log = Log::right();
    log.flags.at_least_once = Some(true);
    let letter = log.dead_letters[1].clone();
    log.dead_letters.push(letter);
    log.averages[0] = log.average("tea", &[0, 2, 4, 8, 8]);
    expect_green("repeats", &log);
    log.averages[0] = log.average("tea", &[0, 2, 4]);
    expect("a loss", &log.audit(true), Red(I1));
    let mut log = Log::right();
    log.flags.at_least_once = Some(true);
    log.dead_letters.pop();
    expect("a lost dead letter", &log.audit(true), Red(I1));
    let mut log = Log::right();
    let again = log.dead_letters[1].clone();
    log.dead_letters.push(again);
    expect("the same with exactly-once", &log.audit(true), Red(I2));
}
