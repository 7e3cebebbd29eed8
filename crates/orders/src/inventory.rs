//! What inventory decides about an order, and what its customer is told.

use crate::{Menu, Order, PlaceError, Stock, check_order, simulate};

/// The attempt of the formula: inventory decides once, so an order's answer is always the same.
const ATTEMPT: u32 = 1;

/// Why inventory has nothing for an order. The set is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureReason {
    /// Fewer pieces are left than were ordered.
    OutOfStock,
    /// The menu does not have the item.
    UnknownItem,
    /// It breaks a rule of [`check_order`]: no front would have taken it.
    InvalidOrder,
    /// Refused on request; see [`SimulatedRefusals`].
    Simulated,
}

impl FailureReason {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::OutOfStock, Self::UnknownItem, Self::InvalidOrder, Self::Simulated];

    /// The kebab-case name under which records, answers and metrics know it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfStock => "out-of-stock",
            Self::UnknownItem => "unknown-item",
            Self::InvalidOrder => "invalid-order",
            Self::Simulated => "simulated",
        }
    }

    /// The reason of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// What inventory decided; final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InventoryOutcome {
    /// The pieces are the order's.
    Reserved,
    /// The order gets nothing.
    Failed(FailureReason),
}

/// Refusals on request: the share of orders that get nothing, and which ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SimulatedRefusals {
    /// Share of all orders, 0 to 1.
    pub rate: f64,
    /// Another seed hits other orders.
    pub seed: u64,
}

impl SimulatedRefusals {
    /// None at all.
    pub const OFF: Self = Self { rate: 0.0, seed: 42 };
}

/// Decides about an order, which may have passed no front, while `left` of its item is there. The caller takes the order's
/// quantity from the stock if, and only if, the answer is [`InventoryOutcome::Reserved`].
pub fn decide(
    order: &Order,
    menu: &Menu,
    left: Stock,
    refusals: SimulatedRefusals,
) -> InventoryOutcome {
    use FailureReason::{InvalidOrder, OutOfStock, Simulated, UnknownItem};
    let is_enough = match left {
        Stock::Unlimited => true,
        Stock::Pieces(left) => u32::try_from(order.quantity).is_ok_and(|wanted| wanted <= left),
    };
    match check_order(order, menu) {
        Ok(_) => {}
        Err(PlaceError::UnknownItem(_)) => return InventoryOutcome::Failed(UnknownItem),
        Err(_) => return InventoryOutcome::Failed(InvalidOrder),
    }
    if simulate::fails(&order.order_id, ATTEMPT, refusals.seed, 0, refusals.rate) {
        InventoryOutcome::Failed(Simulated)
    } else if is_enough {
        InventoryOutcome::Reserved
    } else {
        InventoryOutcome::Failed(OutOfStock)
    }
}

/// End of what the customer of an order is told that comes: nothing else ends so.
pub const GOOD_NEWS: &str = "is on its way";

/// What the customer of an order is told.
pub fn notification_text(order: &Order, outcome: InventoryOutcome) -> String {
    let Order { quantity, product, .. } = order;
    let what = match outcome {
        InventoryOutcome::Reserved => GOOD_NEWS,
        InventoryOutcome::Failed(FailureReason::OutOfStock) => "is sold out",
        InventoryOutcome::Failed(FailureReason::UnknownItem) => "is not on the menu",
        InventoryOutcome::Failed(FailureReason::InvalidOrder) => "cannot be ordered like this",
        InventoryOutcome::Failed(FailureReason::Simulated) => "cannot be had right now",
    };
    format!("{quantity} x {product} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MenuItem;

    fn menu() -> Menu {
        let item = MenuItem { price: 8.99, stock: Stock::Pieces(5) };
        Menu::new([("burger".to_owned(), item)]).unwrap()
    }

    fn order(item: &str, quantity: i32) -> Order {
        Order { quantity, ..Order::new("order-17", item, 1.0) }
    }

    #[track_caller]
    fn check(order: &Order, left: Stock, rate: f64, expected: InventoryOutcome) {
        let refusals = SimulatedRefusals { rate, seed: 42 };
        assert_eq!(decide(order, &menu(), left, refusals), expected);
    }

    #[test]
    fn an_order_is_reserved_as_long_as_all_its_pieces_are_there() {
        use InventoryOutcome::{Failed, Reserved};
        check(&order("burger", 5), Stock::Pieces(5), 0.0, Reserved);
        check(&order("burger", 6), Stock::Pieces(5), 0.0, Failed(FailureReason::OutOfStock));
        check(&order("burger", 1_000_000), Stock::Unlimited, 0.0, Reserved);
        check(&order("ham", 1), Stock::Unlimited, 1.0, Failed(FailureReason::UnknownItem));
    }

    #[test]
    fn what_a_front_refuses_inventory_refuses_too() {
        let refused = InventoryOutcome::Failed(FailureReason::InvalidOrder);
        for quantity in [0, -1, -5, i32::MIN, crate::QUANTITY_MAX + 1] {
            check(&order("burger", quantity), Stock::Pieces(5), 0.0, refused);
            check(&order("burger", quantity), Stock::Unlimited, 0.0, refused);
        }
        for user_id in [String::new(), " ".to_owned(), "u".repeat(257)] {
            let order = Order { user_id: Some(user_id), ..order("burger", 1) };
            check(&order, Stock::Unlimited, 0.0, refused);
        }
        let priced = Order { price: -1.0, ..order("burger", 1) };
        check(&priced, Stock::Unlimited, 0.0, refused);
    }

    #[test]
    fn a_refusal_on_request_follows_the_published_formula() {
        // python3: zlib.crc32(b"order-17:1:42") % 10000 is 9193.
        let refused = InventoryOutcome::Failed(FailureReason::Simulated);
        check(&order("burger", 1), Stock::Pieces(5), 0.9193, InventoryOutcome::Reserved);
        check(&order("burger", 1), Stock::Pieces(5), 0.9194, refused);
    }

    #[test]
    fn a_reason_is_read_back_from_its_name() {
        for reason in FailureReason::ALL {
            assert_eq!(FailureReason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(FailureReason::parse("tired"), None);
    }

    #[test]
    fn a_customer_is_told_what_became_of_the_order() {
        let told = |outcome| notification_text(&order("burger", 2), outcome);
        assert_eq!(told(InventoryOutcome::Reserved), "2 x burger is on its way");
        let sold_out = InventoryOutcome::Failed(FailureReason::OutOfStock);
        assert_eq!(told(sold_out), "2 x burger is sold out");
    }
}
