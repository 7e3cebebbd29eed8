//! Durations and rates as people write them: `200ms`, `1h30m`, `100/s`.
//!
//! Reading durations stays own: jiff's friendly format refuses days in a duration, parts of a day,
//! and units out of order, which these flags take, takes `1:30:00`, `PT1H` and `2s ago`, which they
//! refuse, and its errors do not say what to write instead.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Units of a duration, longest first, with their length in nanoseconds.
const UNITS: [(&str, u128); 8] = [
    ("d", 86_400 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("min", 60 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units that [`DurationArg`] writes, longest first.
const UNITS_WRITTEN: [&str; 7] = ["d", "h", "m", "s", "ms", "us", "ns"];

/// Longest duration that is accepted: about 1,000 years.
const DURATION_MAX: Duration = Duration::from_secs(1_000 * 365 * 86_400);

/// A duration in a flag, an environment variable or a settings file: one or more numbers with a
/// unit (`ns`, `us`, `ms`, `s`, `m` or `min`, `h`, `d`), such as `200ms`, `1.5s` or `1h30m`.
///
/// Zero needs no unit. Anything else does: `5` is refused, because nobody can tell seconds from
/// milliseconds.
///
/// ```
/// # use std::time::Duration;
/// # use service_kit::units::DurationArg;
/// let delay: DurationArg = "1h30m".parse().unwrap();
/// assert_eq!(delay.get(), Duration::from_secs(5_400));
/// assert_eq!(delay.to_string(), "1h30m");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DurationArg(Duration);

impl DurationArg {
    /// Returns the duration itself.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for DurationArg {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

/// Why a text is not a duration or a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// The text starts with a minus sign.
    #[error("'{0}' is negative")]
    Negative(String),
    /// A number stands without a unit.
    #[error("'{0}' has no unit; write for example '{0}s' or '{0}ms'")]
    UnitMissing(String),
    /// The text is not a duration.
    #[error("'{0}' is not a duration; write for example '200ms', '2s' or '1h30m'")]
    NotADuration(String),
    /// The text is not a rate.
    #[error("'{0}' is not a rate; write for example '100/s' or '6000/m'")]
    NotARate(String),
    /// The value is beyond what the program can count.
    #[error("'{0}' is too large")]
    TooLarge(String),
}

impl FromStr for DurationArg {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let trimmed = text.trim();
        if trimmed.starts_with('-') {
            return Err(UnitError::Negative(trimmed.to_owned()));
        }
        if trimmed == "0" {
            return Ok(Self::default());
        }
        let mut rest = trimmed;
        let mut nanos: u128 = 0;
        while !rest.is_empty() {
            let (part_nanos, after) = leading_part(rest, trimmed)?;
            nanos = nanos
                .checked_add(part_nanos)
                .ok_or_else(|| UnitError::TooLarge(trimmed.to_owned()))?;
            rest = after.trim_start();
        }
        if trimmed.is_empty() {
            return Err(UnitError::NotADuration(trimmed.to_owned()));
        }
        if nanos > DURATION_MAX.as_nanos() {
            return Err(UnitError::TooLarge(trimmed.to_owned()));
        }
        Ok(Self(duration_from_nanos(nanos)))
    }
}

/// Reads one number with its unit from the start of `rest`; `whole` is named in the error.
fn leading_part<'a>(rest: &'a str, whole: &str) -> Result<(u128, &'a str), UnitError> {
    let not_a_duration = || UnitError::NotADuration(whole.to_owned());
    let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, after_number) = rest.split_at(number_end);
    let after_number = after_number.trim_start();
    let unit_end =
        after_number.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after_number.len());
    let (unit, after_unit) = after_number.split_at(unit_end);
    if number.is_empty() {
        return Err(not_a_duration());
    }
    if unit.is_empty() {
        return Err(UnitError::UnitMissing(whole.to_owned()));
    }
    let unit_nanos = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, nanos)| *nanos)
        .ok_or_else(not_a_duration)?;
    let (whole_digits, fraction_digits) = number.split_once('.').unwrap_or((number, ""));
    if whole_digits.is_empty() || fraction_digits.contains('.') {
        return Err(not_a_duration());
    }
    let too_large = || UnitError::TooLarge(whole.to_owned());
    let whole_count: u128 = whole_digits.parse().map_err(|_| too_large())?;
    let mut nanos = whole_count.checked_mul(unit_nanos).ok_or_else(too_large)?;
    if !fraction_digits.is_empty() {
        let scale = u32::try_from(fraction_digits.len()).ok().and_then(|n| 10_u128.checked_pow(n));
        let scale = scale.ok_or_else(not_a_duration)?;
        let fraction: u128 = fraction_digits.parse().map_err(|_| not_a_duration())?;
        let fraction_nanos = fraction.checked_mul(unit_nanos).ok_or_else(too_large)? / scale;
        nanos = nanos.checked_add(fraction_nanos).ok_or_else(too_large)?;
    }
    Ok((nanos, after_unit))
}

