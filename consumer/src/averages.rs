//! Count and exact sum of each product: the state of one partition.

use compact_str::CompactString;
use orders::Amount;
use relane::table::Table;

/// Partials of one partition, by product. A known product is counted without an allocation, and a name of up to 24 bytes
/// lies in the table itself.
pub(crate) type Averages = Table<CompactString, Partial>;

/// Count and exact sum of a product.
pub(crate) type Total = (u64, Amount);

/// What was counted of one product in one partition. With the alignment of its sum, an entry of the table would take eight
/// bytes more.
#[repr(Rust, packed(8))]
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
        let mut sum = self.sum; // not in place: it lies unaligned
        sum += price;
        self.sum = sum;
    }
}
