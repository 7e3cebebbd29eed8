use super::*;

#[test]
fn as_a_whole_the_first_of_a_key_waits_until_nothing_of_it_is_on_its_way() {
    let mut waiting = Waiting::in_order_as_a_whole(100);
    let sequence = |origin| Some(Sequence { key: b"k", origin: Offset(origin) });
    waiting.insert_sequenced(Offset(0), 0, 1, "first", sequence(5));
    assert_eq!(waiting.due(10).collect::<Vec<_>>(), [Offset(0)]);
    waiting.expect(sequence(7));
    waiting.expect(sequence(8));
    assert!(waiting.expects(b"k"));
    waiting.give_up(sequence(8));
    assert_eq!((waiting.due(10).count(), waiting.next_due_at_ms()), (0, None));
    waiting.insert_sequenced(Offset(3), 0, 1, "second", sequence(7));
    assert_eq!(waiting.due(10).collect::<Vec<_>>(), [Offset(0)]);
    assert_eq!(waiting.of_key(b"k").collect::<Vec<_>>(), [Offset(0), Offset(3)]);
    assert!(!waiting.expects(b"k"));
}

#[test]
fn a_key_with_many_bytes_waiting_is_full_however_few_its_followers_are() {
    let mut waiting = Waiting::in_order(100);
    let sequence = |origin| Some(Sequence { key: b"k", origin: Offset(origin) });
    let half = crate::keys::FOLLOWERS_BYTES_MAX / 2;
    waiting.insert_sequenced(Offset(0), 0, 2 * half, "large", sequence(0));
    assert_eq!(waiting.standing(sequence(9)), Standing::Parked, "nothing is behind it");
    waiting.insert_sequenced(Offset(1), 0, half, "follower", sequence(1));
    assert_eq!((waiting.standing(sequence(9)), waiting.full_keys()), (Standing::Full, 1));
    waiting.remove(Offset(0));
    assert_eq!((waiting.standing(sequence(9)), waiting.full_keys()), (Standing::Parked, 0));
}
