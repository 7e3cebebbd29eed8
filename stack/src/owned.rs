//! Any program as a process that does not outlive this one, with its output in a file: what drives services beside
//! the servers.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use crate::StackError;
use crate::process::{Launch, Process, ProcessId, spawn_owned, stop_all};

/// A process that ends with its handle, and with this process even when that is killed.
#[derive(Debug)]
pub struct OwnedProcess {
    process: Process,
    log_path: PathBuf,
}

impl OwnedProcess {
    /// Starts it; what it prints is appended to `log_path`, or its standard output goes to `stdout_path`.
    ///
    /// # Errors
    /// When the file cannot be written or the program cannot be started.
    pub fn start(
        launch: &Launch,
        log_path: &Path,
        stdout_path: Option<&Path>,
    ) -> Result<Self, StackError> {
        let open = |path: &Path| -> Result<File, StackError> {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.map_err(StackError::io("cannot write", path))
        };
        let log = open(log_path)?;
        let stdout = open(stdout_path.unwrap_or(log_path))?;
        let mut command = launch.owned_command()?;
        command.stdin(Stdio::null()).stdout(stdout).stderr(log);
        let failed = || StackError::io("cannot start", &launch.program);
        let child = spawn_owned(command).map_err(failed())?;
        let process = Process::new(child, true).map_err(failed())?;
        Ok(Self { process, log_path: log_path.to_owned() })
    }

    /// Returns which process it is.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.process.id()
    }

    /// Returns its log.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// Returns how it ended, or `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Ends it with TERM, and with KILL after `limit`.
    pub fn stop(mut self, limit: Duration) {
        stop_all(&[self.process.id()], limit);
        self.process.kill_9();
    }

    /// Ends it with KILL.
    pub fn kill_9(&mut self) {
        self.process.kill_9();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_output_is_in_the_file_and_it_ends_with_its_handle() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let launch = Launch::new("/bin/sh", ["-c", "echo out; echo err >&2; exec sleep 600"], "/");
        let process = OwnedProcess::start(&launch, &log, None).unwrap();
        let id = process.id();
        let is_written = || std::fs::read_to_string(&log).is_ok_and(|text| text == "out\nerr\n");
        assert!(crate::process::wait_until(Duration::from_secs(20), is_written));
        assert!(id.is_alive());
        drop(process);
        assert!(!id.is_alive());
    }
}
