use proptest::prelude::*;

use super::*;

/// A table that has read a log from its beginning.
fn table(reach: u32, orders: &[(i64, &str)]) -> Dedupe {
    let mut dedupe = Dedupe::new(reach, CommitPosition(0), Offset(0));
    for (offset, id) in orders {
        dedupe.take(Offset(*offset), id);
    }
    dedupe
}

#[test]
fn an_id_that_stands_within_reach_below_is_a_duplicate() {
    let mut dedupe = table(10, &[(0, "a"), (1, "b")]);
    assert_eq!(dedupe.take(Offset(5), "c"), Seen::First);
    assert_eq!(dedupe.take(Offset(10), "a"), Seen::Before(Offset(0)));
    assert_eq!(dedupe.take(Offset(12), "b"), Seen::First, "11 offsets are out of reach");
    assert_eq!(dedupe.take(Offset(13), "b"), Seen::Before(Offset(12)));
}

#[test]
fn a_record_is_no_duplicate_of_itself_nor_of_a_later_one() {
    let dedupe = table(10, &[(3, "a"), (5, "a"), (8, "a")]);
    assert_eq!(dedupe.look(Offset(3), "a"), Seen::First);
    assert_eq!(dedupe.look(Offset(5), "a"), Seen::Before(Offset(3)));
    assert_eq!(dedupe.look(Offset(8), "a"), Seen::Before(Offset(5)));
    assert_eq!(dedupe.look(Offset(7), "a"), Seen::Before(Offset(5)), "one that was not valid");
}

#[test]
fn reading_a_stretch_again_changes_nothing() {
    let mut dedupe = table(10, &[(3, "a"), (5, "a")]);
    assert_eq!(dedupe.take(Offset(3), "a"), Seen::First);
    assert_eq!(dedupe.take(Offset(5), "a"), Seen::Before(Offset(3)));
    assert_eq!(dedupe.len(), 2);
}

#[test]
fn what_lies_too_far_back_is_forgotten_and_not_guessed() {
    let dedupe = table(3, &[(0, "a"), (1, "a"), (9, "b")]);
    assert_eq!(dedupe.look(Offset(1), "a"), Seen::Forgotten);
    assert_eq!(dedupe.look(Offset(9), "b"), Seen::First);
    assert_eq!(dedupe.len(), 1);
}

#[test]
fn memory_is_bounded_by_the_reach_even_for_one_id() {
    let mut dedupe = table(100, &[]);
    for offset in 0..10_000 {
        dedupe.take(Offset(offset), "always the same");
        dedupe.take(Offset(offset), &offset.to_string());
    }
    assert_eq!((dedupe.len(), dedupe.newest.len()), (101, 1));
}

#[test]
fn a_reach_of_nothing_finds_nothing() {
    let mut dedupe = table(0, &[(0, "a")]);
    assert_eq!(dedupe.take(Offset(1), "a"), Seen::First);
}

fn index(offset: i64) -> usize {
    usize::try_from(offset).expect("not negative")
}

/// The definition, word by word.
fn by_definition(log: &[Option<u8>], at: i64, reach: i64) -> Seen {
    let id = log[index(at)];
    let lower = (0..at).rev().take_while(|lower| *lower >= at - reach);
    let found = lower.into_iter().find(|lower| log[index(*lower)] == id && id.is_some());
    found.map_or(Seen::First, |lower| Seen::Before(Offset(lower)))
}

proptest! {
    #[test]
    fn the_answer_is_the_definition_whenever_the_table_was_built(
        // An offset holds a valid order, or nothing that counts.
        log in prop::collection::vec(prop::option::weighted(0.8, 0_u8..6), 1..80),
        reach in 0_u32..20,
        restarts in prop::collection::vec(0_usize..80, 0..4),
        log_start in 0_usize..10,
        looks in prop::collection::vec((0_usize..80, 0_usize..80), 0..20),
    ) {
        let reach_offsets = i64::from(reach);
        let log_start = log_start.min(log.len() - 1) as i64;
        let readable: Vec<Option<u8>> =
            (0..).zip(&log).map(|(at, id)| id.filter(|_| at >= log_start)).collect();
        let start = CommitPosition(log_start);
        let mut dedupe = Dedupe::new(reach, start, Offset(log_start));
        for (at, id) in (log_start..).zip(&log[index(log_start)..]) {
            if restarts.contains(&index(at)) {
                dedupe = Dedupe::new(reach, CommitPosition(at), Offset(log_start));
                for again in dedupe.known_from().0..at {
                    if let Some(id) = log[index(again)] {
                        dedupe.take(Offset(again), &id.to_string());
                    }
                }
            }
            if let Some(id) = id {
                let expected = by_definition(&readable, at, reach_offsets);
                prop_assert_eq!(dedupe.take(Offset(at), &id.to_string()), expected);
            }
            for (_, back) in looks.iter().filter(|(when, _)| *when as i64 == at) {
                let old = at - *back as i64;
                let Some(id) = readable.get(index(old.max(0))).copied().flatten() else { continue };
                let seen = dedupe.look(Offset(old.max(0)), &id.to_string());
                if seen != Seen::Forgotten {
                    prop_assert_eq!(seen, by_definition(&readable, old.max(0), reach_offsets));
                }
            }
            prop_assert!(dedupe.len() <= reach as usize + 1);
        }
    }
}
