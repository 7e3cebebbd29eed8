//! `orders`: the operator's command line.

use std::process::ExitCode;

use clap::Parser as _;
use ops::Cli;
use service_kit::exit::run_main;

fn main() -> ExitCode {
    run_main("orders", || Cli::parse().run())
}
