//! Processes: how long they live, how they are told apart, and the signals they get.
//!
//! **Owned** processes must not outlive their owner, not even when it is killed with `kill -9` and no destructor runs.
//! Linux can do that (`prctl(PR_SET_PDEATHSIG)`, here through `setpriv --pdeathsig KILL`), with two traps:
//!
//! - The signal is tied to the *thread* that forked, and a test's thread ends with its test. So one thread, started at the
//!   first use and alive until the process ends, forks all owned processes.
//! - An owner that dies between the fork and the `prctl` is missed. So a shell line between `setpriv` and the program
//!   checks, with the death signal already armed, that its parent still is the owner.
//!
//! **Detached** processes (those of `stack up`) get a session of their own through `setsid`, so that neither ctrl-C nor
//! the end of the terminal reaches them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::{Ledger, Program, Programs, StackError};

/// How long a server may take to end after TERM before it gets KILL.
pub const STOP_LIMIT: Duration = Duration::from_secs(20);

/// How long a process may take to stop after STOP.
const PAUSE_LIMIT: Duration = Duration::from_secs(5);

/// How long a killed process may take to disappear.
pub(crate) const KILL_LIMIT: Duration = Duration::from_secs(5);

/// Time between two looks at something that is waited for.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a server lives.
#[derive(Debug, Clone, Default)]
pub enum Lifetime {
    /// As long as its handle, and never longer than this process.
    #[default]
    Owned,
    /// Until it is stopped by what the ledger wrote down.
    Detached(Arc<Ledger>),
}

/// A process that is not mistaken for a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid.
    pub pid: u32,
    /// When it started, in clock ticks since boot: the same pid at another time is another process.
    pub start_ticks: u64,
}

impl ProcessId {
    /// Returns the identity of the process that has `pid` now.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let (state, start_ticks) = read_stat(pid)?;
        (state != 'Z').then_some(Self { pid, start_ticks })
    }

    /// Returns whether this very process still runs; one that is dead and not yet reaped does not.
    #[must_use]
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends `signal` if this very process still runs.
    pub fn signal(self, signal: Signal) {
        if self.is_alive() {
            // It may end in between: then there is nobody left to tell.
            let _gone = kill(Pid::from_raw(self.pid.cast_signed()), signal);
        }
    }

    /// Stalls it with STOP and returns when none of its threads runs any more, or after
    /// [`PAUSE_LIMIT`].
    pub fn pause(self) {
        self.signal(Signal::SIGSTOP);
        wait_until(PAUSE_LIMIT, || is_stopped(self.pid));
    }
}

/// Reads whether every thread of process `pid` is stopped; a thread that ends meanwhile counts as stopped.
///
/// STOP reaches the threads of a process one by one: until the last has stopped, it may still answer.
fn is_stopped(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        matches!(state, None | Some('T' | 't' | 'Z' | 'X'))
    })
}

/// Reads state and start time from `/proc/PID/stat`.
fn read_stat(pid: u32) -> Option<(char, u64)> {
    const START_TIME_AFTER_STATE: usize = 18;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold spaces and parentheses: what counts stands behind the last one.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(START_TIME_AFTER_STATE)?.parse().ok()?))
}

/// Ends all of `processes`: TERM to each (a stopped one is continued, so that it can hear it), KILL to what is left after
/// `limit`. Returns those that had to be killed.
pub fn stop_all(processes: &[ProcessId], limit: Duration) -> Vec<ProcessId> {
    for process in processes {
        process.signal(Signal::SIGTERM);
        process.signal(Signal::SIGCONT);
    }
    wait_until(limit, || processes.iter().all(|process| !process.is_alive()));
    let stubborn: Vec<ProcessId> =
        processes.iter().copied().filter(|process| process.is_alive()).collect();
    for process in &stubborn {
        process.signal(Signal::SIGKILL);
    }
    wait_until(KILL_LIMIT, || stubborn.iter().all(|process| !process.is_alive()));
    stubborn
}

/// Looks until `is_done` or until `limit` has passed; returns whether it was done.
pub(crate) fn wait_until(limit: Duration, mut is_done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if is_done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// A program with everything that its start needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables set for it.
    pub env: Vec<(String, OsString)>,
    /// Whether it sees only `env`, and nothing of the caller's environment.
    pub is_env_cleared: bool,
    /// Its working directory.
    pub dir: PathBuf,
}

