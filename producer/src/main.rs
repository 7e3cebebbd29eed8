//! The `producer` program; see the library for what it does.

use std::process::ExitCode;

use clap::Parser as _;
use producer::app;
use producer::settings::Flags;
use service_kit::exit::run_main;

fn main() -> ExitCode {
    let flags = Flags::parse();
    run_main("producer", || app::run(flags))
}
