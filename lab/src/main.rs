//! `lab`: the three paradigms of the order flow, compared.

use std::process::ExitCode;

use lab::cli::Cli;
use service_kit::program::Program;

fn main() -> ExitCode {
    Program::new("lab", build_info::commit!()).run(|program, cli: Cli| cli.run(program))
}
