//! The lock table of one partition when the order of each key is kept.
//!
//! A key is *parked* while a record of it waits in the retry partition or is on its way there:
//! what comes after goes behind it. A key is *busy* while a main record of it is held in memory
//! (its schema is not known yet, or its handler waits): what comes after is held as well. Among
//! the records of a key the one with the lowest origin offset comes first; of two copies of one
//! record, the one at the lower offset of the retry partition.
//!
//! The table is a function of what waits: it is built again from the retry partition after every
//! assignment, and nothing of it is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::record::Offset;

/// Followers of one key at most, unless it is set otherwise.
pub const FOLLOWERS_MAX: usize = 10_000;

/// Bytes of the waiting records of one key above which it is full: what waits behind a record that
/// is given up may have to be given up in one transaction, which must not outlast its time.
pub const FOLLOWERS_BYTES_MAX: usize = 32 << 20;

/// A key has room again below this share of the limit, in percent: each pause of a partition
/// costs what the client has fetched ahead.
const FOLLOWERS_RESUME_PERCENT: usize = 80;

/// Whether a main record that was read may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing of its key comes before it.
    Free,
    /// A main record of its key that is held in memory comes first: hold it as well.
    Behind,
    /// A record of its key waits in retry, or is on its way there: forward it behind.
    Parked,
    /// As [`Self::Parked`], and as many followers wait as may: leave it unread.
    Full,
}

/// Where a record of a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A main record, held in memory.
    Main,
    /// In the retry partition, at this offset.
    Retry(Offset),
    /// Forwarded to the retry partition; its offset is not known yet.
    Coming,
}

/// What is known of a record at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    /// Copies of one record that are on their way at once; else 1.
    copies: u32,
    /// Its handler is busy with it.
    runs: bool,
}

#[derive(Debug, Default)]
struct Parked {
    members: BTreeMap<(Offset, Place), Member>,
    /// Origins of the members that are in main.
    mains: BTreeSet<Offset>,
    /// Members that are not in main, and those of them that are on their way.
    in_retry: usize,
    coming: usize,
    /// Bytes of those that wait.
    bytes: usize,
    is_full: bool,
}

impl Parked {
    /// The waiting record that may run when it is due; with `needs_all` only once nothing of the
    /// key is on its way any more.
    fn head(&self, needs_all: bool) -> Option<Offset> {
        if needs_all && self.coming > 0 {
            return None;
        }
        match self.members.first_key_value() {
            Some(((_, Place::Retry(offset)), member)) if !member.runs => Some(*offset),
            _ => None,
        }
    }

    fn main_head(&self) -> Option<Offset> {
        match self.members.first_key_value() {
            Some(((origin, Place::Main), _)) => Some(*origin),
            _ => None,
        }
    }

    fn add(&mut self, origin: Offset, place: Place) {
        let copies =
            self.members.entry((origin, place)).or_insert(Member { copies: 0, runs: false });
        copies.copies += 1;
        if place == Place::Main {
            self.mains.insert(origin);
        } else {
            self.in_retry += 1;
            self.coming += usize::from(place == Place::Coming);
        }
    }

    fn take(&mut self, origin: Offset, place: Place) -> bool {
        let Some(member) = self.members.get_mut(&(origin, place)) else { return false };
        member.copies -= 1;
        let is_last = member.copies == 0;
        if is_last {
            self.members.remove(&(origin, place));
        }
        match place {
            Place::Main if is_last => _ = self.mains.remove(&origin),
            Place::Main => {}
            Place::Retry(_) | Place::Coming => {
                self.in_retry -= 1;
                self.coming -= usize::from(place == Place::Coming);
            }
        }
        true
    }
}

/// The waiting records of a key that may run: before a change, and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadChange {
    pub(crate) before: Option<Offset>,
    pub(crate) after: Option<Offset>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Keys {
    parked: hashbrown::HashMap<Arc<[u8]>, Parked, foldhash::fast::RandomState>,
    followers_max: usize,
    /// The first of a key runs only when all of the key that is in retry is known by its offset.
    needs_all: bool,
    full: usize,
    /// Keys of which a record is, or is to be, in retry.
    in_retry: usize,
    /// Main records held in memory whose standing may have changed.
    stirred: BTreeSet<Offset>,
}

impl Keys {
    pub(crate) fn new(followers_max: usize, needs_all: bool) -> Self {
        Self {
            parked: hashbrown::HashMap::default(),
            followers_max: followers_max.max(1),
            needs_all,
            full: 0,
            in_retry: 0,
            stirred: BTreeSet::new(),
        }
    }

    /// Whether a main record of the key may run.
    pub(crate) fn standing(&self, key: &[u8], origin: Offset) -> Standing {
        if self.parked.is_empty() {
            return Standing::Free; // no hash on the steady path
        }
        let Some(parked) = self.parked.get(key) else { return Standing::Free };
        let is_first =
            parked.members.first_key_value().is_none_or(|((first, _), _)| *first >= origin);
        // One that is held in memory goes to retry first: what is forwarded keeps its order.
        let is_after_held = parked.mains.first().is_some_and(|held| *held < origin);
        match (parked.in_retry, parked.is_full) {
            (0, _) if is_first => Standing::Free,
            (0, _) => Standing::Behind,
            (_, false) if is_after_held => Standing::Behind,
            (_, false) => Standing::Parked,
            (_, true) => Standing::Full,
        }
    }

