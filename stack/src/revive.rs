//! A server of which some processes are gone: those are started again as they were, beside the ones that run.

use std::sync::Arc;

use crate::node::start_nodes;
use crate::state::NodeRecord;
use crate::{Ledger, Lifetime, Node, StackError};

/// Starts the processes of `records` that do not run, on the same ports and data, and waits until
/// they answer.
/// A cluster is waited for until all its nodes know each other.
///
/// # Errors
/// When one ends or does not answer in time, or its launch was not noted.
pub fn revive(
    whole_server: &[&NodeRecord],
    names: &[&str],
    ledger: &Arc<Ledger>,
) -> Result<(), StackError> {
    let mut nodes = Vec::new();
    for record in whole_server {
        if record.process.is_alive() || !names.contains(&record.name.as_str()) {
            continue;
        }
        let lifetime = Lifetime::Detached(Arc::clone(ledger));
        nodes.push(Node::of_record(record, lifetime).ok_or_else(|| StackError::Setting {
            setting: "stack.json",
            value: record.name.clone(),
            rule: "the file does not say how it was started; run `stack down`, then `stack up`",
        })?);
    }
    start_nodes(&mut nodes)?;
    let is_whole = whole_server
        .iter()
        .all(|record| record.process.is_alive() || names.contains(&record.name.as_str()));
    // A node of RabbitMQ that went on registers with `epmd` again after two seconds; until then no tool finds it.
    let of_cluster = whole_server.iter().filter(|record| !record.is_prerequisite).count();
    for node in nodes.iter_mut().filter(|_| is_whole) {
        let probe = node.probe().of_cluster(of_cluster);
        node.await_answer(&probe)?;
    }
    Ok(())
}
