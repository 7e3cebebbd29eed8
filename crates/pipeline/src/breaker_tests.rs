use proptest::prelude::*;

use super::*;

const CAUSE: u32 = 7;

const fn attempt(cause: u32, key: u64) -> FailedAttempt {
    let reason = FailureReason::Handler;
    FailedAttempt { fingerprint: cause, reason, key, is_repeat: false, asked_wait_ms: 0 }
}

fn failed_for(breaker: &mut Breaker, now_ms: i64, cause: u32, key: u64) -> Change {
    breaker.failed(now_ms, attempt(cause, key), 0.0)
}

fn failed_again(breaker: &mut Breaker, now_ms: i64, key: u64) -> Change {
    breaker.failed(now_ms, FailedAttempt { is_repeat: true, ..attempt(CAUSE, key) }, 0.0)
}

fn failed(breaker: &mut Breaker, now_ms: i64, key: u64) -> Change {
    failed_for(breaker, now_ms, CAUSE, key)
}

fn opened(now_ms: i64) -> Breaker {
    let mut breaker = Breaker::default();
    for key in 0..KEYS_MIN as u64 {
        failed(&mut breaker, now_ms, key);
    }
    assert!(breaker.is_open());
    breaker
}

#[test]
fn many_keys_that_fail_for_one_cause_open_it() {
    let mut breaker = Breaker::default();
    for key in 1..KEYS_MIN as u64 {
        assert_eq!(failed(&mut breaker, key as i64, key), Change::None);
    }
    assert_eq!(failed(&mut breaker, 50, 0), Change::Opened);
    assert_eq!(breaker.permit(51), Permit::Wait { until_ms: 50 + PROBE_FIRST_MS });
}

#[test]
fn one_poisonous_key_never_opens_it() {
    let mut breaker = Breaker::default();
    for now_ms in 0..100_000 {
        assert_eq!(failed(&mut breaker, now_ms, 1), Change::None);
    }
    assert_eq!(breaker.permit(100_000), Permit::Flow);
}

#[test]
fn many_keys_that_fail_among_others_that_succeed_do_not_open_it() {
    let mut breaker = Breaker::default();
    for n in 0..100_000_i64 {
        let change =
            if n % 5 == 0 { breaker.succeeded(n) } else { failed(&mut breaker, n, n as u64) };
        assert_eq!(change, Change::None, "{n}");
    }
}

/// Attempts of distinct keys, one in a millisecond, until it opens: how many failed for it.
fn failures_until_it_opens(breaker: &mut Breaker, mut now_ms: i64) -> u64 {
    for key in 1..=10 * KEYS_MIN as u64 {
        now_ms += 1;
        if failed(breaker, now_ms, u64::MAX - key) == Change::Opened {
            return key;
        }
    }
    panic!("no outage after {} failures in a row", 10 * KEYS_MIN);
}

#[test]
fn an_outage_after_steady_success_shows_after_as_many_failures_as_at_the_start() {
    for (per_ms, for_ms) in [(0, 0), (1, 100), (1, 20_000), (50, 20_000)] {
        let mut breaker = Breaker::default();
        for now_ms in 0..for_ms {
            for _ in 0..per_ms {
                breaker.succeeded(now_ms);
            }
        }
        let failures = failures_until_it_opens(&mut breaker, for_ms);
        assert_eq!(failures, KEYS_MIN as u64, "{per_ms} successes in each of {for_ms} ms");
    }
}

#[test]
fn keys_that_fail_among_twenty_times_as_many_successes_are_no_outage_and_an_outage_is_told_from_them()
 {
    let mut breaker = Breaker::default();
    let mut key = 0;
    for now_ms in 0..60_000 {
        for n in 0..10 {
            // A bad batch now and then: nearly as many keys in a row as make an outage.
            let in_batch = now_ms % 40 == 0 && n == 0;
            for _ in 0..if in_batch { KEYS_MIN - 1 } else { 0 } {
                key += 1;
                assert_eq!(failed(&mut breaker, now_ms, key), Change::None, "at {now_ms} ms");
            }
            breaker.succeeded(now_ms);
        }
    }
    let failures = failures_until_it_opens(&mut breaker, 60_000);
    assert!(failures <= KEYS_MIN as u64 * 11 / 10, "{failures}");
}

