//! `orders`: the operator's command line.

use std::process::ExitCode;

use ops::Cli;
use service_kit::program::Program;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _until_the_end = fail::FailScenario::setup();
    Program::new("orders", build_info::commit!()).run(|program, cli: Cli| cli.run(program))
}
