//! How long outcomes are waited for after the last request: as long as they come.

use std::time::{Duration, Instant};

use crate::words::seconds;

/// Longest wait in all, also while outcomes still come. A lot of 10,000 orders is done within it at 34 a second.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// A wait that ends when nothing has come for a while, or when it has become too long.
#[derive(Debug)]
pub(crate) struct Patience {
    began: Instant,
    /// When the number of orders that are waited for was last seen to change.
    moved: Instant,
    open: Option<usize>,
    idle_max: Duration,
}

impl Patience {
    /// Begins a wait that goes on until nothing has come for `idle_max`.
    pub(crate) const fn new(now: Instant, idle_max: Duration) -> Self {
        Self { began: now, moved: now, open: None, idle_max }
    }

    /// Why the wait is over, in words, `open` orders having no outcome yet; nothing while it goes on.
    pub(crate) fn is_over(&mut self, now: Instant, open: usize) -> Option<String> {
        if self.open.replace(open) != Some(open) {
            self.moved = now;
        }
        let (waited, idle) = (now.duration_since(self.began), now.duration_since(self.moved));
        if idle >= self.idle_max {
            return Some(format!("nothing had come for {}", seconds(self.idle_max)));
        }
        (waited >= WAIT_MAX)
            .then(|| format!("it had lasted {}, and outcomes still came", seconds(WAIT_MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(15);

    fn wait(seen: impl IntoIterator<Item = (u32, u32)>) -> Option<(u32, String)> {
        let began = Instant::now();
        let mut patience = Patience::new(began, IDLE);
        seen.into_iter().find_map(|(at_s, open)| {
            let now = began + Duration::from_secs(at_s.into());
            let why = patience.is_over(now, open as usize)?;
            Some((at_s, why))
        })
    }

    #[test]
    fn it_goes_on_as_long_as_outcomes_come_however_long_that_takes() {
        assert_eq!(wait((0..290).map(|at_s| (at_s, 1_000 - at_s))), None);
        assert_eq!(wait((0..20).map(|n| (14 * n, 20 - n))), None, "slowly");
    }

    #[test]
    fn it_ends_when_nothing_has_come_for_the_idle_limit() {
        let (at_s, why) = wait((0..60).map(|at_s| (at_s, if at_s < 20 { 9 } else { 7 }))).unwrap();
        assert_eq!((at_s, why.as_str()), (15, "nothing had come for 15 s"));
        let (at_s, _) = wait((0..60).map(|at_s| (at_s, if at_s < 10 { 9 } else { 7 }))).unwrap();
        assert_eq!(at_s, 25, "what came at 10 s counts");
    }

    #[test]
    fn it_ends_at_its_upper_limit_while_outcomes_still_come() {
        let (at_s, why) = wait((0..400).map(|at_s| (at_s, 1_000 - at_s))).unwrap();
        assert_eq!((at_s, why.as_str()), (300, "it had lasted 300 s, and outcomes still came"));
    }
}
