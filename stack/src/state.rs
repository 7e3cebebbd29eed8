//! What a stack that outlives its command leaves in its directory, so that later commands find, check and stop it.
//!
//! | file | for whom | content |
//! |---|---|---|
//! | `stack.json` | `stack` itself | every process with its start time, probe and log, and the variables of every server |
//! | `env` | shells: `. DIR/env` | lines `export NAME=value` |
//! | `pids` | people and scripts | lines `NAME PID` |

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::jars::lock;
use crate::node::create_dir;
use crate::process::{KILL_LIMIT, Launch, ProcessId, STOP_LIMIT, stop_all, wait_until};
use crate::{Probe, StackError};

/// How long a command waits for another one on the same directory.
const LOCK_LIMIT: Duration = Duration::from_secs(2);

/// The servers, in the order in which they are shown.
const SERVERS: [&str; 6] = ["kafka", "registry", "rabbitmq", "redis", "valkey", "prometheus"];

/// A process that was started to stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The server that it belongs to, such as `kafka`.
    pub server: String,
    /// Its own name, such as `kafka-1`.
    pub name: String,
    /// The process.
    pub process: ProcessId,
    /// How to ask whether it answers.
    pub probe: Probe,
    /// Its log.
    pub log_path: PathBuf,
    /// Whether others need it, so that it stops last.
    pub is_prerequisite: bool,
    /// How it was started, to start it again as it was.
    #[serde(default)]
    pub launch: Option<Launch>,
    /// Whether a command ended it, so that it does not count as lost.
    #[serde(default)]
    pub is_stopped: bool,
}

/// A variable that leads clients to a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// The server that it leads to.
    pub server: String,
    /// Its name, such as `REDIS_URL`.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Everything that was started in a directory and not stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackState {
    /// The processes, server by server.
    pub nodes: Vec<NodeRecord>,
    /// The variables of the servers that came up.
    pub variables: Vec<Variable>,
    /// The folder of commands that belong to the servers.
    #[serde(default)]
    pub commands_dir: Option<PathBuf>,
}

impl StackState {
    /// Returns the lines of `DIR/env`.
    #[must_use]
    pub fn env_lines(&self) -> String {
        let variables = self
            .variables
            .iter()
            .map(|Variable { name, value, .. }| format!("export {name}={}\n", quoted(value)));
        let path = self.commands_dir.iter().map(|dir| {
            // Once, however often the file is read by one shell.
            let dir = quoted(&dir.display().to_string());
            format!("case \":$PATH:\" in *:{dir}:*) ;; *) export PATH={dir}:\"$PATH\" ;; esac\n")
        });
        variables.chain(path).collect()
    }

    /// Returns the names of the servers, each once.
    #[must_use]
    pub fn servers(&self) -> Vec<&str> {
        let mut servers: Vec<&str> = Vec::new();
        for node in &self.nodes {
            if !servers.contains(&node.server.as_str()) {
                servers.push(&node.server);
            }
        }
        servers
    }

    /// Returns the processes of `server`.
    pub fn nodes_of<'a>(&'a self, server: &'a str) -> impl Iterator<Item = &'a NodeRecord> {
        self.nodes.iter().filter(move |node| node.server == server)
    }

    /// Returns the processes that `name` means: those of the server of that name, or the one process.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<&NodeRecord> {
        let of_server: Vec<_> = self.nodes.iter().filter(|node| node.server == name).collect();
        if of_server.is_empty() {
            self.nodes.iter().filter(|node| node.name == name).collect()
        } else {
            of_server
        }
    }

    /// Brings processes and variables into the order of [`SERVERS`], whichever came up first.
    pub(crate) fn sort(&mut self) {
        let rank = |name: &str| SERVERS.iter().position(|server| *server == name);
        self.nodes.sort_by(|a, b| (rank(&a.server), &a.name).cmp(&(rank(&b.server), &b.name)));
        self.variables.sort_by_key(|variable| rank(&variable.server));
    }
}

