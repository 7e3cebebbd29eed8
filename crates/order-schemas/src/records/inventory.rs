//! The records that inventory and notification write.

use std::borrow::Cow;

use orders::{FailureReason, GOOD_NEWS, InventoryOutcome, Order, notification_text};

use super::OTHER_TYPE;
use crate::schemas;
use codec::scalar::{AvroRecord, Fields, OutOfRange, Scalar};

/// What inventory decided, as the wire says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InventoryStatus {
    /// The pieces are the order's.
    Reserved,
    /// The order gets nothing.
    Failed,
    /// A later version's status; never written.
    Unknown,
}

impl InventoryStatus {
    /// In the order of the schema's symbols.
    const ALL: [Self; 3] = [Self::Reserved, Self::Failed, Self::Unknown];
}

/// What inventory decided about one order.
#[derive(Debug, Clone, PartialEq)]
pub struct InventoryResult {
    /// Id of the order.
    pub order_id: String,
    /// Its product.
    pub product: String,
    /// Pieces.
    pub quantity: i32,
    /// Who ordered.
    pub user_id: Option<String>,
    /// What was decided.
    pub status: InventoryStatus,
    /// Why it failed: the name of a [`FailureReason`], or of one that a later version knows.
    pub reason: Option<Cow<'static, str>>,
    /// Price of the whole order.
    pub price: f32,
    /// When the order was placed, in milliseconds since the Unix epoch: the event time.
    pub created_at_ms: Option<i64>,
    /// When it was decided, in milliseconds since the Unix epoch.
    pub decided_at_ms: i64,
}

impl InventoryResult {
    /// The record of this decision.
    pub fn new(order: &Order, outcome: InventoryOutcome, decided_at_ms: i64) -> Self {
        let (status, reason) = match outcome {
            InventoryOutcome::Reserved => (InventoryStatus::Reserved, None),
            InventoryOutcome::Failed(reason) => {
                (InventoryStatus::Failed, Some(Cow::Borrowed(reason.as_str())))
            }
        };
        Self {
            order_id: order.order_id.clone(),
            product: order.product.clone(),
            quantity: order.quantity,
            user_id: order.user_id.clone(),
            status,
            reason,
            price: order.price,
            created_at_ms: order.created_at_ms,
            decided_at_ms,
        }
    }

    /// What was decided; `None` where a later version wrote what this one does not know.
    pub fn outcome(&self) -> Option<InventoryOutcome> {
        match self.status {
            InventoryStatus::Reserved => Some(InventoryOutcome::Reserved),
            InventoryStatus::Failed => {
                FailureReason::parse(self.reason.as_deref()?).map(InventoryOutcome::Failed)
            }
            InventoryStatus::Unknown => None,
        }
    }

    /// The order that it was decided about.
    pub fn order(&self) -> Order {
        Order {
            order_id: self.order_id.clone(),
            product: self.product.clone(),
            price: self.price,
            user_id: self.user_id.clone(),
            quantity: self.quantity,
            created_at_ms: self.created_at_ms,
        }
    }
}

impl AvroRecord for InventoryResult {
    type Value = Self;

    const SCHEMA: &'static str = schemas::INVENTORY_RESULT_V1;

    fn blank() -> Self {
        let order = Order::new("", "", 0.0);
        Self {
            status: InventoryStatus::Unknown,
            ..Self::new(&order, InventoryOutcome::Reserved, 0)
        }
    }

