//! From what a customer asks for to an order.

use crate::price::loss;
use crate::{Amount, InvalidOrder, Menu, Order, PRICE_MAX, validate};

/// Most pieces of one order.
pub const QUANTITY_MAX: i32 = 1_000_000;
/// Longest user id and item, in bytes.
pub const TEXT_BYTES_MAX: usize = 256;

/// Who has to act, so that what went wrong does not happen again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// Whoever asked: the same request fails again, here and elsewhere.
    Client,
    /// Another service or server: the same request may succeed when it is back.
    Downstream,
    /// The program, or how it is set up.
    Us,
}

impl Blame {
    /// The name under which logs and metrics know it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Downstream => "downstream",
            Self::Us => "us",
        }
    }
}

/// What a customer asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderRequest {
    /// Who asks.
    pub user_id: String,
    /// What for: a name on the menu.
    pub item: String,
    /// How many pieces.
    pub quantity: i32,
    /// Price of the whole order; from the menu where it is missing.
    pub price: Option<f32>,
}

/// Why a request does not become an order. All of them blame the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Nobody asks.
    #[error("user_id is empty")]
    EmptyUserId,
    /// A text is longer than [`TEXT_BYTES_MAX`].
    #[error("{0} is longer than {TEXT_BYTES_MAX} bytes")]
    TooLong(&'static str),
    /// Less than one piece, or more than [`QUANTITY_MAX`].
    #[error("quantity {0} is not between 1 and {QUANTITY_MAX}")]
    Quantity(i32),
    /// The menu does not have it.
    #[error("item '{0}' is not on the menu")]
    UnknownItem(String),
    /// The order would break a rule that every order keeps.
    #[error(transparent)]
    Invalid(#[from] InvalidOrder),
}

impl PlaceError {
    /// Who has to act.
    pub const fn blame(&self) -> Blame {
        Blame::Client
    }

    /// The kebab-case name under which answers and metrics know it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::EmptyUserId => "empty-user-id",
            Self::TooLong(_) => "too-long",
            Self::Quantity(_) => "quantity",
            Self::UnknownItem(_) => "unknown-item",
            Self::Invalid(rule) => rule.as_str(),
        }
    }
}

/// Makes the order of a request. Its price is the whole order's: the one that the request
/// carries, or the menu's price times the quantity.
///
/// # Errors
///
/// The first rule that the request breaks, looking at [`check_wish`], menu and price.
pub fn place_order(
    request: &OrderRequest,
    menu: &Menu,
    order_id: impl Into<String>,
    created_at_ms: i64,
) -> Result<Order, PlaceError> {
    let OrderRequest { user_id, item, quantity, price } = request;
    check_wish(Some(user_id), item, *quantity)?;
    let on_menu = menu.item(item).ok_or_else(|| PlaceError::UnknownItem(item.clone()))?;
    let price = match price {
        Some(price) => *price,
        None => times(on_menu.price, *quantity)?,
    };
    let order = Order {
        user_id: Some(user_id.clone()),
        quantity: *quantity,
        created_at_ms: Some(created_at_ms),
        ..Order::new(order_id, item.clone(), price)
    };
    check_order(&order, menu)?;
    Ok(order)
}

/// Checks an order against every rule that [`place_order`] checks, whoever wrote it: an order may
/// reach inventory without having passed a front.
///
/// An order without a user was written before schema version 2, and breaks no rule by it.
///
/// # Errors
///
/// The first rule that the order breaks, looking at [`check_wish`], menu, id and price.
pub fn check_order(order: &Order, menu: &Menu) -> Result<Amount, PlaceError> {
    check_wish(order.user_id.as_deref(), &order.product, order.quantity)?;
    if menu.item(&order.product).is_none() {
        return Err(PlaceError::UnknownItem(order.product.clone()));
    }
    Ok(validate(order)?)
}

/// Checks the part of an order that does not need the menu: who asks, for what, and how many.
///
/// # Errors
///
/// The first rule that it breaks, looking at user, item and quantity.
pub fn check_wish(user_id: Option<&str>, item: &str, quantity: i32) -> Result<(), PlaceError> {
    if user_id.is_some_and(|user_id| user_id.chars().all(char::is_whitespace)) {
        return Err(PlaceError::EmptyUserId);
    }
    for (name, text) in [("user_id", user_id.unwrap_or_default()), ("item", item)] {
        if text.len() > TEXT_BYTES_MAX {
            return Err(PlaceError::TooLong(name));
        }
    }
    if !(1..=QUANTITY_MAX).contains(&quantity) {
        return Err(PlaceError::Quantity(quantity));
    }
    Ok(())
}

/// Says what becomes of the menu's price where it takes more digits than the order's float has:
/// 999,999 burgers at 8.99.
pub fn menu_price_loss(request: &OrderRequest, menu: &Menu, order: &Order) -> Option<String> {
    if request.price.is_some() {
        return None;
    }
    let one = Amount::from_price(menu.item(&request.item)?.price).ok()?.ten_thousandths();
    let exact = Amount::from_ten_thousandths(one * i128::from(request.quantity));
    let is_exact = Amount::from_price(order.price) == Ok(exact);
    (!is_exact).then(|| loss(&exact.to_string(), order.price))
}

