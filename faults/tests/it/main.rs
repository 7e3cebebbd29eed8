//! The short form of every scenario, on the servers of the whole test run.
//!
//! The programs under test are built beside this one; the consumer with its feature `failpoints`,
//! as the whole workspace's tests have it.

use std::sync::{Mutex, PoisonError};

use faults::{Size, runner, scenarios};
use testkit::machine;

/// Scenarios that start three brokers, and what lets one of them run at a time: two at once would only wait for each
/// other.
const OF_THREE_BROKERS: [&str; 2] = ["brokers-lost", "coordinators-move"];
static THREE_BROKERS: Mutex<()> = Mutex::new(());

#[track_caller]
fn short_form(name: &str) {
    let _machine = machine::shared();
    pass(name);
}

#[track_caller]
fn pass(name: &str) {
    let has_three = OF_THREE_BROKERS.contains(&name);
    let _one_at_a_time =
        has_three.then(|| THREE_BROKERS.lock().unwrap_or_else(PoisonError::into_inner));
    let scenario = scenarios::find(name).expect("it is in the list");
    let outcome = runner::execute(scenario, Size::Short, rand::random());
    assert!(outcome.is_passed(), "seed {}: {:?}", outcome.seed, outcome.verdict);
}

macro_rules! short_forms {
    ($($test:ident: $name:literal,)*) => {
        const TESTED: &[&str] = &[$($name),*];
        $(#[test] fn $test() { short_form($name); })*
    };
}

short_forms! {
    a_consumer_that_aborts_at_each_step_resumes: "abort-at-each-step",
    a_consumer_that_was_frozen_counts_nothing_twice: "frozen-past-its-session",
    the_older_of_two_with_one_id_ends: "two-with-one-id",
    a_commit_that_comes_late_ends_no_later_transaction: "commit-held-up",
    a_broker_may_restart: "broker-restarts",
    one_broker_of_three_may_be_lost_and_two_are_told: "brokers-lost",
    coordinators_may_move: "coordinators-move",
    instances_may_come_and_go: "rebalance-storm",
    partitions_that_are_added_wait_for_their_topics: "partitions-added",
    what_retention_took_is_told: "retention-overtakes",
    a_topic_that_was_made_anew_is_refused: "topic-made-anew",
    a_bad_line_is_waited_out: "bad-line",
    a_registry_that_misbehaves_holds_up_what_is_new_only: "registry-misbehaves",
    unknown_schema_ids_are_dead_letters: "unknown-schema-ids",
    bad_values_are_dead_letters: "bad-values",
    strange_shapes_keep_their_bytes: "strange-shapes",
    large_records_block_nothing: "large-records",
    nothing_is_committed_past_a_dead_letter_without_a_place: "dead-letters-refused",
    a_narrow_retry_topic_is_refused: "narrow-retry-topic",
    orders_that_are_sent_twice_count_once: "sent-twice",
    retries_that_are_due_at_once_run_in_order: "retry-storm",
    poison_and_hangs_hurt_only_themselves: "poison-and-hangs",
    a_consumer_may_be_stopped_at_any_time: "asked-to-stop",
    a_consumer_stops_without_its_broker: "stopped-without-broker",
    a_process_without_room_commits_half_of_nothing: "little-room",
    floods_of_keys_are_bounded: "key-floods",
    a_backlog_takes_no_memory: "backlog",
}

/// It measures how soon.
const TESTED_ALONE: &str = "killed-under-load";

mod alone {
    use super::{TESTED_ALONE, pass};

    #[test]
    fn a_consumer_that_is_killed_under_load_resumes_soon() {
        let _machine = testkit::machine::alone();
        pass(TESTED_ALONE);
    }
}

#[test]
fn every_scenario_has_its_short_form_here() {
    let all = scenarios::ALL.iter().map(|scenario| scenario.name);
    assert!(all.clone().filter(|name| *name != TESTED_ALONE).eq(TESTED.iter().copied()));
    assert!(all.clone().any(|name| name == TESTED_ALONE));
}