    fn set(record: &mut Self, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange> {
        match (index, scalar) {
            (0, Scalar::String(value)) => value.clone_into(&mut record.order_id),
            (1, Scalar::String(value)) => value.clone_into(&mut record.product),
            (2, Scalar::Int(value)) => record.quantity = value,
            (3, Scalar::Null) => record.user_id = None,
            (3, Scalar::String(value)) => record.user_id = Some(value.to_owned()),
            (4, Scalar::Symbol(symbol)) => {
                record.status = *InventoryStatus::ALL.get(symbol).ok_or(OTHER_TYPE)?;
            }
            (5, Scalar::Null) => record.reason = None,
            (5, Scalar::String(value)) => {
                let known = FailureReason::parse(value).map(FailureReason::as_str);
                let owned = || Cow::Owned(value.to_owned());
                record.reason = Some(known.map_or_else(owned, Cow::Borrowed));
            }
            (6, Scalar::Float(value)) => record.price = value,
            (7, Scalar::Null) => record.created_at_ms = None,
            (7, Scalar::Long(value)) => record.created_at_ms = Some(value),
            (8, Scalar::Long(value)) => record.decided_at_ms = value,
            _ => return Err(OTHER_TYPE),
        }
        Ok(())
    }
}

impl Fields<Self> for InventoryResult {
    fn field(&self, index: usize) -> Scalar<'_> {
        match index {
            0 => Scalar::String(&self.order_id),
            1 => Scalar::String(&self.product),
            2 => Scalar::Int(self.quantity),
            3 => self.user_id.as_deref().map_or(Scalar::Null, Scalar::String),
            4 => Scalar::Symbol(self.status as usize),
            5 => self.reason.as_deref().map_or(Scalar::Null, Scalar::String),
            6 => Scalar::Float(self.price),
            7 => self.created_at_ms.map_or(Scalar::Null, Scalar::Long),
            _ => Scalar::Long(self.decided_at_ms),
        }
    }
}

/// What the customer of one order is told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Id of the order.
    pub order_id: String,
    /// Who is told.
    pub user_id: Option<String>,
    /// In words.
    pub text: String,
    /// When the order was placed, in milliseconds since the Unix epoch: the event time.
    pub created_at_ms: Option<i64>,
}

impl Notification {
    /// What the customer is told of this decision. Of the same decision it is always the same.
    pub fn new(order: &Order, outcome: InventoryOutcome) -> Self {
        Self {
            order_id: order.order_id.clone(),
            user_id: order.user_id.clone(),
            text: notification_text(order, outcome),
            created_at_ms: order.created_at_ms,
        }
    }

    /// Whether it says that the order comes, and not why it does not.
    pub fn is_good_news(&self) -> bool {
        self.text.ends_with(GOOD_NEWS)
    }
}

impl AvroRecord for Notification {
    type Value = Self;

    const SCHEMA: &'static str = schemas::NOTIFICATION_V1;

    fn blank() -> Self {
        let (order_id, text) = (String::new(), String::new());
        Self { order_id, user_id: None, text, created_at_ms: None }
    }

    fn set(record: &mut Self, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange> {
        match (index, scalar) {
            (0, Scalar::String(value)) => value.clone_into(&mut record.order_id),
            (1, Scalar::Null) => record.user_id = None,
            (1, Scalar::String(value)) => record.user_id = Some(value.to_owned()),
            (2, Scalar::String(value)) => value.clone_into(&mut record.text),
            (3, Scalar::Null) => record.created_at_ms = None,
            (3, Scalar::Long(value)) => record.created_at_ms = Some(value),
            _ => return Err(OTHER_TYPE),
        }
        Ok(())
    }
}

impl Fields<Self> for Notification {
    fn field(&self, index: usize) -> Scalar<'_> {
        match index {
            0 => Scalar::String(&self.order_id),
            1 => self.user_id.as_deref().map_or(Scalar::Null, Scalar::String),
            2 => Scalar::String(&self.text),
            _ => self.created_at_ms.map_or(Scalar::Null, Scalar::Long),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_message_about_a_reserved_order_is_good_news() {
        let order = Order::new("o-1", "burger", 1.0);
        let is_good = |outcome| Notification::new(&order, outcome).is_good_news();
        assert!(is_good(InventoryOutcome::Reserved));
        for reason in [
            FailureReason::OutOfStock,
            FailureReason::UnknownItem,
            FailureReason::InvalidOrder,
            FailureReason::Simulated,
        ] {
            assert!(!is_good(InventoryOutcome::Failed(reason)), "{reason:?}");
        }
    }
}
