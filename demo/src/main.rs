//! `demo`: the pipeline's story on this machine alone.

use std::process::ExitCode;

use clap::Parser as _;
use service_kit::exit::run_main;

fn main() -> ExitCode {
    run_main("demo", || demo::run(demo::Flags::parse()))
}
