//! Which dead letter goes where, with what.

use super::*;
use crate::dlq::record::Record;

fn rules() -> Rules {
    Rules {
        dlq_topic: "orders-dlq".to_owned(),
        group: "shop".to_owned(),
        retry_topic: "orders-retry".to_owned(),
        to: None,
        redrives_max: 3,
        takes_discarded: false,
    }
}

const OURS: [Header<'static>; 13] = [
    (b"x-origin-topic", Some(b"orders")),
    (b"x-origin-partition", Some(b"2")),
    (b"x-origin-offset", Some(b"133")),
    (b"x-origin-group", Some(b"shop")),
    (b"tenant", Some(&[0xff])),
    (b"x-attempt", Some(b"4")),
    (b"x-failure-class", Some(b"transient")),
    (b"x-failure-reason", Some(b"handler")),
    (b"x-failure-detail", Some(b"no stock")),
    (b"x-fingerprint", Some(b"d0186006")),
    (b"x-redrive-count", Some(b"1")),
    (b"x-redrive-id", Some(b"before")),
    (b"tenant", None),
];

const SPRINGS: [Header<'static>; 3] = [
    (b"kafka_dlt-original-topic", Some(b"payments")),
    (b"kafka_dlt-original-partition", Some(&[0, 0, 0, 5])),
    (b"kafka_dlt-original-offset", Some(&[0, 0, 0, 0, 0, 0, 0, 1])),
];

fn letter(headers: &[Header<'static>]) -> DeadLetter<'static> {
    DeadLetter::read(Record { partition: 1, headers: headers.to_vec(), ..Record::default() })
}

/// Ours, with one header changed, or taken out where there is no value.
fn ours_with(name: &str, value: Option<&'static [u8]>) -> DeadLetter<'static> {
    let others = OURS.iter().filter(|(found, _)| *found != name.as_bytes()).copied();
    let (place, _) = OURS
        .iter()
        .find(|(found, _)| *found == name.as_bytes())
        .copied()
        .unwrap_or((b"x-truncated", None));
    let changed = value.map(|value| (place, Some(value)));
    letter(&others.chain(changed).collect::<Vec<_>>())
}

#[test]
fn ours_go_to_the_retry_topic_of_their_group_whatever_else_is_named() {
    let expected = Target { topic: "orders-retry", partition: 2 };
    assert_eq!(rules().target(&letter(&OURS)), Ok(expected));
    let with_to = Rules { to: Some("elsewhere".to_owned()), ..rules() };
    assert_eq!(with_to.target(&letter(&OURS)), Ok(expected));
}

#[test]
fn those_of_other_tools_go_where_they_came_from_or_where_the_user_says() {
    let letter = letter(&SPRINGS);
    assert_eq!(rules().target(&letter), Ok(Target { topic: "payments", partition: 5 }));
    let with_to = Rules { to: Some("payments-2".to_owned()), ..rules() };
    assert_eq!(with_to.target(&letter), Ok(Target { topic: "payments-2", partition: 5 }));
}

#[test]
fn what_is_handled_stays_and_one_that_was_discarded_goes_back_on_request_only() {
    let letter = letter(&OURS);
    let redrive = |takes_discarded| Work::Redrive(Rules { takes_discarded, ..rules() });
    let back = Ok(Fate::Back(Target { topic: "orders-retry", partition: 2 }));
    let (redriven, discarded) = (Some(Mark::Redriven), Some(Mark::Discarded));
    for (work, mark, expected) in [
        (redrive(false), None, back),
        (redrive(false), redriven, Err(Skip::AlreadyRedriven)),
        (redrive(false), discarded, Err(Skip::Discarded)),
        (redrive(true), discarded, back),
        (redrive(true), redriven, Err(Skip::AlreadyRedriven)),
        (Work::Discard, None, Ok(Fate::Discarded)),
        (Work::Discard, discarded, Err(Skip::Discarded)),
        (Work::Discard, redriven, Err(Skip::AlreadyRedriven)),
    ] {
        assert_eq!(work.decide(mark, &letter), expected, "{work:?} {mark:?}");
    }
}

#[test]
fn where_nothing_says_from_where_nothing_is_guessed() {
    let letter = letter(&[(b"tenant", Some(b"a"))]);
    assert_eq!(rules().target(&letter), Err(Skip::NoOrigin));
    let with_to = Rules { to: Some("orders".to_owned()), ..rules() };
    assert_eq!(with_to.target(&letter), Ok(Target { topic: "orders", partition: 1 }));
}

#[test]
fn what_would_not_arrive_or_not_end_stays() {
    for (letter, expected) in [
        (ours_with("x-redrive-count", Some(b"3")), Skip::TooManyRedrives),
        (ours_with("x-truncated", Some(b"orders/2/133 length=9")), Skip::ValueLost),
        (ours_with("x-origin-group", Some(b"another")), Skip::OtherGroup),
        (ours_with("x-origin-group", None), Skip::NoOrigin),
        (ours_with("x-origin-offset", None), Skip::NoOrigin),
    ] {
        assert_eq!(rules().target(&letter), Err(expected), "{letter:?}");
    }
    let same = Rules { to: Some("orders-dlq".to_owned()), ..rules() };
    assert_eq!(same.target(&letter(&SPRINGS)), Err(Skip::SameTopic));
    let target = Target { topic: "payments", partition: 5 };
    assert_eq!(target.check(None), Err(Skip::NoTopic));
    assert_eq!(target.check(Some(5)), Err(Skip::NoPartition));
    assert_eq!(target.check(Some(6)), Ok(()));
}

#[test]
fn ours_begin_anew_and_keep_everything_else_byte_for_byte() {
    let text = |value: &str| Some(value.as_bytes().to_vec());
    let expected: Vec<OwnedHeader> = vec![
        (b"x-origin-topic".to_vec(), text("orders")),
        (b"x-origin-partition".to_vec(), text("2")),
        (b"x-origin-offset".to_vec(), text("133")),
        (b"x-origin-group".to_vec(), text("shop")),
        (b"tenant".to_vec(), Some(vec![0xff])),
        (b"tenant".to_vec(), None),
        (b"x-attempt".to_vec(), text("0")),
        (b"x-due-at-ms".to_vec(), text("1000")),
        (b"x-redrive-count".to_vec(), text("2")),
        (b"x-redrive-id".to_vec(), text("now")),
    ];
    assert_eq!(headers(&letter(&OURS), "now", 1_000), expected);
}

#[test]
fn those_of_other_tools_keep_all_their_headers_and_are_counted() {
    let found = headers(&letter(&SPRINGS), "now", 1_000);
    let kept: Vec<_> = found.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
    assert_eq!(kept[..3], SPRINGS);
    let added =
        [(b"x-redrive-count".as_slice(), Some(b"1".as_slice())), (b"x-redrive-id", Some(b"now"))];
    assert_eq!(kept[3..], added);
}
