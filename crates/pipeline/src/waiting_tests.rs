use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn waiting(records: &[(i64, i64)]) -> Waiting<&'static str> {
    let mut waiting = Waiting::default();
    for (offset, due) in records {
        waiting.insert(Offset(*offset), *due, 10, "record");
    }
    waiting
}

fn due(waiting: &Waiting<&str>, now_ms: i64) -> Vec<i64> {
    waiting.due(now_ms).map(|offset| offset.0).collect()
}

const fn of(key: &str, origin: i64) -> Option<Sequence<'_>> {
    Some(Sequence { key: key.as_bytes(), origin: Offset(origin) })
}

#[test]
fn a_short_delay_overtakes_a_long_one_that_came_before() {
    let waiting = waiting(&[(0, 5000), (1, 200), (2, 5000), (3, 200)]);
    assert_eq!(due(&waiting, 200), [1, 3]);
    assert_eq!(due(&waiting, 5000), [1, 3, 0, 2]);
}

#[test]
fn a_record_is_due_at_its_own_instant_and_not_before() {
    let waiting = waiting(&[(7, 1000)]);
    assert_eq!(due(&waiting, 999), []);
    assert_eq!(due(&waiting, 1000), [7]);
    assert_eq!(waiting.next_due_at_ms(), Some(1000));
}

#[test]
fn bytes_and_count_follow_what_waits() {
    let mut waiting = waiting(&[(0, 1), (1, 2)]);
    waiting.insert(Offset(1), 9, 30, "record"); // postponed
    assert_eq!((waiting.len(), waiting.bytes()), (2, 40));
    assert_eq!(due(&waiting, 5), [0]);
    assert_eq!(waiting.remove(Offset(1)), Some((9, "record")));
    assert_eq!(waiting.remove(Offset(1)), None);
    assert_eq!((waiting.len(), waiting.bytes()), (1, 10));
}

#[test]
fn a_record_that_runs_is_not_due_until_it_is_given_back() {
    let mut waiting = waiting(&[(0, 1), (1, 2)]);
    waiting.start(Offset(0));
    assert_eq!((due(&waiting, 9), waiting.len()), (vec![1], 2));
    waiting.postpone(Offset(0), 5);
    assert_eq!(due(&waiting, 9), [1, 0]);
}

#[test]
fn of_a_key_the_lowest_origin_comes_first_however_late_it_is_due() {
    let mut waiting = Waiting::in_order(100);
    waiting.insert_sequenced(Offset(20), 0, 1, "b2", of("b", 7));
    waiting.insert_sequenced(Offset(21), 9000, 1, "a1", of("a", 3));
    waiting.insert_sequenced(Offset(22), 0, 1, "a2", of("a", 8));
    assert_eq!(due(&waiting, 8999), [20]);
    assert_eq!(waiting.next_due_at_ms(), Some(0));
    assert_eq!(waiting.of_key(b"a").collect::<Vec<_>>(), [Offset(21), Offset(22)]);
    assert_eq!(due(&waiting, 9000), [20, 21]);
    waiting.remove(Offset(21));
    assert_eq!((due(&waiting, 0), waiting.parked_keys()), (vec![20, 22], 2));
}

#[test]
fn of_two_copies_of_a_record_the_one_at_the_lower_offset_comes_first() {
    let mut waiting = Waiting::in_order(100);
    waiting.insert_sequenced(Offset(9), 0, 1, "second", of("a", 3));
    waiting.insert_sequenced(Offset(4), 5, 1, "first", of("a", 3));
    assert_eq!((due(&waiting, 4), due(&waiting, 5)), (vec![], vec![4]));
}

#[test]
fn a_record_without_a_sequence_waits_for_nobody_and_parks_nobody() {
    let mut waiting = Waiting::in_order(100);
    waiting.insert(Offset(0), 9000, 1, "keyless");
    waiting.insert(Offset(1), 5, 1, "keyless");
    assert_eq!((due(&waiting, 5), waiting.parked_keys()), (vec![1], 0));
    assert_eq!(waiting.standing(None), Standing::Free);
    assert_eq!(waiting.standing(of("a", 1)), Standing::Free);
}

#[test]
fn without_order_a_sequence_has_no_effect() {
    let mut waiting = Waiting::default();
    waiting.insert_sequenced(Offset(0), 9000, 1, "first", of("a", 1));
    waiting.insert_sequenced(Offset(1), 5, 1, "second", of("a", 2));
    waiting.expect(of("a", 3));
    waiting.hold_main(of("a", 4));
    assert_eq!(due(&waiting, 9000), [1, 0]);
    assert_eq!(waiting.standing(of("a", 5)), Standing::Free);
    assert_eq!((waiting.parked_keys(), waiting.pop_stirred()), (0, None));
}