#[test]
fn where_half_of_the_attempts_fail_a_row_of_them_must_be_longer() {
    let mut breaker = Breaker::default();
    for n in 0..10_000_u64 {
        let now_ms = n as i64;
        breaker.succeeded(now_ms);
        assert_eq!(failed(&mut breaker, now_ms, n), Change::None);
    }
    // The last of those is the first in the row.
    assert_eq!(failures_until_it_opens(&mut breaker, 10_000), 2 * KEYS_MIN as u64 - 1);
}

#[test]
fn records_that_fail_again_in_a_row_are_poison_and_no_outage() {
    let mut breaker = Breaker::default();
    for now_ms in 0..30_000_i64 {
        if now_ms < 5_000 {
            (0..19).for_each(|_| _ = breaker.succeeded(now_ms));
            assert_eq!(failed(&mut breaker, now_ms, now_ms as u64), Change::None);
        }
        // Retries of all that failed in a hundred milliseconds are due at once, also when no
        // new records come any more.
        for key in if now_ms % 100 == 0 { 0..100 } else { 0..0 } {
            let change = failed_again(&mut breaker, now_ms, (now_ms % 5_000 + key) as u64);
            assert_eq!(change, Change::None, "at {now_ms} ms");
        }
    }
}

#[test]
fn where_few_records_come_those_that_fail_again_keep_their_keys_in_mind() {
    let mut breaker = Breaker::default();
    let opened_at = (0..60_000_i64).step_by(1_000).find(|now_ms| {
        let key = (now_ms / 1_000) as u64;
        (0..key).any(|key| failed_again(&mut breaker, *now_ms, key) == Change::Opened)
            || failed(&mut breaker, *now_ms, key) == Change::Opened
    });
    assert_eq!(opened_at, Some(1_000 * (KEYS_MIN as i64 - 1)));
}

#[test]
fn an_outage_in_which_a_few_still_succeed_shows_once_nearly_all_of_the_window_failed() {
    let mut breaker = Breaker::default();
    (0..1_000).for_each(|_| _ = breaker.succeeded(0));
    let opened_at = (0..100_000_i64).step_by(10).find(|now_ms| {
        if now_ms % 150 == 0 {
            breaker.succeeded(*now_ms);
        }
        failed(&mut breaker, *now_ms, *now_ms as u64) == Change::Opened
    });
    let opened_at = opened_at.expect("an outage");
    assert!((5_000..=WINDOW_MS).contains(&opened_at), "{opened_at}");
}

#[test]
fn many_keys_that_fail_for_causes_of_their_own_do_not_open_it() {
    let mut breaker = Breaker::default();
    for n in 0..10_000_u32 {
        assert_eq!(failed_for(&mut breaker, i64::from(n), n, u64::from(n)), Change::None);
    }
    assert!(breaker.causes.len() <= CAUSES_MAX);
}

#[test]
fn keys_that_fail_now_and_then_do_not_add_up() {
    let mut breaker = Breaker::default();
    for n in 0..1_000_i64 {
        let now_ms = n * WINDOW_MS / (KEYS_MIN as i64 - 1);
        assert_eq!(failed(&mut breaker, now_ms, n as u64), Change::None, "{n}");
    }
}

#[test]
fn failures_that_were_asked_for_and_those_of_the_record_never_open_it() {
    for reason in FailureReason::ALL.into_iter().filter(|r| *r != FailureReason::Handler) {
        let mut breaker = Breaker::default();
        for key in 0..10_000 {
            let attempt = FailedAttempt { reason, ..attempt(CAUSE, key) };
            assert_eq!(breaker.failed(0, attempt, 0.0), Change::None, "{reason:?}");
        }
    }
}