/// Quotes what a shell would not take as one plain word: an asterisk, a percent sign or a slash stays itself in an
/// assignment, so class paths and URLs stay readable.
fn quoted(value: &str) -> String {
    let is_plain = value
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "-_./:,@%*+=".contains(letter));
    if is_plain { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

/// The directory of a stack.
#[derive(Debug, Clone)]
pub struct StackDir {
    path: PathBuf,
}

impl StackDir {
    /// Returns the directory at `path`, creating it if needed.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> Result<Self, StackError> {
        Ok(Self { path: create_dir(path)? })
    }

    /// Returns the directory at `path`, or `None` if there is none.
    #[must_use]
    pub fn open(path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        path.is_dir().then_some(Self { path })
    }

    /// Returns its absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps other commands that change the stack away until the returned file is dropped.
    ///
    /// # Errors
    /// When another command works on it.
    pub fn lock(&self) -> Result<File, StackError> {
        lock(&self.path.join("lock"), LOCK_LIMIT)
    }

    /// Returns what was started and not stopped; nothing, where no stack is.
    ///
    /// # Errors
    /// When the file cannot be read, or was not written by this program.
    pub fn state(&self) -> Result<StackState, StackError> {
        let path = self.path.join("stack.json");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(StackState::default());
            }
            text => text.map_err(StackError::io("cannot read", &path))?,
        };
        serde_json::from_str(&text)
            .map_err(io::Error::other)
            .map_err(StackError::io("cannot understand", &path))
    }

    /// Writes the three files, each in one piece; removes them when nothing is left.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, state: &StackState) -> Result<(), StackError> {
        if state.nodes.is_empty() {
            for name in ["env", "pids", "stack.json"] {
                let path = self.path.join(name);
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(StackError::io("cannot remove", path)(error));
                    }
                    _ => {}
                }
            }
            return Ok(());
        }
        let json = serde_json::to_string_pretty(state).expect("plain data has a JSON form");
        let pids: String = state
            .nodes
            .iter()
            .filter(|node| !node.is_stopped)
            .map(|node| format!("{} {}\n", node.name, node.process.pid))
            .collect();
        self.replace("stack.json", &json)?;
        self.replace("pids", &pids)?;
        self.replace("env", &state.env_lines())
    }

    fn replace(&self, name: &str, content: &str) -> Result<(), StackError> {
        let (path, staging) = (self.path.join(name), self.path.join(format!(".{name}.new")));
        fs::write(&staging, content)
            .and_then(|()| fs::rename(&staging, &path))
            .map_err(StackError::io("cannot write", path))
    }

    /// Stops everything that is written down, waits until it is gone, and forgets it. Returns what was
    /// running, and how it ended.
    ///
    /// # Errors
    /// When the files cannot be read or written.
    pub fn stop(&self) -> Result<Vec<(NodeRecord, Ending)>, StackError> {
        let ended = end_records(self.state()?.nodes, Signal::SIGTERM);
        self.write(&StackState::default())?;
        Ok(ended)
    }

    /// Ends the processes called `names` with TERM, or with KILL, waits until they are gone, and notes that they were
    /// ended on purpose. Returns those that were running, and how they ended.
    ///
    /// # Errors
    /// When the files cannot be read or written.
    pub fn end(
        &self,
        names: &[String],
        signal: Signal,
    ) -> Result<Vec<(NodeRecord, Ending)>, StackError> {
        let mut state = self.state()?;
        let is_meant = |node: &NodeRecord| names.contains(&node.name);
        let meant = state.nodes.iter().filter(|node| is_meant(node)).cloned().collect();
        let ended = end_records(meant, signal);
        for node in state.nodes.iter_mut().filter(|node| is_meant(node)) {
            node.is_stopped = true;
        }
        self.write(&state)?;
        Ok(ended)
    }
}

/// How a process ended that was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// In order, after TERM.
    Stopped,
    /// After KILL, as TERM did not end it within [`STOP_LIMIT`].
    Killed,
    /// Not at all.
    StillRuns,
}

/// Ends those of `nodes` that run, and says how each ended.
fn end_records(nodes: Vec<NodeRecord>, signal: Signal) -> Vec<(NodeRecord, Ending)> {
    let running: Vec<NodeRecord> =
        nodes.into_iter().filter(|node| node.process.is_alive()).collect();
    let killed = if signal == Signal::SIGKILL {
        running.iter().for_each(|node| node.process.signal(Signal::SIGKILL));
        wait_until(KILL_LIMIT, || running.iter().all(|node| !node.process.is_alive()));
        Vec::new()
    } else {
        stop_records(&running)
    };
    let ending = |node: &NodeRecord| match killed.contains(&node.process) {
        _ if node.process.is_alive() => Ending::StillRuns,
        true => Ending::Killed,
        false => Ending::Stopped,
    };
    running.into_iter().map(|node| (node.clone(), ending(&node))).collect()
}

