//! What must become of each order, computed anew from the contract.
//!
//! Nothing here calls the product's decoder, money, simulated failures or averages: two
//! computations that share no code can only agree by both being right.

mod avro;
mod decimal;

use std::collections::BTreeMap;

use order_schemas::OrderVersion;

pub use decimal::{decimal4, nearest_average, ten_thousandths};

use crate::input::OrderEncoder;

/// Largest valid price.
const PRICE_MAX: f64 = 1e9;

/// The settings of the consumer that decide about fates.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Further attempts after the first.
    pub max_retries: u32,
    /// Share of attempts that fail on request.
    pub failure_rate: f64,
    /// Seed of these failures.
    pub failure_seed: u64,
    /// What the registry knows under each id.
    pub schemas: BTreeMap<u32, OrderVersion>,
    /// Whether a writer was killed: the broker aborts what it left open up to 20 s later, and
    /// the marker of that may come after everything was settled.
    pub writers_killed: bool,
}

/// What must become of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Fate {
    /// Id and product, where they can be read.
    pub order: Option<(String, String)>,
    /// Attempts made until the end.
    pub attempts: u32,
    /// How it ends.
    pub end: End,
}

/// How an order ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// Counted with this amount, in ten-thousandths.
    Counted(i128),
    /// A dead letter.
    Dead {
        /// Class of the failure.
        class: &'static str,
        /// Reason of the failure.
        reason: &'static str,
    },
}

impl Rules {
    /// The consumer's defaults, for orders of these encoders.
    pub fn new(encoders: &[&OrderEncoder]) -> Self {
        let schemas = encoders.iter().map(|encoder| (encoder.schema_id, encoder.version)).collect();
        Self { max_retries: 3, failure_rate: 0.0, failure_seed: 42, schemas, writers_killed: false }
    }

    /// The rules with `--simulate-failures`.
    #[must_use]
    pub fn failing(mut self, rate: f64) -> Self {
        self.failure_rate = rate;
        self
    }

    /// The rules where a consumer was ended in the middle of its work.
    #[must_use]
    pub const fn after_kills(mut self) -> Self {
        self.writers_killed = true;
        self
    }

    /// What must become of a record with this value.
    pub fn fate(&self, value: Option<&[u8]>) -> Fate {
        let dead =
            |order, class, reason| Fate { order, attempts: 1, end: End::Dead { class, reason } };
        let order = match self.read(value) {
            Ok(order) => order,
            Err((class, reason)) => return dead(None, class, reason),
        };
        let names = Some((order.order_id.clone(), order.product.clone()));
        if let Some(reason) = fault(&order) {
            return dead(names, "invalid", reason);
        }
        let attempts_max = self.max_retries + 1;
        let fails = |a: &u32| fails(&order.order_id, *a, self.failure_seed, self.failure_rate);
        match (1..=attempts_max).find(|attempt| !fails(attempt)) {
            Some(attempts) => {
                Fate { order: names, attempts, end: End::Counted(ten_thousandths(order.price)) }
            }
            None => Fate {
                order: names,
                attempts: attempts_max,
                end: End::Dead { class: "transient", reason: "simulated" },
            },
        }
    }

    fn read(&self, value: Option<&[u8]>) -> Result<avro::OrderBody, (&'static str, &'static str)> {
        let value = value.ok_or(("malformed", "no-value"))?;
        let (head, body) = value.split_at_checked(5).ok_or(("malformed", "too-short"))?;
        if head[0] != 0 {
            return Err(("malformed", "bad-magic"));
        }
        let id = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let version = self.schemas.get(&id).ok_or(("unknown-schema", "schema-not-found"))?;
        let mut rest = body;
        let order = avro::order(&mut rest, *version).ok_or(("malformed", "avro-decode"))?;
        if rest.is_empty() { Ok(order) } else { Err(("malformed", "trailing-bytes")) }
    }
}

