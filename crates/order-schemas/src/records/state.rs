//! The records in which streaming's pipelines keep their state.

use super::OTHER_TYPE;
use crate::schemas;
use codec::scalar::{AvroRecord, Fields, OutOfRange, Scalar};

/// What inventory has given away of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockLevel {
    /// The item; empty for everything that is not on the menu.
    pub item: String,
    /// Pieces given away.
    pub reserved: i64,
    /// Orders for it that were decided, refused ones included.
    pub decided: i64,
    /// When it changed, in milliseconds since the Unix epoch.
    pub updated_at_ms: i64,
}

impl AvroRecord for StockLevel {
    type Value = Self;

    const SCHEMA: &'static str = schemas::STOCK_LEVEL_V1;

    fn blank() -> Self {
        Self { item: String::new(), reserved: 0, decided: 0, updated_at_ms: 0 }
    }

    fn set(record: &mut Self, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange> {
        match (index, scalar) {
            (0, Scalar::String(value)) => value.clone_into(&mut record.item),
            (1, Scalar::Long(value)) => record.reserved = value,
            (2, Scalar::Long(value)) => record.decided = value,
            (3, Scalar::Long(value)) => record.updated_at_ms = value,
            _ => return Err(OTHER_TYPE),
        }
        Ok(())
    }
}

impl Fields<Self> for StockLevel {
    fn field(&self, index: usize) -> Scalar<'_> {
        match index {
            0 => Scalar::String(&self.item),
            1 => Scalar::Long(self.reserved),
            2 => Scalar::Long(self.decided),
            _ => Scalar::Long(self.updated_at_ms),
        }
    }
}

/// Orders of one partition, counted: all of them, or those of one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderTally {
    /// Start of the minute, in milliseconds since the Unix epoch; `None` for all orders.
    pub minute_ms: Option<i64>,
    /// Orders that inventory reserved.
    pub succeeded: i64,
    /// Orders that it refused.
    pub failed: i64,
    /// Event time of the earliest order, in milliseconds since the Unix epoch.
    pub first_at_ms: i64,
    /// Event time of the latest order, in milliseconds since the Unix epoch.
    pub last_at_ms: i64,
}

impl AvroRecord for OrderTally {
    type Value = Self;

    const SCHEMA: &'static str = schemas::ORDER_TALLY_V1;

    fn blank() -> Self {
        Self { minute_ms: None, succeeded: 0, failed: 0, first_at_ms: 0, last_at_ms: 0 }
    }

    fn set(record: &mut Self, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange> {
        match (index, scalar) {
            (0, Scalar::Null) => record.minute_ms = None,
            (0, Scalar::Long(value)) => record.minute_ms = Some(value),
            (1, Scalar::Long(value)) => record.succeeded = value,
            (2, Scalar::Long(value)) => record.failed = value,
            (3, Scalar::Long(value)) => record.first_at_ms = value,
            (4, Scalar::Long(value)) => record.last_at_ms = value,
            _ => return Err(OTHER_TYPE),
        }
        Ok(())
    }
}

impl Fields<Self> for OrderTally {
    fn field(&self, index: usize) -> Scalar<'_> {
        match index {
            0 => self.minute_ms.map_or(Scalar::Null, Scalar::Long),
            1 => Scalar::Long(self.succeeded),
            2 => Scalar::Long(self.failed),
            3 => Scalar::Long(self.first_at_ms),
            _ => Scalar::Long(self.last_at_ms),
        }
    }
}
