//! Which dead letters are meant.

use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::Serialize;

use super::dead_letter::{DeadLetter, simple_name};

/// What dead letters must be like. One of each list is enough; all that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Filter {
    /// Classes; a Java class also without its package.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Reasons, in the same way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Fingerprints.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<u32>,
    /// Keys, as text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Order ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order_ids: Vec<String>,
    /// Written to the dead-letter topic at this time or later, in epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<i64>,
    /// Written before this time, in epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<i64>,
    /// Partitions of the dead-letter topic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<i32>,
    /// Headers: unlike the other lists, all of them must hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderTest>,
    /// Schema ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schema_ids: Vec<u32>,
    /// How many attempts were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Attempts>,
}

/// One thing that a [`Filter`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is a field of `Filter`")]
pub enum Criterion {
    Partition,
    Time,
    Class,
    Reason,
    Fingerprint,
    Key,
    Header,
    SchemaId,
    Attempts,
    OrderId,
}

/// What a [`Filter`] says of a dead letter before its value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is meant.
    Matches,
    /// It is not meant: this is the first thing that is not as asked.
    Misses(Criterion),
    /// It is meant if its order id is: see [`Filter::wants_order`].
    DependsOnOrderId,
}

impl Filter {
    /// Whether every dead letter is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether records of a partition can be meant at all.
    #[must_use]
    pub fn wants_partition(&self, partition: i32) -> bool {
        is_any(&self.partitions, |wanted| *wanted == partition)
    }

    /// Whether the value must be read to tell.
    #[must_use]
    pub fn needs_value(&self) -> bool {
        !self.order_ids.is_empty()
    }

    /// Whether a value with this order id is meant; one without is not.
    #[must_use]
    pub fn wants_order(&self, order_id: Option<&str>) -> bool {
        is_any(&self.order_ids, |wanted| Some(wanted.as_str()) == order_id)
    }

    /// Judges a dead letter by everything but its value.
    #[must_use]
    pub fn judge(&self, letter: &DeadLetter<'_>) -> Verdict {
        let record = &letter.record;
        let written = |holds: &dyn Fn(i64) -> bool| record.written_ms.is_some_and(holds);
        let checks: [(Criterion, &dyn Fn() -> bool); 9] = [
            (Criterion::Partition, &|| self.wants_partition(record.partition)),
            (Criterion::Time, &|| {
                self.from_ms.is_none_or(|from| written(&|ms| ms >= from))
                    && self.to_ms.is_none_or(|to| written(&|ms| ms < to))
            }),
            (Criterion::Class, &|| is_named(&self.classes, letter.cause.class.as_deref())),
            (Criterion::Reason, &|| is_named(&self.reasons, letter.cause.reason.as_deref())),
            (Criterion::Fingerprint, &|| {
                is_any(&self.fingerprints, |print| *print == letter.fingerprint)
            }),
            (Criterion::Key, &|| is_any(&self.keys, |key| record.key == Some(key.as_bytes()))),
            (Criterion::Header, &|| self.headers.iter().all(|test| test.holds(letter))),
            (Criterion::SchemaId, &|| is_any(&self.schema_ids, |id| letter.schema_id == Some(*id))),
            (Criterion::Attempts, &|| {
                let is_within = |range: &Attempts| letter.attempts.is_some_and(|n| range.has(n));
                self.attempts.as_ref().is_none_or(is_within)
            }),
        ];
        match checks.iter().find(|(_, holds)| !holds()) {
            Some((criterion, _)) => Verdict::Misses(*criterion),
            None if self.needs_value() => Verdict::DependsOnOrderId,
            None => Verdict::Matches,
        }
    }
}

/// Whether one of them fits; a list that was not given does not choose.
fn is_any<T>(list: &[T], fits: impl FnMut(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(fits)
}

fn is_named(wanted: &[String], name: Option<&str>) -> bool {
    is_any(wanted, |wanted| name.is_some_and(|name| name == wanted || simple_name(name) == wanted))
}

/// A header that must be there, with a value if one is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeaderTest {
    /// Name, by the letter.
    pub name: String,
    /// Value as text; any where none is given.
    pub value: Option<String>,
}

