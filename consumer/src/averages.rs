//! Count and exact sum of each product: the state of one partition.

use orders::Amount;
use relane::table::Table;

/// Partials of one partition, by product. A known product is counted without an allocation.
pub(crate) type Averages = Table<Box<str>, Partial>;

/// Count and exact sum of a product.
pub(crate) type Total = (u64, Amount);

/// What was counted of one product in one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Partial {
    /// Orders counted.
    pub(crate) count: u64,
    /// Exact sum of their prices.
    pub(crate) sum: Amount,
    /// When it was counted last, in milliseconds since the Unix epoch: as it was written.
    pub(crate) updated_at_ms: i64,
}

impl Partial {
    /// Counts one order.
    pub(crate) fn count(&mut self, price: Amount) {
        self.count += 1;
        self.sum += price;
    }
}
