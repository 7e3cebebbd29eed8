//! The clocks, read at the edge only. The engine's own unit tests, and pipelines that are simulated with the
//! feature `testing`, run on a clock of their own, which moves only when a test moves it.

#[cfg(any(test, feature = "testing"))]
pub(crate) use either::{Instant, now_ms, pass, sleep};
#[cfg(not(any(test, feature = "testing")))]
pub(crate) use real::{Instant, now_ms, pass, sleep};

mod real {
    #[cfg(not(any(test, feature = "testing")))]
    pub(crate) use std::time::Instant;

    pub(crate) use std::thread::sleep;

    /// Milliseconds since the Unix epoch.
    pub(crate) use service_kit::clock::now_ms;

    /// Ends after this time, without a thread that waits.
    pub(crate) use tokio::time::sleep as pass;
}

/// The simulated clock on threads that have entered it, and the real one elsewhere.
#[cfg(any(test, feature = "testing"))]
mod either {
    use std::ops::Add;
    use std::sync::LazyLock;
    use std::time::Duration;

    use super::{real, simulated};

    static STARTED: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

    /// A moment of this thread's clock.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Instant(Duration);

    impl Instant {
        pub(crate) fn now() -> Self {
            Self(simulated::of_thread().unwrap_or_else(|| STARTED.elapsed()))
        }

        pub(crate) fn elapsed(self) -> Duration {
            Self::now().duration_since(self)
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

    pub(crate) fn now_ms() -> i64 {
        simulated::of_thread().map_or_else(real::now_ms, simulated::epoch_ms)
    }

    /// Ends after this time.
    pub(crate) async fn pass(wait: Duration) {
        match simulated::of_thread() {
            Some(_) => simulated::pass(wait).await,
            None => real::pass(wait).await,
        }
    }

    /// On the simulated clock whoever sleeps alone moves it.
    pub(crate) fn sleep(wait: Duration) {
        match simulated::of_thread() {
            Some(now) => simulated::set(now + wait),
            None => real::sleep(wait),
        }
    }
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod simulated {
    use std::cell::Cell;
    use std::future::{Future, poll_fn};
    use std::task::Poll;
    use std::time::Duration;

    /// When every test starts, in epoch milliseconds.
    const EPOCH_MS: i64 = 1_800_000_000_000;

    thread_local! {
        /// The engine's own unit tests know no other clock.
        static IS_ENTERED: Cell<bool> = const { Cell::new(cfg!(test)) };
        static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
        /// The earliest end that somebody was found waiting for.
        static NEXT_END: Cell<Option<Duration>> = const { Cell::new(None) };
    }

    /// Has this thread go by the simulated clock, or not; returns whether it did.
    pub(crate) fn enter(is_entered: bool) -> bool {
        IS_ENTERED.replace(is_entered)
    }

    /// Time since the test started, where this thread goes by this clock.
    pub(crate) fn of_thread() -> Option<Duration> {
        IS_ENTERED.get().then(now)
    }

    /// Time since the test started.
    pub(crate) fn now() -> Duration {
        NOW.get()
    }

    /// Sets the time since the test started.
    pub(crate) fn set(now: Duration) {
        NOW.set(now);
    }

    pub(crate) fn epoch_ms(now: Duration) -> i64 {
        EPOCH_MS + i64::try_from(now.as_millis()).expect("a test is short")
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
}
