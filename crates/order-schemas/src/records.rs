//! The records of `schemas/`, as the program sees them.
//!
//! Positions in `set` and `field` are those of the latest schema.

use std::borrow::Cow;

use orders::{Amount, Order};

use crate::schemas;
use codec::scalar::{AvroRecord, Fields, OutOfRange, Scalar};

mod inventory;
mod state;

pub use inventory::{InventoryResult, InventoryStatus, Notification};
pub use state::{OrderTally, StockLevel};

/// A scalar that is not what the record's schema says of the field.
const OTHER_TYPE: OutOfRange = OutOfRange("a field of another type than its schema");

/// The schema of [`Order`], which the domain does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderRecord {}

impl AvroRecord for OrderRecord {
    type Value = Order;

    const SCHEMA: &'static str = schemas::ORDER_V2;

    fn blank() -> Order {
        Order::new("", "", 0.0)
    }

    #[inline(always)] // in the loop over the fields
    fn set(order: &mut Order, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange> {
        match (index, scalar) {
            (0, Scalar::String(value)) => value.clone_into(&mut order.order_id),
            (1, Scalar::String(value)) => value.clone_into(&mut order.product),
            (2, Scalar::Float(value)) => order.price = value,
            (3, Scalar::Null) => order.user_id = None,
            (3, Scalar::String(value)) => {
                value.clone_into(order.user_id.get_or_insert_default());
            }
            (4, Scalar::Int(value)) => order.quantity = value,
            (5, Scalar::Null) => order.created_at_ms = None,
            (5, Scalar::Long(value)) => order.created_at_ms = Some(value),
            _ => return Err(OTHER_TYPE),
        }
        Ok(())
    }
}

impl Fields<OrderRecord> for Order {
    fn field(&self, index: usize) -> Scalar<'_> {
        match index {
            0 => Scalar::String(&self.order_id),
            1 => Scalar::String(&self.product),
            2 => Scalar::Float(self.price),
            3 => self.user_id.as_deref().map_or(Scalar::Null, Scalar::String),
            4 => Scalar::Int(self.quantity),
            _ => self.created_at_ms.map_or(Scalar::Null, Scalar::Long),
        }
    }
}

/// What one partition has counted of one product so far. Readers add up the partials of all
/// partitions; they never average the averages.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductAverage {
    /// The product.
    pub product: String,
    /// Orders counted.
    pub count: i64,
    /// Exact sum of their prices.
    pub sum: Amount,
    /// The double nearest to sum / count.
    pub average: f64,
    /// When the partial changed, in milliseconds since the Unix epoch.
    pub updated_at_ms: i64,
}

/// A [`ProductAverage`] to be written, without owning the name.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of ProductAverage")]
pub struct ProductAverageRef<'a> {
    pub product: &'a str,
    pub count: i64,
    pub sum: Amount,
    pub average: f64,
    pub updated_at_ms: i64,
}

impl AvroRecord for ProductAverage {
    type Value = Self;

    const SCHEMA: &'static str = schemas::PRODUCT_AVERAGE_V1;

    fn blank() -> Self {
        let (product, sum) = (String::new(), Amount::ZERO);
        Self { product, count: 0, sum, average: 0.0, updated_at_ms: 0 }
    }

    fn set(record: &mut Self, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange> {
        match (index, scalar) {
            (0, Scalar::String(value)) => value.clone_into(&mut record.product),
            (1, Scalar::Long(value)) => record.count = value,
            (2, Scalar::Decimal(value)) => record.sum = Amount::from_ten_thousandths(value),
            (3, Scalar::Double(value)) => record.average = value,
            (4, Scalar::Long(value)) => record.updated_at_ms = value,
            _ => return Err(OTHER_TYPE),
        }
        Ok(())
    }
}

impl Fields<ProductAverage> for ProductAverageRef<'_> {
    fn field(&self, index: usize) -> Scalar<'_> {
        match index {
            0 => Scalar::String(self.product),
            1 => Scalar::Long(self.count),
            2 => Scalar::Decimal(self.sum.ten_thousandths()),
            3 => Scalar::Double(self.average),
            _ => Scalar::Long(self.updated_at_ms),
        }
    }
}

