//! What clients ask for in one run: orders with names of their own, and when each request is to be sent.

use std::collections::HashMap;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

/// Users that orders are spread over.
const USERS: u32 = 1_000;
/// How long after a request its client sends it again, where it does.
const AGAIN_AFTER_US: u64 = 100_000;
/// What the id of an order is made of besides its key, as docs/paradigms.md says.
const KEY_CONTEXT: &[u8] = b"order of idempotency key\0";

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The client's name for it.
    pub key: String,
    /// The id that follows from it, the same in every flow.
    pub order_id: String,
    /// Place of its item among the items: orders of one item have an order among themselves.
    pub item: usize,
    /// The request's body.
    pub body: String,
}

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The first of an order.
    Order(usize),
    /// The same request once more, as a client sends it that has lost the answer.
    Again(usize),
    /// An invalid message.
    Poison,
}

/// A request and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Planned time, in microseconds from the start of the run.
    pub at_us: u64,
    /// What is sent.
    pub what: What,
}

/// All that is sent in one run.
#[derive(Debug, Clone, Default)]
pub struct Asks {
    /// The orders, in the order of their planned times.
    pub orders: Vec<Asked>,
    /// The requests, in the order of theirs.
    pub requests: Vec<Request>,
    /// Place of each order by its id.
    pub by_id: HashMap<String, usize>,
}

/// Shares of requests that are not just an order.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Shares {
    /// Orders that an invalid message accompanies.
    pub poison: f64,
    /// Orders that are sent twice.
    pub again: f64,
}

/// The id of the order with this key.
#[must_use]
pub fn order_id_of(key: &str) -> String {
    let digest = Sha256::new().chain_update(KEY_CONTEXT).chain_update(key).finalize();
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Asks {
    /// Returns what is asked for at these times; `run` begins the keys, and must be unique.
    #[must_use]
    pub fn new(run: &str, planned_us: &[u64], items: &[String], shares: Shares, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x00a5_4ed0);
        let mut asks = Self::default();
        for (place, &at_us) in planned_us.iter().enumerate() {
            let (item, user) = (random.random_range(0..items.len()), random.random_range(0..USERS));
            // As a batch under the key `run` names its orders.
            let key = format!("{run}#{place}");
            let name = &items[item];
            let body = format!(r#"{{"user_id":"u{user}","item":"{name}","quantity":1}}"#);
            let order_id = order_id_of(&key);
            asks.by_id.insert(order_id.clone(), place);
            asks.orders.push(Asked { key, order_id, item, body });
            asks.requests.push(Request { at_us, what: What::Order(place) });
            if random.random::<f64>() < shares.poison {
                asks.requests.push(Request { at_us, what: What::Poison });
            }
            if random.random::<f64>() < shares.again {
                let at_us = at_us + AGAIN_AFTER_US;
                asks.requests.push(Request { at_us, what: What::Again(place) });
            }
        }
        asks.requests.sort_by_key(|request| request.at_us);
        asks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(shares: Shares) -> Asks {
        let planned: Vec<u64> = (1..=10_000).map(|n| n * 1_000).collect();
        Asks::new("r1", &planned, &["tea".to_owned(), "cake".to_owned()], shares, 5)
    }

    #[test]
    fn the_id_of_an_order_is_the_one_that_every_flow_makes_of_its_key() {
        assert_eq!(order_id_of("breakfast-1"), "f981a6be7fea2f32baa4db2edbf7f0bc");
    }

    #[test]
    fn every_order_has_a_request_at_its_planned_time_and_names_of_its_own() {
        let asks = asks(Shares::default());
        assert_eq!(
            (asks.orders.len(), asks.requests.len(), asks.by_id.len()),
            (10_000, 10_000, 10_000)
        );
        assert!(asks.requests.iter().enumerate().all(|(n, r)| r.what == What::Order(n)));
        let teas = asks.orders.iter().filter(|order| order.item == 0).count();
        assert!((4_700..5_300).contains(&teas), "{teas}");
    }

    #[test]
    fn shares_of_poison_and_of_repeats_are_kept_and_repeats_come_later() {
        let asks = asks(Shares { poison: 0.01, again: 0.05 });
        let count = |is: fn(&What) -> bool| asks.requests.iter().filter(|r| is(&r.what)).count();
        let poison = count(|what| matches!(what, What::Poison));
        let again = count(|what| matches!(what, What::Again(_)));
        assert!((60..150).contains(&poison) && (400..600).contains(&again), "{poison} {again}");
        assert!(asks.requests.is_sorted_by_key(|request| request.at_us));
        for (place, request) in asks.requests.iter().enumerate() {
            let What::Again(order) = request.what else { continue };
            let first = asks.requests.iter().position(|r| r.what == What::Order(order));
            assert!(first.is_some_and(|first| first < place));
        }
    }
}