#[test]
fn surroundings_that_refuse_everybody_open_it_at_once() {
    let mut breaker = Breaker::default();
    assert_eq!(breaker.surroundings_away(0, 0, 0.0), Change::Opened);
    assert_eq!(breaker.surroundings_away(1, 0, 0.0), Change::None, "it is open already");
}

#[test]
fn a_probe_that_succeeds_closes_it() {
    let mut breaker = opened(0);
    assert_eq!(breaker.permit(PROBE_FIRST_MS - 1), Permit::Wait { until_ms: PROBE_FIRST_MS });
    assert_eq!(breaker.permit(PROBE_FIRST_MS), Permit::Probe { keys: PROBE_KEYS });
    assert_eq!(breaker.succeeded(PROBE_FIRST_MS), Change::Closed);
    assert_eq!(breaker.permit(PROBE_FIRST_MS), Permit::Flow);
    assert_eq!(failed(&mut breaker, PROBE_FIRST_MS, 1), Change::None, "it starts anew");
}

#[test]
fn a_poisonous_key_does_not_keep_it_open() {
    let mut breaker = opened(0);
    breaker.permit(PROBE_FIRST_MS);
    for _ in 0..10 {
        assert_eq!(failed(&mut breaker, PROBE_FIRST_MS, 1), Change::None);
    }
    assert_eq!(breaker.permit(PROBE_FIRST_MS), Permit::Probe { keys: PROBE_KEYS - 1 });
    assert_eq!(breaker.succeeded(PROBE_FIRST_MS), Change::Closed);
}

#[test]
fn waits_grow_while_probes_fail_up_to_a_limit() {
    let mut breaker = opened(0);
    let (mut now_ms, mut waits) = (0, Vec::new());
    for _ in 0..9 {
        let Permit::Wait { until_ms } = breaker.permit(now_ms) else { panic!("it is open") };
        waits.push(until_ms - now_ms);
        now_ms = until_ms;
        assert_eq!(breaker.permit(now_ms), Permit::Probe { keys: PROBE_KEYS });
        let changes: Vec<_> =
            (0..PROBE_KEYS as u64).map(|key| failed(&mut breaker, now_ms, key)).collect();
        assert_eq!(changes.last(), Some(&Change::Opened));
    }
    assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
}

#[test]
fn a_probe_with_too_few_records_ends_as_well() {
    let mut breaker = opened(0);
    breaker.permit(PROBE_FIRST_MS);
    assert_eq!(breaker.probe_ended(PROBE_FIRST_MS, 0.0), Change::None, "nothing was tried");
    failed(&mut breaker, PROBE_FIRST_MS, 1);
    assert_eq!(breaker.probe_ended(PROBE_FIRST_MS, 0.0), Change::Opened);
}

#[test]
fn the_spread_only_adds_to_a_wait() {
    for (spread, until_ms) in [(0.0, 500), (0.5, 550), (1.0, 600), (9.0, 600)] {
        let mut breaker = Breaker::default();
        breaker.surroundings_away(0, 0, spread);
        assert_eq!(breaker.permit(0), Permit::Wait { until_ms });
    }
}

/// A failure that asks to be left alone for so long.
fn failed_asking(breaker: &mut Breaker, now_ms: i64, key: u64, asked_wait_ms: i64) -> Change {
    breaker.failed(now_ms, FailedAttempt { asked_wait_ms, ..attempt(CAUSE, key) }, 0.0)
}

