//! What analytics tells: a function of the counts, and so of the log.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use crate::limits::MINUTES_SHOWN;
use crate::tally::{Tally, minute_of};

/// A report, as printed with `-o json` and answered to `GET /analytics`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Orders decided.
    total: i64,
    /// Orders that inventory reserved.
    succeeded: i64,
    /// Orders that it refused.
    failed: i64,
    /// Failed by total, with four decimals; 0 for no orders.
    failure_rate: f64,
    /// Orders by minutes from the first order's to the last one's, with two decimals.
    orders_per_minute: f64,
    /// Event time of the first order.
    first_order_at: Option<String>,
    /// Event time of the last order.
    last_order_at: Option<String>,
    /// The latest minutes of event time, those without orders included.
    minutes: Vec<Minute>,
}

/// Orders of one minute of event time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Minute {
    minute: String,
    total: i64,
    succeeded: i64,
    failed: i64,
}

impl Report {
    /// The report of these counts.
    pub(crate) fn of(tally: &Tally) -> Self {
        let Some(total) = tally.total() else {
            return Self {
                total: 0,
                succeeded: 0,
                failed: 0,
                failure_rate: 0.0,
                orders_per_minute: 0.0,
                first_order_at: None,
                last_order_at: None,
                minutes: Vec::new(),
            };
        };
        let (first, last) = (minute_of(total.first_at_ms), minute_of(total.last_at_ms));
        let spanned = last.saturating_sub(first).saturating_add(1);
        let from = first.max(last.saturating_sub(MINUTES_SHOWN - 1));
        let minute = |minute: i64| {
            let counts = tally.minute(minute);
            Minute {
                minute: time(minute.saturating_mul(60_000)),
                total: counts.map_or(0, |counts| counts.total()),
                succeeded: counts.map_or(0, |counts| counts.succeeded),
                failed: counts.map_or(0, |counts| counts.failed),
            }
        };
        Self {
            total: total.total(),
            succeeded: total.succeeded,
            failed: total.failed,
            failure_rate: rounded(total.failed as f64 / total.total() as f64, 4),
            orders_per_minute: rounded(total.total() as f64 / spanned as f64, 2),
            first_order_at: Some(time(total.first_at_ms)),
            last_order_at: Some(time(total.last_at_ms)),
            minutes: (from..=last).map(minute).collect(),
        }
    }

    /// As one line of JSON.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!("\"{error}\""))
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let Self { total, succeeded, failed, failure_rate, orders_per_minute, .. } = self;
        let percent = failure_rate * 100.0;
        let mut text = format!(
            "orders {total}  succeeded {succeeded}  failed {failed} ({percent:.2} %)  \
             {orders_per_minute:.2} per minute\n"
        );
        for Minute { minute, total, failed, .. } in &self.minutes {
            let written = writeln!(text, "  {minute}  {total:>8} orders  {failed:>8} failed");
            written.expect("a string takes everything");
        }
        text
    }
}

/// RFC 3339 in UTC, with milliseconds where there are any; the number itself for times beyond the calendar.
fn time(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |time| time.to_string())
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Ended;

    #[test]
    fn json_has_fixed_names_and_rounded_shares() {
        let mut tally = Tally::default();
        for at_ms in [0, 59_999, 120_000] {
            tally.count(Ended::Succeeded, at_ms);
        }
        tally.count(Ended::Failed, 120_001);
        let expected = r#"{"total":4,"succeeded":3,"failed":1,"failure_rate":0.25,"orders_per_minute":1.33,"first_order_at":"1970-01-01T00:00:00Z","last_order_at":"1970-01-01T00:02:00.001Z","minutes":[{"minute":"1970-01-01T00:00:00Z","total":2,"succeeded":2,"failed":0},{"minute":"1970-01-01T00:01:00Z","total":0,"succeeded":0,"failed":0},{"minute":"1970-01-01T00:02:00Z","total":2,"succeeded":1,"failed":1}]}"#;
        assert_eq!(Report::of(&tally).json(), expected);
        assert!(
            Report::of(&tally).table().starts_with("orders 4  succeeded 3  failed 1 (25.00 %)")
        );
    }

    #[test]
    fn a_report_of_nothing_is_one_of_zeros() {
        let report = Report::of(&Tally::default());
        assert_eq!((report.total, report.failure_rate, report.minutes.len()), (0, 0.0, 0));
    }

    #[test]
    fn only_the_latest_minutes_are_listed() {
        let mut tally = Tally::default();
        for minute in 0..100 {
            tally.count(Ended::Succeeded, minute * 60_000);
        }
        assert_eq!(Report::of(&tally).minutes.len() as i64, MINUTES_SHOWN);
    }
}