#[test]
fn a_failure_parks_its_key_for_the_rest_of_the_turn_and_the_last_waiter_frees_it() {
    let mut waiting = Waiting::in_order(100);
    assert_eq!(waiting.standing(of("a", 1)), Standing::Free);
    waiting.expect(of("a", 1)); // it fails: it is on its way
    assert_eq!(waiting.standing(of("a", 2)), Standing::Parked);
    waiting.expect(of("a", 2)); // forwarded behind it
    waiting.insert_sequenced(Offset(50), 2000, 1, "a1", of("a", 1)); // the commit told the offsets
    waiting.insert_sequenced(Offset(51), 0, 1, "a2", of("a", 2));
    assert_eq!(due(&waiting, 1999), []);
    assert_eq!(due(&waiting, 2000), [50]);
    waiting.remove(Offset(50));
    assert_eq!(due(&waiting, 2000), [51]);
    assert_eq!(waiting.standing(of("a", 3)), Standing::Parked);
    waiting.remove(Offset(51));
    assert_eq!((waiting.standing(of("a", 3)), waiting.parked_keys()), (Standing::Free, 0));
}

#[test]
fn a_record_that_fails_again_keeps_its_followers_waiting() {
    let mut waiting = Waiting::in_order(100);
    waiting.insert_sequenced(Offset(50), 0, 1, "a1", of("a", 1));
    waiting.insert_sequenced(Offset(51), 0, 1, "a2", of("a", 2));
    waiting.remove(Offset(50));
    waiting.expect(of("a", 1));
    assert_eq!(due(&waiting, 9), []);
    waiting.give_up(of("a", 1)); // too large for the retry topic: it became a dead letter
    assert_eq!(due(&waiting, 9), [51]);
}

#[test]
fn a_key_whose_record_runs_stays_parked() {
    let mut waiting = Waiting::in_order(100);
    waiting.insert_sequenced(Offset(50), 0, 1, "a1", of("a", 1));
    waiting.insert_sequenced(Offset(51), 0, 1, "a2", of("a", 2));
    waiting.start(Offset(50));
    assert_eq!((due(&waiting, 9), waiting.standing(of("a", 3))), (vec![], Standing::Parked));
    waiting.postpone(Offset(50), 7);
    assert_eq!((due(&waiting, 6), due(&waiting, 7)), (vec![], vec![50]));
    assert!(waiting.may_run(Offset(50), 7) && !waiting.may_run(Offset(51), 7));
}

#[test]
fn main_records_stay_behind_the_one_that_is_held_and_are_stirred_when_it_goes() {
    let mut waiting: Waiting<&str> = Waiting::in_order(100);
    waiting.hold_main(of("a", 1)); // its handler waits
    assert_eq!(waiting.standing(of("a", 1)), Standing::Free);
    assert_eq!(waiting.standing(of("a", 2)), Standing::Behind);
    waiting.hold_main(of("a", 2));
    waiting.hold_main(of("a", 3));
    assert_eq!(waiting.pop_stirred(), None);
    waiting.release_main(of("a", 1));
    assert_eq!((waiting.pop_stirred(), waiting.pop_stirred()), (Some(Offset(2)), None));
    assert_eq!(waiting.standing(of("a", 2)), Standing::Free);
    waiting.expect(of("a", 2)); // it fails
    waiting.release_main(of("a", 2));
    assert_eq!((waiting.pop_stirred(), waiting.pop_stirred()), (Some(Offset(3)), None));
    assert_eq!(waiting.standing(of("a", 3)), Standing::Parked);
    assert_eq!(waiting.parked_keys(), 1);
}

#[test]
fn a_waiting_record_waits_for_a_held_main_record_of_its_key_that_came_before() {
    let mut waiting = Waiting::in_order(100);
    waiting.hold_main(of("a", 1));
    waiting.insert_sequenced(Offset(50), 0, 1, "a2", of("a", 2));
    assert_eq!(due(&waiting, 9), []);
    waiting.release_main(of("a", 1));
    assert_eq!(due(&waiting, 9), [50]);
}

#[test]
fn nothing_is_forwarded_past_a_record_of_its_key_that_is_held_in_memory() {
    let mut waiting = Waiting::in_order(100);
    waiting.hold_main(of("a", 1));
    waiting.hold_main(of("a", 2));
    waiting.expect(of("a", 1)); // it fails
    waiting.release_main(of("a", 1));
    assert_eq!(waiting.standing(of("a", 3)), Standing::Behind);
    assert_eq!(waiting.standing(of("a", 2)), Standing::Parked);
    waiting.insert_sequenced(Offset(50), 0, 1, "a1", of("a", 1));
    waiting.expect(of("a", 2));
    waiting.release_main(of("a", 2));
    assert_eq!(waiting.standing(of("a", 3)), Standing::Parked);
}