/// The float nearest to the exact product.
fn times(price: f32, quantity: i32) -> Result<f32, InvalidOrder> {
    let one = Amount::from_price(price)?.ten_thousandths();
    let all = Amount::from_ten_thousandths(one * i128::from(quantity));
    let nearest: f32 = all.to_string().parse().expect("an amount is written as a number");
    if nearest > PRICE_MAX { Err(InvalidOrder::PriceTooLarge) } else { Ok(nearest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MenuItem, Stock};

    fn menu() -> Menu {
        let item = |price| MenuItem { price, stock: Stock::Unlimited };
        let items = [("burger", 8.99), ("gold", 1e9), ("water", 0.0)];
        Menu::new(items.map(|(name, price)| (name.to_owned(), item(price)))).unwrap()
    }

    fn request(item: &str, quantity: i32, price: Option<f32>) -> OrderRequest {
        OrderRequest { user_id: "u1".to_owned(), item: item.to_owned(), quantity, price }
    }

    #[track_caller]
    fn check(request: &OrderRequest, expected: Result<f32, PlaceError>) {
        assert_eq!(place_order(request, &menu(), "o-1", 7).map(|order| order.price), expected);
    }

    #[test]
    fn the_price_of_an_order_is_that_of_all_its_pieces() {
        check(&request("burger", 1, None), Ok(8.99));
        // 3 × the float nearest to 8.99 is 26.970001.
        check(&request("burger", 3, None), Ok(26.97));
        check(&request("water", 9, None), Ok(0.0));
        check(&request("gold", 2, None), Err(InvalidOrder::PriceTooLarge.into()));
        check(&request("gold", i32::MAX, None), Err(PlaceError::Quantity(i32::MAX)));
    }

    #[test]
    fn a_menu_price_that_no_float_holds_is_said() {
        let loss = |item: &str, quantity, price| {
            let request = request(item, quantity, price);
            let order = place_order(&request, &menu(), "o-1", 7).unwrap();
            menu_price_loss(&request, &menu(), &order)
        };
        assert_eq!(loss("burger", 3, None), None);
        let said = loss("burger", 999_999, None).unwrap();
        assert!(said.starts_with("price 8989991.0100 becomes 8989991:"), "{said}");
        assert_eq!(loss("burger", 999_999, Some(1.0)), None);
    }

    #[test]
    fn a_price_that_the_request_carries_is_not_multiplied() {
        check(&request("burger", 3, Some(1.5)), Ok(1.5));
        check(&request("burger", 3, Some(-1.5)), Err(InvalidOrder::NegativePrice.into()));
        check(&request("burger", 1, Some(f32::NAN)), Err(InvalidOrder::PriceNotFinite.into()));
    }

    #[test]
    fn a_request_without_user_known_item_or_quantity_is_the_clients_fault() {
        let nobody = OrderRequest { user_id: " ".to_owned(), ..request("burger", 1, None) };
        check(&nobody, Err(PlaceError::EmptyUserId));
        let long = OrderRequest { user_id: "u".repeat(257), ..request("burger", 1, None) };
        check(&long, Err(PlaceError::TooLong("user_id")));
        check(&request("ham", 1, None), Err(PlaceError::UnknownItem("ham".to_owned())));
        check(&request("burger", 0, None), Err(PlaceError::Quantity(0)));
        check(&request("burger", -1, None), Err(PlaceError::Quantity(-1)));
        let error = place_order(&nobody, &menu(), "o-1", 7).unwrap_err();
        assert_eq!((error.blame(), error.as_str()), (Blame::Client, "empty-user-id"));
    }

    #[test]
    fn an_order_that_no_front_has_seen_keeps_the_rules_of_the_front() {
        let good = place_order(&request("burger", 2, None), &menu(), "o-1", 7).unwrap();
        assert_eq!(check_order(&good, &menu()), Ok(Amount::from_price(17.98).unwrap()));
        assert!(check_order(&Order { user_id: None, ..good.clone() }, &menu()).is_ok());
        let rules: [(Order, &str); 9] = [
            (Order { quantity: 0, ..good.clone() }, "quantity"),
            (Order { quantity: -5, ..good.clone() }, "quantity"),
            (Order { quantity: QUANTITY_MAX + 1, ..good.clone() }, "quantity"),
            (Order { user_id: Some(" ".to_owned()), ..good.clone() }, "empty-user-id"),
            (Order { user_id: Some("u".repeat(257)), ..good.clone() }, "too-long"),
            (Order { product: "p".repeat(257), ..good.clone() }, "too-long"),
            (Order { product: "ham".to_owned(), ..good.clone() }, "unknown-item"),
            (Order { order_id: String::new(), ..good.clone() }, "empty-order-id"),
            (Order { price: -1.0, ..good }, "negative-price"),
        ];
        for (order, rule) in rules {
            assert_eq!(check_order(&order, &menu()).unwrap_err().as_str(), rule, "{order:?}");
        }
    }

    #[test]
    fn an_order_carries_who_what_how_many_and_when() {
        let order = place_order(&request("burger", 2, None), &menu(), "o-1", 7).unwrap();
        let expected = Order {
            user_id: Some("u1".to_owned()),
            quantity: 2,
            created_at_ms: Some(7),
            ..Order::new("o-1", "burger", 17.98)
        };
        assert_eq!(order, expected);
    }
}
