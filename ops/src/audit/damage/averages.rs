//! Every field and header of the averages, and the committed offsets.

use orders::Amount;
use pipeline::completion::Completion;
use pipeline::record::{CommitPosition, Offset};

use super::super::report::Invariant::{I1, I2, I4, I6};
use super::log::{Log, NOW_MS, Rec};
use super::{Green, Red, Row, expect, judge};

fn tea(log: &mut Log) -> &mut order_schemas::ProductAverage {
    log.averages[0].1.as_mut().expect("it has a value")
}

fn record(log: &mut Log) -> &mut Rec {
    &mut log.averages[0].0
}

fn earlier(log: &mut Log) -> &mut order_schemas::ProductAverage {
    let mut first = log.average("tea", &[0, 2]);
    first.0.set("x-main-offset", "4");
    first.0.set("x-retry-offset", "0");
    log.averages.insert(0, first);
    tea(log)
}

/// A record that comes first and counts more than the one behind it.
fn counts_more(log: &mut Log) {
    let one = earlier(log);
    one.count = 9;
    one.sum = Amount::from_ten_thousandths(9);
    even(one);
}

fn even(average: &mut order_schemas::ProductAverage) {
    average.average = orders::average(average.sum, average.count.unsigned_abs()).unwrap_or(0.0);
}

#[test]
fn each_field_of_an_average_is_checked() {
    let rows: [Row; 12] = [
        (
            "a count too high",
            |l| {
                tea(l).count = 5;
                even(tea(l));
            },
            Red(I2),
            Red(I4),
        ),
        (
            "a count too low",
            |l| {
                tea(l).count = 3;
                even(tea(l));
            },
            Red(I1),
            Red(I4),
        ),
        ("a count below zero", |l| tea(l).count = -4, Red(I4), Red(I4)),
        ("no count", |l| tea(l).count = 0, Red(I4), Red(I4)),
        (
            "a sum too high by the smallest amount",
            |l| {
                tea(l).sum += Amount::from_ten_thousandths(1);
                even(tea(l));
            },
            Red(I4),
            Red(I4),
        ),
        ("a sum below zero", |l| tea(l).sum = Amount::from_ten_thousandths(-1), Red(I4), Red(I4)),
        ("another average", |l| tea(l).average += 0.000_001, Red(I4), Red(I4)),
        ("an average that is no number", |l| tea(l).average = f64::NAN, Red(I4), Red(I4)),
        ("another product", |l| tea(l).product = "cake".into(), Red(I4), Red(I4)),
        ("another key", |l| record(l).key = Some(b"cake".to_vec()), Red(I4), Red(I4)),
        ("updated never", |l| tea(l).updated_at_ms = 0, Red(I4), Red(I4)),
        (
            "updated in a hundred years",
            |l| tea(l).updated_at_ms = NOW_MS + 3_155_760_000_000,
            Red(I4),
            Red(I4),
        ),
    ];
    judge(&rows);
}

#[test]
fn group_and_positions_of_an_average_are_checked() {
    let rows: [Row; 12] = [
        ("another group", |l| record(l).set("x-group", "other"), Red(I4), Red(I4)),
        ("no group", |l| record(l).remove("x-group"), Red(I4), Red(I4)),
        ("two groups", |l| record(l).double("x-group"), Red(I4), Red(I4)),
        ("no position", |l| record(l).remove("x-main-offset"), Red(I4), Red(I4)),
        ("a position that is none", |l| record(l).set("x-retry-offset", "one"), Red(I4), Red(I4)),
        ("a position twice", |l| record(l).double("x-main-offset"), Red(I4), Red(I4)),
        (
            "a main position that is not reached",
            |l| record(l).set("x-main-offset", "11"),
            Red(I6),
            Red(I6),
        ),
        (
            "a retry position that is not reached",
            |l| record(l).set("x-retry-offset", "2"),
            Red(I6),
            Red(I6),
        ),
        (
            "main positions that lag",
            |l| l.averages.iter_mut().for_each(|(rec, _)| rec.set("x-main-offset", "8")),
            Red(I6),
            Red(I6),
        ),
        (
            "retry positions that lag",
            |l| l.averages.iter_mut().for_each(|(rec, _)| rec.set("x-retry-offset", "0")),
            Red(I6),
            Red(I6),
        ),
        (
            "a main position that goes back",
            |l| l.averages[1].0.set("x-main-offset", "9"),
            Red(I4),
            Red(I4),
        ),
        (
            "a retry position that goes back",
            |l| l.averages[1].0.set("x-retry-offset", "0"),
            Red(I4),
            Red(I4),
        ),
    ];
    judge(&rows);
}

