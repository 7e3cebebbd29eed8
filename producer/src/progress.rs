//! How far a run is: numbers for the log, and lines for a terminal.

use std::collections::VecDeque;
use std::time::Duration;

use service_kit::live::fit;
use service_kit::units::DurationArg;

use crate::send::Totals;

/// Rates are those of so much time.
const WINDOW: Duration = Duration::from_secs(10);

/// A shorter time tells nothing of the rest.
const REST_AFTER: Duration = Duration::from_secs(1);

/// Looks that the window holds; there are about four a second.
const LOOKS_MAX: usize = 64;

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";

/// When a run is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// After so many orders.
    Orders(u64),
    /// After so many bytes of input.
    Bytes(u64),
    /// When it is stopped, or the input ends.
    Open,
}

/// What is known at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) totals: Totals,
    pub(crate) bytes_read: u64,
    /// Why no broker is reachable.
    pub(crate) unavailable: Option<String>,
}

/// The looks of a run.
#[derive(Debug)]
pub(crate) struct Progress {
    goal: Goal,
    /// When, how far, and how many orders.
    looks: VecDeque<(Duration, u64, u64)>,
    now: Duration,
    last: Look,
    unavailable_since: Option<Duration>,
}

impl Progress {
    pub(crate) fn new(goal: Goal) -> Self {
        let looks = VecDeque::from([(Duration::ZERO, 0, 0)]);
        Self { goal, looks, now: Duration::ZERO, last: Look::default(), unavailable_since: None }
    }

    /// Notes a look so long after the start.
    pub(crate) fn note(&mut self, now: Duration, look: Look) {
        let orders = settled(&look.totals);
        let far = match self.goal {
            Goal::Bytes(_) => look.bytes_read,
            Goal::Orders(_) | Goal::Open => orders,
        };
        self.unavailable_since =
            look.unavailable.as_ref().map(|_| self.unavailable_since.unwrap_or(now));
        (self.now, self.last) = (now, look);
        self.looks.push_back((now, far, orders));
        let is_old = |at: Duration| now.saturating_sub(at) > WINDOW;
        // The last one before the window is its beginning.
        while self.looks.len() > LOOKS_MAX || self.looks.get(1).is_some_and(|(at, ..)| is_old(*at))
        {
            self.looks.pop_front();
        }
    }

    /// Orders that were reported per second, with one decimal.
    pub(crate) fn per_second(&self) -> f64 {
        let (_, orders, passed) = self.made();
        (per_second(orders, passed) * 10.0).round() / 10.0
    }

    /// Time to the goal, if things go on as they do now.
    pub(crate) fn rest(&self) -> Option<Duration> {
        let (Goal::Orders(whole) | Goal::Bytes(whole)) = self.goal else { return None };
        let (far, _, passed) = self.made();
        if far == 0 || passed < REST_AFTER || self.last.unavailable.is_some() {
            return None;
        }
        let left = whole.saturating_sub(self.far());
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let seconds = left as f64 / per_second(far, passed);
        Duration::try_from_secs_f64(seconds.ceil()).ok()
    }

    /// Since when no broker is reachable.
    pub(crate) fn unavailable_for(&self) -> Option<Duration> {
        self.unavailable_since.map(|since| self.now.saturating_sub(since))
    }

    /// One line of the log.
    pub(crate) fn log(&self) {
        let Totals { counts, rejected } = self.last.totals;
        tracing::info!(
            sent = counts.sent,
            acknowledged = counts.acknowledged,
            failed = counts.failed,
            rejected,
            per_second = self.per_second(),
            rest_s = self.rest().map(|rest| rest.as_secs()),
            unavailable = self.last.unavailable,
            unavailable_s = self.unavailable_for().map(|time| time.as_secs()),
            "orders so far"
        );
    }

    /// The lines for a terminal of this width.
    pub(crate) fn lines(&self, columns: usize, is_colored: bool) -> Vec<String> {
        let paint = |text: &str, color: &str| match is_colored {
            true => format!("{color}{text}{RESET}"),
            false => text.to_owned(),
        };
        let Totals { counts, rejected } = self.last.totals;
        let numbers = format!(
            "sent {}, acknowledged {}, in flight {}",
            counts.sent,
            counts.acknowledged,
            counts.in_flight()
        );
        let bad = |word: &str, count: u64| match count {
            0 => format!(", {word} 0"),
            count => format!(", {}", paint(&format!("{word} {count}"), RED)),
        };
        let mut numbers = numbers + &bad("failed", counts.failed);
        if rejected > 0 || matches!(self.goal, Goal::Bytes(_)) {
            numbers += &bad("rejected", rejected);
        }
        let mut lines = vec![self.first_line(columns, |bar| paint(bar, GREEN)), numbers];
        if let (Some(why), Some(time)) = (&self.last.unavailable, self.unavailable_for()) {
            let text = format!("unavailable for {}: kafka, {why}", written(time));
            lines.push(paint(&fit(&text, columns), RED));
        }
        lines
    }

