//! Attempts of inventory that fail on request: 503, and nothing is decided.
//!
//! Over HTTP nobody counts the attempts at an order: each is a request of its own. Here they are counted from the failures
//! before it, so that the same orders fail at their first attempt as on the other two flows.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use orders::simulate;
use service_kit::http::{Problem, StatusCode};

/// Orders whose failures are remembered. When there are more, all of them are forgotten: their next attempt is a first one.
const FAILED_MAX: usize = 100_000;
/// When to come again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Which attempts fail.
#[derive(Debug)]
pub(crate) struct Failures {
    /// Share of the attempts.
    rate: f64,
    seed: u64,
    /// Attempts that have failed so far, by order.
    failed: Mutex<HashMap<String, u32>>,
}

impl Failures {
    /// Those of this share of attempts.
    pub(crate) fn new(rate: f64, seed: u64) -> Self {
        Self { rate, seed, failed: Mutex::default() }
    }

    /// Fails if this attempt at an order was asked to.
    pub(crate) fn check(&self, order_id: &str) -> Result<(), Problem> {
        let Some(attempt) = self.failing(order_id) else { return Ok(()) };
        let detail = format!("attempt {attempt} fails on request; nothing was decided");
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Err(Problem::new(status, "simulated", "Failed on request", detail)
            .with("order_id", order_id)
            .retry_after(RETRY_AFTER))
    }

    /// The number of this attempt, from 1, if it fails.
    fn failing(&self, order_id: &str) -> Option<u32> {
        if self.rate <= 0.0 {
            return None;
        }
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = failed.get(order_id).copied().unwrap_or(0).saturating_add(1);
        if !simulate::fails(order_id, attempt, self.seed, 0, self.rate) {
            return None;
        }
        if failed.len() >= FAILED_MAX {
            failed.clear();
        }
        failed.insert(order_id.to_owned(), attempt);
        Some(attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_fail_by_the_published_formula_until_one_does_not() {
        let (rate, seed) = (0.5, 7);
        let failures = Failures::new(rate, seed);
        for n in 0..100 {
            let id = format!("o-{n}");
            let by_formula = (1..).take_while(|a| simulate::fails(&id, *a, seed, 0, rate)).count();
            let failed = std::iter::from_fn(|| failures.check(&id).err()).count();
            assert_eq!(failed, by_formula, "{id}");
            assert!(failures.check(&id).is_ok(), "a repeated call is the same attempt: {id}");
        }
    }

    #[test]
    fn without_a_share_nothing_fails_and_nothing_is_remembered() {
        let failures = Failures::new(0.0, 42);
        assert!((0..100).all(|n| failures.check(&format!("o-{n}")).is_ok()));
        assert!(failures.failed.lock().unwrap().is_empty());
    }
}
