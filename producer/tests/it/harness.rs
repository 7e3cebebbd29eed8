//! Runs the program, makes topics, reads them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use testkit::{Cluster, Role};

/// Nothing that a test waits for takes longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Address of the brokers.
pub(crate) fn brokers() -> String {
    variable("KAFKA_BOOTSTRAP_SERVERS")
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: start servers with 'cargo run --bin stack -- up' and load their env file")
    })
}

/// A topic of its own for each test.
pub(crate) fn topic(partitions: i32) -> String {
    topic_with(partitions, &[])
}

/// A topic of its own with some settings.
pub(crate) fn topic_with(partitions: i32, settings: &[(&str, &str)]) -> String {
    let pipeline = Cluster::shared().names(partitions);
    pipeline.create(Role::Orders, partitions, settings);
    pipeline.orders
}

/// One record as it lies in a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: String,
    pub(crate) value: Option<Vec<u8>>,
}

/// Returns everything in `topic`, by partition and offset.
pub(crate) fn records(topic: &str) -> Vec<Record> {
    let mut pipeline = Cluster::shared().names(0);
    pipeline.partitions = pipeline.describe(topic).expect("the topic exists").partitions;
    let record = |record: testkit::LogRecord| Record {
        partition: record.partition,
        offset: record.offset,
        key: String::from_utf8(record.key.expect("a key")).expect("text"),
        value: record.value,
    };
    pipeline.records(topic).into_iter().map(record).collect()
}

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) duration: Duration,
}

impl Finished {
    /// Returns the lines of stdout as JSON.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{self:?}"));
        self.stdout.lines().map(parse).collect()
    }

    #[track_caller]
    pub(crate) fn expect_code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{self:#?}");
    }
}

/// The program with `args`, away from any settings of the machine. Metrics are off unless asked for.
pub(crate) fn producer(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    for (name, _) in std::env::vars() {
        if name.starts_with("PRODUCER_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    if !args.contains(&"--metrics-addr") {
        command.env("PRODUCER_METRICS_ADDR", "off");
    }
    command
        .args(args)
        .env("KAFKA_BOOTSTRAP_SERVERS", brokers())
        .env("SCHEMA_REGISTRY_URL", variable("SCHEMA_REGISTRY_URL"))
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Finished {
    Running::start(&mut producer(args)).finish()
}

/// Runs the program to its end with a text on standard input.
pub(crate) fn run_with_input(args: &[&str], input: &str) -> Finished {
    let mut running = Running::start(producer(args).stdin(Stdio::piped()));
    let mut stdin = running.child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    running.finish()
}

/// A program that runs; it is killed if the test fails.
pub(crate) struct Running {
    pub(crate) child: Child,
    started_at: Instant,
    stdout: Option<Receiver<String>>,
    stderr: Receiver<String>,
    seen_stdout: Vec<String>,
    seen_stderr: Vec<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let started_at = Instant::now();
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().map(lines_of::<ChildStdout>);
        let stderr = lines_of::<ChildStderr>(child.stderr.take().unwrap());
        Self { child, started_at, stdout, stderr, seen_stdout: Vec::new(), seen_stderr: Vec::new() }
    }

    /// Waits for a line on stdout.
    pub(crate) fn next_stdout(&mut self) -> String {
        let line = self.stdout.as_ref().unwrap().recv_timeout(LIMIT).expect("a line on stdout");
        self.seen_stdout.push(line.clone());
        line
    }

    /// Waits for a line on stderr that contains `text`.
    pub(crate) fn stderr_line_with(&mut self, text: &str) -> String {
        loop {
            let line = self.stderr.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| panic!("no '{text}' in {:?}", self.seen_stderr));
            self.seen_stderr.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn finish(mut self) -> Finished {
        let status = self.wait();
        let duration = self.started_at.elapsed();
        if let Some(stdout) = &self.stdout {
            self.seen_stdout.extend(stdout.iter());
        }
        self.seen_stderr.extend(self.stderr.iter());
        Finished {
            code: status.code(),
            stdout: self.seen_stdout.join("\n"),
            stderr: self.seen_stderr.join("\n"),
            duration,
        }
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() >= deadline {
                self.child.kill().unwrap();
                panic!("the program does not end");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a pipe in a thread, so that it never fills up.
fn lines_of<R: std::io::Read + Send + 'static>(pipe: R) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Asks an HTTP server and returns its whole answer.
pub(crate) fn http_get(address: &str, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
