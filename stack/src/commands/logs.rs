//! `stack logs`: the log of a server.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::existing;

/// Time between two looks at a log that is followed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(crate) fn run(dir: &Path, name: &str, is_followed: bool) -> anyhow::Result<ExitCode> {
    let state = existing(dir)?;
    // A server's own name stands for its first process, except where one of that name exists.
    let node =
        state.nodes.iter().find(|node| node.name == name).or_else(|| state.nodes_of(name).next());
    let names: Vec<&str> = state.nodes.iter().map(|node| node.name.as_str()).collect();
    let node = node.with_context(|| {
        format!("no server {name} in {}; there are: {}", dir.display(), names.join(", "))
    })?;
    let mut log = File::open(&node.log_path)
        .with_context(|| format!("cannot read {}", node.log_path.display()))?;
    loop {
        match io::copy(&mut log, &mut io::stdout().lock()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            copied => copied?,
        };
        if !is_followed || !node.process.is_alive() {
            return Ok(ExitCode::SUCCESS);
        }
        thread::sleep(LOOK_EVERY);
    }
}
