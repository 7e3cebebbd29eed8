//! `stack stop` and `stack kill`: one server, or one process of it, ends; the others go on.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use nix::sys::signal::Signal;
use stack::state::{Ending, StackDir};

use service_kit::output::note;

use super::{existing, named};

pub(crate) fn stop(dir: &Path, names: &[String]) -> anyhow::Result<ExitCode> {
    end(dir, names, Signal::SIGTERM)
}

pub(crate) fn kill(dir: &Path, names: &[String]) -> anyhow::Result<ExitCode> {
    end(dir, names, Signal::SIGKILL)
}

fn end(dir: &Path, names: &[String], signal: Signal) -> anyhow::Result<ExitCode> {
    existing(dir)?;
    let stack = StackDir::open(dir).context("the folder is gone")?;
    let _lock = stack.lock()?;
    let state = stack.state()?;
    let meant: Vec<String> =
        named(&state, names, dir)?.into_iter().map(|node| node.name.clone()).collect();
    let ended = stack.end(&meant, signal)?;
    for name in &meant {
        let ending = ended.iter().find(|(node, _)| node.name == *name).map(|(_, ending)| ending);
        let text = match ending {
            None => "does not run",
            Some(Ending::StillRuns) => anyhow::bail!("{name} runs on after KILL"),
            Some(Ending::Killed) => "killed: it did not stop in time",
            Some(Ending::Stopped) if signal == Signal::SIGKILL => "killed",
            Some(Ending::Stopped) => "stopped",
        };
        note(&format!("{name:<12} {text}"));
    }
    Ok(ExitCode::SUCCESS)
}
