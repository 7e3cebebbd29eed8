//! One process of a server on its ports with its data, and the server made of one or more of them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::error::tail;
use crate::process::{Launch, Process, ProcessId, STOP_LIMIT, spawn_owned, stop_all, wait_until};
use crate::state::NodeRecord;
use crate::{Lifetime, Probe, StackError, ports};

/// How long a server may take until it answers; generous, as several start at once on few cores.
pub const START_LIMIT: Duration = Duration::from_secs(90);

/// What the servers write when a port is taken, in lower case.
const BIND_FAILURES: [&str; 4] =
    ["address already in use", "eaddrinuse", "bindexception", "seems to be in use"];

/// One process of a server. It keeps its ports and data over `kill_9` and `restart`.
#[derive(Debug)]
pub struct Node {
    server: String,
    name: String,
    launch: Launch,
    log_path: PathBuf,
    probe: Probe,
    /// Whether the other nodes of the server need it to start, and to stop in order.
    is_prerequisite: bool,
    lifetime: Lifetime,
    process: Option<Process>,
    /// Where the log of the current process begins: earlier ones are not quoted.
    log_offset_bytes: u64,
}

impl Node {
    /// Returns a node of `server` that logs to `NAME.log` in the launch's folder; it does not run yet.
    #[must_use]
    pub(crate) fn new(
        server: &str,
        name: &str,
        launch: Launch,
        probe: Probe,
        lifetime: Lifetime,
    ) -> Self {
        let log_path = launch.dir.join(format!("{name}.log"));
        let (server, name) = (server.to_owned(), name.to_owned());
        let (process, log_offset_bytes) = (None, 0);
        Self {
            server,
            name,
            launch,
            log_path,
            probe,
            is_prerequisite: false,
            lifetime,
            process,
            log_offset_bytes,
        }
    }

    /// Returns the node that `record` speaks of, to be started again as it was; `None` where its launch was not noted.
    pub(crate) fn of_record(record: &NodeRecord, lifetime: Lifetime) -> Option<Self> {
        let (probe, launch) = (record.probe.clone(), record.launch.clone()?);
        let node = Self::new(&record.server, &record.name, launch, probe, lifetime);
        Some(Self { is_prerequisite: record.is_prerequisite, ..node })
    }

    /// Returns the node as one that the others need.
    #[must_use]
    pub(crate) fn prerequisite(mut self) -> Self {
        self.is_prerequisite = true;
        self
    }

    /// Returns its name, such as `kafka-1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Returns the port that it answers on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.probe.port()
    }

    /// Returns its process, if it was started and not stopped since.
    #[must_use]
    pub fn process(&self) -> Option<ProcessId> {
        self.process.as_ref().map(Process::id)
    }

    /// Returns the file that takes its output; a restart appends.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// Returns whether its process runs; a paused one does.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process().is_some_and(ProcessId::is_alive)
    }

    /// Starts the process without waiting for it; nothing happens when it runs already.
    pub(crate) fn spawn(&mut self) -> Result<(), StackError> {
        if self.is_running() {
            return Ok(());
        }
        self.process = None;
        let log = OpenOptions::new().create(true).append(true).open(&self.log_path);
        let log = log.map_err(StackError::io("cannot write", &self.log_path))?;
        let io_error = StackError::io("cannot write", &self.log_path);
        let (length, second) = log
            .metadata()
            .and_then(|metadata| Ok((metadata.len(), log.try_clone()?)))
            .map_err(io_error)?;
        self.log_offset_bytes = length;
        let mut command = match self.lifetime {
            Lifetime::Owned => self.launch.owned_command()?,
            Lifetime::Detached(_) => self.launch.detached_command()?,
        };
        command.stdin(Stdio::null()).stdout(log).stderr(second);
        let failed = || StackError::io("cannot start", &self.launch.program);
        self.process = Some(match &self.lifetime {
            Lifetime::Owned => {
                let child = spawn_owned(command).map_err(failed())?;
                Process::new(child, true).map_err(failed())?
            }
            Lifetime::Detached(ledger) => ledger.record(|| {
                let process = command
                    .spawn()
                    .and_then(|child| Process::new(child, false))
                    .map_err(failed())?;
                Ok((self.record_of(process.id()), process))
            })?,
        });
        Ok(())
    }

    fn record_of(&self, process: ProcessId) -> NodeRecord {
        NodeRecord {
            server: self.server.clone(),
            name: self.name.clone(),
            process,
            probe: self.probe.clone(),
            log_path: self.log_path.clone(),
            is_prerequisite: self.is_prerequisite,
            launch: Some(self.launch.clone()),
            is_stopped: false,
        }
    }

    /// Waits until `probe` is answered, and by this very process.
    pub(crate) fn await_answer(&mut self, probe: &Probe) -> Result<(), StackError> {
        let address = ports::address(probe.port());
        let mut exit_status = None;
        let mut is_answered = false;
        let process = &mut self.process;
        wait_until(START_LIMIT, || {
            exit_status = process.as_mut().map_or(Some("not started".to_owned()), |process| {
                process.ended().map(|status| status.to_string())
            });
            let pid = process.as_ref().map_or(0, |process| process.id().pid);
            is_answered = exit_status.is_none()
                && probe.ask().is_ok() // asked first: to look through all sockets costs more
                && ports::listens_on(pid, probe.port());
            is_answered || exit_status.is_some()
        });
        if is_answered {
            return Ok(());
        }
        let log = self.current_log();
        let (server, log_path, log_tail) = (self.name.clone(), self.log_path.clone(), tail(&log));
        let Some(status) = exit_status else {
            return Err(StackError::NoAnswer {
                server,
                address,
                limit: START_LIMIT,
                log_path,
                log_tail,
            });
        };
        if let Lifetime::Detached(ledger) = &self.lifetime
            && ledger.is_closed()
        {
            return Err(StackError::Interrupted);
        }
        let log = log.to_lowercase();
        if BIND_FAILURES.iter().any(|failure| log.contains(failure)) {
            return Err(StackError::AddressInUse { server, address });
        }
        Err(StackError::Ended { server, address, status, log_path, log_tail })
    }

    /// Returns what the current process has written; on any trouble, nothing.
    fn current_log(&self) -> String {
        let mut bytes = Vec::new();
        let read = File::open(&self.log_path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.log_offset_bytes))?;
            file.read_to_end(&mut bytes)
        });
        read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Starts it on the same ports and data, ending it first if it runs, and waits until it answers.
    ///
    /// # Errors
    /// When it ends or does not answer within [`START_LIMIT`].
    pub fn restart(&mut self) -> Result<(), StackError> {
        self.stop();
        self.spawn()?;
        let probe = self.probe.clone();
        self.await_answer(&probe)
    }

    /// Ends it with TERM, and with KILL after [`STOP_LIMIT`].
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            stop_all(&[process.id()], STOP_LIMIT);
            process.kill_9(); // reaps it
        }
    }

    /// Ends it with KILL: no destructor of the server runs, nothing is flushed.
    pub fn kill_9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill_9();
        }
    }

    /// Stalls it with STOP: its connections stay open, and nothing is answered.
    pub fn pause(&self) {
        if let Some(process) = self.process() {
            process.pause();
        }
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = self.process() {
            process.signal(signal);
        }
    }
}