impl Launch {
    /// Returns the launch of `program` with `args` in `dir`.
    pub fn new(
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = impl Into<OsString>>,
        dir: impl Into<PathBuf>,
    ) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self {
            program: program.into(),
            args,
            env: Vec::new(),
            is_env_cleared: false,
            dir: dir.into(),
        }
    }

    /// Returns the command that runs the program behind `wrapper` and its arguments.
    pub(crate) fn command_behind(
        &self,
        wrapper: Program,
        wrapper_args: &[&str],
    ) -> Result<Command, StackError> {
        let mut command = Command::new(Programs::from_env().find(wrapper)?);
        command.args(wrapper_args).arg(&self.program).args(&self.args).current_dir(&self.dir);
        if self.is_env_cleared {
            command.env_clear();
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Returns the command for a process that must not outlive this one; it is to be run by [`spawn_owned`].
    pub(crate) fn owned_command(&self) -> Result<Command, StackError> {
        const ONLY_UNDER_ITS_OWNER: &str = r#"test "$PPID" = "$1" || exit 1; shift; exec "$@""#;
        let owner = std::process::id().to_string();
        let wrapper = ["--pdeathsig", "KILL", "/bin/sh", "-c", ONLY_UNDER_ITS_OWNER, "sh", &owner];
        let mut command = self.command_behind(Program::Setpriv, &wrapper)?;
        command.process_group(0);
        Ok(command)
    }

    /// Returns the command for a process that stays when this one ends.
    pub(crate) fn detached_command(&self) -> Result<Command, StackError> {
        // `setsid` forks, and so changes the pid, only when it leads a process group; a fresh child never does.
        self.command_behind(Program::Setsid, &[])
    }
}

/// A child and where its result goes.
type SpawnRequest = (Command, Sender<io::Result<Child>>);

/// Starts `command` from the thread that lives as long as this process.
///
/// # Errors
/// Those of [`Command::spawn`].
pub(crate) fn spawn_owned(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<SpawnRequest>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (requests, inbox) = channel::<SpawnRequest>();
        // Never joined: `requests` is kept in a static, so the thread waits for the next one until the process ends.
        thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                for (mut command, result) in inbox {
                    let _caller_gone = result.send(command.spawn());
                }
            })
            .expect("the system has room for one thread");
        Mutex::new(requests)
    });
    let (result, answer) = channel();
    spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, result))
        .map_err(|_closed| io::Error::other("the spawner thread has ended"))?;
    answer.recv().map_err(|_closed| io::Error::other("the spawner thread has ended"))?
}

/// A child of this process.
#[derive(Debug)]
pub(crate) struct Process {
    id: ProcessId,
    child: Child,
    is_killed_on_drop: bool,
}

impl Process {
    /// Takes charge of `child`.
    pub(crate) fn new(mut child: Child, is_killed_on_drop: bool) -> io::Result<Self> {
        let pid = child.id();
        // Nobody else reaps it, so its entry is there even if it has ended already.
        let Some((_, start_ticks)) = read_stat(pid) else {
            child.kill()?;
            return Err(io::Error::other(format!("process {pid} has no entry in /proc")));
        };
        Ok(Self { id: ProcessId { pid, start_ticks }, child, is_killed_on_drop })
    }

    pub(crate) fn id(&self) -> ProcessId {
        self.id
    }

    /// Returns how it ended, or `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        match self.child.try_wait() {
            Ok(status) => status,
            // Only "no such child" is possible, and that is an end, too.
            Err(_) => Some(ExitStatus::from_raw(0)),
        }
    }

    /// Sends KILL, to an owned one's whole process group, and reaps it.
    pub(crate) fn kill_9(&mut self) {
        if self.is_killed_on_drop && self.ended().is_none() {
            let _already_dead = killpg(Pid::from_raw(self.id.pid.cast_signed()), Signal::SIGKILL);
        }
        let _already_dead = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_killed_on_drop {
            self.kill_9();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_with_another_start_time_is_another_process_and_gets_no_signal() {
        let me = ProcessId::of(std::process::id()).unwrap();
        let earlier = ProcessId { start_ticks: me.start_ticks - 1, ..me };
        assert!(me.is_alive());
        assert!(!earlier.is_alive());
        earlier.signal(Signal::SIGKILL);
        assert!(me.is_alive());
    }

    #[test]
    fn an_owned_process_dies_with_its_handle_even_when_it_ignores_term() {
        let launch = Launch::new("/bin/sh", ["-c", "trap '' TERM; while :; do sleep 1; done"], "/");
        let child = spawn_owned(launch.owned_command().unwrap()).unwrap();
        let process = Process::new(child, true).unwrap();
        let id = process.id();
        assert!(id.is_alive());
        drop(process);
        assert!(!id.is_alive());
    }

    #[test]
    fn a_process_that_ignores_term_is_killed_after_the_limit_even_when_stopped() {
        let launch = Launch::new(
            "/bin/sh",
            ["-c", "trap '' TERM; echo ready; while :; do sleep 1; done"],
            "/",
        );
        let mut command = launch.owned_command().unwrap();
        command.stdout(std::process::Stdio::piped());
        let mut child = spawn_owned(command).unwrap();
        let mut line = [0; 6];
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let process = Process::new(child, true).unwrap();
        process.id().signal(Signal::SIGSTOP);
        assert_eq!(stop_all(&[process.id()], Duration::from_millis(200)), [process.id()]);
        assert!(!process.id().is_alive());
    }
}