impl Fields<Self> for ProductAverage {
    fn field(&self, index: usize) -> Scalar<'_> {
        match index {
            0 => Scalar::String(&self.product),
            1 => Scalar::Long(self.count),
            2 => Scalar::Decimal(self.sum.ten_thousandths()),
            3 => Scalar::Double(self.average),
            _ => Scalar::Long(self.updated_at_ms),
        }
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Counted.
    Succeeded,
    /// Failed, and waits in the retry topic.
    Retried,
    /// Lies in the dead-letter queue.
    DeadLettered,
    /// Another record with the order's id was counted before.
    Duplicate,
    /// A later version's outcome; never written.
    Unknown,
}

impl Outcome {
    /// In the order of the schema's symbols.
    const ALL: [Self; 5] =
        [Self::Succeeded, Self::Retried, Self::DeadLettered, Self::Duplicate, Self::Unknown];
}

/// What one settled attempt at an order came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderOutcome {
    /// Id of the order; empty where the record could not be decoded.
    pub order_id: String,
    /// Its product; empty where the record could not be decoded.
    pub product: String,
    /// Partition of the main topic.
    pub origin_partition: i32,
    /// Offset on the main topic.
    pub origin_offset: i64,
    /// Attempts made so far, this one included.
    pub attempt: i32,
    /// What it came to.
    pub outcome: Outcome,
    /// As `x-failure-class`; `None` where the attempt did not fail.
    pub failure_class: Option<Cow<'static, str>>,
    /// When it was settled, in milliseconds since the Unix epoch.
    pub settled_at_ms: i64,
}

/// An [`OrderOutcome`] to be written, without owning its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of OrderOutcome")]
pub struct OrderOutcomeRef<'a> {
    pub order_id: &'a str,
    pub product: &'a str,
    pub origin_partition: i32,
    pub origin_offset: i64,
    pub attempt: i32,
    pub outcome: Outcome,
    pub failure_class: Option<&'a str>,
    pub settled_at_ms: i64,
}

impl AvroRecord for OrderOutcome {
    type Value = Self;

    const SCHEMA: &'static str = schemas::ORDER_OUTCOME_V1;

    fn blank() -> Self {
        Self {
            order_id: String::new(),
            product: String::new(),
            origin_partition: 0,
            origin_offset: 0,
            attempt: 0,
            outcome: Outcome::Unknown,
            failure_class: None,
            settled_at_ms: 0,
        }
    }

    fn set(record: &mut Self, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange> {
        match (index, scalar) {
            (0, Scalar::String(value)) => value.clone_into(&mut record.order_id),
            (1, Scalar::String(value)) => value.clone_into(&mut record.product),
            (2, Scalar::Int(value)) => record.origin_partition = value,
            (3, Scalar::Long(value)) => record.origin_offset = value,
            (4, Scalar::Int(value)) => record.attempt = value,
            (5, Scalar::Symbol(symbol)) => {
                record.outcome = *Outcome::ALL.get(symbol).ok_or(OTHER_TYPE)?;
            }
            (6, Scalar::Null) => record.failure_class = None,
            (6, Scalar::String(value)) => record.failure_class = Some(Cow::Owned(value.to_owned())),
            (7, Scalar::Long(value)) => record.settled_at_ms = value,
            _ => return Err(OTHER_TYPE),
        }
        Ok(())
    }
}

impl Fields<OrderOutcome> for OrderOutcomeRef<'_> {
    fn field(&self, index: usize) -> Scalar<'_> {
        match index {
            0 => Scalar::String(self.order_id),
            1 => Scalar::String(self.product),
            2 => Scalar::Int(self.origin_partition),
            3 => Scalar::Long(self.origin_offset),
            4 => Scalar::Int(self.attempt),
            5 => Scalar::Symbol(self.outcome as usize),
            6 => self.failure_class.map_or(Scalar::Null, Scalar::String),
            _ => Scalar::Long(self.settled_at_ms),
        }
    }
}

impl Fields<Self> for OrderOutcome {
    fn field(&self, index: usize) -> Scalar<'_> {
        match index {
            0 => Scalar::String(&self.order_id),
            1 => Scalar::String(&self.product),
            2 => Scalar::Int(self.origin_partition),
            3 => Scalar::Long(self.origin_offset),
            4 => Scalar::Int(self.attempt),
            5 => Scalar::Symbol(self.outcome as usize),
            6 => self.failure_class.as_deref().map_or(Scalar::Null, Scalar::String),
            _ => Scalar::Long(self.settled_at_ms),
        }
    }
}
