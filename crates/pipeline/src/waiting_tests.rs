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