/// Stops processes, those that others need last; returns those that had to be killed.
pub(crate) fn stop_records(nodes: &[NodeRecord]) -> Vec<ProcessId> {
    let mut killed = Vec::new();
    for is_prerequisite in [false, true] {
        let stopping = nodes.iter().filter(|node| node.is_prerequisite == is_prerequisite);
        killed.extend(stop_all(&stopping.map(|node| node.process).collect::<Vec<_>>(), STOP_LIMIT));
    }
    killed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> StackState {
        let process = ProcessId { pid: 1, start_ticks: 0 };
        let (probe, log_path) = (Probe::Redis { port: 6379 }, PathBuf::from("/log"));
        let node = |server: &str, name: &str| NodeRecord {
            server: server.into(),
            name: name.into(),
            process,
            probe: probe.clone(),
            log_path: log_path.clone(),
            is_prerequisite: false,
            launch: None,
            is_stopped: false,
        };
        let variable = |server: &str, name: &str, value: &str| Variable {
            server: server.into(),
            name: name.into(),
            value: value.into(),
        };
        StackState {
            nodes: vec![node("kafka", "kafka-1"), node("kafka", "kafka-2"), node("redis", "redis")],
            variables: vec![
                variable("redis", "REDIS_URL", "redis://127.0.0.1:6379"),
                variable("kafka", "KAFKA_CLASSPATH", "/home/o'hara x/kafka/*"),
            ],
            commands_dir: Some(PathBuf::from("/home/o'hara x/bin")),
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_leaves_no_file() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = StackDir::create(temporary.path()).unwrap();
        assert_eq!(dir.state().unwrap(), StackState::default());
        dir.write(&state()).unwrap();
        assert_eq!(dir.state().unwrap(), state());
        assert_eq!(
            fs::read_to_string(temporary.path().join("pids")).unwrap(),
            "kafka-1 1\nkafka-2 1\nredis 1\n"
        );
        dir.write(&StackState::default()).unwrap();
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_env_file_survives_a_shell_whatever_the_path_is_called() {
        let lines = state().env_lines();
        let shown = r#"printf '%s|%s|%s' "$REDIS_URL" "$KAFKA_CLASSPATH" "$PATH""#;
        let script = format!("PATH=/first\n{lines}{lines}{shown}");
        let output = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "redis://127.0.0.1:6379|/home/o'hara x/kafka/*|/home/o'hara x/bin:/first"
        );
    }

    #[test]
    fn a_process_whose_pid_was_given_to_another_is_not_touched() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = StackDir::create(temporary.path()).unwrap();
        let mut stale = state();
        for node in &mut stale.nodes {
            node.process.pid = std::process::id(); // with a start time that is not ours
        }
        dir.write(&stale).unwrap();
        assert_eq!(dir.stop().unwrap(), []);
    }

    #[test]
    fn each_server_is_named_once() {
        assert_eq!(state().servers(), ["kafka", "redis"]);
        assert_eq!(state().nodes_of("kafka").count(), 2);
    }

    #[test]
    fn a_name_means_a_whole_server_or_one_of_its_processes() {
        let names = |name| -> Vec<String> {
            state().named(name).into_iter().map(|node| node.name.clone()).collect()
        };
        assert_eq!(names("kafka"), ["kafka-1", "kafka-2"]);
        assert_eq!(names("kafka-2"), ["kafka-2"]);
        assert!(names("kafka-3").is_empty());
    }

    #[test]
    fn a_file_of_the_version_before_is_read() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = StackDir::create(temporary.path()).unwrap();
        let old = r#"{"nodes":[{"server":"redis","name":"redis","process":{"pid":1,"start_ticks":0},
            "probe":{"redis":{"port":6379}},"log_path":"/log","is_prerequisite":false}],"variables":[]}"#;
        fs::write(temporary.path().join("stack.json"), old).unwrap();
        let state = dir.state().unwrap();
        assert_eq!((state.nodes[0].launch.clone(), state.nodes[0].is_stopped), (None, false));
    }
}
