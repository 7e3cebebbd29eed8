//! How far a run with `--exit-at-end` is.

use std::time::Duration;

use relane::Snapshot;

use crate::view::{grouped, lasting, time_of_day};

/// What is done and what is left of the records that were there at the start, with their retries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rest {
    /// Records that are settled for good: counted, duplicates, dead letters.
    pub(crate) done: u64,
    /// Offsets of the main topic up to its end at the start.
    pub(crate) main_left: u64,
    /// Records that wait for a retry.
    pub(crate) waiting: u64,
    last_due_at_ms: Option<i64>,
    /// Time that the main topic takes at the present rate; `None` when nothing was read lately.
    main_takes: Option<Duration>,
}

impl Rest {
    /// `None` while what is left is not known, or for a run without an end.
    pub(crate) fn new(now: &Snapshot, per_second: f64) -> Option<Self> {
        let main_left = now.main_left?;
        let main_takes = (per_second > 0.0)
            .then(|| Duration::try_from_secs_f64(main_left as f64 / per_second).ok())
            .flatten();
        Some(Self {
            done: now.succeeded + now.duplicates + now.dead_letters(),
            main_left,
            waiting: now.waiting,
            last_due_at_ms: now.last_due_at_ms,
            main_takes,
        })
    }

    /// Records that are left.
    pub(crate) const fn left(&self) -> u64 {
        self.main_left + self.waiting
    }

    /// Share that is done, 0.0 to 1.0. It is 1.0 only when nothing is left.
    pub(crate) fn share(&self) -> f64 {
        match self.left() {
            0 => 1.0,
            left => self.done as f64 / (self.done + left) as f64,
        }
    }

    /// Time until the end, as far as it can be known: what is read now may fail and wait as well.
    pub(crate) fn takes(&self, now_ms: i64) -> Option<Duration> {
        let until_due = self.last_due_at_ms.map_or(0, |due| due.saturating_sub(now_ms).max(0));
        let until_due = Duration::from_millis(until_due.unsigned_abs());
        match self.main_left {
            0 => Some(until_due),
            _ => self.main_takes.map(|main| main.max(until_due)),
        }
    }

    /// What is left and how long it takes.
    pub(crate) fn words(&self, now_ms: i64) -> String {
        let left = grouped(self.left());
        match (self.main_left, self.waiting, self.last_due_at_ms) {
            (0, 0, _) => "nothing left".to_owned(),
            (0, _, Some(due)) => format!("{left} in retry, until {} or longer", time_of_day(due)),
            _ => match self.takes(now_ms) {
                Some(takes) => format!("{left} left, about {}", lasting(takes)),
                None => format!("{left} left, no progress"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(main_left: u64, waiting: u64, due: Option<i64>, per_second: f64) -> Rest {
        let now = Snapshot {
            succeeded: 300,
            main_left: Some(main_left),
            waiting,
            last_due_at_ms: due,
            ..Snapshot::default()
        };
        Rest::new(&now, per_second).expect("what is left is known")
    }

    #[test]
    fn the_rest_is_told_by_what_holds_it_up() {
        for (rest, words) in [
            (rest(1_000, 2, None, 100.0), "1,002 left, about 10 s"),
            (rest(100, 2, Some(61_000), 100.0), "102 left, about 60 s"),
            (rest(100, 0, None, 0.0), "100 left, no progress"),
            (rest(0, 3, Some(3_723_000), 0.0), "3 in retry, until 01:02:03Z or longer"),
            (rest(0, 0, None, 0.0), "nothing left"),
        ] {
            assert_eq!(rest.words(1_000), words);
        }
    }

    #[test]
    fn it_is_all_done_only_when_nothing_is_left() {
        assert!((rest(100, 0, None, 0.0).share() - 0.75).abs() < 1e-9);
        assert!(rest(0, 1, None, 0.0).share() < 1.0);
        assert!((rest(0, 0, None, 0.0).share() - 1.0).abs() < 1e-9);
        assert_eq!(Rest::new(&Snapshot::default(), 1.0), None, "a run without an end");
    }
}