    fn first_line(&self, columns: usize, green: impl Fn(&str) -> String) -> String {
        let rate = format!("{} orders/s", self.per_second());
        let (whole, far) = match self.goal {
            Goal::Open => return format!("{rate}   up for {}", written(self.now)),
            Goal::Orders(whole) => (whole, format!("{} of {whole} orders", self.far())),
            Goal::Bytes(whole) => (whole, format!("{} of {}", size(self.far()), size(whole))),
        };
        let rest = self.rest().map_or(String::new(), |rest| format!("   rest {}", written(rest)));
        let text = format!("  {far}   {rate}{rest}");
        // What is beside the bar is more important than the bar.
        let room = columns.saturating_sub(text.len() + 2).clamp(8, 40);
        let full = usize::try_from(
            u128::from(self.far().min(whole)) * room as u128 / u128::from(whole.max(1)),
        );
        let full = full.unwrap_or(room);
        let bar = format!("{}{:blanks$}", "=".repeat(full), "", blanks = room - full);
        format!("[{}]{text}", green(&bar))
    }

    /// How far the run is, in the goal's unit.
    fn far(&self) -> u64 {
        self.looks.back().map_or(0, |(_, far, _)| *far)
    }

    /// What was made in the window: far, orders, time.
    fn made(&self) -> (u64, u64, Duration) {
        let (Some(first), Some(last)) = (self.looks.front(), self.looks.back()) else {
            return (0, 0, Duration::ZERO);
        };
        (last.1.saturating_sub(first.1), last.2.saturating_sub(first.2), last.0 - first.0)
    }
}

/// Orders that have ended, and rows that are none.
fn settled(totals: &Totals) -> u64 {
    totals.counts.acknowledged + totals.counts.failed
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

/// A time in whole seconds.
fn written(time: Duration) -> DurationArg {
    DurationArg::from(Duration::from_secs(time.as_secs()))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use kafka_io::publisher::Counts;
    use service_kit::live::width;

    use super::*;

    fn look(acknowledged: u64) -> Look {
        let counts = Counts { sent: acknowledged + 2, acknowledged, failed: 0 };
        Look { totals: Totals { counts, rejected: 0 }, ..Look::default() }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_rest_follows_from_the_rate_of_the_last_ten_seconds() {
        let mut progress = Progress::new(Goal::Orders(1_000));
        assert_eq!(progress.rest(), None, "nothing is known yet");
        for at in 1..=20 {
            progress.note(seconds(at), look(at * 10));
        }
        assert_eq!((progress.per_second(), progress.rest()), (10.0, Some(seconds(80))));
        for at in 21..=31 {
            progress.note(seconds(at), look(200 + (at - 20) * 20));
        }
        assert_eq!((progress.per_second(), progress.rest()), (20.0, Some(seconds(29))));
        assert!(progress.looks.len() <= LOOKS_MAX);
    }

    #[test]
    fn while_no_broker_is_reachable_no_rest_is_promised_and_the_time_is_told() {
        let mut progress = Progress::new(Goal::Orders(100));
        progress.note(seconds(5), look(50));
        let away = Look { unavailable: Some("refused".to_owned()), ..look(50) };
        for at in 6..=9 {
            progress.note(seconds(at), away.clone());
        }
        assert_eq!((progress.rest(), progress.unavailable_for()), (None, Some(seconds(3))));
        let lines = progress.lines(80, false);
        assert_eq!(lines[2], "unavailable for 3s: kafka, refused");
        progress.note(seconds(10), look(60));
        assert_eq!((progress.lines(80, false).len(), progress.unavailable_for()), (2, None));
    }

    #[test]
    fn an_import_is_measured_by_its_bytes_and_a_run_without_an_end_by_nothing() {
        let mut import = Progress::new(Goal::Bytes(10_000_000));
        import.note(seconds(2), Look { bytes_read: 5_000_000, ..look(40_000) });
        let lines = import.lines(100, false);
        let bar = format!("[{}{}]", "=".repeat(20), " ".repeat(20));
        assert_eq!(lines[0], format!("{bar}  5.0 MB of 10.0 MB   20000 orders/s   rest 2s"));
        assert!(lines[1].ends_with("in flight 2, failed 0, rejected 0"), "{lines:?}");
        let mut open = Progress::new(Goal::Open);
        open.note(seconds(80), look(40));
        assert_eq!(open.lines(80, false)[0], "0.5 orders/s   up for 1m20s");
    }

    #[test]
    fn the_lines_fit_80_and_40_columns_with_large_numbers() {
        let counts =
            Counts { sent: 98_765_432_100, acknowledged: 12_345_678_900, failed: 1_234_567 };
        let totals = Totals { counts, rejected: 7_654_321 };
        let why = "no broker is reachable: ".repeat(9);
        let look = Look { totals, bytes_read: 0, unavailable: Some(why) };
        let mut progress = Progress::new(Goal::Orders(98_765_432_100));
        progress.note(seconds(9), look);
        for is_colored in [false, true] {
            let lines = progress.lines(80, is_colored);
            assert!(lines[..1].iter().all(|line| width(line) <= 80), "{lines:?}");
            assert!(width(&lines[2]) <= 80 && lines[2].contains("\x1b[31m") == is_colored);
        }
    }
}