#[test]
fn a_key_is_full_at_its_limit_and_has_room_again_well_below_it() {
    let mut waiting = Waiting::in_order(10);
    for n in 0..=10 {
        let expected = if n == 0 { Standing::Free } else { Standing::Parked };
        assert_eq!(waiting.standing(of("a", n)), expected, "record {n}");
        waiting.insert_sequenced(Offset(n), 0, 1, "record", of("a", n));
    }
    assert_eq!((waiting.standing(of("a", 11)), waiting.full_keys()), (Standing::Full, 1));
    assert_eq!(waiting.standing(of("b", 11)), Standing::Free);
    for n in 0..2 {
        waiting.remove(Offset(n));
    }
    assert_eq!(waiting.full_keys(), 1, "eight followers are 80 %");
    waiting.remove(Offset(2));
    assert_eq!((waiting.standing(of("a", 11)), waiting.full_keys()), (Standing::Parked, 0));
}

/// Where one record of the model is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Main,
    Retry { offset: i64, due: i64, runs: bool },
    Coming,
}

/// Records as a plain list: key, origin, place.
#[derive(Debug, Default)]
struct Model {
    records: Vec<(Option<u8>, i64, At)>,
    next_offset: i64,
    next_origin: i64,
    /// Held main records that nobody has been told of since they could move.
    stirred: BTreeMap<i64, u8>,
}

impl Model {
    fn rank(&(_, origin, at): &(Option<u8>, i64, At)) -> (i64, i64) {
        let place = match at {
            At::Main => -1,
            At::Retry { offset, .. } => offset,
            At::Coming => i64::MAX,
        };
        (origin, place)
    }

    fn may_run(&self, index: usize) -> bool {
        let record = &self.records[index];
        let is_first = || {
            let same_key = self.records.iter().filter(|other| other.0 == record.0);
            same_key.map(Self::rank).min() == Some(Self::rank(record))
        };
        record.0.is_none() || is_first()
    }

    fn due(&self, now_ms: i64) -> Vec<i64> {
        let mut due: Vec<(i64, i64)> = Vec::new();
        for (index, (_, _, at)) in self.records.iter().enumerate() {
            if let At::Retry { offset, due: at_ms, runs: false } = at
                && *at_ms <= now_ms
                && self.may_run(index)
            {
                due.push((*at_ms, *offset));
            }
        }
        due.sort_unstable();
        due.into_iter().map(|(_, offset)| offset).collect()
    }

