//! The order and the rules that make it valid.

use crate::Amount;

/// Highest valid price of one order.
pub const PRICE_MAX: f32 = 1e9;

/// Quantity of an order that does not say one.
const QUANTITY_DEFAULT: i32 = 1;

/// A placed order as it was read; see [`validate`] for the rules it must keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Name of the order, given by whoever placed it. Two records may share one.
    pub order_id: String,
    /// What was ordered; averages are kept per product.
    pub product: String,
    /// Price in the shop's currency, as the wire's single-precision float.
    pub price: f32,
    /// Who ordered; absent in orders written before schema version 2.
    pub user_id: Option<String>,
    /// How many; 1 in orders written before schema version 2. The price is the order's, not
    /// the piece's.
    pub quantity: i32,
    /// When it was placed, in milliseconds since the Unix epoch; absent before version 2.
    pub created_at_ms: Option<i64>,
}

impl Order {
    /// An order of one piece, without user and time.
    pub fn new(order_id: impl Into<String>, product: impl Into<String>, price: f32) -> Self {
        Self {
            order_id: order_id.into(),
            product: product.into(),
            price,
            user_id: None,
            quantity: QUANTITY_DEFAULT,
            created_at_ms: None,
        }
    }
}

/// The business rule that an order breaks; the first one in the order of the variants'
/// fields: id, product, price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InvalidOrder {
    /// `orderId` has no characters.
    #[error("orderId is empty: every order needs a name")]
    EmptyOrderId,
    /// `product` has no characters besides Unicode white space.
    #[error("product is empty or only white space: averages are kept per product")]
    EmptyProduct,
    /// `price` is below zero; negative zero is zero.
    #[error("price is negative: it must be 0 or more")]
    NegativePrice,
    /// `price` is NaN or infinite.
    #[error("price is not a finite number")]
    PriceNotFinite,
    /// `price` is above [`PRICE_MAX`].
    #[error("price is above the limit of 1000000000")]
    PriceTooLarge,
}

impl InvalidOrder {
    /// The kebab-case name under which headers, reports and reject files know the rule.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EmptyOrderId => "empty-order-id",
            Self::EmptyProduct => "empty-product",
            Self::NegativePrice => "negative-price",
            Self::PriceNotFinite => "price-not-finite",
            Self::PriceTooLarge => "price-too-large",
        }
    }
}

/// Checks an order and returns what it is worth.
///
/// # Errors
///
/// The first broken rule, looking at `order_id`, then `product`, then `price`.
#[inline]
pub fn validate(order: &Order) -> Result<Amount, InvalidOrder> {
    if order.order_id.is_empty() {
        return Err(InvalidOrder::EmptyOrderId);
    }
    if order.product.chars().all(char::is_whitespace) {
        return Err(InvalidOrder::EmptyProduct);
    }
    Amount::from_price(order.price)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(order_id: &str, product: &str, price: f32, expected: Result<&str, InvalidOrder>) {
        let amount = validate(&Order::new(order_id, product, price));
        assert_eq!(amount.map(|amount| amount.to_string()), expected.map(str::to_owned));
    }

    #[test]
    fn the_order_id_is_checked_before_the_product_and_the_product_before_the_price() {
        check("", " ", -1.0, Err(InvalidOrder::EmptyOrderId));
        check("o", " ", -1.0, Err(InvalidOrder::EmptyProduct));
        check("o", "p", -1.0, Err(InvalidOrder::NegativePrice));
        check("o", "p", 1.0, Ok("1.0000"));
    }

    #[test]
    fn white_space_of_any_script_makes_no_product() {
        check("o", "", 1.0, Err(InvalidOrder::EmptyProduct));
        check("o", "\u{a0}\u{2003}\u{3000}\t\r\n", 1.0, Err(InvalidOrder::EmptyProduct));
        // Zero width space is no white space in Unicode.
        check("o", "\u{200b}", 1.0, Ok("1.0000"));
        check("o", " p ", 1.0, Ok("1.0000"));
    }

    #[test]
    fn an_order_id_of_white_space_is_a_name() {
        check(" ", "p", 1.0, Ok("1.0000"));
    }

    #[test]
    fn a_price_is_valid_when_finite_and_between_zero_and_the_limit() {
        check("o", "p", 0.0, Ok("0.0000"));
        check("o", "p", -0.0, Ok("0.0000"));
        check("o", "p", f32::MIN_POSITIVE, Ok("0.0000"));
        check("o", "p", -f32::MIN_POSITIVE, Err(InvalidOrder::NegativePrice));
        check("o", "p", PRICE_MAX, Ok("1000000000.0000"));
        check("o", "p", PRICE_MAX.next_up(), Err(InvalidOrder::PriceTooLarge));
        check("o", "p", f32::INFINITY, Err(InvalidOrder::PriceNotFinite));
        check("o", "p", f32::NEG_INFINITY, Err(InvalidOrder::PriceNotFinite));
        check("o", "p", f32::NAN, Err(InvalidOrder::PriceNotFinite));
    }
}
