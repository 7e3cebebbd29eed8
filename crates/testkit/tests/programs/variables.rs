//! The variables that docs/configuration.md names, those that `--help` names, and those that are
//! read: they are the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use service_kit::args::OTHER_VARIABLES;

use crate::commands::commands;
use crate::variables_of;

/// Named in the document, and set by `stack env` for other tools; no program of ours reads them.
const SET_BY_THE_STACK: [&str; 3] =
    ["KAFKA_CLASSPATH", "RABBITMQ_MANAGEMENT_URL", "PROMETHEUS_URL"];

/// What `stack` hands on to Kafka's virtual machine, and reads without a flag.
const OF_KAFKAS_SCRIPTS: [&str; 2] = ["KAFKA_HEAP_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS"];

/// What the document says of variables of others, as an example, and values that look like names.
const EXAMPLES: [&str; 7] = [
    "SASL_PLAINTEXT",
    "SASL_SSL",
    "KAFKA_BOOTSTRAP_SERVER",
    "CONSUMER_SERVICE_HOST",
    "CONSUMER_PORT",
    "CONSUMER_PORT_9464_TCP_ADDR",
    "BUILD_COMMIT",
];

fn document() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    fs::read_to_string(file).expect("the document stands")
}

/// Names of variables in backticks: `NAME`, `NAME=value`.
fn named(text: &str) -> BTreeSet<String> {
    let spans = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let names = spans.map(|span| span.split('=').next().unwrap_or_default());
    let is_name = |name: &&str| {
        let is_plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        name.contains('_') && !name.ends_with('_') && name.bytes().all(is_plain)
    };
    names.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn the_document_names_the_variables_that_are_read_and_no_others() {
    let mut read: BTreeSet<String> = OTHER_VARIABLES.iter().map(|&name| name.to_owned()).collect();
    read.extend(OF_KAFKAS_SCRIPTS.map(str::to_owned));
    commands().iter().for_each(|known| read.extend(variables_of(&known.help)));
    assert!(read.len() > 120, "{read:?}");
    let named = named(&document());
    let missing: Vec<_> = read.difference(&named).collect();
    assert!(missing.is_empty(), "docs/configuration.md does not name {missing:?}");
    let of_others = |name: &&String| {
        SET_BY_THE_STACK.contains(&name.as_str()) || EXAMPLES.contains(&name.as_str())
    };
    let unread: Vec<_> = named.difference(&read).filter(|name| !of_others(name)).collect();
    assert!(unread.is_empty(), "docs/configuration.md names {unread:?}, which nothing reads");
}
