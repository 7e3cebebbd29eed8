//! The book of what a command starts to stay, kept while it starts it.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::StackError;
use crate::state::{NodeRecord, StackDir, StackState, Variable, stop_records};

/// Writes down each process in the moment it starts, so that none is ever lost: neither to a signal nor to a failure.
#[derive(Debug)]
pub struct Ledger {
    dir: StackDir,
    page: Mutex<Page>,
}

#[derive(Debug)]
struct Page {
    state: StackState,
    /// What stood there before this run.
    before: StackState,
    /// What this run has started: only that is stopped when it fails.
    started: Vec<NodeRecord>,
    is_closed: bool,
}

impl Ledger {
    /// Returns a ledger that goes on from `state`.
    #[must_use]
    pub fn new(dir: StackDir, state: StackState) -> Self {
        let before = state.clone();
        let page = Page { state, before, started: Vec::new(), is_closed: false };
        Self { dir, page: Mutex::new(page) }
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process through `start` and writes it down, unless the ledger is closed.
    pub(crate) fn record<T>(
        &self,
        start: impl FnOnce() -> Result<(NodeRecord, T), StackError>,
    ) -> Result<T, StackError> {
        let mut page = self.page();
        if page.is_closed {
            return Err(StackError::Interrupted);
        }
        let (node, started) = start()?;
        // A restart on other ports takes the place of the attempt before it.
        page.state.nodes.retain(|known| known.name != node.name);
        page.started.retain(|known| known.name != node.name);
        page.state.nodes.push(node.clone());
        page.started.push(node);
        page.state.sort();
        self.dir.write(&page.state)?;
        Ok(started)
    }

    /// Writes down the variables of a server that came up.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn publish(
        &self,
        server: &str,
        variables: Vec<(&'static str, String)>,
    ) -> Result<(), StackError> {
        let mut page = self.page();
        page.state.variables.retain(|variable| variable.server != server);
        let (server, name_of) = (server.to_owned(), str::to_owned);
        page.state.variables.extend(variables.into_iter().map(|(name, value)| Variable {
            server: server.clone(),
            name: name_of(name),
            value,
        }));
        page.state.sort();
        self.dir.write(&page.state)
    }

    /// Writes down where the commands lie that belong to the servers.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn note_commands(&self, dir: &Path) -> Result<(), StackError> {
        let mut page = self.page();
        page.state.commands_dir = Some(dir.to_path_buf());
        self.dir.write(&page.state)
    }

    /// Returns whether nothing may be started any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.page().is_closed
    }

    /// Lets nothing start any more and stops what this run has started; what stood there before stays written down.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn roll_back(&self) -> Result<(), StackError> {
        let mut page = self.page();
        page.is_closed = true;
        let started = std::mem::take(&mut page.started);
        stop_records(&started);
        let Page { state, before, .. } = &mut *page;
        for node in &started {
            state.nodes.retain(|known| known.name != node.name);
            state.nodes.extend(before.nodes.iter().find(|known| known.name == node.name).cloned());
        }
        let StackState { nodes, variables, .. } = state;
        variables.retain(|variable| nodes.iter().any(|node| node.server == variable.server));
        state.sort();
        self.dir.write(state)
    }
}
