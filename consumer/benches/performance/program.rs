//! Running a program to its end, and what that took.

use std::ffi::OsString;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// Pause between two looks at a program's memory.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What one run of a program took, from its start to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) records: u64,
    /// User and system time of the process.
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    /// Most memory that it had at a time.
    pub(crate) memory_mib: f64,
}

impl Cost {
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.records as f64
    }

    pub(crate) fn records_per_second(&self) -> f64 {
        self.records as f64 / self.wall.as_secs_f64()
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cpu, rate) = (self.cpu_micros(), self.records_per_second());
        write!(f, "{cpu:.3} µs, {rate:.0} records/s, {:.0} MiB", self.memory_mib)
    }
}

/// Runs a program to its end, and gives what it took and what it printed.
///
/// # Panics
///
/// Panics when it does not start or fails.
pub(crate) fn run(
    program: &Path,
    arguments: &[String],
    variables: &[(&str, OsString)],
    records: u64,
) -> (Cost, String) {
    let (before, started) = (children_cpu(), Instant::now());
    let mut child = Command::new(program)
        .args(arguments)
        .env("RUST_LOG", "warn")
        .envs(variables.iter().map(|(name, value)| (name, value)))
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
        memory_kib = memory_kib.max(memory_kib_of(child.id(), "VmHWM:"));
        if let Some(status) = child.try_wait().expect("it was started") {
            break status;
        }
        thread::sleep(LOOK_EVERY);
    };
    let (wall, cpu) = (started.elapsed(), children_cpu() - before);
    assert!(status.success(), "{} failed: {status}", program.display());
    let cost = Cost { records, cpu, wall, memory_mib: memory_kib as f64 / 1024.0 };
    (cost, reading.join().expect("it reads"))
}

/// A figure of a running program's memory, in KiB: `VmHWM:` is the most that it has had, `VmRSS:` what it has now. 0 once
/// it has ended.
pub(crate) fn memory_kib_of(process: u32, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(figure));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// User and system time of all processes that were waited for.
pub(crate) fn children_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the system tells");
    [usage.user_time(), usage.system_time()]
        .into_iter()
        .map(|time| {
            Duration::from_secs(time.tv_sec().unsigned_abs())
                + Duration::from_micros(time.tv_usec().unsigned_abs())
        })
        .sum()
}

/// The folder of the whole workspace.
pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().expect("the workspace stands")
}

/// The folder of the programs that are measured: those of a release.
pub(crate) fn programs() -> PathBuf {
    let consumer = Path::new(env!("CARGO_BIN_EXE_consumer"));
    consumer.parent().expect("it is in a folder").to_owned()
}

/// The folder of everything that is built.
pub(crate) fn target() -> PathBuf {
    programs().parent().expect("target/release").to_owned()
}

/// Builds something with the optimization of a release: what `cargo build` takes. With `BENCH_AS_BUILT` all programs are
/// measured as they lie there.
pub(crate) fn build(arguments: &[&str]) {
    if std::env::var_os("BENCH_AS_BUILT").is_some() {
        return;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--release", "--target-dir"]).arg(target()).args(arguments);
    done(command.current_dir(root()));
}

/// Runs a command that prepares something.
///
/// # Panics
///
/// Panics when it is missing or fails.
pub(crate) fn done(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status();
    let is_done = status.as_ref().is_ok_and(std::process::ExitStatus::success);
    assert!(is_done, "{command:?} failed: {status:?}");
}
