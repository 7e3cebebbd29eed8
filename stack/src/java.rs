//! Programs that run to their end, with a limit: Kafka's own Java tools, and Maven.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::error::tail;
use crate::process::{Launch, Process, spawn_owned, wait_until};
use crate::{Jars, Program, Programs, StackError, class_archive};

/// For what lives for seconds, as a tool does: the quick compiler alone and the small collector halve its start.
pub(crate) const QUICK_ARGS: &[&str] = &[
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:GuaranteedSafepointInterval=0",
    "-Xshare:auto",
    "-Xmx256m",
];

/// For servers that last. Java halts all threads of a server once a second, without a need, and whenever one of the
/// collector's threads wants it. Of a hundred threads that compete with busy programs for two processors the last one was
/// waited for for up to 7 s, in which the server answered nobody: it halts for its memory only, which one thread collects.
///
/// At each halt Java writes counters to a file in /tmp that it has mapped. While the disk is busy with that very page, the
/// server stands still for as long. Nobody reads the counters.
pub(crate) const LASTING_ARGS: &[&str] = &[
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:GuaranteedSafepointInterval=0",
];

/// Returns the arguments that are set, or where none is ours.
pub(crate) fn args_or(set: &[String], ours: &[&str]) -> Vec<String> {
    if set.is_empty() { ours.iter().map(|&arg| arg.to_owned()).collect() } else { set.to_vec() }
}

/// What a program left behind.
#[derive(Debug)]
pub struct ToolOutput {
    /// What was run, for messages.
    pub program: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, byte for byte.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl ToolOutput {
    /// Returns the standard output as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns the output if the program ended well.
    ///
    /// # Errors
    /// [`StackError::Tool`] with the end of its output.
    pub fn checked(self) -> Result<Self, StackError> {
        if self.status.success() {
            return Ok(self);
        }
        Err(StackError::Tool {
            outcome: format!("failed ({})", self.status),
            output_tail: tail(&String::from_utf8_lossy(&[self.stdout, self.stderr].concat())),
            program: self.program,
        })
    }
}

/// Kafka's Java tools. Each call starts a virtual machine: about a second of CPU.
#[derive(Debug, Clone)]
pub struct JavaTools {
    java: PathBuf,
    classpath: String,
    /// Arguments that map Kafka's classes, where they are archived.
    archive_args: Vec<String>,
    dir: PathBuf,
}

impl JavaTools {
    /// Returns the tools, run in `dir`.
    ///
    /// # Errors
    /// When Java is missing.
    pub fn new(programs: &Programs, jars: &Jars, dir: &Path) -> Result<Self, StackError> {
        let java = programs.find(Program::Java)?;
        let archive = class_archive::find(jars.dir(), "kafka", &java);
        let archive_args = class_archive::args_with(archive.as_deref());
        Ok(Self { java, classpath: jars.kafka_classpath(), archive_args, dir: dir.to_path_buf() })
    }

    /// Returns the class path, as `java -cp` takes it.
    #[must_use]
    pub fn classpath(&self) -> &str {
        &self.classpath
    }

    /// Returns the arguments that map Kafka's classes, where they are archived.
    pub(crate) fn archive_args(&self) -> &[String] {
        &self.archive_args
    }

    /// Runs `main_class`, such as `org.apache.kafka.tools.consumer.ConsoleConsumer`, to its end, whatever that is.
    ///
    /// # Errors
    /// [`StackError::Tool`] when it does not end within `limit`; it is killed then.
    pub fn run(
        &self,
        main_class: &str,
        args: &[&str],
        limit: Duration,
    ) -> Result<ToolOutput, StackError> {
        let archive_args: Vec<&str> = self.archive_args.iter().map(String::as_str).collect();
        let java_args =
            [QUICK_ARGS, &archive_args, &["-cp", &self.classpath, main_class], args].concat();
        let mut output = run_to_end(&Launch::new(&self.java, java_args, &self.dir), limit)?;
        output.program = main_class.to_owned();
        Ok(output)
    }
}

/// Runs a program that must not outlive this process, and collects its output.
pub(crate) fn run_to_end(launch: &Launch, limit: Duration) -> Result<ToolOutput, StackError> {
    let failed = || StackError::io("cannot run", &launch.program);
    let mut command = launch.owned_command()?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn_owned(command).map_err(failed())?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let mut process = Process::new(child, true).map_err(failed())?;
    let mut status = None;
    wait_until(limit, || {
        status = process.ended();
        status.is_some()
    });
    process.kill_9();
    let read = |reader: thread::JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
    let (program, stdout, stderr) =
        (launch.program.display().to_string(), read(stdout), read(stderr));
    match status {
        Some(status) => Ok(ToolOutput { program, status, stdout, stderr }),
        None => Err(StackError::Tool {
            program: launch
                .args
                .iter()
                .fold(program, |line, arg| format!("{line} {}", arg.to_string_lossy())),
            outcome: format!("did not end within {} s", limit.as_secs_f64()),
            output_tail: tail(&String::from_utf8_lossy(&[stdout, stderr].concat())),
        }),
    }
}

/// Reads a pipe to its end on a thread, so that a full pipe never stops the program.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _cut_off = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_takes_too_long_is_killed_and_its_output_quoted() {
        let launch = Launch::new("/bin/sh", ["-c", "echo begun; exec sleep 60"], "/");
        let error = run_to_end(&launch, Duration::from_millis(300)).unwrap_err().to_string();
        assert!(error.contains("did not end within 0.3 s"), "{error}");
        assert!(error.ends_with("begun"), "{error}");
    }

    #[test]
    fn a_failed_program_is_an_error_only_when_checked() {
        let launch = Launch::new("/bin/sh", ["-c", "echo out; echo err >&2; exit 3"], "/");
        let output = run_to_end(&launch, Duration::from_secs(10)).unwrap();
        assert_eq!((output.text().as_str(), output.status.code()), ("out\n", Some(3)));
        let error = output.checked().unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with("out\nerr"), "{error}");
    }
}
