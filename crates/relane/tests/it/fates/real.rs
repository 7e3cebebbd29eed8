//! The table on the real broker.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use relane::{Builder, Report, Shutdown, payload};
use testkit::input::Input;
use testkit::{machine, wait};

use super::{Cut, PARTITIONS, Script, records, with_settings};
use crate::rig::{LIMIT, Rig, text};

/// More than a run takes that is asked to stop.
const STOP_MAX: Duration = Duration::from_secs(30);

/// A run of the pipeline, in a thread of its own.
fn start(builder: Builder, script: &Arc<Script>) -> JoinHandle<Report> {
    let script = Arc::clone(script);
    let handler = move |record| Arc::clone(&script).handle(record);
    thread::spawn(move || builder.run(payload::raw(), handler).expect("it ends well"))
}

fn run(cut: Cut) {
    let _machine = machine::shared();
    let rig = Rig::new(PARTITIONS);
    let input = |(partition, key, value): (i32, String, String)| {
        Input::new(partition, Some(key.as_bytes()), Some(value.as_bytes()))
    };
    let inputs: Vec<Input> = records(cut).into_iter().map(input).collect();
    rig.topics.send(&rig.topics.orders, &inputs);
    let script = Script::new(cut);
    let builder = || with_settings(rig.builder(), cut);
    let stop = Shutdown::new();
    let first = match cut {
        Cut::Stop | Cut::Rebalance => builder().exit_at_end(false).stop(stop.clone()),
        Cut::Nothing | Cut::Outage => builder(),
    };
    let first = start(first, &script);
    wait::is_true("handlers at work", LIMIT, || script.are_all_out());
    let second = match cut {
        Cut::Nothing => None,
        Cut::Rebalance => {
            let second = start(builder(), &script);
            wait::is_true("a partition moves", LIMIT, || script.is_a_partition_cut_off());
            script.end_cut();
            Some(second)
        }
        Cut::Stop => {
            stop.request();
            wait::is_true("the stop", STOP_MAX, || first.is_finished());
            script.end_cut();
            Some(start(builder(), &script))
        }
        Cut::Outage => {
            wait::is_true("handlers called again", LIMIT, || script.is_a_partition_cut_off());
            script.end_cut();
            None
        }
    };
    if let Some(second) = second {
        assert!(second.join().expect("no panic").reached_end, "{cut:?}");
        stop.request();
    }
    first.join().expect("no panic");
    wait::is_true("everything is settled", LIMIT, || rig.topics.lag() == 0);
    let letters: Vec<_> = rig
        .topics
        .records(&rig.topics.dlq)
        .iter()
        .map(|letter| {
            let header = |name| text(letter.header(name));
            let (class, reason) = (header("x-failure-class"), header("x-failure-reason"));
            (letter.partition, text(letter.value.as_deref()), class, reason)
        })
        .collect();
    script.judge(&letters);
}

#[test]
fn each_record_comes_to_its_end_when_nothing_cuts_its_handler_off() {
    run(Cut::Nothing);
}

#[test]
fn a_handler_that_a_rebalance_cuts_off_is_called_again_as_the_same_attempt() {
    run(Cut::Rebalance);
}

#[test]
fn a_handler_that_a_stop_cuts_off_is_called_again_as_the_same_attempt() {
    run(Cut::Stop);
}

#[test]
fn a_handler_that_an_outage_cuts_off_is_called_again_as_the_same_attempt() {
    run(Cut::Outage);
}
