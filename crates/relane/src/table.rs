//! Keyed state of one partition. It knows what changed, so that a turn writes just that.

use std::borrow::Borrow;
use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

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
    entries: Vec<(K, V)>,
    /// One for each entry; inside of it they would cost as many bytes as its alignment.
    marks: Vec<Marks>,
    by_key: HashTable<Index>,
    hasher: RandomState,
    /// The entries that are to be written, each once.
    touched: Vec<Index>,
}

/// Where an entry is. Half of a pointer's bytes; that many keys would need over 100 GB.
#[derive(Debug, Clone, Copy)]
struct Index(u32);

impl Index {
    const fn get(self) -> usize {
        self.0 as usize
    }
}

/// What is known of an entry besides its key and value.
#[derive(Debug, Clone, Copy)]
struct Marks {
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
            marks: Vec::new(),
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
        let is_it = |index: &Index| self.entries[index.get()].0.borrow() == key;
        let index = self.by_key.find(self.hasher.hash_one(key), is_it)?.get();
        (!self.marks[index].is_blank).then(|| &self.entries[index].1)
    }

    /// The value of a key, to be changed: it will be written. A new key begins with the default.
    ///
    /// # Panics
    ///
    /// Panics for more than 2³² keys.
    pub fn entry<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> &mut V
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        V: Default,
    {
        let index = self.index_of(key);
        self.touch(index, Change::Changed);
        self.marks[index.get()].is_blank = false;
        &mut self.entries[index.get()].1
    }

    /// Takes in a record that was read back; of one key the last one counts. `None` is a record
    /// without a value.
    ///
    /// # Panics
    ///
    /// Panics for more than 2³² keys.
    pub fn restore<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, value: Option<V>)
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        V: Default,
    {
        let index = self.index_of(key).get();
        self.marks[index].is_blank = value.is_none();
        self.entries[index].1 = value.unwrap_or_default();
    }

    /// Keys and values, in the order in which the keys were first seen.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> + Clone {
        let all = self.entries.iter().zip(&self.marks);
        all.filter(|(_, marks)| !marks.is_blank).map(|((key, value), _)| (key, value))
    }

    /// Visits each value that changed since it was written, for instance to set the time of its last change.
    pub fn changed_mut(&mut self, mut visit: impl FnMut(&mut V)) {
        for index in self.touched.iter().map(|index| index.get()) {
            if self.marks[index].change == Change::Changed {
                visit(&mut self.entries[index].1);
            }
        }
    }

    /// What is to be written: the entries that changed, and the one that [`State::touch_any`] has marked.
    pub fn touched(&self) -> impl Iterator<Item = (&K, &V)> {
        self.touched.iter().map(|index| {
            let (key, value) = &self.entries[index.get()];
            (key, value)
        })
    }

    fn touch(&mut self, index: Index, change: Change) {
        let before = std::mem::replace(&mut self.marks[index.get()].change, change);
        if before == Change::None {
            self.touched.push(index);
        }
    }

    fn index_of<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Index
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        V: Default,
    {
        let (entries, hash) = (&self.entries, self.hasher.hash_one(key));
        let is_it = |index: &Index| entries[index.get()].0.borrow() == key;
        if let Some(index) = self.by_key.find(hash, is_it) {
            return *index; // as on the steady path: no room is made for a key that is there
        }
        let index = Index(u32::try_from(entries.len()).expect("fewer keys than 2³²"));
        let hash_of = |index: &Index| self.hasher.hash_one(entries[index.get()].0.borrow());
        self.by_key.insert_unique(hash, index, hash_of);
        self.entries.push((K::from(key), V::default()));
        self.marks.push(Marks { is_blank: true, change: Change::None });
        index
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
            self.marks[index.get()].change = Change::None;
        }
    }

    fn touch_any(&mut self) {
        let with_value = self.marks.iter().rposition(|marks| !marks.is_blank);
        let any = with_value.or_else(|| self.marks.len().checked_sub(1));
        let any = any.and_then(|index| u32::try_from(index).ok());
        if let Some(index) = any.filter(|_| self.touched.is_empty()) {
            self.touch(Index(index), Change::Again);
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