/// A server made of nodes: what tests do to any of them.
pub trait Server: std::fmt::Debug + Send {
    /// Returns its name in the stack, such as `kafka`.
    fn name(&self) -> &'static str;

    /// Returns where its clients connect, as `127.0.0.1:port`; several are separated by commas.
    fn address(&self) -> String;

    /// Returns the variables that lead clients to it, such as `KAFKA_BOOTSTRAP_SERVERS`.
    fn environment(&self) -> Vec<(&'static str, String)>;

    /// Returns its processes; those that others need come first.
    fn nodes(&self) -> &[Node];

    /// Returns its processes.
    fn nodes_mut(&mut self) -> &mut [Node];

    /// Does what is left to do when all nodes answer.
    ///
    /// # Errors
    /// When that fails.
    fn after_start(&mut self) -> Result<(), StackError> {
        Ok(())
    }

    /// Starts what does not run, on the same ports and data, and waits until all of it answers.
    ///
    /// # Errors
    /// When a node ends or does not answer within [`START_LIMIT`]; what runs by then is killed.
    fn start_again(&mut self) -> Result<(), StackError> {
        let result = start_nodes(self.nodes_mut()).and_then(|()| self.after_start());
        if result.is_err() {
            self.kill_9();
        }
        result
    }

    /// Stops it if it runs, and starts it on the same ports and data.
    ///
    /// # Errors
    /// As for [`Server::start_again`].
    fn restart(&mut self) -> Result<(), StackError> {
        self.stop();
        self.start_again()
    }

    /// Ends all nodes with TERM, those that others need last, and with KILL after [`STOP_LIMIT`].
    fn stop(&mut self) {
        for is_prerequisite in [false, true] {
            let stopping =
                self.nodes_mut().iter_mut().filter(|node| node.is_prerequisite == is_prerequisite);
            let mut processes: Vec<Process> =
                stopping.filter_map(|node| node.process.take()).collect();
            // All at once: brokers that stop one after the other wait for a quorum that is gone.
            let ids: Vec<ProcessId> = processes.iter().map(Process::id).collect();
            stop_all(&ids, STOP_LIMIT);
            processes.iter_mut().for_each(Process::kill_9);
        }
    }

    /// Ends all nodes with KILL.
    fn kill_9(&mut self) {
        self.nodes_mut().iter_mut().for_each(Node::kill_9);
    }

    /// Stalls all nodes with STOP.
    fn pause(&self) {
        self.nodes().iter().for_each(Node::pause);
    }

    /// Lets paused nodes go on.
    fn resume(&self) {
        self.nodes().iter().for_each(Node::resume);
    }

    /// Returns the node that clients talk to; of several, the first.
    fn main_node(&self) -> &Node {
        let nodes = self.nodes();
        nodes.iter().find(|node| !node.is_prerequisite).unwrap_or(&nodes[0])
    }

    /// Returns the pid of the main node, if it was started.
    fn pid(&self) -> Option<u32> {
        self.main_node().process().map(|process| process.pid)
    }

    /// Returns the log of the main node.
    fn log_path(&self) -> &Path {
        self.main_node().log_path()
    }
}

pub(crate) fn start_nodes(nodes: &mut [Node]) -> Result<(), StackError> {
    for is_prerequisite in [true, false] {
        // All are spawned before the first is waited for: a quorum needs company.
        for node in nodes.iter_mut().filter(|node| node.is_prerequisite == is_prerequisite) {
            node.spawn()?;
        }
        for node in nodes.iter_mut().filter(|node| node.is_prerequisite == is_prerequisite) {
            let probe = node.probe.clone();
            node.await_answer(&probe)?;
        }
    }
    Ok(())
}

/// Creates `dir` and returns it as an absolute path: servers run in folders of their own.
pub(crate) fn create_dir(dir: &Path) -> Result<PathBuf, StackError> {
    fs::create_dir_all(dir)
        .and_then(|()| dir.canonicalize())
        .map_err(StackError::io("cannot create", dir))
}

/// Writes a file of a server's configuration.
pub(crate) fn write(path: &Path, content: &str) -> Result<(), StackError> {
    fs::write(path, content).map_err(StackError::io("cannot write", path))
}
