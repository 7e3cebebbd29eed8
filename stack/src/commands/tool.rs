//! `stack run`: a command-line tool of a server takes the place of this process.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use stack::{Programs, tools};

use super::existing;

pub(crate) fn run(dir: &Path, call: &[OsString]) -> anyhow::Result<ExitCode> {
    let (name, args) = call.split_first().context("no tool is named")?;
    let call = tools::call(&name.to_string_lossy(), args, &existing(dir)?, &Programs::from_env())?;
    let mut command = Command::new(&call.program);
    command.args(&call.args).envs(call.env.iter().map(|(name, value)| (name, value)));
    // Only a failure returns.
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", call.program.display()))
}