fn fault(order: &avro::OrderBody) -> Option<&'static str> {
    let price = f64::from(order.price);
    if order.order_id.is_empty() {
        Some("empty-order-id")
    } else if order.product.chars().all(char::is_whitespace) {
        Some("empty-product")
    } else if !price.is_finite() {
        Some("price-not-finite")
    } else if price < 0.0 {
        Some("negative-price")
    } else if price > PRICE_MAX {
        Some("price-too-large")
    } else {
        None
    }
}

/// Whether an attempt fails on request, by the contract's formula.
pub fn fails(order_id: &str, attempt: u32, seed: u64, rate: f64) -> bool {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000")]
    let threshold = (rate * 10_000.0).round() as u32;
    crc32fast::hash(format!("{order_id}:{attempt}:{seed}").as_bytes()) % 10_000 < threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let schemas = [(7, OrderVersion::V1), (8, OrderVersion::V2)].into();
        Rules {
            max_retries: 3,
            failure_rate: 0.0,
            failure_seed: 42,
            schemas,
            writers_killed: false,
        }
    }

    /// `{"orderId":"a","product":"te","price":1.5}` under schema 7, by hand.
    const ORDER: [u8; 14] = [0, 0, 0, 0, 7, 2, b'a', 4, b't', b'e', 0, 0, 0xc0, 0x3f];

    fn reason(value: Option<&[u8]>) -> &'static str {
        match rules().fate(value).end {
            End::Dead { reason, .. } => reason,
            End::Counted(_) => "counted",
        }
    }

    #[test]
    fn a_good_order_is_counted_at_its_first_attempt() {
        let fate = rules().fate(Some(&ORDER));
        let order = Some(("a".to_owned(), "te".to_owned()));
        assert_eq!(fate, Fate { order, attempts: 1, end: End::Counted(15_000) });
    }

    #[test]
    fn bytes_that_are_no_order_name_their_reason() {
        let with = |index: usize, byte: u8| {
            let mut value = ORDER;
            value[index] = byte;
            value
        };
        assert_eq!(reason(None), "no-value");
        assert_eq!(reason(Some(b"1234")), "too-short");
        assert_eq!(reason(Some(&with(0, 1))), "bad-magic");
        assert_eq!(reason(Some(&with(4, 9))), "schema-not-found");
        assert_eq!(reason(Some(&ORDER[..13])), "avro-decode");
        assert_eq!(reason(Some(&[&ORDER[..], &[0]].concat())), "trailing-bytes");
        assert_eq!(reason(Some(&with(13, 0xbf))), "negative-price");
        assert_eq!(reason(Some(&with(13, 0x7f))), "price-not-finite");
    }

    #[test]
    fn failures_follow_the_formula_and_end_after_the_last_attempt() {
        let fates: Vec<Fate> = (0..2_000_u32)
            .map(|n| {
                let id = format!("{n:04}");
                let body = [&[8][..], id.as_bytes(), &[4, b't', b'e', 0, 0, 0xc0, 0x3f]].concat();
                rules().failing(0.5).fate(Some(&[&[0, 0, 0, 0, 7][..], &body].concat()))
            })
            .collect();
        for attempts in 1..=4 {
            let some = fates.iter().filter(|fate| fate.attempts == attempts);
            let expected = if attempts == 4 { 250.0 } else { 2_000.0 / f64::from(1 << attempts) };
            let share = some.count() as f64 / expected;
            assert!((0.8..1.2).contains(&share), "{attempts} attempts: {share} of {expected}");
        }
        assert!(
            fates
                .iter()
                .filter(|fate| matches!(fate.end, End::Dead { .. }))
                .all(|f| f.attempts == 4)
        );
        // zlib.crc32(b"a:1:42") is 2,339,209,358.
        assert!(!fails("a", 1, 42, 0.9358) && fails("a", 1, 42, 0.9359));
    }
}
