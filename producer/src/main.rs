//! The `producer` program; see the library for what it does.

use std::process::ExitCode;

use producer::app;
use service_kit::program::Program;

fn main() -> ExitCode {
    Program::new("producer", build_info::commit!()).run(app::run)
}
