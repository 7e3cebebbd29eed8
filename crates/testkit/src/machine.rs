//! Who may run beside whom: a test that measures time needs a quiet machine.
//!
//! Suites run side by side in processes of their own, so the leave is a lock on a file. A lock ends with its process.

use std::fs::File;
use std::path::PathBuf;

/// Leave to run, until it is dropped.
#[derive(Debug)]
#[must_use = "the leave ends with the guard"]
pub struct Leave {
    _machine: File,
}

/// Leave to run beside other tests; kept until the guard is dropped.
///
/// # Panics
///
/// Panics when the lock file cannot be written.
pub fn shared() -> Leave {
    let _gate = behind_gate();
    let machine = open("machine");
    machine.lock_shared().expect("a file of our own can be locked");
    Leave { _machine: machine }
}

/// Leave to run alone among the tests of this machine that ask for leave; kept until the guard is dropped. Such tests
/// stand in a module `alone`: `scripts/run-suites.sh` runs them when all others have ended, so that nobody waits.
///
/// # Panics
///
/// Panics when the lock file cannot be written.
pub fn alone() -> Leave {
    let _gate = behind_gate();
    let machine = open("machine");
    machine.lock().expect("a file of our own can be locked");
    Leave { _machine: machine }
}

/// Who waits to be alone waits behind the gate, and holds up those who come later: else they would go on for ever.
fn behind_gate() -> File {
    let gate = open("gate");
    gate.lock().expect("a file of our own can be locked");
    gate
}

fn open(name: &str) -> File {
    let path = folder().join(name);
    File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One folder for all suites of a run: the one that the build writes to.
fn folder() -> PathBuf {
    let program = std::env::current_exe().expect("a test knows its program");
    program.parent().expect("a program lies in a folder").to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_is_alone_is_waited_for() {
        let alone = alone();
        let (sender, began) = channel();
        let other = thread::spawn(move || {
            let _leave = shared();
            sender.send(()).expect("somebody listens");
        });
        assert_eq!(began.recv_timeout(Duration::from_millis(50)), Err(RecvTimeoutError::Timeout));
        drop(alone);
        began.recv().expect("it began");
        other.join().expect("it ended");
    }
}
