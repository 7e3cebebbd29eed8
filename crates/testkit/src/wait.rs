//! Waiting for conditions, never for time.

use std::time::{Duration, Instant};

/// Pause between two looks: a share of what was waited for already. What comes soon is seen soon, and what takes long costs
/// few looks, each of which asks a broker that serves other tests as well.
const PAUSE_SHARE: u32 = 8;
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Looks until `probe` gives something.
///
/// # Panics
///
/// Panics with `what` when nothing has come within `limit`.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, probe: impl FnMut() -> Option<T>) -> T {
    look(limit, probe).unwrap_or_else(|| panic!("{what} did not happen within {limit:?}"))
}

/// Looks until `probe` holds, but not longer than `limit`; whether it did.
pub fn within(limit: Duration, mut probe: impl FnMut() -> bool) -> bool {
    look(limit, || probe().then_some(())).is_some()
}

fn look<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let begun_at = Instant::now();
    loop {
        let found = probe();
        let waited = begun_at.elapsed();
        if found.is_some() || waited >= limit {
            return found;
        }
        std::thread::sleep((waited / PAUSE_SHARE).clamp(PAUSE_MIN, PAUSE_MAX));
    }
}

/// Looks until `probe` holds.
///
/// # Panics
///
/// Panics with `what` when it does not hold within `limit`.
#[track_caller]
pub fn is_true(what: &str, limit: Duration, mut probe: impl FnMut() -> bool) {
    until(what, limit, || probe().then_some(()));
}
