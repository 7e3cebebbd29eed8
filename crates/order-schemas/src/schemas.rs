//! The schemas of `schemas/`, built in.

/// `com.example.orders.Order`, version 1: orderId, product, price.
pub const ORDER_V1: &str = include_str!("../../../schemas/order/v1.avsc");
/// `com.example.orders.Order`, version 2: adds userId, quantity, createdAt.
pub const ORDER_V2: &str = include_str!("../../../schemas/order/v2.avsc");
/// `com.example.orders.ProductAverage`, version 1.
pub const PRODUCT_AVERAGE_V1: &str = include_str!("../../../schemas/product_average/v1.avsc");
/// `com.example.orders.OrderOutcome`, version 1.
pub const ORDER_OUTCOME_V1: &str = include_str!("../../../schemas/order_outcome/v1.avsc");
/// `com.example.orders.InventoryResult`, version 1.
pub const INVENTORY_RESULT_V1: &str = include_str!("../../../schemas/inventory_result/v1.avsc");
/// `com.example.orders.Notification`, version 1.
pub const NOTIFICATION_V1: &str = include_str!("../../../schemas/notification/v1.avsc");
/// `com.example.orders.OrderTally`, version 1.
pub const ORDER_TALLY_V1: &str = include_str!("../../../schemas/order_tally/v1.avsc");
/// `com.example.orders.StockLevel`, version 1.
pub const STOCK_LEVEL_V1: &str = include_str!("../../../schemas/stock_level/v1.avsc");

/// Version of `Order` that a producer writes; consumers read all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OrderVersion {
    /// [`ORDER_V1`]: drops userId, quantity and createdAt.
    V1,
    /// [`ORDER_V2`].
    #[default]
    V2,
}

impl OrderVersion {
    /// The schema's text.
    pub const fn schema(self) -> &'static str {
        match self {
            Self::V1 => ORDER_V1,
            Self::V2 => ORDER_V2,
        }
    }
}
