//! What the containers begin with, as they have no shell:
//!
//! ```text
//! run PROGRAM [ARGUMENT]...     runs the program, hands TERM and INT on to it, and ends as it does
//! run --probe HOST:PORT/PATH    ends with 0 if 200 is answered there: the health check
//! ```
//!
//! Exit code 2 of a program means a wrong flag, variable or settings file. Starting again cannot mend that, so the
//! container ends as done, and its log says why: with `restart: on-failure` it is not started again.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Exit code of a program whose settings are wrong.
const WRONG_SETTINGS: u8 = 2;

/// A shell reports a process ended by signal `n` as 128 + `n`.
const SIGNAL_EXIT_BASE: i32 = 128;

/// Longest wait for a connection, and for each part of an answer. An answer comes from memory.
const PROBE_MAX: Duration = Duration::from_secs(5);

/// Most of an answer that is read: a status line and a few reasons.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

const USAGE: &str = "usage: run PROGRAM [ARGUMENT]... | run --probe HOST:PORT/PATH";

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let ended = match (words.next(), words.next()) {
        (Some(flag), Some(place)) if flag == "--probe" => probe(&place.to_string_lossy()),
        (Some(program), first) if program != "--probe" => {
            let arguments: Vec<OsString> = first.into_iter().chain(words).collect();
            run(&program, &arguments)
        }
        _ => Err(io::Error::other(USAGE)),
    };
    ended.unwrap_or_else(|error| {
        say(&error.to_string());
        ExitCode::FAILURE
    })
}

/// A line on stderr; a reader that has gone is no reason to fail.
fn say(text: &str) {
    let _gone = writeln!(io::stderr(), "run: {text}");
}

fn run(program: &OsString, arguments: &[OsString]) -> io::Result<ExitCode> {
    // Before the program starts: a signal that comes first waits here until there is somebody to hand it to.
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let shown = program.to_string_lossy();
    let mut child = Command::new(program).args(arguments).spawn().map_err(|error| {
        io::Error::new(error.kind(), format!("{shown} cannot be started: {error}"))
    })?;
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    thread::spawn(move || {
        for signal in signals.forever() {
            let signal = if signal == SIGTERM { Signal::SIGTERM } else { Signal::SIGINT };
            // It may have ended just now.
            let _gone = kill(pid, signal);
        }
    });
    let status = child.wait()?;
    let of_signal = status.signal().map(|signal| SIGNAL_EXIT_BASE + signal);
    let code = status.code().or(of_signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    if code == WRONG_SETTINGS {
        say(&format!(
            "{shown} ended with exit code 2: its settings are wrong, so it is not started again"
        ));
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(code))
}

fn probe(place: &str) -> io::Result<ExitCode> {
    let (host, path) = place.split_once('/').ok_or_else(|| io::Error::other(USAGE))?;
    let address = host.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("no such host"))?;
    let mut stream = TcpStream::connect_timeout(&address, PROBE_MAX)?;
    stream.set_read_timeout(Some(PROBE_MAX))?;
    stream.set_write_timeout(Some(PROBE_MAX))?;
    stream.write_all(format!("GET /{path} HTTP/1.0\r\nhost: {host}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    if answer.starts_with("HTTP/1.") && answer.split(' ').nth(1) == Some("200") {
        return Ok(ExitCode::SUCCESS);
    }
    let body =
        answer.split_once("\r\n\r\n").map_or("no answer of HTTP", |(_, body)| body.trim_end());
    say(body);
    Ok(ExitCode::FAILURE)
}
