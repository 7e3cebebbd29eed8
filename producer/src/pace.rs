//! When the next order is due.

use std::time::Duration;

use service_kit::units::{DurationArg, RateArg};

/// After a stall, orders that should have gone out longer ago than this are not caught up.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);

/// How fast orders are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// As fast as the brokers take them.
    Unlimited,
    /// So many in each period, evenly spread.
    Paced(RateArg),
}

impl From<DurationArg> for Speed {
    /// One order per interval; an interval of zero is no limit.
    fn from(interval: DurationArg) -> Self {
        RateArg::new(1, interval.get()).map_or(Self::Unlimited, Self::Paced)
    }
}

/// A schedule counted from its start, so that delays of single orders do not add up.
///
/// The n-th order (from 0) is due `n × period / count` after the start. After a stall (slow brokers, a
/// suspended machine) the schedule catches up at most [one second](CATCH_UP_MAX)'s worth of orders
/// at full speed; the start is moved for the rest, so a long stall is followed by no flood.
#[derive(Debug)]
pub struct Schedule {
    speed: Speed,
    /// What stalls have cost for good.
    shift: Duration,
    taken: u64,
}

impl Schedule {
    /// Returns the schedule for `speed`; its first order is due at once.
    #[must_use]
    pub fn new(speed: Speed) -> Self {
        Self { speed, shift: Duration::ZERO, taken: 0 }
    }

    /// Whether every order is due at once, so that nobody needs the time.
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        matches!(self.speed, Speed::Unlimited)
    }

    /// Returns how long to wait for the next order, `elapsed` after the start; zero if it is due.
    #[must_use]
    pub fn wait(&self, elapsed: Duration) -> Duration {
        self.due().saturating_sub(elapsed)
    }

    /// Notes that the order that was due has been sent, `elapsed` after the start.
    pub fn take(&mut self, elapsed: Duration) {
        let late = elapsed.saturating_sub(self.due());
        self.shift += late.saturating_sub(CATCH_UP_MAX);
        self.taken += 1;
    }

    fn due(&self) -> Duration {
        let Speed::Paced(rate) = self.speed else {
            return Duration::ZERO;
        };
        // Whole multiples of the period are exact; only the rest is rounded, so nothing drifts.
        let count = u64::from(rate.count());
        let periods = u128::from(self.taken / count) * rate.period().as_nanos();
        let rest = u128::from(self.taken % count) * rate.period().as_nanos() / u128::from(count);
        nanos(periods + rest) + self.shift
    }
}

fn nanos(nanos: u128) -> Duration {
    // 2^64 ns are 584 years.
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn schedule(rate: &str) -> Schedule {
        Schedule::new(Speed::Paced(rate.parse().unwrap()))
    }

    #[test]
    fn the_first_order_is_due_at_once_and_the_next_after_the_interval() {
        let mut schedule = Schedule::new(Speed::from("2s".parse::<DurationArg>().unwrap()));
        assert_eq!(schedule.wait(Duration::ZERO), Duration::ZERO);
        schedule.take(Duration::ZERO);
        assert_eq!(schedule.wait(ms(500)), ms(1_500));
        assert_eq!(schedule.wait(ms(2_000)), Duration::ZERO);
    }

    #[test]
    fn delays_of_single_orders_do_not_add_up() {
        let mut schedule = schedule("10/s");
        for n in 0..1_000 {
            // Each order goes out 30 ms late.
            schedule.take(ms(n * 100 + 30));
        }
        assert_eq!(schedule.wait(ms(100_000)), Duration::ZERO);
        assert_eq!(schedule.wait(ms(99_999)), ms(1));
    }

    #[test]
    fn a_rate_that_does_not_divide_the_period_does_not_drift() {
        let mut schedule = schedule("3/s");
        for _ in 0..3 * 86_400 {
            let due = schedule.due();
            schedule.take(due);
        }
        assert_eq!(schedule.due(), Duration::from_secs(86_400));
    }

    #[test]
    fn after_a_stall_at_most_one_second_is_caught_up() {
        let mut schedule = schedule("100/s");
        schedule.take(Duration::ZERO);
        let after_stall = Duration::from_secs(60);
        let mut burst = 0;
        while schedule.wait(after_stall).is_zero() {
            schedule.take(after_stall);
            burst += 1;
        }
        // The one that was due, and one second's worth.
        assert_eq!(burst, 101);
        assert_eq!(schedule.wait(after_stall), ms(10));
    }

    #[test]
    fn an_interval_of_zero_is_no_limit() {
        let zero = Speed::from("0ms".parse::<DurationArg>().unwrap());
        assert_eq!(zero, Speed::Unlimited);
        let mut schedule = Schedule::new(zero);
        for _ in 0..10 {
            schedule.take(Duration::ZERO);
        }
        assert_eq!(schedule.wait(Duration::ZERO), Duration::ZERO);
    }
}