    fn standing(&self, key: u8, origin: i64, followers_max: usize) -> Standing {
        let of_key = || self.records.iter().filter(|record| record.0 == Some(key));
        let in_retry = of_key().filter(|record| record.2 != At::Main).count();
        let is_after_held = of_key().any(|record| record.2 == At::Main && record.1 < origin);
        match in_retry {
            0 if of_key().all(|record| record.1 >= origin) => Standing::Free,
            0 => Standing::Behind,
            n if n > followers_max => Standing::Full,
            _ if is_after_held => Standing::Behind,
            _ => Standing::Parked,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A new record of a key (or of none) arrives in retry.
    Arrive(Option<u8>, i64),
    Expect(u8),
    HoldMain(u8),
    /// The n-th record goes on: what is coming arrives, what waits leaves, main is released.
    Next(usize, i64),
    GiveUp(usize),
    Start(usize),
    Postpone(usize, i64),
    /// The n-th record, which waits, fails and is on its way again.
    Fail(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0_u8..4;
    prop_oneof![
        3 => (prop::option::weighted(0.8, key()), 0_i64..6).prop_map(|(k, d)| Step::Arrive(k, d)),
        2 => key().prop_map(Step::Expect),
        2 => key().prop_map(Step::HoldMain),
        6 => (any::<usize>(), 0_i64..6).prop_map(|(n, d)| Step::Next(n, d)),
        1 => any::<usize>().prop_map(Step::GiveUp),
        2 => any::<usize>().prop_map(Step::Start),
        2 => (any::<usize>(), 0_i64..6).prop_map(|(n, d)| Step::Postpone(n, d)),
        3 => any::<usize>().prop_map(Step::Fail),
    ]
}

fn sequence(key: &Option<u8>, origin: i64) -> Option<Sequence<'_>> {
    key.as_ref().map(|key| Sequence { key: std::slice::from_ref(key), origin: Offset(origin) })
}

/// Applies a step to both; steps that make no sense for the record they hit do nothing.
fn apply(model: &mut Model, waiting: &mut Waiting<()>, step: Step) {
    let count = model.records.len().max(1);
    let new = |model: &mut Model, key, at| {
        model.next_origin += 1;
        model.records.push((key, model.next_origin, at));
        model.next_origin
    };
    match step {
        Step::Arrive(key, due) => {
            model.next_offset += 1;
            let offset = model.next_offset;
            let origin = new(model, key, At::Retry { offset, due, runs: false });
            waiting.insert_sequenced(Offset(offset), due, 1, (), sequence(&key, origin));
        }
        Step::Expect(key) => {
            let origin = new(model, Some(key), At::Coming);
            waiting.expect(sequence(&Some(key), origin));
        }
        Step::HoldMain(key) => {
            let origin = new(model, Some(key), At::Main);
            waiting.hold_main(sequence(&Some(key), origin));
        }
        Step::Next(n, due) => {
            let Some(&(key, origin, at)) = model.records.get(n % count) else { return };
            match at {
                At::Main => waiting.release_main(sequence(&key, origin)),
                At::Retry { offset, .. } => assert!(waiting.remove(Offset(offset)).is_some()),
                At::Coming => {
                    model.next_offset += 1;
                    let offset = model.next_offset;
                    model.records[n % count].2 = At::Retry { offset, due, runs: false };
                    waiting.insert_sequenced(Offset(offset), due, 1, (), sequence(&key, origin));
                    return;
                }
            }
            model.records.remove(n % count);
        }
        Step::GiveUp(n) => {
            if let Some(&(key, origin, At::Coming)) = model.records.get(n % count) {
                waiting.give_up(sequence(&key, origin));
                model.records.remove(n % count);
            }
        }
        Step::Start(n) => {
            if let Some((_, _, At::Retry { offset, runs, .. })) = model.records.get_mut(n % count) {
                waiting.start(Offset(*offset));
                *runs = true;
            }
        }
        Step::Postpone(n, later) => {
            if let Some((_, _, At::Retry { offset, due, runs })) = model.records.get_mut(n % count)
            {
                waiting.postpone(Offset(*offset), later);
                (*due, *runs) = (later, false);
            }
        }
        Step::Fail(n) => {
            if let Some((key @ Some(_), origin, at)) = model.records.get_mut(n % count)
                && let At::Retry { offset, .. } = *at
            {
                assert!(waiting.remove(Offset(offset)).is_some());
                waiting.expect(sequence(key, *origin));
                *at = At::Coming;
            }
        }
    }
}

proptest! {
    #[test]
    fn what_may_run_is_what_the_rule_says(steps in prop::collection::vec(step(), 0..100)) {
        // No hysteresis to model: the limit is not reached here.
        const FOLLOWERS_MAX: usize = 1000;
        let (mut model, mut waiting) = (Model::default(), Waiting::in_order(FOLLOWERS_MAX));
        for step in steps {
            let standings = |model: &Model| -> BTreeMap<i64, (u8, Standing)> {
                let mains = model.records.iter().filter(|record| record.2 == At::Main);
                mains
                    .map(|&(key, origin, _)| {
                        let key = key.expect("main records have one here");
                        (origin, (key, model.standing(key, origin, FOLLOWERS_MAX)))
                    })
                    .collect()
            };
            let before = standings(&model);
            apply(&mut model, &mut waiting, step);
            for (origin, (key, standing)) in standings(&model) {
                let was = before.get(&origin).map(|(_, standing)| *standing);
                if was == Some(Standing::Behind) && standing != Standing::Behind {
                    model.stirred.insert(origin, key);
                }
            }
            let mut stirred = Vec::new();
            while let Some(offset) = waiting.pop_stirred() {
                stirred.push(offset.0);
            }
            for origin in std::mem::take(&mut model.stirred).into_keys() {
                prop_assert!(stirred.contains(&origin), "{} is free and nobody is told", origin);
            }
            for now_ms in 0..6 {
                let due: Vec<i64> = waiting.due(now_ms).map(|offset| offset.0).collect();
                prop_assert_eq!(&due, &model.due(now_ms));
                for &(_, _, at) in &model.records {
                    if let At::Retry { offset, .. } = at {
                        let may_run = waiting.may_run(Offset(offset), now_ms);
                        prop_assert_eq!(may_run, due.contains(&offset));
                    }
                }
            }
            for key in 0..4 {
                for origin in [1, model.next_origin / 2, model.next_origin + 1] {
                    let expected = model.standing(key, origin, FOLLOWERS_MAX);
                    let seen = waiting.standing(sequence(&Some(key), origin));
                    prop_assert_eq!(seen, expected, "key {} at {}", key, origin);
                }
            }
            let mut parked: Vec<_> =
                model.records.iter().filter(|r| r.2 != At::Main).filter_map(|r| r.0).collect();
            parked.sort_unstable();
            parked.dedup();
            prop_assert_eq!(waiting.parked_keys(), parked.len());
        }
    }
}
