//! An order as a client asked for it.

use orders::{Menu, Order, OrderRequest, PlaceError, menu_price_loss, place_order};
use service_kit::clock::now_ms;
use service_kit::http::{Problem, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::body::{JsonOrder, invalid_order, json_order};
use crate::idempotency;
use crate::known::Wish;
use crate::paradigm::NewOrder;

/// Longest order id that is taken from a client.
const ORDER_ID_CHARS_MAX: usize = 128;

/// What a client asked for, and what it said of the record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) request: OrderRequest,
    /// Only a record brings its own id.
    own_id: Option<String>,
    created_at_ms: Option<i64>,
    /// What becomes of the price, if the record cannot carry it as it is.
    price_loss: Option<String>,
}

impl Asked {
    pub(crate) fn by_json(order: JsonOrder) -> Self {
        let JsonOrder { user_id, item, quantity, price, price_loss } = order;
        let request = OrderRequest { user_id, item, quantity, price };
        Self { request, own_id: None, created_at_ms: None, price_loss }
    }

    /// Takes a record, whose id must do as a part of a URL.
    pub(crate) fn by_record(order: Order) -> Result<Self, Problem> {
        check_order_id(&order.order_id)?;
        let request = OrderRequest {
            user_id: order.user_id.unwrap_or_default(),
            item: order.product,
            quantity: order.quantity,
            price: Some(order.price),
        };
        let (own_id, created_at_ms) = (Some(order.order_id), order.created_at_ms);
        Ok(Self { request, own_id, created_at_ms, price_loss: None })
    }

    /// The id of its order: the record's own, else the key's, else a new one.
    pub(crate) fn order_id(&self, key: Option<&str>) -> String {
        match (&self.own_id, key) {
            (Some(own), _) => own.clone(),
            (None, Some(key)) => idempotency::order_id_of(key),
            (None, None) => idempotency::random_order_id(),
        }
    }
}

impl Asked {
    /// The order, checked and priced.
    ///
    /// # Errors
    ///
    /// 422 if it cannot be placed as it is.
    pub(crate) fn into_new(self, order_id: String, menu: &Menu) -> Result<NewOrder, Problem> {
        let created_at_ms = self.created_at_ms.unwrap_or_else(now_ms);
        match place_order(&self.request, menu, order_id, created_at_ms) {
            Ok(order) => {
                let fingerprint = self.fingerprint();
                let Self { request, price_loss, .. } = self;
                let warning = price_loss.or_else(|| menu_price_loss(&request, menu, &order));
                Ok(NewOrder { request, order, warning, fingerprint })
            }
            Err(PlaceError::UnknownItem(_)) => Err(unknown_item()),
            Err(error) => Err(invalid_order(error.to_string()).with("rule", error.as_str())),
        }
    }

    /// Tells this order from any other: the same for the same wish, in whatever form it came.
    pub(crate) fn fingerprint(&self) -> String {
        let OrderRequest { user_id, item, quantity, price } = &self.request;
        fingerprint(user_id, item, *quantity, *price)
    }
}

fn fingerprint(user_id: &str, item: &str, quantity: i32, price: Option<f32>) -> String {
    let mut hash = Sha256::new();
    for text in [user_id, item] {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    hash.update(quantity.to_be_bytes());
    hash.update(price.map_or([0xff; 4], |price| price.to_bits().to_be_bytes()));
    let digest = hash.finalize();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a fingerprint is of this wish; whether its price was the client's or the menu's is not
/// known of it.
pub(crate) fn is_fingerprint_of(fingerprint_known: &str, wish: &Wish) -> bool {
    let user_id = wish.user_id.as_deref().unwrap_or_default();
    let of = |price| fingerprint(user_id, &wish.item, wish.quantity, price);
    [None, Some(wish.price)].into_iter().any(|price| of(price) == fingerprint_known)
}

/// Reads one JSON order outside the front, such as one of many in a body: under the id that
/// belongs to `key`, or under a new one.
///
/// # Errors
///
/// 400 for what is no JSON, 422 for what is no order, or none that can be placed as it is.
pub fn read_json(body: &[u8], key: Option<&str>, menu: &Menu) -> Result<NewOrder, Problem> {
    let asked = Asked::by_json(json_order(body)?);
    let order_id = asked.order_id(key);
    asked.into_new(order_id, menu)
}

/// An id from a client stands in URLs, logs and headers.
///
/// # Errors
///
/// 422 if it could not.
pub fn check_order_id(order_id: &str) -> Result<(), Problem> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
    if (1..=ORDER_ID_CHARS_MAX).contains(&order_id.len()) && order_id.bytes().all(is_allowed) {
        return Ok(());
    }
    let detail = format!(
        "an orderId has 1 to {ORDER_ID_CHARS_MAX} letters, digits and any of . _ : - over HTTP"
    );
    Err(invalid_order(detail))
}

fn unknown_item() -> Problem {
    let detail = "the menu has no such item";
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(status, "unknown-item", "The item is unknown", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(user_id: &str, item: &str, quantity: i32, price: Option<f32>) -> Asked {
        let (user_id, item) = (user_id.to_owned(), item.to_owned());
        Asked::by_json(JsonOrder { user_id, item, quantity, price, price_loss: None })
    }

    #[test]
    fn any_other_wish_has_another_fingerprint() {
        let all = [
            asked("u1", "burger", 1, None),
            asked("u1b", "urger", 1, None),
            asked("u1", "burger", 2, None),
            asked("u1", "burger", 1, Some(0.0)),
            asked("u1", "burger", 1, Some(9.5)),
        ];
        for (i, one) in all.iter().enumerate() {
            for (j, other) in all.iter().enumerate() {
                assert_eq!(one.fingerprint() == other.fingerprint(), i == j, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn an_order_id_from_a_client_can_stand_in_a_url() {
        assert!(check_order_id("o-1:a.B_2").is_ok());
        for id in ["", "a/b", "a b", "ä", "..%2f", &"x".repeat(129)] {
            assert_eq!(check_order_id(id).unwrap_err().status().as_u16(), 422, "{id}");
        }
    }
}
