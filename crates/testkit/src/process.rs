//! The real programs as child processes: started, stalled, killed, asked over HTTP.

mod fail_at;
mod secrets;

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::http::{self, HttpAnswer};
use crate::pipeline::Pipeline;
use crate::wait;

pub use self::fail_at::fail_at;
use self::secrets::secrets_of;

/// Longest wait for the first signs of life.
const START_MAX: Duration = Duration::from_secs(20);

/// Pause between two looks at a log: short, so that a test can act on a line while what it
/// tells of is still going on.
const LOG_LOOK_EVERY: Duration = Duration::from_micros(500);

/// Longest wait for a program to be ready for a signal, and the pause between two looks.
const SIGNAL_READY_MAX: Duration = Duration::from_secs(10);
const SIGNAL_LOOK_EVERY: Duration = Duration::from_millis(2);

/// Lines of a log that a failed test shows.
const TAIL_LINES: usize = 40;

/// Variables of the test's environment that a program gets; all others are taken away, so that
/// the settings of a developer's shell do not reach it.
const KEPT_VARIABLES: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LANG"];

/// A running program; it is killed with its handle.
pub struct Process {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    started_at: Instant,
    dir: TempDir,
    /// What it was given in confidence: none of its outputs may have it.
    secrets: Vec<String>,
}

/// What a run left behind.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// From its start to its end.
    pub elapsed: Duration,
    /// Its results.
    pub stdout: String,
    /// Its log.
    pub stderr: String,
}

/// Longest stop of a program.
const STOP_MAX: Duration = Duration::from_secs(12);

/// Settings that differ from the programs' defaults, so that tests need not wait for them.
const DEFAULTS: [(&str, &str); 1] = [("CONSUMER_UNKNOWN_SCHEMA_GRACE", "200ms")];

impl Process {
    /// Starts the consumer on a pipeline.
    pub fn consumer(pipeline: &Pipeline, args: &[&str]) -> Self {
        Self::start_on("consumer", pipeline.consumer_args(), args)
    }

    /// Starts the producer on a pipeline.
    pub fn producer(pipeline: &Pipeline, args: &[&str]) -> Self {
        Self::start_on("producer", pipeline.producer_args(), args)
    }

    fn start_on(program: &str, mut all: Vec<String>, args: &[&str]) -> Self {
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        Self::start(program, &all, &[])
    }

    /// Starts a program of the workspace with just these arguments and variables, in an empty
    /// directory.
    ///
    /// # Panics
    ///
    /// Panics when it is not built.
    pub fn start(program: &str, args: &[impl AsRef<str>], variables: &[(&str, &str)]) -> Self {
        Self::launch(program, Command::new(path_of(program)), args, variables)
    }

    /// As [`Self::start`], under limits as `prlimit` writes them, such as `--nofile=64`.
    ///
    /// # Panics
    ///
    /// Panics when it is not built, or this machine has no `prlimit`.
    pub fn start_limited(limits: &[&str], program: &str, args: &[impl AsRef<str>]) -> Self {
        let mut command = Command::new("prlimit"); // becomes the program: the process id stays
        command.args(limits).arg("--").arg(path_of(program));
        Self::launch(program, command, args, &[])
    }

    fn launch(
        program: &str,
        mut command: Command,
        args: &[impl AsRef<str>],
        variables: &[(&str, &str)],
    ) -> Self {
        let dir = TempDir::with_prefix(format!("testkit-{program}-")).expect("a directory");
        let file = |name: &str| File::create(dir.path().join(name)).expect("a file");
        std::fs::create_dir(dir.path().join("cwd")).expect("a directory");
        command
            .args(args.iter().map(AsRef::as_ref))
            .env_clear()
            .envs(KEPT_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(DEFAULTS)
            .envs(variables.iter().copied())
            .current_dir(dir.path().join("cwd"))
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        let started_at = Instant::now();
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{program} did not start: {error}"));
        let secrets = secrets_of(variables);
        Self { name: program.to_owned(), child, status: None, started_at, dir, secrets }
    }

    /// Its working directory.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().join("cwd")
    }

    fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.dir.path().join(name)).expect("it was made at the start");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.read("stderr")
    }

    /// What it has printed as results so far.
    pub fn printed(&self) -> String {
        self.read("stdout")
    }

    /// Waits for a line of the log that holds `text`, and returns it.
    ///
    /// # Panics
    ///
    /// Panics when there is none within `limit`, or the program ends without it.
    #[track_caller]
    pub fn wait_for_log(&mut self, text: &str, limit: Duration) -> String {
        self.wait_for_line(text, limit, |line| line.contains(text))
    }

    #[track_caller]
    fn wait_for_line(
        &mut self,
        what: &str,
        limit: Duration,
        is_it: impl Fn(&str) -> bool,
    ) -> String {
        let give_up_at = Instant::now() + limit;
        loop {
            let has_ended = !self.is_running();
            let log = self.log();
            if let Some(line) = log.lines().find(|line| is_it(line)) {
                return line.to_owned();
            }
            let goes_on = !has_ended && Instant::now() < give_up_at;
            assert!(
                goes_on,
                "{} logged no {what:?} (ended: {has_ended}):\n{}",
                self.name,
                tail(&log)
            );
            std::thread::sleep(LOG_LOOK_EVERY);
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended; a stalled one runs.
    pub fn is_running(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("a child of ours");
        }
        self.status.is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// Panics when it runs on after `limit`.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Finished {
        let give_up_at = Instant::now() + limit;
        while self.is_running() {
            let name = &self.name;
            assert!(Instant::now() < give_up_at, "{name} runs on after {limit:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        let status = self.status.expect("it has ended");
        self.keeps_its_secrets();
        Finished {
            code: status.code(),
            signal: status.signal(),
            elapsed: self.started_at.elapsed(),
            stdout: self.read("stdout"),
            stderr: self.log(),
        }
    }

    fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            let pid = i32::try_from(self.child.id()).expect("a process id");
            kill(Pid::from_raw(pid), signal).expect("a child of ours");
        }
    }

    /// Asks it to stop. One that has just been started is given time to get ready for that: the signal
    /// would kill it.
    pub fn sigterm(&self) {
        let catches = || catches(self.child.id(), Signal::SIGTERM).unwrap_or(true);
        let give_up_at = Instant::now() + SIGNAL_READY_MAX;
        while !catches() && Instant::now() < give_up_at {
            std::thread::sleep(SIGNAL_LOOK_EVERY);
        }
        self.signal(Signal::SIGTERM);
    }

    /// Asks it to stop, and returns how it ended.
    ///
    /// # Panics
    ///
    /// Panics when it takes longer than 12 s: 10 by the contract, and two for a busy machine.
    #[track_caller]
    pub fn stop(self) -> Finished {
        self.sigterm();
        self.wait(STOP_MAX)
    }

    /// Asks it to stop as ctrl-C does.
    pub fn sigint(&self) {
        self.signal(Signal::SIGINT);
    }

    /// Ends it at once: no destructor runs, nothing is flushed.
    pub fn kill_9(&mut self) {
        if self.is_running() {
            self.signal(Signal::SIGKILL);
            self.status = Some(self.child.wait().expect("a child of ours"));
        }
    }

    /// Stalls it; its connections stay open.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Address of metrics and health, once it is logged.
    #[track_caller]
    pub fn metrics_addr(&mut self) -> String {
        address_in(&self.wait_for_log("metrics listening on http://", START_MAX))
    }

    /// Address of one of its services, once it is logged.
    #[track_caller]
    pub fn address_of(&mut self, service: &str) -> String {
        address_in(&self.wait_for_line("the service's address", START_MAX, |line| {
            let names = [format!("service=\"{service}\""), format!("\"service\":\"{service}\"")];
            line.contains("listening on http://") && names.iter().any(|name| line.contains(name))
        }))
    }

    /// Asks its HTTP server.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> HttpAnswer {
        let address = self.metrics_addr();
        http::get(&address, path).unwrap_or_else(|error| {
            panic!("{} at {address}{path}: {error}\n{}", self.name, tail(&self.log()))
        })
    }

    /// Value of one sample of its metrics, named as in the text: `name` or `name{label="value"}`.
    #[track_caller]
    pub fn metric(&mut self, sample: &str) -> Option<f64> {
        self.get("/metrics").body.lines().find_map(|line| {
            line.strip_prefix(sample)?.strip_prefix(' ')?.split(' ').next()?.parse().ok()
        })
    }

    /// Waits until it reports ready.
    #[track_caller]
    pub fn wait_ready(&mut self, limit: Duration) {
        wait::is_true("being ready", limit, || self.get("/readyz").status == 200);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let was_running = self.is_running();
        let state = if was_running { "running".to_owned() } else { format!("{:?}", self.status) };
        if was_running {
            self.kill_9();
        }
        if std::thread::panicking() {
            let (name, log) = (&self.name, self.log());
            eprintln!("--- end of the log of {name}, its state: {state}\n{}", tail(&log));
        } else {
            self.keeps_its_secrets();
        }
    }
}

impl Finished {
    /// Checks the exit code.
    ///
    /// # Panics
    ///
    /// Panics with the log when it is another.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        let Self { signal, stderr, .. } = self;
        assert_eq!(self.code, Some(code), "exit code (signal {signal:?}):\n{}", tail(stderr));
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    ///
    /// Panics when it is not.
    #[track_caller]
    pub fn stats(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {:?}\n{}", self.stdout, tail(&self.stderr)))
    }
}

/// A program that was built beside this one: a test in `deps`, or a program itself.
///
/// # Panics
///
/// Panics when it is not built.
pub fn path_of(program: &str) -> PathBuf {
    let this = std::env::current_exe().expect("a path");
    let dir = this.parent().expect("target/PROFILE/deps or target/PROFILE");
    let dir = if dir.ends_with("deps") { dir.parent().expect("target/PROFILE") } else { dir };
    let path = dir.join(program);
    assert!(path.exists(), "{} is not built: cargo build --workspace --bins", path.display());
    path
}

fn address_in(line: &str) -> String {
    let (_, address) = line.split_once("http://").expect("it holds the text");
    let end = address.find(|c: char| !(c.is_ascii_alphanumeric() || ".:[]-".contains(c)));
    address[..end.unwrap_or(address.len())].to_owned()
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Whether a process handles a signal itself; `None` if it has ended.
fn catches(pid: u32, signal: Signal) -> Option<bool> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = |name| status.lines().find_map(|line| line.strip_prefix(name));
    let mask = line("SigCgt:").filter(|_| !line("State:").unwrap_or_default().contains('Z'))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask & (1 << (signal as u32 - 1)) != 0)
}