/// The callers have capped `nanos`, so that both parts fit.
fn duration_from_nanos(nanos: u128) -> Duration {
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).unwrap_or(u64::MAX);
    let subsecond_nanos = u32::try_from(nanos % NANOS_PER_SECOND).unwrap_or(0);
    Duration::new(seconds, subsecond_nanos)
}

impl fmt::Display for DurationArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        for name in UNITS_WRITTEN {
            let Some((_, unit_nanos)) = UNITS.iter().find(|(unit, _)| *unit == name) else {
                continue;
            };
            let count = nanos / unit_nanos;
            if count > 0 {
                write!(f, "{count}{name}")?;
                nanos %= unit_nanos;
            }
        }
        Ok(())
    }
}

/// As [`DurationArg`], but a number without a unit is seconds: for a setting that was read so before
/// it had units.
///
/// ```
/// # use std::time::Duration;
/// # use service_kit::units::SecondsArg;
/// let delay = |text: &str| text.parse::<SecondsArg>().unwrap().get();
/// assert_eq!(delay("1"), Duration::from_secs(1));
/// assert_eq!(delay("0.25"), delay("250ms"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SecondsArg(DurationArg);

impl SecondsArg {
    /// Returns the duration itself.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0.get()
    }
}

impl FromStr for SecondsArg {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        match text.parse() {
            Err(UnitError::UnitMissing(number)) if is_number(&number) => {
                format!("{number}s").parse().map(Self)
            }
            other => other.map(Self),
        }
    }
}

impl fmt::Display for SecondsArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A rate: how many per second, minute or hour, such as `100/s` or `6000/m`. A bare number is
/// per second. Zero is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateArg {
    count: u32,
    period: Duration,
}

impl RateArg {
    /// Returns a rate of `count` in each `period`; `None` if either is zero.
    #[must_use]
    pub fn new(count: u32, period: Duration) -> Option<Self> {
        (count > 0 && !period.is_zero()).then_some(Self { count, period })
    }

    /// Returns how many there are in each [`period`](Self::period); at least 1.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Returns the period that [`count`](Self::count) refers to; never zero.
    #[must_use]
    pub const fn period(self) -> Duration {
        self.period
    }
}

impl FromStr for RateArg {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let trimmed = text.trim();
        if trimmed.starts_with('-') {
            return Err(UnitError::Negative(trimmed.to_owned()));
        }
        let not_a_rate = || UnitError::NotARate(trimmed.to_owned());
        let (count, unit) = trimmed.split_once('/').unwrap_or((trimmed, "s"));
        let period = match unit.trim() {
            "s" => Duration::from_secs(1),
            "m" | "min" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            _ => return Err(not_a_rate()),
        };
        let digits = count.trim();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(not_a_rate());
        }
        let count = digits.parse().map_err(|_| UnitError::TooLarge(trimmed.to_owned()))?;
        Self::new(count, period).ok_or_else(not_a_rate)
    }
}

impl fmt::Display for RateArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.period.as_secs() {
            1 => write!(f, "{}/s", self.count),
            60 => write!(f, "{}/m", self.count),
            3_600 => write!(f, "{}/h", self.count),
            _ => write!(f, "{} per {}", self.count, DurationArg(self.period)),
        }
    }
}

/// Reads a number of a flag: `nan` and `inf` are numbers to Rust, but no values of a setting. The
/// range is for the settings to check.
///
/// # Errors
///
/// Fails if it is no number, or not a finite one.
pub fn finite(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) => Err("it is not a finite number".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

serde_as_text!(DurationArg);
serde_as_text!(SecondsArg);
serde_as_text!(RateArg);

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
