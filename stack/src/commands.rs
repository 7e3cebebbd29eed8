//! One module per command, in the order of a stack's life.

pub(crate) mod up;
pub(crate) mod status;
pub(crate) mod env;
pub(crate) mod logs;
pub(crate) mod down;

use std::path::Path;

use anyhow::Context as _;
use stack::state::{StackDir, StackState};

/// Returns the stack in `dir`; an error when nothing was started there.
fn existing(dir: &Path) -> anyhow::Result<StackState> {
    let state = StackDir::open(dir).map(|dir| dir.state()).transpose()?.unwrap_or_default();
    let is_there = !state.nodes.is_empty();
    is_there.then_some(state).with_context(|| {
        format!(
            "no stack is up in {}; start one with: cargo run --bin stack -- up --dir {0}",
            dir.display()
        )
    })
}
