//! What a group has counted, and how it counts anew.

mod averages;
mod killed;
mod replay;

use std::time::Duration;

use testkit::{Finished, Pipeline, Process};

pub(crate) const RUN_MAX: Duration = Duration::from_secs(60);

/// Runs a subcommand on the topics of a pipeline.
pub(crate) fn orders(pipeline: &Pipeline, subcommand: &str, flags: &[&str]) -> Finished {
    start(pipeline, subcommand, flags, &[]).wait(RUN_MAX)
}

/// As [`orders`], with these variables, and beside the test.
fn start(
    pipeline: &Pipeline,
    subcommand: &str,
    flags: &[&str],
    variables: &[(&str, &str)],
) -> Process {
    let mut all = pipeline.audit_args(true);
    subcommand.clone_into(&mut all[0]);
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    Process::start("orders", &all, variables)
}

/// Consumes all there is, and returns the final statistics.
fn consume(pipeline: &Pipeline, flags: &[&str]) -> serde_json::Value {
    let flags = [&["--exit-at-end", "-o", "json", "--retry-delay", "100ms"], flags].concat();
    let finished = Process::consumer(pipeline, &flags).wait(RUN_MAX);
    finished.expect_code(0);
    finished.stats()
}
