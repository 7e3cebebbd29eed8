use super::*;
use Ended::{Failed, Reserved};

fn ended(outcomes: &[Ended], notifications: usize) -> Final {
    Final { outcomes: outcomes.to_vec(), notifications: Some(notifications) }
}

fn stock(initial: u64, reserved: u64, left: u64) -> StockEnd {
    let (initial, left) = (Some(initial), Some(left));
    StockEnd { item: "burger".to_owned(), initial, reserved, left }
}

/// Audits one order of two burgers.
#[track_caller]
fn check(verdict: Verdict, found: &Final, unknowns: Unknowns, expected: &[&str]) {
    let ledger = Ledger::new();
    ledger.note("o-1", "burger", 2, verdict);
    let finals = BTreeMap::from([("o-1".to_owned(), found.clone())]);
    let violations = ledger.audit(&finals, &[], unknowns);
    let words: Vec<&str> = violations.iter().map(|violation| violation.what.as_str()).collect();
    assert_eq!(words, expected, "{verdict:?} {found:?}");
}

#[test]
fn an_accepted_order_has_one_outcome_and_its_customer_was_told_once() {
    let check = |found: &Final, expected: &[&str]| {
        check(Verdict::Accepted, found, Unknowns::MayBeHalfDone, expected);
    };
    check(&ended(&[Reserved], 1), &[]);
    check(&ended(&[Failed], 1), &[]);
    check(&ended(&[], 0), &["accepted, and has no outcome"]);
    check(&ended(&[Reserved, Reserved], 1), &["2 outcomes"]);
    check(&ended(&[Reserved, Failed], 1), &["2 outcomes"]);
    check(&ended(&[Reserved], 0), &["accepted, and its customer was not told"]);
    check(&ended(&[Reserved], 2), &["told 2 times"]);
    check(&Final { outcomes: vec![Failed], notifications: None }, &[]);
}

#[test]
fn a_rejected_order_has_nothing() {
    let check = |found: &Final, expected: &[&str]| {
        check(Verdict::Rejected, found, Unknowns::MayBeHalfDone, expected);
    };
    check(&ended(&[], 0), &[]);
    check(&ended(&[Reserved], 1), &["rejected, and has an outcome"]);
    check(&ended(&[], 1), &["rejected, and its customer was told"]);
}

#[test]
fn an_unknown_order_may_be_done_or_not_and_never_twice() {
    for (found, unknowns, expected) in [
        (ended(&[], 0), Unknowns::AreSettled, None),
        (ended(&[Reserved], 1), Unknowns::AreSettled, None),
        (ended(&[Reserved], 0), Unknowns::MayBeHalfDone, None),
        (
            ended(&[Reserved], 0),
            Unknowns::AreSettled,
            Some("it has an outcome, and its customer was not told"),
        ),
        (ended(&[Reserved, Reserved], 1), Unknowns::MayBeHalfDone, Some("2 outcomes")),
        (ended(&[Reserved], 2), Unknowns::MayBeHalfDone, Some("told 2 times")),
        (
            ended(&[], 1),
            Unknowns::MayBeHalfDone,
            Some("its customer was told, and it has no outcome"),
        ),
    ] {
        check(Verdict::Unknown, &found, unknowns, expected.as_slice());
    }
}

#[test]
fn an_outcome_that_nobody_ordered_is_a_violation() {
    let finals = BTreeMap::from([("ghost".to_owned(), ended(&[Reserved], 0))]);
    let violations = Ledger::new().audit(&finals, &[], Unknowns::AreSettled);
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].subject, "ghost");
}

#[test]
fn every_reserved_piece_is_missing_from_the_stock() {
    let ledger = Ledger::new();
    ledger.note("o-1", "burger", 2, Verdict::Accepted);
    ledger.note("o-2", "burger", 3, Verdict::Accepted);
    let finals = BTreeMap::from([
        ("o-1".to_owned(), ended(&[Reserved], 1)),
        ("o-2".to_owned(), ended(&[Failed], 1)),
    ]);
    let audit = |level| ledger.audit(&finals, &[level], Unknowns::AreSettled).len();
    assert_eq!(audit(stock(10, 2, 8)), 0);
    assert_eq!(audit(stock(10, 4, 6)), 1, "taken twice");
    assert_eq!(audit(stock(10, 0, 10)), 1, "not taken");
    assert_eq!(audit(stock(10, 2, 9)), 1, "given back");
    assert_eq!(audit(stock(1, 2, 0)), 1, "below zero");
}

#[test]
fn what_was_accepted_stays_so_and_a_doubt_is_not_removed_by_a_rejected_retry() {
    use Verdict::{Accepted, Rejected, Unknown};
    for (notes, expected) in [
        (&[Unknown, Accepted][..], Accepted),
        (&[Accepted, Unknown], Accepted),
        (&[Accepted, Rejected], Accepted),
        (&[Rejected, Accepted], Accepted),
        (&[Unknown, Rejected], Unknown),
        (&[Rejected, Unknown], Unknown),
        (&[Rejected, Rejected], Rejected),
    ] {
        let ledger = Ledger::new();
        for verdict in notes {
            ledger.note("o-1", "burger", 1, *verdict);
        }
        assert_eq!(ledger.count(expected), 1, "{notes:?}");
    }
}

#[test]
fn an_answer_is_read_for_what_it_promises() {
    let answer = |status, body: &str| {
        Verdict::of(&Ok(HttpAnswer { status, headers: Vec::new(), body: body.to_owned() }))
    };
    assert_eq!(answer(202, "{}"), Verdict::Accepted);
    assert_eq!(answer(200, "{}"), Verdict::Accepted);
    assert_eq!(answer(503, "{}"), Verdict::Rejected);
    assert_eq!(answer(503, r#"{"outcome":"unknown"}"#), Verdict::Unknown);
    assert_eq!(answer(409, r#"{"type":"/problems/in-progress"}"#), Verdict::Unknown);
    let broken = Verdict::of(&Err(std::io::Error::other("reset")));
    assert_eq!(broken, Verdict::Unknown);
}
