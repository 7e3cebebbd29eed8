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
pub fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let give_up_at = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < give_up_at, "{what} did not happen within {limit:?}");
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
