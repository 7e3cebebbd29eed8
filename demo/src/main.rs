//! `demo`: the pipeline's story on this machine alone.

use std::process::ExitCode;

use service_kit::program::Program;

fn main() -> ExitCode {
    Program::new("demo", build_info::commit!()).run(|_, flags| demo::run(flags))
}
