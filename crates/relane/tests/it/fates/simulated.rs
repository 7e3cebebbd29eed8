//! The table on the test kit.

use std::sync::Arc;
use std::time::Duration;

use relane::testing::{self, Route, TestRecord};
use relane::{Pipeline, payload};

use super::{Cut, PARTITIONS, Script, records, with_settings};
use crate::rig::DELAY;

/// Longest time by the test's clock until handlers are where they are to be.
const STEPS_MAX: usize = 2_000;

fn run(cut: Cut) {
    let script = Script::new(cut);
    let handled = Arc::clone(&script);
    let builder = Pipeline::builder("clicks", testing::kafka()).partitions(PARTITIONS);
    let handler = move |record| Arc::clone(&handled).handle(record);
    let pipeline = testing::with_handler(with_settings(builder, cut), payload::raw(), handler);
    let mut pipeline = pipeline.expect("it starts");
    let mut sent = Vec::new();
    for (partition, key, value) in records(cut) {
        let (key, value) = (Some(key.into_bytes()), Some(value.into_bytes()));
        let record = TestRecord { partition, key, value, headers: Vec::new() };
        sent.push(pipeline.send_record(record));
    }
    let until = |what: &str, pipeline: &mut testing::TestPipeline<_>, is_so: &dyn Fn() -> bool| {
        for _ in 0..STEPS_MAX {
            if is_so() {
                return;
            }
            pipeline.advance(Duration::from_millis(5)).expect("it goes on");
        }
        panic!("{cut:?}: {what}");
    };
    until("handlers at work", &mut pipeline, &|| script.are_all_out());
    match cut {
        Cut::Nothing => {}
        Cut::Rebalance => pipeline.rebalance().expect("it goes on"),
        Cut::Stop => pipeline.restart().expect("it goes on"),
        Cut::Outage => {}
    }
    if cut != Cut::Nothing {
        until("handlers called again", &mut pipeline, &|| script.is_a_partition_cut_off());
    }
    script.end_cut();
    for _ in 0..4 {
        pipeline.settle().expect("it goes on");
        pipeline.advance(DELAY).expect("it goes on");
    }
    for at in sent {
        let route = pipeline.route(at);
        let is_at_its_end = matches!(route, Route::Settled { .. } | Route::DeadLettered { .. });
        assert!(is_at_its_end, "{cut:?}: {at:?} is {route:?}");
    }
    let letters = pipeline.records("clicks-dlq");
    let header = |letter: &TestRecord, name| letter.header(name).unwrap_or_default().to_owned();
    let letters: Vec<_> = letters
        .iter()
        .map(|letter| {
            let value = String::from_utf8_lossy(letter.value.as_deref().unwrap_or_default());
            let class = header(letter, "x-failure-class");
            (letter.partition, value.into_owned(), class, header(letter, "x-failure-reason"))
        })
        .collect();
    script.judge(&letters);
}

#[test]
fn on_the_kit_each_record_comes_to_its_end_when_nothing_cuts_its_handler_off() {
    run(Cut::Nothing);
}

#[test]
fn on_the_kit_a_handler_that_a_rebalance_cuts_off_is_called_again_as_the_same_attempt() {
    run(Cut::Rebalance);
}

#[test]
fn on_the_kit_a_handler_that_a_stop_cuts_off_is_called_again_as_the_same_attempt() {
    run(Cut::Stop);
}

#[test]
fn on_the_kit_a_handler_that_an_outage_cuts_off_is_called_again_as_the_same_attempt() {
    run(Cut::Outage);
}
