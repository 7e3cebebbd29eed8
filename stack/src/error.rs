//! What can go wrong between "start a server" and "it answers", each with the next step.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A failure to find, fetch, start or reach a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// Programs that are not installed; `packages` are Debian's names.
    #[error("not installed: {}; install with: apt-get install -y --no-install-recommends {}", programs.join(", "), packages.join(" "))]
    MissingPrograms {
        /// Names of the programs.
        programs: Vec<&'static str>,
        /// Packages that hold them.
        packages: Vec<&'static str>,
    },
    /// A server runs and does not answer.
    #[error("{server} on {address} did not answer within {} s; end of {}:\n{log_tail}", limit.as_secs(), log_path.display())]
    NoAnswer {
        /// Name of the server's process.
        server: String,
        /// Where it should answer.
        address: String,
        /// How long it was waited for.
        limit: Duration,
        /// Its log.
        log_path: PathBuf,
        /// The last lines of the log.
        log_tail: String,
    },
    /// A server ended instead of coming up.
    #[error("{server} ended ({status}) instead of answering on {address}; end of {}:\n{log_tail}", log_path.display())]
    Ended {
        /// Name of the server's process.
        server: String,
        /// Where it should have answered.
        address: String,
        /// Its exit status.
        status: String,
        /// Its log.
        log_path: PathBuf,
        /// The last lines of the log.
        log_tail: String,
    },
    /// Another process holds the port that the server was told to use.
    #[error(
        "{server} cannot use {address}: another process listens there; stop it, or let free ports be chosen"
    )]
    AddressInUse {
        /// Name of the server's process.
        server: String,
        /// The address in question.
        address: String,
    },
    /// The server answers, but refuses what it was asked.
    #[error("{server} on {address} refused {request}: {answer}")]
    Refused {
        /// Name of the server.
        server: String,
        /// Where it answers.
        address: String,
        /// What was asked.
        request: String,
        /// The first line of the answer.
        answer: String,
    },
    /// A program that was run to its end failed or took too long.
    #[error("{program} {outcome}; end of its output:\n{output_tail}")]
    Tool {
        /// What was run.
        program: String,
        /// `failed (exit status: 1)` or `did not end within 60 s`.
        outcome: String,
        /// The last lines of its output.
        output_tail: String,
    },
    /// A directory holds something else than what was asked for.
    #[error("{} holds {found}, not {asked} as requested; remove it or use another directory", path.display())]
    OtherContent {
        /// The directory.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// What was asked for.
        asked: String,
    },
    /// Another process works on the same thing for longer than the limit.
    #[error("another process has held {} for {} s; end it, then try again", path.display(), limit.as_secs())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A tool that no server brings.
    #[error("there is no tool {name}; there are: {}", known.join(", "))]
    NoSuchTool {
        /// The name given.
        name: String,
        /// The tools that there are.
        known: Vec<&'static str>,
    },
    /// A server that a command needs and that was not started in the folder.
    #[error("{server} was not started in this folder; `stack up` starts it")]
    NotUp {
        /// Name of the server.
        server: &'static str,
    },
    /// A setting that no server could run with.
    #[error("{setting}={value} is not possible: {rule}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// The value given.
        value: String,
        /// What holds instead.
        rule: &'static str,
    },
    /// A signal asked for the end before everything had come up.
    #[error("stopped by a signal before every server was up; the started servers were stopped")]
    Interrupted,
    /// The file system, or the start of a process, failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was attempted, such as `cannot write`.
        action: &'static str,
        /// The file or program.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StackError {
    /// Returns a function for `map_err` that names the action and its path.
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

/// Lines of a log that an error quotes.
const TAIL_LINES_MAX: usize = 25;

/// Returns the last lines of `text`.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES_MAX)..].join("\n")
}