#[test]
fn no_probe_begins_before_what_is_away_has_asked_for() {
    const MINUTE_MS: i64 = 60_000;
    // By many keys, of which the longest wait counts; by one that says that all are refused.
    let mut by_keys = Breaker::default();
    for key in 0..KEYS_MIN as u64 {
        failed_asking(&mut by_keys, 5, key, if key == 3 { MINUTE_MS } else { 0 });
    }
    let mut at_once = Breaker::default();
    at_once.surroundings_away(5, MINUTE_MS, 0.0);
    // Said by one that was under way when the first was answered.
    let mut late = opened(0);
    assert_eq!(failed_asking(&mut late, 5, 99, MINUTE_MS), Change::None);
    let mut held_up = opened(0);
    held_up.asked_to_wait(5, MINUTE_MS);
    for (name, breaker) in [
        ("keys", &mut by_keys),
        ("at once", &mut at_once),
        ("late", &mut late),
        ("held", &mut held_up),
    ] {
        let until_ms = 5 + MINUTE_MS;
        assert_eq!(breaker.permit(until_ms - 1), Permit::Wait { until_ms }, "{name}");
        assert_eq!(breaker.permit(until_ms), Permit::Probe { keys: PROBE_KEYS }, "{name}");
        // The probe asks anew, and what was asked before does not count twice.
        breaker.surroundings_away(until_ms, 10 * MINUTE_MS, 0.0);
        let until_ms = until_ms + 10 * MINUTE_MS;
        assert_eq!(breaker.permit(until_ms - 1), Permit::Wait { until_ms }, "{name}");
        breaker.permit(until_ms);
        breaker.surroundings_away(until_ms, 0, 0.0);
        let Permit::Wait { until_ms: next_ms } = breaker.permit(until_ms) else { panic!("{name}") };
        assert!(next_ms - until_ms <= PROBE_MAX_MS, "{name}: {next_ms}");
    }
}

#[test]
fn a_wait_that_is_asked_for_ends_after_an_hour_at_the_latest() {
    let mut breaker = Breaker::default();
    breaker.surroundings_away(0, i64::MAX, 0.0);
    assert_eq!(breaker.permit(0), Permit::Wait { until_ms: ASKED_MAX_MS });
}

#[test]
fn what_a_key_asked_for_before_the_service_did_well_is_no_wait_of_all() {
    let mut breaker = Breaker::default();
    failed_asking(&mut breaker, 0, 1, ASKED_MAX_MS);
    let later_ms = 2 * WINDOW_MS;
    for key in 0..KEYS_MIN as u64 {
        failed(&mut breaker, later_ms, 100 + key);
    }
    assert_eq!(breaker.permit(later_ms), Permit::Wait { until_ms: later_ms + PROBE_FIRST_MS });
}

proptest! {
    #[test]
    fn fewer_keys_than_the_limit_never_open_it_whatever_they_do(
        attempts in prop::collection::vec((0_i64..2_000, 0_u64..KEYS_MIN as u64 - 1, 0_u32..3), 0..400),
    ) {
        let (mut breaker, mut now_ms) = (Breaker::default(), 0);
        for (later_ms, key, cause) in attempts {
            now_ms += later_ms;
            prop_assert_eq!(failed_for(&mut breaker, now_ms, cause, key), Change::None);
        }
    }

    #[test]
    fn while_a_tenth_of_the_attempts_and_one_more_succeed_it_stays_closed(
        keys in prop::collection::vec(any::<u64>(), 0..400),
        every in 1_usize..9,
    ) {
        let mut breaker = Breaker::default();
        for (n, key) in keys.into_iter().enumerate() {
            if n % every == 0 {
                prop_assert_eq!(breaker.succeeded(0), Change::None);
            }
            prop_assert_eq!(failed(&mut breaker, 0, key), Change::None);
        }
    }

    #[test]
    fn a_share_of_all_records_that_fails_by_chance_never_opens_it(
        dice in prop::collection::vec(0_u32..100, 20_000),
        percent in 0_u32..30,
        per_ms in 1_i64..20,
    ) {
        let mut breaker = Breaker::default();
        for (n, dice) in dice.into_iter().enumerate() {
            let now_ms = n as i64 / per_ms;
            let change = if dice < percent {
                failed(&mut breaker, now_ms, n as u64)
            } else {
                breaker.succeeded(now_ms)
            };
            prop_assert_eq!(change, Change::None, "attempt {}", n);
        }
        let failures = failures_until_it_opens(&mut breaker, 20_000 / per_ms);
        prop_assert!(failures <= 3 * KEYS_MIN as u64 / 2, "{}", failures);
    }
}
