//! `stack env`: the variables of the servers that are up.

use std::path::Path;
use std::process::ExitCode;

use service_kit::output::result;

use super::existing;

pub(crate) fn run(dir: &Path) -> anyhow::Result<ExitCode> {
    result(&existing(dir)?.env_lines())?;
    Ok(ExitCode::SUCCESS)
}