impl HeaderTest {
    /// Whether one of the headers of this name is as asked.
    fn holds(&self, letter: &DeadLetter<'_>) -> bool {
        let mut named =
            letter.record.headers.iter().filter(|(name, _)| *name == self.name.as_bytes());
        named.any(|(_, value)| match &self.value {
            Some(wanted) => *value == Some(wanted.as_bytes()),
            None => true,
        })
    }
}

impl FromStr for HeaderTest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if name.is_empty() {
            return Err("write NAME=VALUE, or NAME for any value");
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

/// A number of attempts, or a range of them: `3`, `3..`, `..3`, `2..4`, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempts(RangeInclusive<u32>);

impl Attempts {
    fn has(&self, attempts: u32) -> bool {
        self.0.contains(&attempts)
    }
}

impl FromStr for Attempts {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORMS: &str = "write a number or a range: 3, 3.., ..3 or 2..4";
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| FORMS);
        let (first, last) = match text.split_once("..") {
            None => (number(text)?, number(text)?),
            Some(("", "")) => return Err(FORMS),
            Some((first, "")) => (number(first)?, u32::MAX),
            Some(("", last)) => (0, number(last)?),
            Some((first, last)) => (number(first)?, number(last)?),
        };
        if first > last { Err("the range is empty") } else { Ok(Self(first..=last)) }
    }
}

