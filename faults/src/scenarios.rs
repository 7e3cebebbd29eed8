//! All scenarios, in the order of the list of faults.

mod amounts;
mod brokers;
mod crash;
mod duplicates;
mod members;
mod network;
mod records;
mod registry;
mod retries;
mod stop;
mod topics;

use crate::scenario::Scenario;

/// Every scenario.
pub const ALL: &[Scenario] = &[
    crash::ABORT_AT_EACH_STEP,
    crash::KILLED_UNDER_LOAD,
    members::FROZEN_PAST_ITS_SESSION,
    members::TWO_WITH_ONE_ID,
    network::COMMIT_HELD_UP,
    brokers::BROKER_RESTARTS,
    brokers::BROKERS_LOST,
    brokers::COORDINATORS_MOVE,
    members::REBALANCE_STORM,
    members::PARTITIONS_ADDED,
    topics::RETENTION_OVERTAKES,
    topics::TOPIC_MADE_ANEW,
    network::BAD_LINE,
    registry::REGISTRY_MISBEHAVES,
    registry::UNKNOWN_SCHEMA_IDS,
    records::BAD_VALUES,
    records::STRANGE_SHAPES,
    amounts::LARGE_RECORDS,
    topics::DEAD_LETTERS_REFUSED,
    topics::NARROW_RETRY_TOPIC,
    duplicates::SENT_TWICE,
    retries::RETRY_STORM,
    retries::POISON_AND_HANGS,
    stop::ASKED_TO_STOP,
    stop::STOPPED_WITHOUT_BROKER,
    amounts::LITTLE_ROOM,
    amounts::KEY_FLOODS,
    amounts::BACKLOG,
];

/// The scenario of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of the list that real servers can show, see docs/faults.md.
    const COVERED: [u8; 28] = [
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
        28, 29, 39,
    ];

    #[test]
    fn every_row_has_a_scenario_and_every_scenario_a_row() {
        let mut rows: Vec<u8> = ALL.iter().flat_map(|s| s.rows).copied().collect();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows, COVERED);
        assert!(ALL.iter().all(|scenario| !scenario.rows.is_empty()));
    }

    #[test]
    fn names_differ_and_the_page_of_faults_tells_of_each() {
        let page = include_str!("../../docs/faults.md");
        for (n, scenario) in ALL.iter().enumerate() {
            assert!(ALL[..n].iter().all(|other| other.name != scenario.name));
            assert!(page.contains(&format!("`{}`", scenario.name)), "{}", scenario.name);
        }
    }
}
