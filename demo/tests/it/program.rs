//! Starts the program and waits for it.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// No run takes longer; one that does has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) duration: Duration,
}

/// The program with `args`, away from settings of this machine.
pub(crate) fn demo(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in ["RUST_LOG", "NO_COLOR", "DEMO_SEED", "DEMO_PLAIN"] {
        command.env_remove(name);
    }
    // Were any of these used, there would be nobody to answer.
    command.env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1");
    command.env("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1");
    command.env("ORDERS_TOPIC", "elsewhere");
    command
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    started_at: Instant,
    stderr: thread::JoinHandle<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let started_at = Instant::now();
        let mut child = command.spawn().unwrap();
        let stderr = collect(child.stderr.take().unwrap());
        Self { child, started_at, stderr }
    }

    pub(crate) fn id(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Reads lines of stdout up to the first one with `text` in it, then gives the pipe back.
    pub(crate) fn read_until(&mut self, text: &str) -> impl Read + Send + 'static {
        let mut stdout = BufReader::new(self.child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "no line with {text:?}");
        }
        stdout
    }

    /// Waits for the end; reads stdout if nobody has taken it.
    pub(crate) fn finish(mut self) -> Finished {
        let stdout = self.child.stdout.take().map(collect);
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            if self.started_at.elapsed() >= LIMIT {
                self.child.kill().unwrap();
                panic!("the program still runs after {LIMIT:?}");
            }
            thread::park_timeout(Duration::from_millis(10));
        };
        let duration = self.started_at.elapsed();
        Finished {
            code,
            stdout: stdout.map(|thread| thread.join().unwrap()).unwrap_or_default(),
            stderr: self.stderr.join().unwrap(),
            duration,
        }
    }
}

/// Reads a pipe to its end on a thread of its own.
pub(crate) fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // The end of a terminal is an error; what was read before counts.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
