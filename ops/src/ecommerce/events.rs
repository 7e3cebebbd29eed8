//! What customers buy, as events of three topics.

use std::fmt;

use serde::Serialize;

/// What there is to buy.
const PRODUCTS: [&str; 8] =
    ["backpack", "bicycle", "burger", "espresso", "keyboard", "laptop", "notebook", "teapot"];

/// Customers who buy in turns.
const CUSTOMERS: u32 = 12;

/// One of the three topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// Orders that customers place, keyed by customer.
    Orders,
    /// What happens to the payment of an order, keyed by order.
    Payments,
    /// What is reserved of a product, keyed by product.
    Inventory,
}

impl Topic {
    /// All of them, in the order in which a purchase reaches them.
    pub const ALL: [Self; 3] = [Self::Orders, Self::Payments, Self::Inventory];

    /// What its records are keyed by.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Orders => "customer",
            Self::Payments => "order",
            Self::Inventory => "product",
        }
    }

    /// Its name behind a prefix: `ecommerce.orders`.
    #[must_use]
    pub fn name(self, prefix: &str) -> String {
        format!("{prefix}.{self}")
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Orders => "orders",
            Self::Payments => "payments",
            Self::Inventory => "inventory",
        })
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Where it is published.
    #[serde(skip)]
    pub topic: Topic,
    /// What its record is keyed by.
    #[serde(skip)]
    pub key: String,
    /// Counts the events of a run from 0, in the order in which they are published.
    pub number: u64,
    /// What happened.
    pub event: &'static str,
    /// The order that it is about.
    pub order: String,
    /// Who placed it.
    pub customer: String,
    /// What it is about: all products of an order, or the one that is reserved.
    pub products: Vec<&'static str>,
}

/// Events of so many orders, in the order in which they happen: placed by a customer; the payment authorized; each of
/// one or two products reserved; the payment captured. The same number gives the same events.
#[must_use]
pub fn of_purchases(orders: u32) -> Vec<Event> {
    let mut events = Vec::new();
    for n in 0..orders {
        let order = format!("o-{n}");
        let customer = format!("c-{}", n.wrapping_mul(5) % CUSTOMERS);
        let product = |at: u32| PRODUCTS[(at % 8) as usize];
        let mut products = vec![product(n.wrapping_mul(3))];
        if n.is_multiple_of(2) {
            products.push(product(n.wrapping_mul(3).wrapping_add(1)));
        }
        let mut add = |topic, key: &str, event, products: Vec<&'static str>| {
            events.push(Event {
                topic,
                key: key.to_owned(),
                number: events.len() as u64,
                event,
                order: order.clone(),
                customer: customer.clone(),
                products,
            });
        };
        add(Topic::Orders, &customer, "order-placed", products.clone());
        add(Topic::Payments, &order, "payment-authorized", products.clone());
        for product in products.clone() {
            add(Topic::Inventory, product, "stock-reserved", vec![product]);
        }
        add(Topic::Payments, &order, "payment-captured", products);
    }
    events
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_order_is_placed_then_paid_then_reserved_and_each_topic_has_its_key() {
        let events = of_purchases(1);
        let told: Vec<_> =
            events.iter().map(|e| (e.number, e.topic, e.key.as_str(), e.event)).collect();
        assert_eq!(
            told,
            [
                (0, Topic::Orders, "c-0", "order-placed"),
                (1, Topic::Payments, "o-0", "payment-authorized"),
                (2, Topic::Inventory, "backpack", "stock-reserved"),
                (3, Topic::Inventory, "bicycle", "stock-reserved"),
                (4, Topic::Payments, "o-0", "payment-captured"),
            ]
        );
    }

    #[test]
    fn keys_come_again_so_that_there_is_an_order_to_keep() {
        let events = of_purchases(60);
        for topic in Topic::ALL {
            let of_topic: Vec<_> = events.iter().filter(|event| event.topic == topic).collect();
            let keys: BTreeSet<_> = of_topic.iter().map(|event| &event.key).collect();
            assert!(keys.len() > 3 && of_topic.len() >= 2 * keys.len(), "{topic}: {}", keys.len());
        }
        assert_eq!(of_purchases(60), events, "the same number gives the same events");
    }
}
