//! Products by name, and gauges of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::averages::Total;
use metrics::{describe_gauge, gauge};
use orders::Amount;

/// Products that get a label of their own; the others are counted as [`REST`].
pub(crate) const PRODUCTS_MAX: usize = 100;

/// What the products beyond the cap are called together.
const REST: &str = "other";

/// Totals of the first products by name, and of the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Products {
    pub(crate) named: BTreeMap<Arc<str>, Total>,
    pub(crate) rest: Total,
    /// Products of the partition that has most of them, and those of all partitions together: the
    /// same product may be in several.
    products_max: usize,
    products_sum: usize,
}

impl Products {
    pub(crate) fn add(&mut self, product: &str, (count, sum): Total) {
        let is_full = self.named.len() >= PRODUCTS_MAX;
        let entry = match self.named.get_mut(product) {
            Some(entry) => entry,
            None if is_full => &mut self.rest,
            None => self.named.entry(Arc::from(product)).or_default(),
        };
        entry.0 += count;
        entry.1 += sum;
    }

    /// Adds what another lane counted.
    pub(crate) fn add_all(&mut self, other: &Self) {
        for (product, total) in &other.named {
            self.add(product, *total);
        }
        self.rest.0 += other.rest.0;
        self.rest.1 += other.rest.1;
        self.products_max = self.products_max.max(other.products_max);
        self.products_sum += other.products_sum;
    }

    /// Notes how many products a partition has.
    pub(crate) fn note_partition(&mut self, products: usize) {
        self.products_max = self.products_max.max(products);
        self.products_sum += products;
    }

    /// Those that are known by name and were counted, by name.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (&str, Total)> {
        let all = self.named.iter().map(|(name, total)| (&**name, *total));
        all.filter(|(_, (count, _))| *count > 0)
    }

    /// How many products there are at least, and whether there are no more.
    pub(crate) fn known_at_least(&self) -> (usize, bool) {
        let named = self.counted().count();
        match self.rest {
            (0, _) => (named, true),
            _ => (self.products_max.max(named + 1), self.products_max == self.products_sum),
        }
    }

    /// All products together.
    pub(crate) fn overall(&self) -> Total {
        let add = |(count, sum): Total, (_, one): (&str, Total)| (count + one.0, sum + one.1);
        self.counted().fold(self.rest, add)
    }
}

/// A product as it stands among words of ours: one that is called like such a word is quoted, and
/// so is one that is called like a quoted one.
pub(crate) fn apart_from<'a>(word: &str, product: &'a str) -> Cow<'a, str> {
    if product.trim_matches('"') == word {
        return format!("\"{product}\"").into();
    }
    product.into()
}

/// Describes the gauges.
pub(crate) fn describe() {
    describe_gauge!("orders_product_counted", "orders counted by product");
    describe_gauge!("orders_product_amount", "sum of their prices by product");
    describe_gauge!("orders_average", "running average price by product");
}

/// Sets the gauges.
pub(crate) fn set(lanes: &[Products]) {
    let mut all = Products::default();
    lanes.iter().for_each(|lane| all.add_all(lane));
    for (product, total) in &all.named {
        set_one(&apart_from(REST, product), *total);
    }
    set_one(REST, all.rest);
}

fn set_one(product: &str, (count, sum): (u64, Amount)) {
    let Some(average) = orders::average(sum, count) else { return };
    let sum = sum.ten_thousandths() as f64 / 10_000.0;
    let label = || product.to_owned();
    gauge!("orders_product_counted", "product" => label()).set(count as f64);
    gauge!("orders_product_amount", "product" => label()).set(sum);
    gauge!("orders_average", "product" => label()).set(average);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_beyond_the_cap_are_told_together_and_one_called_other_by_itself() {
        let mut lane = Products::default();
        let one = (1, Amount::from_ten_thousandths(10_000));
        lane.add("other", one);
        for n in 0..PRODUCTS_MAX {
            lane.add(&format!("p-{n}"), one);
            lane.add("other", one);
        }
        assert_eq!(lane.named["other"].0, 101);
        assert_eq!((lane.named.len(), lane.rest.0), (PRODUCTS_MAX, 1));
        let mut both = lane.clone();
        both.add_all(&lane);
        assert_eq!((both.named["other"].0, both.rest.0), (202, 2));
    }

    #[test]
    fn no_two_products_get_one_name_and_none_gets_a_word_of_ours() {
        let names = ["other", "\"other\"", "\"\"other\"\"", "another", "\"", ""];
        let told: Vec<_> = names.iter().map(|name| apart_from("other", name)).collect();
        let expected = ["\"other\"", "\"\"other\"\"", "\"\"\"other\"\"\"", "another", "\"", ""];
        assert_eq!(told, expected);
    }
}
