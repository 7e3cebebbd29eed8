//! `stack start`: what was stopped, killed or died comes back, on the same ports and data.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use stack::state::StackDir;
use stack::{Ledger, revive};

use service_kit::output::note;

use super::up::{self, Wanted, roll_back_on_signal};
use super::{existing, named};
use crate::cli::ServerName;

pub(crate) fn run(dir: &Path, names: &[String]) -> anyhow::Result<ExitCode> {
    let known = existing(dir).ok();
    // A server that never ran here, or is gone as a whole, is started as `up` starts it.
    let is_for_up = |name: &String| {
        let is_server = ServerName::of(name).is_some();
        let nodes: Vec<_> = known.iter().flat_map(|state| state.nodes_of(name)).collect();
        is_server && nodes.iter().all(|node| !node.process.is_alive())
    };
    let (whole, single): (Vec<String>, Vec<String>) = names.iter().cloned().partition(is_for_up);
    if !single.is_empty() {
        start_processes(dir, &single)?;
    }
    if !whole.is_empty() {
        let wanted = Wanted {
            names: whole.iter().filter_map(|name| ServerName::of(name)).collect(),
            kafka_brokers: None,
            rabbitmq_nodes: None,
            has_default_ports: false,
            only: Some(whole),
        };
        up::bring_up(dir, &wanted)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts the processes called `names`, or those of the servers called so, unless they run.
fn start_processes(dir: &Path, names: &[String]) -> anyhow::Result<()> {
    existing(dir)?;
    let stack = StackDir::create(dir)?;
    let _lock = stack.lock()?;
    let state = stack.state()?;
    let meant = named(&state, names, dir)?;
    let ledger = Arc::new(Ledger::new(stack, state.clone()));
    roll_back_on_signal(Arc::clone(&ledger))?;
    let servers: BTreeSet<&str> = meant.iter().map(|node| node.server.as_str()).collect();
    for server in servers {
        let whole: Vec<_> = state.nodes_of(server).collect();
        let names: Vec<&str> = meant
            .iter()
            .filter(|node| node.server == server)
            .map(|node| node.name.as_str())
            .collect();
        if let Err(error) = revive::revive(&whole, &names, &ledger) {
            ledger.roll_back()?;
            return Err(error.into());
        }
        for node in meant.iter().filter(|node| node.server == server) {
            let was = if node.process.is_alive() { "already running" } else { "ready" };
            let address = stack::ports::address(node.probe.port());
            note(&format!("{:<12} {was} on {address}", node.name));
        }
    }
    Ok(())
}
