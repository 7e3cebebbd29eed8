//! Where a replay begins, as operators write it.

use std::fmt;
use std::str::FromStr;

use crate::dlq::{Moment, MomentError};
use crate::scan::Bounds;

/// Numbers below this are offsets, others epoch milliseconds.
const EPOCH_MS_MIN: i64 = 100_000_000_000;

/// A point in the topic of orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartAt {
    point: Point,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    Earliest,
    Latest,
    Offset(i64),
    Time(Moment),
}

/// Why a text is no such point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartAtError {
    /// An offset that is none.
    #[error("an offset is a number from 0 on: offset:4711")]
    Offset,
    /// Anything else.
    #[error("write earliest, latest, ts:2026-11-20T03:00:00Z, offset:4711 or -1h ({0})")]
    Time(#[from] MomentError),
}

impl StartAt {
    /// The time that is meant, in epoch milliseconds; none where it is no time.
    #[must_use]
    pub const fn time_ms(&self, now_ms: i64) -> Option<i64> {
        match self.point {
            Point::Time(moment) => Some(moment.resolve(now_ms)),
            _ => None,
        }
    }

    /// The offset in a partition with these bounds, where no time is meant.
    ///
    /// # Errors
    ///
    /// Fails for an offset that the partition does not have, in words that follow its name.
    pub(crate) fn offset(&self, bounds: Bounds) -> Result<i64, String> {
        let Bounds { low, end } = bounds;
        match self.point {
            Point::Earliest => Ok(low),
            Point::Latest | Point::Time(_) => Ok(end),
            Point::Offset(offset) if (low..=end).contains(&offset) => Ok(offset),
            Point::Offset(offset) => {
                Err(format!("has no offset {offset}: its offsets go from {low} to {end}"))
            }
        }
    }
}

impl fmt::Display for StartAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for StartAt {
    type Err = StartAtError;

    fn from_str(text: &str) -> Result<Self, StartAtError> {
        let text = text.trim();
        let offset = |digits: &str| {
            let number = digits.parse().ok().filter(|number| *number >= 0);
            number.map(Point::Offset).ok_or(StartAtError::Offset)
        };
        let is_small = |number: &i64| (0..EPOCH_MS_MIN).contains(number);
        let point = match (text, text.strip_prefix("offset:"), text.strip_prefix("ts:")) {
            ("earliest", ..) => Point::Earliest,
            ("latest", ..) => Point::Latest,
            (_, Some(digits), _) => offset(digits)?,
            (_, _, Some(time)) => Point::Time(time.parse()?),
            _ if text.parse().is_ok_and(|number| is_small(&number)) => offset(text)?,
            _ => Point::Time(text.parse()?),
        };
        Ok(Self { point, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_written_with_or_without_its_kind() {
        let bounds = Bounds { low: 3, end: 30 };
        let now_ms = 1_795_256_952_843;
        for (text, time_ms, offset) in [
            ("earliest", None, 3),
            ("latest", None, 30),
            ("offset:4", None, 4),
            ("30", None, 30),
            ("ts:2026-11-21T10:29:12.843Z", Some(now_ms), 30),
            ("2026-11-21T10:29:12.843Z", Some(now_ms), 30),
            ("1795256952843", Some(now_ms), 30),
            ("-1h", Some(now_ms - 3_600_000), 30),
            ("ts:-1h", Some(now_ms - 3_600_000), 30),
        ] {
            let point: StartAt = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(point.time_ms(now_ms), time_ms, "{text}");
            assert_eq!(point.offset(bounds), Ok(offset), "{text}");
            assert_eq!(point.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_point_and_what_a_partition_does_not_have_is_refused_in_words() {
        for text in ["", "first", "offset:", "offset:-1", "ts:yesterday", "1h", "Earliest"] {
            assert!(text.parse::<StartAt>().is_err(), "{text}");
        }
        let point: StartAt = "offset:31".parse().expect("a point");
        let why = point.offset(Bounds { low: 3, end: 30 }).expect_err("it is not there");
        assert_eq!(why, "has no offset 31: its offsets go from 3 to 30");
    }
}
