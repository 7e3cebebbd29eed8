//! Waits that a stop ends.

use std::future::Future;

use service_kit::shutdown::Shutdown;
use tokio::runtime::Handle;

/// What a wait says that a stop has ended.
pub(crate) const STOPPED: &str = "it was stopped";

/// Waits for `work`; nothing when a stop is asked for first.
pub(crate) fn unless_stopped<T>(
    runtime: &Handle,
    stop: &Shutdown,
    work: impl Future<Output = T>,
) -> Option<T> {
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = stop.requested() => None,
            done = work => Some(done),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_a_wait_that_has_no_end() {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let stop = Shutdown::new();
        assert_eq!(unless_stopped(runtime.handle(), &stop, async { 7 }), Some(7));
        let asked = stop.clone();
        let asking = std::thread::spawn(move || asked.request());
        let never = std::future::pending::<()>();
        assert_eq!(unless_stopped(runtime.handle(), &stop, never), None);
        asking.join().unwrap();
    }
}
