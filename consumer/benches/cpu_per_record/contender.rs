//! A program that is measured, what it has to have counted, and what a run of it took.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use testkit::Pipeline;

/// Pause between two looks at a program's memory.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What is in the topic.
pub(crate) struct Expected {
    pub(crate) records: u64,
    /// Of all prices, in 1/10000.
    pub(crate) sum: u64,
}

/// What one run of a program took, from its start to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// User and system time, per record.
    pub(crate) cpu_micros: f64,
    pub(crate) records_per_second: f64,
    /// Most memory that it had at a time.
    pub(crate) memory_mib: f64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu_micros, records_per_second, memory_mib } = self;
        write!(f, "{cpu_micros:.3} µs, {records_per_second:.0} records/s, {memory_mib:.0} MiB")
    }
}

/// A program that is measured.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    program: PathBuf,
    /// The consumer's; `None` for a floor.
    guarantee: Option<&'static str>,
}

impl Contender {
    pub(crate) const fn floor(name: &'static str, program: PathBuf) -> Self {
        Self { name, program, guarantee: None }
    }

    pub(crate) fn consumer(name: &'static str, program: &Path, guarantee: &'static str) -> Self {
        Self { name, program: program.to_owned(), guarantee: Some(guarantee) }
    }

    /// Runs it over the whole topic.
    pub(crate) fn run(&self, pipeline: &Pipeline, round: u64, expected: &Expected) -> Cost {
        let Expected { records, sum } = expected;
        let (arguments, counted) = match self.guarantee {
            None => {
                let arguments = [&pipeline.servers.bootstrap_servers, &pipeline.orders];
                (arguments.map(Clone::clone).to_vec(), vec![format!("{records} records")])
            }
            Some(guarantee) => {
                // With a group, and so with averages, of its own.
                let mut pipeline = pipeline.clone();
                let name: String = self.name.chars().filter(char::is_ascii_alphanumeric).collect();
                pipeline.group = format!("{}-{name}-{round}", pipeline.group);
                pipeline.averages = format!("{}-{name}-{round}", pipeline.averages);
                let (units, rest) = (sum / 10_000, sum % 10_000);
                let sum = format!("\"count\":{records},\"sum\":\"{units}.{rest:04}\"");
                let counted = vec![format!("\"succeeded\":{records},"), sum];
                (consumer_arguments(&pipeline, guarantee), counted)
            }
        };
        let (cost, stdout) = run(&self.program, &arguments, *records);
        let is_counted = counted.iter().all(|counted| stdout.contains(counted));
        assert!(is_counted, "{}: {counted:?} is not in {stdout}", self.name);
        let sums = stdout.split_once("sum ").filter(|_| self.guarantee.is_none());
        let is_right = sums.is_none_or(|(_, told)| told.trim() == sum.to_string());
        assert!(is_right, "{}: the sum is {sum}, and not {stdout}", self.name);
        cost
    }
}

fn consumer_arguments(pipeline: &Pipeline, guarantee: &str) -> Vec<String> {
    let partitions = pipeline.partitions.to_string();
    let arguments = [
        "--bootstrap-server",
        &pipeline.servers.bootstrap_servers,
        "--schema-registry-url",
        &pipeline.servers.registry_url,
        "--topic",
        &pipeline.orders,
        "--retry-topic",
        &pipeline.retry,
        "--dlq-topic",
        &pipeline.dlq,
        "--averages-topic",
        &pipeline.averages,
        "--group-id",
        &pipeline.group,
        "--guarantee",
        guarantee,
        "--create-topics",
        "--create-partitions",
        &partitions,
        "--lanes",
        "1",
        "--metrics-addr",
        "off",
        "--exit-at-end",
        "-o",
        "json",
    ];
    arguments.map(str::to_owned).to_vec()
}

/// Runs a program to its end, and gives what it took and what it said.
fn run(program: &Path, arguments: &[String], records: u64) -> (Cost, String) {
    let (before, started) = (children_cpu(), Instant::now());
    let mut child = Command::new(program)
        .args(arguments)
        .env("RUST_LOG", "warn")
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not run: {error}", program.display()));
    let mut stdout = child.stdout.take().expect("it is piped");
    let reading = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).expect("text");
        text
    });
    let mut memory_kib = 0;
    let status = loop {
        memory_kib = memory_kib.max(peak_kib(&child));
        if let Some(status) = child.try_wait().expect("it was started") {
            break status;
        }
        thread::sleep(LOOK_EVERY);
    };
    let (wall, cpu) = (started.elapsed(), children_cpu() - before);
    assert!(status.success(), "{} failed: {status}", program.display());
    let cost = Cost {
        cpu_micros: cpu.as_secs_f64() * 1e6 / records as f64,
        records_per_second: records as f64 / wall.as_secs_f64(),
        memory_mib: memory_kib as f64 / 1024.0,
    };
    (cost, reading.join().expect("it reads"))
}

/// Most memory that a running program has had, in KiB; 0 once it has ended.
fn peak_kib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// User and system time of all processes that were waited for.
fn children_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the system tells");
    [usage.user_time(), usage.system_time()]
        .into_iter()
        .map(|time| {
            Duration::from_secs(time.tv_sec().unsigned_abs())
                + Duration::from_micros(time.tv_usec().unsigned_abs())
        })
        .sum()
}