    /// Number of keys of which a record is, or is to be, in retry.
    pub(crate) const fn parked(&self) -> usize {
        self.in_retry
    }

    /// Number of keys that have as many followers as they may.
    pub(crate) const fn full(&self) -> usize {
        self.full
    }

    /// The waiting records of a key, in the order in which they are to run.
    pub(crate) fn waiting<'a>(&'a self, key: &[u8]) -> impl Iterator<Item = Offset> + use<'a> {
        let members = self.parked.get(key).into_iter().flat_map(|parked| parked.members.keys());
        members.filter_map(|(_, place)| match place {
            Place::Retry(offset) => Some(*offset),
            Place::Main | Place::Coming => None,
        })
    }

    /// Whether a record of the key is on its way to the retry partition.
    pub(crate) fn expects(&self, key: &[u8]) -> bool {
        self.parked.get(key).is_some_and(|parked| parked.coming > 0)
    }

    /// A main record is held in memory.
    pub(crate) fn hold_main(&mut self, key: &[u8], origin: Offset) -> HeadChange {
        let (_, heads) = self.change(key, |parked| parked.add(origin, Place::Main));
        self.stirred.remove(&origin); // whoever holds it has just looked
        heads
    }

    /// A held main record is settled, or on its way to retry.
    pub(crate) fn release_main(&mut self, key: &[u8], origin: Offset) -> HeadChange {
        self.stirred.remove(&origin);
        self.change(key, |parked| _ = parked.take(origin, Place::Main)).1
    }

    /// A main record held in memory that may have become free to run, or that has to go
    /// behind one that waits: lowest first.
    pub(crate) fn pop_stirred(&mut self) -> Option<Offset> {
        self.stirred.pop_first()
    }

    /// A record of the key is on its way to the retry partition.
    pub(crate) fn expect(&mut self, key: &[u8], origin: Offset) -> HeadChange {
        self.change(key, |parked| parked.add(origin, Place::Coming)).1
    }

    /// A record that was on its way does not arrive.
    pub(crate) fn give_up(&mut self, key: &[u8], origin: Offset) -> HeadChange {
        self.change(key, |parked| _ = parked.take(origin, Place::Coming)).1
    }

    /// A record of the key waits at an offset of the retry partition, perhaps one that was
    /// on its way. Returns the key as it is stored once.
    pub(crate) fn arrive(
        &mut self,
        key: &[u8],
        origin: Offset,
        offset: Offset,
        bytes: usize,
    ) -> (Arc<[u8]>, HeadChange) {
        self.change(key, |parked| {
            parked.take(origin, Place::Coming);
            parked.bytes += bytes;
            parked.add(origin, Place::Retry(offset));
        })
    }

    /// A waiting record has gone.
    pub(crate) fn leave(
        &mut self,
        key: &[u8],
        origin: Offset,
        offset: Offset,
        bytes: usize,
    ) -> HeadChange {
        let left = |parked: &mut Parked| {
            if parked.take(origin, Place::Retry(offset)) {
                parked.bytes -= bytes;
            }
        };
        self.change(key, left).1
    }

    /// A handler starts on a waiting record, or gives it back.
    pub(crate) fn set_running(
        &mut self,
        key: &[u8],
        origin: Offset,
        offset: Offset,
        runs: bool,
    ) -> HeadChange {
        self.change(key, |parked| {
            if let Some(member) = parked.members.get_mut(&(origin, Place::Retry(offset))) {
                member.runs = runs;
            }
        })
        .1
    }

    /// Changes one key and keeps what follows from it right: counts, and who is to be looked at.
    fn change(&mut self, key: &[u8], change: impl FnOnce(&mut Parked)) -> (Arc<[u8]>, HeadChange) {
        if !self.parked.contains_key(key) {
            self.parked.insert(Arc::from(key), Parked::default());
        }
        let (name, parked) = self.parked.get_key_value(key).expect("it was just made sure of");
        let name = Arc::clone(name);
        let (before, main_before) = (parked.head(self.needs_all), parked.main_head());
        let held_before = parked.mains.first().copied();
        let was_in_retry = parked.in_retry > 0;
        let parked = self.parked.get_mut(key).expect("it was just looked at");
        change(parked);

        let after = parked.head(self.needs_all);
        let is_in_retry = parked.in_retry > 0;
        self.in_retry += usize::from(is_in_retry);
        self.in_retry -= usize::from(was_in_retry);
        let followers = parked.in_retry.saturating_sub(1);
        let share = if parked.is_full { FOLLOWERS_RESUME_PERCENT } else { 100 };
        let is_full = followers * 100 >= self.followers_max.saturating_mul(share)
            || (followers > 0 && parked.bytes >= FOLLOWERS_BYTES_MAX / 100 * share);
        self.full += usize::from(is_full);
        self.full -= usize::from(std::mem::replace(&mut parked.is_full, is_full));
        if is_in_retry && !was_in_retry {
            self.stirred.extend(&parked.mains);
        } else if is_in_retry
            && let Some(held) = parked.mains.first()
            && held_before != Some(*held)
        {
            self.stirred.insert(*held);
        } else if let Some(origin) = parked.main_head()
            && main_before != Some(origin)
        {
            self.stirred.insert(origin);
        }
        if parked.members.is_empty() {
            self.parked.remove(key);
        }
        (name, HeadChange { before, after })
    }
}
