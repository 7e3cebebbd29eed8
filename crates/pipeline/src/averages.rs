//! Count and exact sum per product for one source partition.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use orders::Amount;

/// What was counted of one product in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// Product name, as in the orders.
    pub product: Box<str>,
    /// Orders counted.
    pub count: u64,
    /// Exact sum of their prices.
    pub sum: Amount,
    /// When it was counted last, in milliseconds since the Unix epoch: as it was written.
    pub updated_at_ms: i64,
}

/// Partials of one partition. A known product is counted without an allocation.
#[derive(Debug, Default)]
pub struct Averages {
    partials: Vec<Partial>,
    by_product: HashTable<usize>,
    hasher: RandomState,
    /// Indexes of the products counted since the last [`Self::clear_touched`], each once.
    touched: Vec<usize>,
    change: Vec<Change>,
}

/// What happened to a partial since it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// It is written again as it is.
    Again,
    Counted,
}

impl Averages {
    /// Counts one order.
    pub fn count(&mut self, product: &str, price: Amount) {
        let index = self.index_of(product);
        let partial = &mut self.partials[index];
        partial.count += 1;
        partial.sum += price;
        self.touch(index, Change::Counted);
    }

    /// Has one partial written again as it is, if none changed: one that was counted, where there
    /// is any.
    pub fn touch_any(&mut self) {
        let counted = self.partials.iter().rposition(|partial| partial.count > 0);
        let any = counted.or_else(|| self.partials.len().checked_sub(1));
        if let Some(index) = any.filter(|_| self.touched.is_empty()) {
            self.touch(index, Change::Again);
        }
    }

    /// Takes in a partial read back from the averages topic; the last one read counts.
    pub fn restore(&mut self, product: &str, count: u64, sum: Amount, updated_at_ms: i64) {
        let index = self.index_of(product);
        let partial = &mut self.partials[index];
        (partial.count, partial.sum, partial.updated_at_ms) = (count, sum, updated_at_ms);
    }

    /// Notes when the partials that were counted are written. One that is written again as it is
    /// keeps its time.
    pub fn stamp(&mut self, now_ms: i64) {
        for index in &self.touched {
            if self.change[*index] == Change::Counted {
                self.partials[*index].updated_at_ms = now_ms;
            }
        }
    }

    /// Partials that are to be written since [`Self::clear_touched`].
    pub fn touched(&self) -> impl Iterator<Item = &Partial> {
        self.touched.iter().map(|index| &self.partials[*index])
    }

    /// Forgets which partials changed: their values are durable.
    pub fn clear_touched(&mut self) {
        for index in self.touched.drain(..) {
            self.change[index] = Change::None;
        }
    }

    /// The partial of a product.
    pub fn get(&self, product: &str) -> Option<&Partial> {
        let is_it = |index: &usize| &*self.partials[*index].product == product;
        let index = self.by_product.find(self.hasher.hash_one(product), is_it)?;
        self.partials.get(*index)
    }

    /// All partials, in the order in which the products were first seen.
    pub fn partials(&self) -> &[Partial] {
        &self.partials
    }

    fn touch(&mut self, index: usize, change: Change) {
        let before = std::mem::replace(&mut self.change[index], change);
        if before == Change::None {
            self.touched.push(index);
        }
    }

    fn index_of(&mut self, product: &str) -> usize {
        let partials = &self.partials;
        let hash = self.hasher.hash_one(product);
        let entry = self.by_product.entry(
            hash,
            |index| &*partials[*index].product == product,
            |index| self.hasher.hash_one(&*partials[*index].product),
        );
        match entry {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let index = self.partials.len();
                entry.insert(index);
                let (count, sum) = (0, Amount::default());
                self.partials.push(Partial {
                    product: product.into(),
                    count,
                    sum,
                    updated_at_ms: 0,
                });
                self.change.push(Change::None);
                index
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn amount(ten_thousandths: i128) -> Amount {
        Amount::from_ten_thousandths(ten_thousandths)
    }

    fn touched(averages: &Averages) -> Vec<(&str, u64, i128)> {
        averages.touched().map(|p| (&*p.product, p.count, p.sum.ten_thousandths())).collect()
    }

    #[test]
    fn a_product_is_touched_once_however_often_it_is_counted() {
        let mut averages = Averages::default();
        for (product, price) in [("tea", 15_000), ("cake", 1), ("tea", 5_000)] {
            averages.count(product, amount(price));
        }
        assert_eq!(touched(&averages), [("tea", 2, 20_000), ("cake", 1, 1)]);
        averages.clear_touched();
        assert_eq!(touched(&averages), []);
        averages.count("cake", amount(2));
        assert_eq!(touched(&averages), [("cake", 2, 3)]);
    }

    #[test]
    fn one_that_was_counted_is_touched_where_none_is() {
        let mut averages = Averages::default();
        averages.touch_any();
        assert_eq!(touched(&averages), []);
        averages.restore("tea", 4, amount(100), 1);
        averages.restore("gone", 0, amount(0), 1); // its record has no value
        averages.touch_any();
        assert_eq!(touched(&averages), [("tea", 4, 100)]);
        averages.clear_touched();
        averages.count("cake", amount(1));
        averages.touch_any();
        assert_eq!(touched(&averages), [("cake", 1, 1)]);
    }

    #[test]
    fn a_restored_partial_goes_on_where_it_was() {
        let mut averages = Averages::default();
        averages.restore("tea", 4, amount(100), 1);
        averages.restore("tea", 5, amount(150), 2); // a later record of the same product
        assert_eq!(touched(&averages), [], "what was read back is durable already");
        averages.count("tea", amount(50));
        assert_eq!(touched(&averages), [("tea", 6, 200)]);
    }

    #[test]
    fn a_partial_that_is_written_again_as_it_is_keeps_its_time() {
        let times = |averages: &Averages| {
            averages.touched().map(|p| (p.product.to_string(), p.updated_at_ms)).collect::<Vec<_>>()
        };
        let mut averages = Averages::default();
        averages.restore("tea", 4, amount(100), 7);
        averages.touch_any();
        averages.stamp(1_000);
        assert_eq!(times(&averages), [("tea".to_owned(), 7)]);
        averages.count("tea", amount(1)); // the same turn goes on
        averages.stamp(2_000);
        assert_eq!(times(&averages), [("tea".to_owned(), 2_000)]);
        averages.clear_touched();
        averages.touch_any();
        averages.stamp(3_000);
        assert_eq!(times(&averages), [("tea".to_owned(), 2_000)]);
    }
}
