//! Many orders in bounded memory.

use std::time::Duration;

use testkit::{Cluster, Finished, Process, machine, wait};

use crate::rig::expect_green;

const RUN_MAX: Duration = Duration::from_secs(120);

/// Orders; enough to tell a cost per order from what a program takes anyhow.
const ORDERS: u32 = 300_000;

/// Memory that the audit may take for them, in kB: what it takes for none is about 40 MB.
const PEAK_KB_MAX: u64 = 160_000;

/// Largest resident size so far, in kB.
fn peak_kb(pid_dir: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("{pid_dir}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn three_hundred_thousand_orders_are_audited_in_bounded_memory() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    let count = ORDERS.to_string();
    let load = ["--count", &count, "--interval", "0ms", "--quiet", "--seed", "9"];
    Process::producer(&pipeline, &load).wait(RUN_MAX).expect_code(0);
    let flags = ["--exit-at-end", "--simulate-failures", "0.1", "--retry-delay", "100ms"];
    Process::consumer(&pipeline, &flags).wait(RUN_MAX).expect_code(0);
    let mut all = pipeline.audit_args(true);
    all.extend(["--expect-drained".to_owned()]);
    let (finished, peak) = watched(&all);
    eprintln!("{ORDERS} orders in {:?} and {peak} kB", finished.elapsed);
    finished.expect_code(0);
    assert!(peak > 0 && peak < PEAK_KB_MAX, "{peak} kB");
    expect_green(&pipeline, &["--expect-drained"]);
}

/// Runs `orders` to its end, and returns the most memory that it took, in kB.
fn watched(args: &[impl AsRef<str>]) -> (Finished, u64) {
    let mut process = Process::start("orders", args, &[]);
    let directory = format!("/proc/{}", process.id());
    let mut peak = 0;
    wait::is_true("the end of the run", RUN_MAX, || {
        peak = peak_kb(&directory).unwrap_or(0).max(peak);
        !process.is_running()
    });
    (process.wait(RUN_MAX), peak)
}

mod alone {
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use testkit::Input;

    use super::*;
    use crate::dlq::planted::Topic;

    /// Dead letters that are written, again and again.
    const SET: usize = 10_000;
    const SETS: usize = 15;

    /// Bytes of a stack trace, as some tools write it into a header.
    const TRACE_BYTES: usize = 1_024;

    /// Memory that a look at dead letters may take, in kB: less than they are together.
    const LOOK_KB_MAX: u64 = 100_000;

    /// How often the time that kcat takes to read them and print their headers, and what a start takes on
    /// top. A build for development is not optimized; a shipped one takes less than kcat.
    const TIMES_KCAT_MAX: u32 = 4;
    const START_MAX: Duration = Duration::from_secs(2);

    #[test]
    fn dead_letters_are_looked_at_in_bounded_memory_and_about_as_fast_as_kcat_reads_them() {
        let _machine = machine::alone();
        let topic = Topic::of(SET);
        let (pipeline, dlq) = (&topic.pipeline, topic.pipeline.dlq.as_str());
        let trace = Some([b't'; TRACE_BYTES].as_slice());
        let input = |input: &Input| input.clone().with_header("kafka_dlt-exception-trace", trace);
        let inputs: Vec<Input> = topic.planted.iter().map(|one| input(&one.input)).collect();
        (1..SETS).for_each(|_| pipeline.send(dlq, &inputs));
        let servers = pipeline.servers.bootstrap_servers.as_str();
        let begun_at = Instant::now();
        let kcat = Command::new("kcat")
            .args(["-b", servers, "-C", "-e", "-q", "-t", dlq, "-f", "%p:%o %h\n"])
            .stdout(Stdio::null())
            .status();
        assert!(kcat.expect("kcat is there: make setup").success());
        let by_kcat = begun_at.elapsed();
        for subcommand in ["stats", "list"] {
            let args = ["dlq", subcommand, "-b", servers, "-t", dlq];
            let (finished, peak) = watched(&args);
            finished.expect_code(0);
            eprintln!("{subcommand}: {:?} and {peak} kB, kcat {by_kcat:?}", finished.elapsed);
            let count = format!("{} dead letters", SET * SETS);
            assert!(finished.stderr.contains(&count), "{}", finished.stderr);
            assert!(peak > 0 && peak < LOOK_KB_MAX, "{subcommand} takes {peak} kB");
            let most = by_kcat * TIMES_KCAT_MAX + START_MAX;
            let took = finished.elapsed;
            assert!(took < most, "{subcommand} takes {took:?}, and kcat {by_kcat:?}");
        }
    }
}
