//! Keyed state of one partition. It knows what changed, so that a turn writes just that.

use std::borrow::Borrow;
use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use crate::stage::State;

/// Values by key. A key that is known is found and changed without an allocation. A key is never taken out: memory grows with
/// the number of keys that a partition has ever had.
///
/// ```
/// use relane::table::Table;
///
/// let mut visits: Table<Box<str>, u64> = Table::default();
/// *visits.entry("/tea") += 1;
/// *visits.entry("/tea") += 1;
/// assert_eq!(visits.get("/tea"), Some(&2));
/// assert_eq!(visits.touched().count(), 1);
/// ```
#[derive(Debug, Clone)]
pub struct Table<K, V> {
    entries: Vec<Entry<K, V>>,
    by_key: HashTable<usize>,
    hasher: RandomState,
    /// Indexes of the entries that are to be written, each once.
    touched: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Entry<K, V> {
    key: K,
    value: V,
    /// Its record was read back without a value, and it was not changed since.
    is_blank: bool,
    change: Change,
}

/// What happened to an entry since it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// It is written again as it is.
    Again,
    Changed,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            by_key: HashTable::new(),
            hasher: RandomState::default(),
            touched: Vec::new(),
        }
    }
}

impl<K: Eq + Hash, V> Table<K, V> {
    /// The value of a key; `None` for one that is not there, or whose last record has no value.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let is_it = |index: &usize| self.entries[*index].key.borrow() == key;
        let index = self.by_key.find(self.hasher.hash_one(key), is_it)?;
        self.entries.get(*index).filter(|entry| !entry.is_blank).map(|entry| &entry.value)
    }

    /// The value of a key, to be changed: it will be written. A new key begins with the default.
    pub fn entry<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> &mut V
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        V: Default,
    {
        let index = self.index_of(key);
        self.touch(index, Change::Changed);
        self.entries[index].is_blank = false;
        &mut self.entries[index].value
    }

    /// Takes in a record that was read back; of one key the last one counts. `None` is a record
    /// without a value.
    pub fn restore<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, value: Option<V>)
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        V: Default,
    {
        let index = self.index_of(key);
        let entry = &mut self.entries[index];
        entry.is_blank = value.is_none();
        entry.value = value.unwrap_or_default();
    }

    /// Keys and values, in the order in which the keys were first seen.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> + Clone {
        self.entries.iter().filter(|entry| !entry.is_blank).map(|entry| (&entry.key, &entry.value))
    }

    /// Visits each value that changed since it was written, for instance to set the time of its last change.
    pub fn changed_mut(&mut self, mut visit: impl FnMut(&mut V)) {
        for index in &self.touched {
            let entry = &mut self.entries[*index];
            if entry.change == Change::Changed {
                visit(&mut entry.value);
            }
        }
    }

    /// What is to be written: the entries that changed, and the one that [`State::touch_any`] has marked.
    pub fn touched(&self) -> impl Iterator<Item = (&K, &V)> {
        self.touched.iter().map(|index| {
            let entry = &self.entries[*index];
            (&entry.key, &entry.value)
        })
    }

    fn touch(&mut self, index: usize, change: Change) {
        let before = std::mem::replace(&mut self.entries[index].change, change);
        if before == Change::None {
            self.touched.push(index);
        }
    }

    fn index_of<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> usize
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        V: Default,
    {
        let entries = &self.entries;
        let found = self.by_key.entry(
            self.hasher.hash_one(key),
            |index| entries[*index].key.borrow() == key,
            |index| self.hasher.hash_one(entries[*index].key.borrow()),
        );
        match found {
            Slot::Occupied(slot) => *slot.get(),
            Slot::Vacant(slot) => {
                let index = self.entries.len();
                slot.insert(index);
                let (key, value) = (K::from(key), V::default());
                self.entries.push(Entry { key, value, is_blank: true, change: Change::None });
                index
            }
        }
    }
}

impl<K, V> State for Table<K, V>
where
    K: Eq + Hash + std::fmt::Debug + Send,
    V: std::fmt::Debug + Send,
{
    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn clear_touched(&mut self) {
        for index in self.touched.drain(..) {
            self.entries[index].change = Change::None;
        }
    }

    fn touch_any(&mut self) {
        let with_value = self.entries.iter().rposition(|entry| !entry.is_blank);
        let any = with_value.or_else(|| self.entries.len().checked_sub(1));
        if let Some(index) = any.filter(|_| self.touched.is_empty()) {
            self.touch(index, Change::Again);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Visits = Table<Box<str>, u64>;

    fn touched(visits: &Visits) -> Vec<(&str, u64)> {
        visits.touched().map(|(page, count)| (&**page, *count)).collect()
    }

    #[test]
    fn a_key_is_touched_once_however_often_it_changes() {
        let mut visits = Visits::default();
        for page in ["tea", "cake", "tea"] {
            *visits.entry(page) += 1;
        }
        assert_eq!(touched(&visits), [("tea", 2), ("cake", 1)]);
        visits.clear_touched();
        assert_eq!(touched(&visits), []);
        *visits.entry("cake") += 1;
        assert_eq!(touched(&visits), [("cake", 2)]);
    }

    #[test]
    fn one_that_has_a_value_is_touched_where_nothing_changed() {
        let mut visits = Visits::default();
        visits.touch_any();
        assert_eq!(touched(&visits), []);
        visits.restore("tea", Some(4));
        visits.restore("gone", None);
        visits.touch_any();
        assert_eq!(touched(&visits), [("tea", 4)]);
        visits.clear_touched();
        *visits.entry("cake") += 1;
        visits.touch_any();
        assert_eq!(touched(&visits), [("cake", 1)]);
    }

    #[test]
    fn a_restored_value_goes_on_where_it_was() {
        let mut visits = Visits::default();
        visits.restore("tea", Some(4));
        visits.restore("tea", Some(5));
        assert_eq!(touched(&visits), [], "what was read back is durable already");
        *visits.entry("tea") += 1;
        assert_eq!(touched(&visits), [("tea", 6)]);
    }

    #[test]
    fn a_key_whose_record_has_no_value_begins_anew() {
        let mut visits = Visits::default();
        visits.restore("tea", Some(4));
        visits.restore("tea", None);
        assert_eq!((visits.get("tea"), visits.iter().count(), visits.len()), (None, 0, 1));
        *visits.entry("tea") += 1;
        assert_eq!((visits.get("tea"), visits.iter().count()), (Some(&1), 1));
    }

    #[test]
    fn what_is_written_again_as_it_is_did_not_change() {
        let mut visits = Visits::default();
        let changed = |visits: &mut Visits| {
            let mut count = 0;
            visits.changed_mut(|_| count += 1);
            count
        };
        visits.restore("tea", Some(4));
        visits.touch_any();
        assert_eq!(changed(&mut visits), 0);
        *visits.entry("tea") += 1; // the same turn goes on
        assert_eq!((changed(&mut visits), touched(&visits)), (1, vec![("tea", 5)]));
    }
}
