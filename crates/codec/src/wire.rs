//! The records of `schemas/`, as the program sees them.
//!
//! Positions in `set` and `field` are those of the latest schema.

use std::borrow::Cow;

use orders::{Amount, Order};

use crate::scalar::{AvroRecord, Fields, OutOfRange, Scalar};
use crate::schemas;

mod inventory;
mod state;

pub use inventory::{InventoryResult, InventoryStatus, Notification};
pub use state::{OrderTally, StockLevel};

/// A scalar that is not what the record's schema says of the field.
const OTHER_TYPE: OutOfRange = OutOfRange("a field of another type than its schema");

impl AvroRecord for Order {
    const SCHEMA: &'static str = schemas::ORDER_V2;

    fn blank() -> Self {
        Self::new("", "", 0.0)
    }

    fn set(&mut self, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange> {
        match (index, scalar) {
            (0, Scalar::String(value)) => value.clone_into(&mut self.order_id),
            (1, Scalar::String(value)) => value.clone_into(&mut self.product),
            (2, Scalar::Float(value)) => self.price = value,
            (3, Scalar::Null) => self.user_id = None,
            (3, Scalar::String(value)) => self.user_id = Some(value.to_owned()),
            (4, Scalar::Int(value)) => self.quantity = value,
            (5, Scalar::Null) => self.created_at_ms = None,
            (5, Scalar::Long(value)) => self.created_at_ms = Some(value),
            _ => return Err(OTHER_TYPE),
        }
        Ok(())
    }
}

impl Fields<Self> for Order {
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
    const SCHEMA: &'static str = schemas::PRODUCT_AVERAGE_V1;

    fn blank() -> Self {
        let (product, sum) = (String::new(), Amount::ZERO);
        Self { product, count: 0, sum, average: 0.0, updated_at_ms: 0 }
    }

    fn set(&mut self, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange> {
        match (index, scalar) {
            (0, Scalar::String(value)) => value.clone_into(&mut self.product),
            (1, Scalar::Long(value)) => self.count = value,
            (2, Scalar::Decimal(value)) => self.sum = Amount::from_ten_thousandths(value),
            (3, Scalar::Double(value)) => self.average = value,
            (4, Scalar::Long(value)) => self.updated_at_ms = value,
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

    fn set(&mut self, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange> {
        match (index, scalar) {
            (0, Scalar::String(value)) => value.clone_into(&mut self.order_id),
            (1, Scalar::String(value)) => value.clone_into(&mut self.product),
            (2, Scalar::Int(value)) => self.origin_partition = value,
            (3, Scalar::Long(value)) => self.origin_offset = value,
            (4, Scalar::Int(value)) => self.attempt = value,
            (5, Scalar::Symbol(symbol)) => {
                self.outcome = *Outcome::ALL.get(symbol).ok_or(OTHER_TYPE)?;
            }
            (6, Scalar::Null) => self.failure_class = None,
            (6, Scalar::String(value)) => self.failure_class = Some(Cow::Owned(value.to_owned())),
            (7, Scalar::Long(value)) => self.settled_at_ms = value,
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