#[test]
fn completions_of_an_average_are_checked() {
    let rows: [Row; 4] = [
        (
            "a completion that is none",
            |l| record(l).set("x-main-completion", "some"),
            Red(I4),
            Red(I4),
        ),
        (
            "a completion of another offset",
            |l| record(l).set("x-retry-completion", "AQAAUgE"),
            Red(I4),
            Red(I4),
        ),
        (
            "a completion without a word",
            |l| record(l).set("x-retry-completion", ""),
            Red(I4),
            Red(I4),
        ),
        (
            "a completion that claims what is open",
            |l| {
                l.retries.push(l.retry_of(4, 1, 1));
                let mut window = pipeline::window::Window::new(CommitPosition(1));
                window.hold(Offset(1));
                window.settle_new(Offset(2));
                window.settle_new(Offset(3));
                let text = window.completion().encode();
                record(l).set("x-retry-completion", &text);
            },
            Red(I6),
            Red(I6),
        ),
    ];
    judge(&rows);
}

#[test]
fn averages_that_are_missing_or_out_of_line_are_found() {
    let rows: [Row; 7] = [
        ("one is missing", |l| drop(l.averages.remove(0)), Red(I4), Red(I4)),
        (
            "one was deleted",
            |l| {
                let mut rec = l.averages[0].0.clone();
                rec.value = None;
                l.averages.push((rec, None));
            },
            Red(I4),
            Red(I4),
        ),
        (
            "a product that nobody ordered",
            |l| {
                let mut more = l.average("tea", &[2]);
                more.0.key = Some(b"rice".to_vec());
                if let Some(average) = &mut more.1 {
                    average.product = "rice".into();
                }
                l.averages.push(more);
            },
            Red(I4),
            Red(I4),
        ),
        ("a count that shrinks", counts_more, Red(I4), Red(I4)),
        (
            "a sum that shrinks",
            |l| {
                let one = earlier(l);
                one.sum = Amount::from_ten_thousandths(900_000);
                even(one);
            },
            Red(I4),
            Red(I4),
        ),
        (
            "a sum that changes alone",
            |l| {
                let one = earlier(l);
                one.count = 4;
                one.sum = Amount::from_ten_thousandths(4);
                even(one);
            },
            Red(I4),
            Red(I4),
        ),
        (
            "one that is written again as it is",
            |l| {
                let again = l.averages[1].clone();
                l.averages.push(again);
            },
            Green,
            Green,
        ),
    ];
    judge(&rows);
    let mut log = Log::right();
    earlier(&mut log);
    expect("partials that grow", &log.audit(true), Green);
}

fn commit(log: &mut Log, which: usize, position: i64, text: &str) {
    log.committed[which] = Some((position, text.to_owned()));
}

fn text(log: &Log) -> String {
    log.retry.completion().encode()
}

#[test]
fn each_part_of_a_committed_offset_is_checked() {
    let rows: [Row; 9] = [
        ("main past the end", |l| commit(l, 0, 11, ""), Red(I6), Red(I6)),
        ("retry past the end", |l| commit(l, 1, 4, ""), Red(I6), Red(I6)),
        ("main too low", |l| commit(l, 0, 9, ""), Red(I6), Red(I6)),
        ("main far too low", |l| commit(l, 0, 0, ""), Red(I6), Red(I6)),
        ("retry too low", |l| commit(l, 1, 0, ""), Red(I6), Red(I6)),
        ("retry past one that waits", |l| commit(l, 1, 3, ""), Red(I1), Red(I4)),
        ("no metadata", |l| commit(l, 1, 1, ""), Red(I2), Red(I2)),
        (
            "metadata that says that averages are there",
            |l| {
                l.averages.clear();
                let position = CommitPosition(10);
                let text = Completion::at(position).with_averages(true).encode();
                commit(l, 0, 10, &text);
            },
            Red(I4),
            Red(I4),
        ),
        (
            "metadata of another tool, where nothing is settled above",
            |l| commit(l, 0, 10, "a tool's"),
            Green,
            Green,
        ),
    ];
    judge(&rows);
}

#[test]
fn what_the_averages_note_stands_for_metadata_that_another_tool_dropped() {
    let mut log = Log::right();
    let noted = text(&log);
    record(&mut log).set("x-retry-completion", &noted);
    expect("noted", &log.audit(true), Green);
    commit(&mut log, 1, 1, "");
    for with_outcomes in [true, false] {
        let report = log.audit(with_outcomes);
        expect("noted, and dropped", &report, Green);
        let notes = report.verdict(I6).notes.concat();
        assert!(notes.contains("comes from the averages"), "{notes}");
    }
}
