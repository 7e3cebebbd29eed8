//! One module per command, in the order of a stack's life.

pub(crate) mod up;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod env;
pub(crate) mod logs;
pub(crate) mod tool;
pub(crate) mod end;
pub(crate) mod down;

use std::path::Path;

use anyhow::Context as _;
use stack::state::{NodeRecord, StackDir, StackState};

/// Returns the processes that `names` mean, each once; an error names those that mean none.
fn named<'a>(
    state: &'a StackState,
    names: &[String],
    dir: &Path,
) -> anyhow::Result<Vec<&'a NodeRecord>> {
    let mut found: Vec<&NodeRecord> = Vec::new();
    let mut unknown = Vec::new();
    for name in names {
        let meant = state.named(name);
        if meant.is_empty() {
            unknown.push(name.as_str());
        }
        found.extend(meant);
    }
    if !unknown.is_empty() {
        let known: Vec<&str> = state.nodes.iter().map(|node| node.name.as_str()).collect();
        anyhow::bail!(
            "nothing is called {} in {}; there are: {}",
            unknown.join(", "),
            dir.display(),
            known.join(", ")
        );
    }
    found.sort_by_key(|node| state.nodes.iter().position(|known| known == *node));
    found.dedup();
    Ok(found)
}

/// Returns the stack in `dir`; an error when nothing was started there.
fn existing(dir: &Path) -> anyhow::Result<StackState> {
    let state = StackDir::open(dir).map(|dir| dir.state()).transpose()?.unwrap_or_default();
    let is_there = !state.nodes.is_empty();
    is_there.then_some(state).with_context(|| {
        format!(
            "no stack runs in {}; start one with: cargo run --bin stack -- up --dir {0}",
            dir.display()
        )
    })
}
