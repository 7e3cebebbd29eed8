//! `faults`: runs the fault scenarios.

use std::process::ExitCode;

use service_kit::program::Program;

fn main() -> ExitCode {
    Program::new("faults", build_info::commit!()).run(|_, cli: faults::cli::Cli| Ok(cli.run()?))
}
