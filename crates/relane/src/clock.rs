//! The clocks, read at the edge only. The engine's own unit tests run on a clock of their own,
//! which moves only when a test moves it.

#[cfg(not(test))]
pub(crate) use real::{Instant, now_ms, pass, sleep};
#[cfg(test)]
pub(crate) use simulated::{Instant, now_ms, pass, sleep};

#[cfg(not(test))]
mod real {
    pub(crate) use std::thread::sleep;
    pub(crate) use std::time::Instant;
    use std::time::{SystemTime, UNIX_EPOCH};

    /// Ends after this time, without a thread that waits.
    pub(crate) use tokio::time::sleep as pass;

    /// Milliseconds since the Unix epoch.
    pub(crate) fn now_ms() -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::Cell;
    use std::future::{Future, poll_fn};
    use std::ops::Add;
    use std::task::Poll;
    use std::time::Duration;

    /// When every test starts, in epoch milliseconds.
    const EPOCH_MS: i64 = 1_800_000_000_000;

    thread_local! {
        static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
        /// The earliest end that somebody was found waiting for.
        static NEXT_END: Cell<Option<Duration>> = const { Cell::new(None) };
    }

    /// A moment of the simulated clock.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Instant(Duration);

    impl Instant {
        pub(crate) fn now() -> Self {
            Self(NOW.get())
        }

        pub(crate) fn elapsed(self) -> Duration {
            NOW.get().saturating_sub(self.0)
        }

        pub(crate) fn duration_since(self, earlier: Self) -> Duration {
            self.0.saturating_sub(earlier.0)
        }

        pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
            self.duration_since(earlier)
        }
    }

    impl Add<Duration> for Instant {
        type Output = Self;

        fn add(self, wait: Duration) -> Self {
            Self(self.0 + wait)
        }
    }

    /// Time since the test started.
    pub(crate) fn now() -> Duration {
        NOW.get()
    }

    /// Sets the time since the test started.
    pub(crate) fn set(now: Duration) {
        NOW.set(now);
    }

    pub(crate) fn now_ms() -> i64 {
        EPOCH_MS + i64::try_from(NOW.get().as_millis()).expect("a test is short")
    }

    /// Ends after this time. Nothing wakes who waits: it is looked at again.
    pub(crate) fn pass(wait: Duration) -> impl Future<Output = ()> + Send {
        let until = NOW.get() + wait;
        poll_fn(move |_| {
            if NOW.get() >= until {
                return Poll::Ready(());
            }
            NEXT_END.set(Some(NEXT_END.get().map_or(until, |next| next.min(until))));
            Poll::Pending
        })
    }

    /// How long until the earliest of the ends that somebody was found waiting for since the last
    /// call.
    pub(crate) fn take_next_end_in() -> Option<Duration> {
        NEXT_END.take().map(|next| next.saturating_sub(NOW.get()))
    }

    /// Whoever sleeps alone moves the clock.
    pub(crate) fn sleep(wait: Duration) {
        NOW.set(NOW.get() + wait);
    }
}
