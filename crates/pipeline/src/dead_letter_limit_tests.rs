use proptest::prelude::*;

use super::*;

fn failure(reason: FailureReason, schema_id: Option<u32>) -> Failure {
    Failure { reason, schema_id, detail: String::new() }
}

fn dead(limit: &mut DeadLetterLimit) -> Option<Tripped> {
    limit.dead_letter(&failure(FailureReason::AvroDecode, Some(1)));
    limit.tripped()
}

fn well(limit: &mut DeadLetterLimit) -> Option<Tripped> {
    limit.went_well();
    limit.tripped()
}

fn limit(ratio: f64, consecutive: u32) -> DeadLetterLimit {
    DeadLetterLimit::new(Some(DeadLetterLimits::new(ratio, consecutive).unwrap()))
}

#[test]
fn as_many_dead_letters_in_a_row_as_the_limit_says_trip_it() {
    let mut limit = limit(1.0, 3);
    assert_eq!([dead(&mut limit), dead(&mut limit), well(&mut limit)], [None; 3]);
    assert_eq!([dead(&mut limit), dead(&mut limit)], [None; 2]);
    assert_eq!(dead(&mut limit), Some(Tripped::Consecutive { dead: 3 }));
    assert_eq!(well(&mut limit), Some(Tripped::Consecutive { dead: 3 }), "it stays tripped");
}

#[test]
fn a_share_of_the_last_records_above_the_limit_trips_it_but_not_before_there_are_enough() {
    let mut limit = limit(0.5, u32::MAX);
    for n in 0..RATIO_RECORDS {
        let tripped = if n % 2 == 0 { dead(&mut limit) } else { well(&mut limit) };
        assert_eq!(tripped, None, "half is not more than half");
    }
    assert_eq!(dead(&mut limit), None, "it takes the place of another one");
    assert_eq!(dead(&mut limit), Some(Tripped::Ratio { dead: 501 }));
}

#[test]
fn a_bad_deploy_after_many_good_records_is_noticed_soon() {
    let mut limit = DeadLetterLimit::new(Some(DeadLetterLimits::default()));
    for _ in 0..1_000_000 {
        well(&mut limit);
        limit.commit();
    }
    let trips_at = (1..).find(|_| dead(&mut limit).is_some());
    assert_eq!(trips_at, Some(501));
}

#[test]
fn what_was_not_committed_does_not_count() {
    let mut limit = limit(1.0, 3);
    dead(&mut limit);
    limit.commit();
    for _ in 0..100 {
        assert_eq!(dead(&mut limit), None);
        assert_eq!(dead(&mut limit), Some(Tripped::Consecutive { dead: 3 }));
        limit.discard();
        assert_eq!(limit.tripped(), None);
    }
    assert_eq!(limit.causes().iter().map(|cause| cause.dead).sum::<usize>(), 1);
}

#[test]
fn followers_of_a_dead_letter_do_not_count() {
    let mut limit = limit(0.5, 3);
    for _ in 0..10_000 {
        limit.dead_letter(&failure(FailureReason::PredecessorDead, None));
    }
    assert_eq!((limit.tripped(), limit.causes()), (None, vec![]));
}

#[test]
fn switched_off_it_never_trips_and_remembers_nothing() {
    let mut limit = DeadLetterLimit::new(None);
    for _ in 0..10_000 {
        assert_eq!(dead(&mut limit), None);
    }
    assert_eq!((limit.ends.len(), limit.causes()), (0, vec![]));
}

#[test]
fn causes_are_told_by_fingerprint_the_most_frequent_first() {
    let mut limit = DeadLetterLimit::new(Some(DeadLetterLimits::default()));
    let (often, seldom) =
        (failure(FailureReason::AvroDecode, Some(7)), failure(FailureReason::NegativePrice, None));
    for n in 0..10 {
        limit.dead_letter(if n % 5 == 0 { &seldom } else { &often });
    }
    let causes: Vec<_> = limit.causes().iter().map(|c| (c.fingerprint, c.reason, c.dead)).collect();
    let expected = [
        (often.fingerprint(), FailureReason::AvroDecode, 8),
        (seldom.fingerprint(), FailureReason::NegativePrice, 2),
    ];
    assert_eq!(causes, expected);
}

