//! An orderly stop: the first SIGTERM or ctrl-C asks for it, the second one ends the process.

use std::io;
use std::process;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::exit::AppError;

/// A shell reports a process ended by signal `n` as 128 + `n`.
const SIGNAL_EXIT_BASE: i32 = 128;

/// A request to stop that threads and tasks can see. Clones share it; it never goes away again.
#[derive(Debug, Clone)]
pub struct Shutdown {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    is_requested: Mutex<bool>,
    changed: Condvar,
    tasks: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// Returns one that only [`request`](Self::request) triggers.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            is_requested: Mutex::new(false),
            changed: Condvar::new(),
            tasks: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns one that the first SIGTERM or SIGINT triggers; the second ends the process at once.
    ///
    /// The signals are watched by a thread of their own, so that a program that hangs can still be
    /// ended. Call it once, early.
    ///
    /// # Errors
    ///
    /// Fails if the handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut term, mut int) = {
            let _entered = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        let shutdown = Self::new();
        let requested = shutdown.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                let first = next_signal(&mut term, &mut int).await;
                tracing::info!(signal = first, "stopping; a second signal ends at once");
                requested.request();
                let second = next_signal(&mut term, &mut int).await;
                #[expect(clippy::disallowed_methods, reason = "the second signal ends at once")]
                process::exit(SIGNAL_EXIT_BASE + second);
            });
        })?;
        Ok(shutdown)
    }

    /// Asks everyone who watches to stop.
    pub fn request(&self) {
        *self.shared.is_requested.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.changed.notify_all();
        self.shared.tasks.send_replace(true);
    }

    /// Returns whether a stop was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.shared.is_requested.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks the thread for up to `limit`, and returns whether a stop was asked for.
    #[must_use]
    pub fn wait(&self, limit: Duration) -> bool {
        let guard = self.shared.is_requested.lock().unwrap_or_else(PoisonError::into_inner);
        let waited =
            self.shared.changed.wait_timeout_while(guard, limit, |is_requested| !*is_requested);
        let (guard, _timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        *guard
    }

    /// Waits for the threads of services, which end when a stop is asked for; it asks for one if not all could be
    /// started.
    ///
    /// # Errors
    ///
    /// The first failure, which took the other services with it.
    pub fn join(
        &self,
        started: Result<(), AppError>,
        running: Vec<JoinHandle<Result<(), AppError>>>,
    ) -> Result<(), AppError> {
        if started.is_err() {
            self.request();
        }
        running.into_iter().fold(started, |result, thread| {
            let ended = thread.join();
            result.and(ended.unwrap_or_else(|_| Err(AppError::failed("a service panicked"))))
        })
    }

    /// Waits until a stop is asked for.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn requested(&self) {
        let mut receiver = self.shared.tasks.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = receiver.wait_for(|is_requested| *is_requested).await;
    }
}

async fn next_signal(term: &mut Signal, int: &mut Signal) -> i32 {
    tokio::select! {
        _ = term.recv() => SignalKind::terminate().as_raw_value(),
        _ = int.recv() => SignalKind::interrupt().as_raw_value(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn nothing_is_requested_at_first() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_requested());
        assert!(!shutdown.wait(Duration::from_millis(1)));
    }

    #[test]
    fn a_request_reaches_every_clone_and_wakes_a_waiting_thread() {
        let shutdown = Shutdown::new();
        let waiting = shutdown.clone();
        let thread = thread::spawn(move || waiting.wait(LIMIT));
        shutdown.request();
        assert!(thread.join().unwrap());
        assert!(shutdown.is_requested());
        assert!(shutdown.wait(LIMIT), "a request stays");
    }

    #[tokio::test]
    async fn a_request_wakes_a_task_also_when_it_came_first() {
        let shutdown = Shutdown::new();
        shutdown.clone().request();
        tokio::time::timeout(LIMIT, shutdown.requested()).await.unwrap();
    }
}
