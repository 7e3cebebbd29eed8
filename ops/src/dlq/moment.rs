//! Points in time as operators write them, and as they are printed.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use service_kit::units::DurationArg;

/// Epoch milliseconds below this, in 1973, are taken for seconds that somebody has mistaken.
const EPOCH_MS_MIN: i64 = 100_000_000_000;

/// A point in time: RFC 3339, epoch milliseconds, or a duration before now such as `-15m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Epoch milliseconds.
    At(i64),
    /// So many milliseconds before now.
    Ago(i64),
}

impl Moment {
    /// Epoch milliseconds, where it is `now_ms`.
    #[must_use]
    pub const fn resolve(self, now_ms: i64) -> i64 {
        match self {
            Self::At(ms) => ms,
            Self::Ago(ms) => now_ms.saturating_sub(ms),
        }
    }
}

/// Why a text is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MomentError {
    /// It is none of the three forms.
    #[error("write for example 2026-11-20T03:00:00Z, 1795143600000 or -15m")]
    Unknown,
    /// It is a number that can only be meant in seconds.
    #[error("epoch milliseconds have 13 digits: for seconds, add 000")]
    Seconds,
    /// The duration before now is none.
    #[error("{0}")]
    Duration(String),
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let text = text.trim();
        if let Some(ago) = text.strip_prefix('-') {
            let ago: DurationArg =
                ago.parse().map_err(|error| MomentError::Duration(format!("{error}")))?;
            return Ok(Self::Ago(i64::try_from(ago.get().as_millis()).unwrap_or(i64::MAX)));
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let ms = text.parse().map_err(|_| MomentError::Unknown)?;
            return if ms < EPOCH_MS_MIN { Err(MomentError::Seconds) } else { Ok(Self::At(ms)) };
        }
        let timestamp: Timestamp = text.parse().map_err(|_| MomentError::Unknown)?;
        Ok(Self::At(timestamp.as_millisecond()))
    }
}

/// Epoch milliseconds to be printed in UTC, `-` where there are none.
#[derive(Debug, Clone, Copy)]
pub struct Utc(pub Option<i64>);

impl Utc {
    /// To the minute, without a zone: `2026-11-20 03:00`.
    #[must_use]
    pub fn to_the_minute(self) -> String {
        self.formatted("%Y-%m-%d %H:%M")
    }

    /// To the second, without a zone: `2026-11-20 03:00:00`.
    #[must_use]
    pub fn to_the_second(self) -> String {
        self.formatted("%Y-%m-%d %H:%M:%S")
    }

    fn formatted(self, format: &str) -> String {
        let timestamp = self.0.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        timestamp.map_or_else(|| "-".to_owned(), |time| time.strftime(format).to_string())
    }
}

/// As RFC 3339, to the millisecond.
impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.and_then(|ms| Timestamp::from_millisecond(ms).ok()) {
            Some(timestamp) => write!(f, "{timestamp:.3}"),
            None => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms_are_read() {
        let now_ms = 1_795_256_952_843;
        for (text, expected) in [
            ("2026-11-21T10:29:12.843Z", now_ms),
            ("2026-11-21T11:29:12.843+01:00", now_ms),
            ("1795256952843", now_ms),
            ("-15m", now_ms - 900_000),
            ("-1h30m", now_ms - 5_400_000),
            (" -0 ", now_ms),
        ] {
            let moment: Moment = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(moment.resolve(now_ms), expected, "{text}");
        }
    }

    #[test]
    fn what_could_be_meant_otherwise_is_refused_with_words() {
        let refused = |text: &str| text.parse::<Moment>().expect_err(text).to_string();
        assert!(refused("1795256952").contains("add 000"));
        assert!(refused("-15").contains("no unit"));
        for text in ["", "yesterday", "15m", "2026-11-21T09:49:12", "99999999999999999999"] {
            assert!(refused(text).contains("2026-11-20T03:00:00Z"), "{text}");
        }
    }

    #[test]
    fn times_are_printed_in_utc() {
        let time = Utc(Some(1_795_256_952_843));
        assert_eq!(time.to_string(), "2026-11-21T10:29:12.843Z");
        assert_eq!(time.to_the_second(), "2026-11-21 10:29:12");
        assert_eq!(time.to_the_minute(), "2026-11-21 10:29");
        assert_eq!((Utc(None).to_string(), Utc(None).to_the_minute()), ("-".into(), "-".into()));
        assert_eq!(Utc(Some(i64::MAX)).to_string(), "-");
    }
}
