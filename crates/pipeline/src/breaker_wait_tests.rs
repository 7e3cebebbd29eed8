//! How long an outage is waited for that comes after another one.

use super::*;

#[test]
fn without_anything_to_try_it_closes_and_the_next_outage_starts_with_short_waits() {
    let (mut breaker, now_ms) = long_away();
    assert_eq!(breaker.nothing_to_try(now_ms), Change::Closed);
    assert_eq!(breaker.permit(now_ms), Permit::Flow);
    assert_eq!(breaker.nothing_to_try(now_ms), Change::None, "it is closed already");
    assert_eq!(next_wait_ms(&mut breaker, now_ms), PROBE_FIRST_MS);
}

/// One whose outage has lasted until the waits are longest, and when that was.
fn long_away() -> (Breaker, i64) {
    let (mut breaker, mut now_ms) = (Breaker::default(), 0);
    loop {
        let wait_ms = next_wait_ms(&mut breaker, now_ms);
        now_ms += wait_ms;
        breaker.permit(now_ms);
        if wait_ms == PROBE_MAX_MS {
            return (breaker, now_ms);
        }
    }
}

/// How long an outage that is met now is waited for.
fn next_wait_ms(breaker: &mut Breaker, now_ms: i64) -> i64 {
    breaker.surroundings_away(now_ms, 0, 0.0);
    let Permit::Wait { until_ms } = breaker.permit(now_ms) else { panic!("it is open") };
    until_ms - now_ms
}

#[test]
fn each_record_that_succeeds_after_a_long_outage_halves_the_wait_of_the_next_one() {
    for (records, wait_ms) in
        [(1, 30_000), (2, 15_000), (3, 7_500), (5, 1_875), (7, 500), (30, 500)]
    {
        let (mut breaker, now_ms) = long_away();
        assert_eq!(breaker.succeeded(now_ms), Change::Closed);
        (1..records).for_each(|_| assert_eq!(breaker.succeeded(now_ms), Change::None));
        assert_eq!(next_wait_ms(&mut breaker, now_ms), wait_ms, "after {records} records");
    }
}

#[test]
fn an_outage_that_comes_back_soon_is_waited_for_longer_and_a_later_one_is_not() {
    let mut breaker = Breaker::default();
    for (at_ms, wait_ms) in [(0, 500), (2_000, 1000), (200_000, 500)] {
        breaker.surroundings_away(at_ms, 0, 0.0);
        assert_eq!(breaker.permit(at_ms), Permit::Wait { until_ms: at_ms + wait_ms });
        breaker.permit(at_ms + wait_ms);
        assert_eq!(breaker.succeeded(at_ms + wait_ms), Change::Closed);
    }
}
