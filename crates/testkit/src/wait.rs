//! Waiting for conditions, never for time.

use std::time::{Duration, Instant};

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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
    let give_up_at = Instant::now() + limit;
    loop {
        let found = probe();
        if found.is_some() || Instant::now() >= give_up_at {
            return found;
        }
        std::thread::sleep(LOOK_EVERY);
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
