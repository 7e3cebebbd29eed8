//! `faults`: runs the fault scenarios.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // A wrong flag ends here with code 2, `--help` with 0.
    match faults::cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}
