//! The generator before all others: on a machine that it shares with what it measures, a thread that waits for a
//! processor sends late, and its run is void.

use std::fs;
use std::process::{Command, Stdio};

/// How far threads of the generator stand before others, in steps of `nice`.
const STEPS: &str = "-10";

/// Lets the thread that calls it go before services and brokers; returns whether the system permits it. Programs that
/// it starts later would inherit that: it is for threads that start none.
#[must_use]
pub(crate) fn raise() -> bool {
    let task = fs::read_link("/proc/thread-self").unwrap_or_default();
    let Some(thread) = task.file_name() else { return false };
    let mut renice = Command::new("renice");
    renice.args(["-n", STEPS, "-p"]).arg(thread);
    renice.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    renice.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nice value of the thread that calls it, from its `stat`.
    fn nice() -> i64 {
        const NICE_AT: usize = 16;
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields = stat.rsplit_once(')').unwrap().1;
        fields.split_whitespace().nth(NICE_AT).unwrap().parse().unwrap()
    }

    #[test]
    fn a_thread_goes_before_others_exactly_where_that_is_permitted() {
        let before = nice();
        let raised = || std::thread::spawn(|| (raise(), nice())).join().unwrap();
        let (is_raised, after) = raised();
        assert_eq!(is_raised, after < before, "{before} to {after}");
        assert_eq!(nice(), before, "other threads stay where they are");
    }
}
