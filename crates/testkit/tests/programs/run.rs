//! Runs programs with just these settings, in a directory of their own.

use std::fs::{self, File, OpenOptions};
use std::io::pipe;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use testkit::process::path_of;

/// Every program of the workspace.
pub(crate) const PROGRAMS: [&str; 12] = [
    "producer",
    "consumer",
    "push",
    "orders",
    "rabbit",
    "streaming",
    "sync-rest",
    "weather",
    "stack",
    "demo",
    "faults",
    "lab",
];

/// How a run ended, and what it printed.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Who reads what a program prints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    GoneFromStdout,
    GoneFromBoth,
    DiskIsFull,
}

pub(crate) fn command(
    program: &str,
    args: &[&str],
    variables: &[(&str, &str)],
) -> (Command, TempDir) {
    let dir = TempDir::with_prefix("testkit-programs-").expect("a directory");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("a file");
    write("empty.toml", "");
    write("nan.toml", "simulate-failures = nan\n");
    let mut command = Command::new(path_of(program));
    command.args(args).env_clear().envs(variables.iter().copied());
    command.current_dir(dir.path()).stdin(Stdio::null());
    (command, dir)
}

/// Runs a program to its end; it is one that ends by itself.
pub(crate) fn run(program: &str, args: &[&str], variables: &[(&str, &str)]) -> Done {
    let (mut command, _dir) = command(program, args, variables);
    let output = command.output().expect("it starts");
    Done {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a program whose output nobody takes.
pub(crate) fn run_with_reader(program: &str, args: &[&str], reader: Reader) -> Done {
    let (mut command, dir) = command(program, args, &[]);
    let gone = || {
        let (read, write) = pipe().expect("a pipe");
        drop(read);
        Stdio::from(write)
    };
    command.stdout(match reader {
        Reader::DiskIsFull => Stdio::from(full_disk()),
        Reader::GoneFromStdout | Reader::GoneFromBoth => gone(),
    });
    let log = dir.path().join("stderr");
    command.stderr(match reader {
        Reader::GoneFromBoth => gone(),
        _ => Stdio::from(File::create(&log).expect("a file")),
    });
    let status = command.status().expect("it starts");
    let stderr = fs::read_to_string(&log).unwrap_or_default();
    Done { code: status.code(), stdout: String::new(), stderr }
}

fn full_disk() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("Linux has a disk that is full")
}
