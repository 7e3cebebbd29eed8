use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Some minutes on both sides of the edge of what is kept.
fn any_decision() -> impl Strategy<Value = (bool, i64)> {
    let minutes = prop_oneof![
        0..4_i64,
        MINUTES_KEPT - 2..MINUTES_KEPT + 2,
        3 * MINUTES_KEPT..3 * MINUTES_KEPT + 2
    ];
    (any::<bool>(), minutes, 0..MINUTE_MS)
        .prop_map(|(is_good, minute, ms)| (is_good, minute * MINUTE_MS + ms))
}

fn tally(decisions: &[(bool, i64)]) -> Tally {
    let mut tally = Tally::default();
    for (is_good, at_ms) in decisions {
        tally.count(if *is_good { Ended::Succeeded } else { Ended::Failed }, *at_ms);
    }
    tally.clear_touched();
    tally
}

/// What a report may show: the latest minutes.
fn shown(tally: &Tally) -> Vec<Option<Counts>> {
    let Some(total) = tally.total() else { return Vec::new() };
    let last = minute_of(total.last_at_ms);
    (last - MINUTES_KEPT + 1..=last).map(|minute| tally.minute(minute)).collect()
}

proptest! {
    #[test]
    fn the_order_of_decisions_and_how_they_are_spread_over_partitions_change_nothing(
        decisions in prop::collection::vec(any_decision(), 0..60),
        cut in 0..60_usize,
    ) {
        let whole = tally(&decisions);
        let mut backwards = decisions.clone();
        backwards.reverse();
        let backwards = tally(&backwards);
        prop_assert_eq!(whole.total(), backwards.total());
        prop_assert_eq!(shown(&whole), shown(&backwards));
        let (left, right) = decisions.split_at(cut.min(decisions.len()));
        for (one, other) in [(left, right), (right, left)] {
            let mut sum = tally(one);
            sum.add(&tally(other));
            prop_assert_eq!(whole.total(), sum.total());
            prop_assert_eq!(shown(&whole), shown(&sum));
        }
    }

    #[test]
    fn what_was_written_last_is_read_back(
        decisions in prop::collection::vec(any_decision(), 0..60),
    ) {
        let (mut live, mut restored) = (Tally::default(), Tally::default());
        let mut keys = BTreeSet::new();
        for (is_good, at_ms) in &decisions {
            live.count(if *is_good { Ended::Succeeded } else { Ended::Failed }, *at_ms);
            for (key, record) in live.touched() {
                keys.insert(key);
                restored.restore(&record);
            }
            live.clear_touched();
        }
        prop_assert_eq!(live.total(), restored.total());
        prop_assert_eq!(shown(&live), shown(&restored));
        prop_assert!(keys.len() as i64 <= MINUTES_KEPT + 1);
    }
}

#[test]
fn a_minute_that_is_a_day_behind_counts_in_the_total_only() {
    let late = tally(&[(true, 2 * MINUTES_KEPT * MINUTE_MS), (false, 0)]);
    assert_eq!(late.total().unwrap().total(), 2);
    assert_eq!(late.minute(0), None);
    assert_eq!(late.minute(2 * MINUTES_KEPT).unwrap().succeeded, 1);
}