#[test]
fn causes_beyond_those_told_apart_are_counted_together() {
    let mut limit = DeadLetterLimit::new(Some(DeadLetterLimits::default()));
    for id in 0..900 {
        limit.dead_letter(&failure(FailureReason::AvroDecode, Some(id)));
    }
    let causes = limit.causes();
    assert_eq!(causes.len(), CAUSES_MAX);
    assert_eq!((causes[0].fingerprint, causes[0].dead), (0, 900 - CAUSES_MAX + 1));
}

#[test]
fn an_operator_lets_it_go_on() {
    let mut limit = limit(1.0, 2);
    dead(&mut limit);
    assert!(dead(&mut limit).is_some());
    limit.reset();
    assert_eq!((dead(&mut limit), limit.causes()[0].dead), (None, 1));
}

/// What the next owner counts with, after this one has died.
fn next_owner(limit: &DeadLetterLimit) -> DeadLetterLimit {
    let mut next = DeadLetterLimit::new(limit.limits);
    next.carry_over(limit.tally().expect("the limit is on"));
    next
}

#[test]
fn over_any_number_of_restarts_fewer_than_the_limit_are_given_up() {
    let mut limit = limit(1.0, 100);
    let mut given_up = 0;
    for _ in 0..50 {
        for _ in 0..30 {
            if dead(&mut limit).is_some() {
                limit.discard();
                break;
            }
            limit.commit();
            given_up += 1;
        }
        limit = next_owner(&limit);
    }
    assert_eq!(given_up, 99);
    assert_eq!(dead(&mut limit), Some(Tripped::Consecutive { dead: 100 }), "at the first one");
}

#[test]
fn a_good_record_after_a_restart_begins_a_new_row() {
    let mut limit = limit(1.0, 3);
    assert_eq!([dead(&mut limit), dead(&mut limit)], [None; 2]);
    limit.commit();
    let mut limit = next_owner(&limit);
    assert_eq!([well(&mut limit), dead(&mut limit), dead(&mut limit)], [None; 3]);
}

#[test]
fn the_share_of_the_last_records_survives_a_restart() {
    let mut limit = limit(0.5, u32::MAX);
    for n in 0..RATIO_RECORDS {
        let tripped = if n % 2 == 0 { dead(&mut limit) } else { well(&mut limit) };
        assert_eq!(tripped, None);
    }
    limit.commit();
    let mut limit = next_owner(&limit);
    let trips_at = (1..=4).find(|_| dead(&mut limit).is_some());
    assert!(trips_at.is_some(), "every second one that leaves was dead as well");
    assert_eq!(limit.causes().iter().map(|cause| cause.dead).sum::<usize>(), trips_at.unwrap());
}

#[test]
fn only_what_is_larger_than_the_own_tally_is_carried_over() {
    let mut limit = limit(1.0, 1_000);
    for _ in 0..10 {
        dead(&mut limit);
    }
    limit.commit();
    let own = limit.tally();
    limit.carry_over(Tally::new(4, 4, 4).unwrap());
    assert_eq!(limit.tally(), own);
    limit.carry_over(Tally::new(7, 800, 30).unwrap());
    assert_eq!(limit.tally(), Tally::new(10, 800, 30));
    limit.carry_over(Tally::new(20, 20, 20).unwrap());
    assert_eq!(limit.tally(), Tally::new(20, 800, 30));
}

