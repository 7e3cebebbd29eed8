//! A program on a terminal of its own: what it prints for people, at a size that the test chooses.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;

use crate::wait;

/// No program under test takes longer to end.
const END_MAX: Duration = Duration::from_secs(60);

/// A program whose stdout and stderr are one terminal; it is killed with its handle.
pub struct OnTerminal {
    child: Child,
    terminal: File,
    printed: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl OnTerminal {
    /// Starts the command on a terminal with so many rows and columns.
    ///
    /// # Panics
    ///
    /// Panics when there is no terminal, or no such program.
    pub fn start(mut command: Command, rows: u16, columns: u16) -> Self {
        command.stdin(Stdio::null());
        Self::spawn(command, rows, columns, false)
    }

    /// As [`Self::start`], and its stdin is the terminal, too: [`Self::press`] presses keys.
    ///
    /// # Panics
    ///
    /// Panics when there is no terminal, or no such program.
    pub fn start_with_keys(command: Command, rows: u16, columns: u16) -> Self {
        Self::spawn(command, rows, columns, true)
    }

    fn spawn(mut command: Command, rows: u16, columns: u16, has_keys: bool) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("a terminal");
        let also = pty.slave.try_clone().expect("one more handle");
        if has_keys {
            command.stdin(Stdio::from(pty.slave.try_clone().expect("one more handle")));
        }
        command.stdout(Stdio::from(pty.slave)).stderr(Stdio::from(also));
        let child = command.env("TERM", "xterm").spawn().expect("it starts");
        // The command holds the terminal's other end; with it here, the output would not end.
        drop(command);
        let printed = Arc::new(Mutex::new(Vec::new()));
        let master = File::from(pty.master);
        let own = master.try_clone().expect("one more handle");
        let (mut terminal, all) = (master, Arc::clone(&printed));
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            // The end of a terminal is an error.
            while let Ok(length @ 1..) = terminal.read(&mut piece) {
                all.lock().expect("no reader panics").extend_from_slice(&piece[..length]);
            }
        });
        Self { child, terminal: own, printed, reader: Some(reader) }
    }

    /// What the terminal was sent so far.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.printed.lock().expect("no reader panics")).into_owned()
    }

    /// Waits until it has printed this.
    ///
    /// # Panics
    ///
    /// Panics when it does not come in time.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        wait::is_true(text, END_MAX, || self.printed().contains(text));
    }

    /// Presses keys.
    ///
    /// # Panics
    ///
    /// Panics when the terminal has gone.
    pub fn press(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).expect("the terminal is there");
    }

    /// Whether the terminal reads lines and echoes them, as a shell wants it.
    ///
    /// # Panics
    ///
    /// Panics when the terminal has gone.
    pub fn reads_lines(&self) -> bool {
        let flags = tcgetattr(&self.terminal).expect("the terminal is there").local_flags;
        flags.contains(LocalFlags::ICANON | LocalFlags::ECHO)
    }

    /// Asks it to stop.
    pub fn sigterm(&self) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("a child of ours");
    }

    /// Waits for its end, and returns its exit code and what it printed.
    ///
    /// # Panics
    ///
    /// Panics when it runs on.
    #[track_caller]
    pub fn wait(mut self) -> (Option<i32>, String) {
        let mut status = None;
        wait::is_true("the program's end", END_MAX, || {
            status = self.child.try_wait().expect("a child of ours");
            status.is_some()
        });
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader ends with the terminal");
        }
        (status.and_then(|status| status.code()), self.printed())
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
