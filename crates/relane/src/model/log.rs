//! The log of one partition: records, markers, and what readers of committed records see.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::settings::Topics;

/// Topics of the model, in the order in which a lane's settings name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Main,
    Retry,
    DeadLetter,
    State,
    Outcomes,
    Output,
}

impl Topic {
    pub(crate) const ALL: [Self; 6] =
        [Self::Main, Self::Retry, Self::DeadLetter, Self::State, Self::Outcomes, Self::Output];

    /// Names of a pipeline's topics, in the order of [`Self::ALL`].
    pub(crate) fn names(topics: &Topics) -> [Option<Rc<str>>; 6] {
        let Topics { main, retry, dead_letter, state, outcomes, output } = topics;
        let must = [main, retry, dead_letter].map(|name| Some(Rc::from(&**name)));
        let may = [state, outcomes, output].map(|name| name.as_deref().map(Rc::from));
        let ([main, retry, dead_letter], [state, outcomes, output]) = (must, may);
        [main, retry, dead_letter, state, outcomes, output]
    }
}

/// A partition of a topic.
pub(crate) type Target = (Topic, i32);

/// One transaction; numbers are never used twice.
pub(crate) type Txn = u64;

/// Name and value of a header.
pub(crate) type Header = (Box<[u8]>, Option<Box<[u8]>>);

/// A record as it lies in a log.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) key: Option<Box<[u8]>>,
    pub(crate) value: Option<Box<[u8]>>,
    pub(crate) headers: Vec<Header>,
    pub(crate) timestamp_ms: i64,
}

impl Stored {
    /// The last value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().rev().find(|(of, _)| **of == *name.as_bytes())?;
        found.1.as_deref()
    }
}

#[derive(Debug)]
enum Entry {
    Record(Rc<Stored>, Option<Txn>),
    Marker,
}

/// What lies at an offset, as a reader of committed records is told.
pub(crate) enum Seen {
    Record(Rc<Stored>),
    /// A marker, or a record of an aborted transaction.
    Gap,
    /// Nothing yet, or nothing that is decided.
    End,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: Vec<Entry>,
    /// Undecided transactions with the offset of their first record.
    open: BTreeMap<Txn, usize>,
    aborted: BTreeSet<Txn>,
    /// Next sequence number of each producer and epoch.
    pub(crate) sequences: BTreeMap<(u64, u16), usize>,
}

impl Log {
    /// End as a reader of uncommitted records sees it.
    pub(crate) fn end(&self) -> i64 {
        length(self.entries.len())
    }

    /// The last stable offset.
    pub(crate) fn stable_end(&self) -> i64 {
        self.open.values().min().map_or(self.end(), |first| length(*first))
    }

    pub(crate) fn append(&mut self, record: Stored, txn: Option<Txn>) -> i64 {
        let offset = self.end();
        if let Some(txn) = txn {
            self.open.entry(txn).or_insert(self.entries.len());
        }
        self.entries.push(Entry::Record(Rc::new(record), txn));
        offset
    }

    /// Writes the marker of a transaction.
    pub(crate) fn decide(&mut self, txn: Txn, commits: bool) {
        self.open.remove(&txn);
        if !commits {
            self.aborted.insert(txn);
        }
        self.entries.push(Entry::Marker);
    }

    /// What a reader finds at an offset.
    pub(crate) fn look(&self, offset: i64, sees_uncommitted: bool) -> Seen {
        if offset >= self.stable_end() && !sees_uncommitted {
            return Seen::End;
        }
        let entry = usize::try_from(offset).ok().and_then(|index| self.entries.get(index));
        match entry {
            None => Seen::End,
            Some(Entry::Record(_, Some(txn)))
                if self.aborted.contains(txn) && !sees_uncommitted =>
            {
                Seen::Gap
            }
            Some(Entry::Record(record, _)) => Seen::Record(Rc::clone(record)),
            Some(Entry::Marker) => Seen::Gap,
        }
    }

    /// All committed records with their offsets, those above the last stable offset as well.
    pub(crate) fn committed(&self) -> impl Iterator<Item = (i64, Rc<Stored>)> + '_ {
        (0..).zip(&self.entries).filter_map(|(offset, entry)| match entry {
            Entry::Record(record, None) => Some((offset, Rc::clone(record))),
            Entry::Record(record, Some(txn)) => {
                let is_committed = !self.aborted.contains(txn) && !self.open.contains_key(txn);
                is_committed.then(|| (offset, Rc::clone(record)))
            }
            Entry::Marker => None,
        })
    }

    /// All committed records that were written in a transaction, with its number.
    #[cfg(test)]
    pub(crate) fn committed_in(&self) -> impl Iterator<Item = (Rc<Stored>, Txn)> + '_ {
        let is_committed = |txn| !self.aborted.contains(txn) && !self.open.contains_key(txn);
        self.entries.iter().filter_map(move |entry| match entry {
            Entry::Record(record, Some(txn)) if is_committed(txn) => {
                Some((Rc::clone(record), *txn))
            }
            Entry::Record(..) | Entry::Marker => None,
        })
    }
}

fn length(entries: usize) -> i64 {
    i64::try_from(entries).expect("a log of the model is short")
}