#[test]
fn the_tally_is_that_of_the_turn_and_switched_off_there_is_none() {
    let mut counting = limit(1.0, 1_000);
    dead(&mut counting);
    assert_eq!(counting.tally(), Tally::new(1, 1, 1), "as it is once the turn is durable");
    counting.discard();
    assert_eq!(counting.tally(), Some(Tally::default()));
    let mut off = DeadLetterLimit::new(None);
    off.carry_over(Tally::new(500, 500, 500).unwrap());
    assert_eq!((off.tally(), dead(&mut off)), (None, None));
}

#[test]
fn limits_that_cannot_work_are_refused() {
    assert!(DeadLetterLimits::new(1.5, 1).is_err());
    assert!(DeadLetterLimits::new(f64::NAN, 1).is_err());
    assert_eq!(DeadLetterLimits::new(0.5, 0), Err(DeadLetterLimitsError::ConsecutiveZero));
}

proptest! {
    #[test]
    fn it_trips_at_the_record_that_the_definition_names(
        turns in prop::collection::vec(
            (prop::collection::vec(prop::bool::weighted(0.5), 0..400), any::<bool>()),
            0..12,
        ),
        ratio in 0.3_f64..0.7,
        consecutive in 5_u32..20,
    ) {
        let mut limit = limit(ratio, consecutive);
        let mut durable: Vec<bool> = Vec::new();
        for (ends, is_committed) in turns {
            let mut all = durable.clone();
            let mut expected = None;
            for is_dead in ends {
                all.push(is_dead);
                let last = &all[all.len().saturating_sub(RATIO_RECORDS)..];
                let dead_count = last.iter().filter(|dead| **dead).count();
                let row = (0..).zip(all.iter().rev()).find(|(_, dead)| !**dead).map_or_else(|| u32::try_from(all.len()).expect("few"), |(row, _)| row);
                if is_dead && expected.is_none() {
                    if row >= consecutive {
                        expected = Some(Tripped::Consecutive { dead: row });
                    } else if last.len() >= RATIO_RECORDS
                        && dead_count as f64 > ratio * RATIO_RECORDS as f64
                    {
                        expected = Some(Tripped::Ratio { dead: dead_count });
                    }
                }
                let tripped = if is_dead { dead(&mut limit) } else { well(&mut limit) };
                prop_assert_eq!(tripped, expected);
            }
            if is_committed && expected.is_none() {
                limit.commit();
                durable = all;
            } else {
                limit.discard();
            }
            prop_assert!(limit.ends.len() <= RATIO_RECORDS);
            let next = next_owner(&limit);
            // Without a dead letter there is nothing to note.
            if limit.count.dead > 0 {
                prop_assert_eq!(next.tally(), limit.tally());
            }
            prop_assert_eq!(next.ends.iter().flatten().count(), next.count.dead);
        }
    }
}

#[test]
fn records_of_a_schema_that_nobody_ever_read_are_not_given_up_by_the_hundred() {
    let not_avro = failure(FailureReason::NotAvro, Some(7));
    let drain = |limit: &mut DeadLetterLimit| {
        for _ in 0..1_000 {
            limit.dead_letter(&not_avro);
            limit.went_well();
        }
        limit.tripped()
    };
    let mut limit = DeadLetterLimit::new(Some(DeadLetterLimits::default()));
    let drained = (1..=1_000).find(|_| {
        limit.dead_letter(&not_avro);
        limit.went_well();
        limit.tripped().is_some()
    });
    assert_eq!(drained, Some(100));
    assert_eq!(limit.tripped(), Some(Tripped::UnreadSchema { schema_id: 7, dead: 100 }));
    limit.discard();
    assert_eq!(limit.tripped(), None, "the turn is read again");

    let mut known = DeadLetterLimit::new(Some(DeadLetterLimits::default()));
    known.schema_was_read(7);
    assert_eq!(drain(&mut known), None, "single records of a schema that can be read");
    assert_eq!(drain(&mut DeadLetterLimit::new(None)), None, "the limit is off");
}
