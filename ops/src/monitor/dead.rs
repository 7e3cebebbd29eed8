//! Dead letters by class, counted from their headers: memory does not grow with the topic.

use std::collections::BTreeMap;

use crate::dlq::{DeadLetter, Record, simple_name};

/// Most classes that are told apart; letters of further ones count as [`OTHER`].
const CLASSES_MAX: usize = 32;

/// Longest name of a class, in characters.
const NAME_CHARS_MAX: usize = 64;

/// Stands for further classes.
const OTHER: &str = "other";

/// Stands for letters that name no class.
const NONE: &str = "-";

/// Dead letters of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct OfClass {
    pub(super) count: u64,
    /// When the last of them was written, in epoch milliseconds.
    pub(super) last_ms: Option<i64>,
}

/// Dead letters that were counted so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DeadLetters {
    pub(super) classes: BTreeMap<String, OfClass>,
    /// Offsets that are still to be read; 0 when all are counted.
    pub(super) left: u64,
}

impl DeadLetters {
    pub(super) fn count(&self) -> u64 {
        self.classes.values().map(|class| class.count).sum()
    }

    /// Counts one.
    pub(super) fn add(&mut self, record: Record<'_>) {
        let written_ms = record.written_ms;
        let letter = DeadLetter::read(record);
        let class = letter.cause.class.as_deref().map_or(NONE, simple_name);
        let name: String = class.chars().take(NAME_CHARS_MAX).collect();
        let has_room = self.classes.len() < CLASSES_MAX || self.classes.contains_key(&name);
        let name = if has_room { name } else { OTHER.to_owned() };
        let of = self.classes.entry(name).or_default();
        of.count += 1;
        of.last_ms = of.last_ms.max(written_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(class: Option<&str>, written_ms: i64) -> Record<'_> {
        let headers = class.map(|class| (&b"x-failure-class"[..], Some(class.as_bytes())));
        let origin = [
            (&b"x-origin-topic"[..], Some(&b"orders"[..])),
            (b"x-origin-partition", Some(b"0")),
            (b"x-attempt", Some(b"1")),
        ];
        Record {
            written_ms: Some(written_ms),
            headers: origin.into_iter().chain(headers).collect(),
            ..Record::default()
        }
    }

    #[test]
    fn dead_letters_are_counted_by_class_with_the_time_of_the_last() {
        let mut dead = DeadLetters::default();
        for (class, at_ms) in [("invalid", 5), ("transient", 9), ("invalid", 3)] {
            dead.add(letter(Some(class), at_ms));
        }
        assert_eq!(dead.classes["invalid"], OfClass { count: 2, last_ms: Some(5) });
        assert_eq!((dead.classes["transient"].count, dead.count()), (1, 3));
    }

    #[test]
    fn further_classes_and_letters_without_one_need_no_room() {
        let names: Vec<String> = (0..1_000).map(|n| format!("class-{n}")).collect();
        let mut dead = DeadLetters::default();
        names.iter().for_each(|name| dead.add(letter(Some(name), 1)));
        dead.add(Record::default());
        assert_eq!(dead.count(), 1_001);
        assert_eq!(dead.classes.len(), CLASSES_MAX + 1);
        assert!(dead.classes[OTHER].count > 900);
    }
}
