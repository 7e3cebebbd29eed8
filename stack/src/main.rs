//! `stack`: the real servers on this machine, without containers.

mod cli;
mod commands;

use std::process::ExitCode;

use service_kit::program::Program;

fn main() -> ExitCode {
    Program::new("stack", build_info::commit!()).run(|_, cli: cli::Cli| Ok(cli.run()?))
}