/// Eight hexadecimal digits, as `list` and `stats` print them.
///
/// # Errors
///
/// Fails with what to write instead.
pub fn parse_fingerprint(text: &str) -> Result<u32, &'static str> {
    let is_one = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_one.then(|| u32::from_str_radix(text, 16).ok()).flatten();
    number.ok_or("a fingerprint has 8 hexadecimal digits, as 'orders dlq stats' prints it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::record::Record;

    fn letter() -> DeadLetter<'static> {
        DeadLetter::read(Record {
            partition: 2,
            offset: 133,
            written_ms: Some(1_000),
            key: Some(b"tea"),
            value: Some(&[0, 0, 0, 0, 7, 2]),
            headers: vec![
                (b"tenant", Some(b"a")),
                (b"tenant", Some(b"b")),
                (b"null", None),
                (b"kafka_dlt-original-topic", Some(b"orders")),
                (b"kafka_dlt-original-partition", Some(b"2")),
                (b"kafka_dlt-original-offset", Some(b"9")),
                (b"kafka_dlt-exception-fqcn", Some(b"shop.orders.Refused")),
                (b"kafka_dlt-exception-cause-fqcn", Some(b"java.io.IOException")),
            ],
        })
    }

    fn own_letter() -> DeadLetter<'static> {
        DeadLetter::read(Record {
            headers: vec![
                (b"x-origin-topic", Some(b"orders")),
                (b"x-origin-partition", Some(b"0")),
                (b"x-origin-offset", Some(b"9")),
                (b"x-attempt", Some(b"4")),
                (b"x-failure-class", Some(b"transient")),
                (b"x-failure-reason", Some(b"handler")),
                (b"x-fingerprint", Some(b"d0186006")),
            ],
            ..Record::default()
        })
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_filter_that_asks_for_nothing_means_all() {
        assert!(Filter::default().is_empty());
        assert_eq!(Filter::default().judge(&letter()), Verdict::Matches);
    }

    #[test]
    fn each_thing_that_is_asked_for_chooses_and_names_itself_where_it_does_not() {
        use Criterion as C;
        let print = letter().fingerprint;
        let test = |text: &str| text.parse::<HeaderTest>().expect("a test");
        let all = Filter::default;
        for (criterion, filter, matches) in [
            (C::Class, Filter { classes: texts(&["Refused"]), ..all() }, true),
            (C::Class, Filter { classes: texts(&["shop.orders.Refused", "x"]), ..all() }, true),
            (C::Class, Filter { classes: texts(&["orders.Refused"]), ..all() }, false),
            (C::Class, Filter { classes: texts(&["refused"]), ..all() }, false),
            (C::Reason, Filter { reasons: texts(&["IOException"]), ..all() }, true),
            (C::Reason, Filter { reasons: texts(&["Exception"]), ..all() }, false),
            (C::Fingerprint, Filter { fingerprints: vec![1, print], ..all() }, true),
            (C::Fingerprint, Filter { fingerprints: vec![!print], ..all() }, false),
            (C::Key, Filter { keys: texts(&["tea"]), ..all() }, true),
            (C::Key, Filter { keys: texts(&["te", "", "Tea"]), ..all() }, false),
            (C::Time, Filter { from_ms: Some(1_000), ..all() }, true),
            (C::Time, Filter { from_ms: Some(1_001), ..all() }, false),
            (C::Time, Filter { to_ms: Some(1_001), ..all() }, true),
            (C::Time, Filter { to_ms: Some(1_000), ..all() }, false),
            (C::Partition, Filter { partitions: vec![0, 2], ..all() }, true),
            (C::Partition, Filter { partitions: vec![0], ..all() }, false),
            (C::Header, Filter { headers: vec![test("tenant=a")], ..all() }, true),
            (C::Header, Filter { headers: vec![test("tenant=a"), test("null")], ..all() }, true),
            (C::Header, Filter { headers: vec![test("tenant=c")], ..all() }, false),
            (C::Header, Filter { headers: vec![test("tenant=a"), test("x")], ..all() }, false),
            (C::Header, Filter { headers: vec![test("null=")], ..all() }, false),
            (C::SchemaId, Filter { schema_ids: vec![7], ..all() }, true),
            (C::SchemaId, Filter { schema_ids: vec![8], ..all() }, false),
        ] {
            let expected = if matches { Verdict::Matches } else { Verdict::Misses(criterion) };
            assert_eq!(filter.judge(&letter()), expected, "{filter:?}");
        }
    }

    #[test]
    fn our_own_words_are_chosen_by_class_reason_fingerprint_and_attempts() {
        let all = Filter::default;
        let range = |text: &str| text.parse::<Attempts>().ok();
        let print = parse_fingerprint("D0186006").expect("digits");
        for (filter, matches) in [
            (Filter { classes: texts(&["transient"]), ..all() }, true),
            (Filter { reasons: texts(&["simulated", "handler"]), ..all() }, true),
            (Filter { fingerprints: vec![print], ..all() }, true),
            (Filter { attempts: range("4"), ..all() }, true),
            (Filter { attempts: range("3.."), ..all() }, true),
            (Filter { attempts: range("..4"), ..all() }, true),
            (Filter { attempts: range("2..3"), ..all() }, false),
            (Filter { from_ms: Some(0), ..all() }, false), // it has no time
        ] {
            assert_eq!(filter.judge(&own_letter()) == Verdict::Matches, matches, "{filter:?}");
        }
    }

    #[test]
    fn all_that_is_asked_for_must_hold() {
        let filter =
            Filter { classes: texts(&["Refused"]), schema_ids: vec![8], ..Filter::default() };
        assert_eq!(filter.judge(&letter()), Verdict::Misses(Criterion::SchemaId));
    }

    #[test]
    fn attempts_that_nobody_noted_are_no_number() {
        let filter = Filter { attempts: "0..".parse().ok(), ..Filter::default() };
        assert_eq!(filter.judge(&letter()), Verdict::Misses(Criterion::Attempts));
    }

    #[test]
    fn an_order_id_is_looked_for_only_where_all_else_fits() {
        let filter = Filter { order_ids: texts(&["o-1"]), ..Filter::default() };
        assert_eq!(filter.judge(&letter()), Verdict::DependsOnOrderId);
        assert!(filter.wants_order(Some("o-1")) && !filter.wants_order(Some("o-11")));
        assert!(!filter.wants_order(None), "a value that cannot be read has no order id");
        let filter = Filter { partitions: vec![0], ..filter };
        assert_eq!(filter.judge(&letter()), Verdict::Misses(Criterion::Partition));
    }

    #[test]
    fn what_is_no_test_range_or_fingerprint_is_refused() {
        assert!("=a".parse::<HeaderTest>().is_err());
        for text in ["", "..", "x", "4..3", "-1", "1.5"] {
            assert!(text.parse::<Attempts>().is_err(), "{text}");
        }
        for text in ["", "d018600", "d01860066", "d018600g", "+d018600"] {
            assert!(parse_fingerprint(text).is_err(), "{text}");
        }
    }
}
