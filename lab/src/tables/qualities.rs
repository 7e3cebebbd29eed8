//! What numbers do not say. It stands after them.

use super::{Entry, Table, words};
use crate::results::Results;
use crate::workload::Paradigm;

/// A quality, and how each paradigm of this project has it.
const QUALITIES: [(&str, [&str; 3]); 8] = [
    (
        "coupling in time",
        [
            "all services must be up, and quick, at the moment of the order",
            "the broker and the order service must be up; the others may be late",
            "the broker and the order service must be up; the others may be late",
        ],
    ),
    (
        "what the client knows",
        [
            "the outcome, in the answer",
            "that the order is safe; the outcome by asking, or by a message",
            "that the order is safe; the outcome by asking, or by a message",
        ],
    ),
    (
        "order of one key",
        [
            "that of the requests",
            "none: messages are worked on side by side",
            "nearly that of the log: up to 64 orders are worked on side by side; with --order key that of each item, always",
        ],
    ),
    (
        "too much work",
        [
            "is turned away with 503 as soon as the limit in flight is reached",
            "waits in the queue; a full queue refuses",
            "waits in the log, as long as its retention lasts",
        ],
    ),
    (
        "what fails for good",
        [
            "the client hears it, and has it",
            "becomes a dead letter, which can be sent back",
            "becomes a dead letter, which can be sent back exactly once",
        ],
    ),
    (
        "replay",
        [
            "none",
            "none: what was acknowledged is gone",
            "from any point of the log, by anyone who may read it",
        ],
    ),
    (
        "growing",
        [
            "more order services; stock has one owner and a standby",
            "more order services; stock has one owner and a standby",
            "more of every service, up to the partitions; an item stays in one",
        ],
    ),
    (
        "operational parts",
        [
            "three services",
            "three services, a broker, a schema registry",
            "three services, brokers, a schema registry, topics and groups to look after",
        ],
    ),
];

pub(super) fn qualities(results: &Results) -> Table {
    let shown: Vec<usize> = Paradigm::ALL
        .iter()
        .enumerate()
        .filter(|(_, paradigm)| results.paradigms.iter().any(|info| info.paradigm == **paradigm))
        .map(|(place, _)| place)
        .collect();
    let mut columns = vec![words("quality")];
    columns.extend(shown.iter().map(|place| words(Paradigm::ALL[*place].title())));
    let row = |(quality, by): &(&str, [&str; 3])| {
        let mut row = vec![Entry::text(*quality)];
        row.extend(shown.iter().map(|place| Entry::text(by[*place])));
        row
    };
    let caption = "What each paradigm is by its nature, as it is built in this project.".to_owned();
    let rows = if shown.is_empty() { Vec::new() } else { QUALITIES.iter().map(row).collect() };
    Table { id: "qualities", title: "What numbers do not say", caption, columns, rows }
}
