//! `stack down`: stops exactly what was started.

use std::path::Path;
use std::process::ExitCode;

use service_kit::output::note;
use stack::state::{Ending, StackDir};

pub(crate) fn run(dir: &Path) -> anyhow::Result<ExitCode> {
    let Some(stack) = StackDir::open(dir) else {
        note(&format!("nothing is running in {}", dir.display()));
        return Ok(ExitCode::SUCCESS);
    };
    let _lock = stack.lock()?;
    let stopped = stack.stop()?;
    if stopped.is_empty() {
        note(&format!("nothing is running in {}", dir.display()));
    }
    for (node, ending) in &stopped {
        let ending = match ending {
            Ending::Stopped => "stopped",
            Ending::Killed => "killed: it did not stop in time",
            Ending::StillRuns => {
                anyhow::bail!("{} (pid {}) runs on after KILL", node.name, node.process.pid)
            }
        };
        note(&format!("{:<12} {ending}", node.name));
    }
    Ok(ExitCode::SUCCESS)
}
