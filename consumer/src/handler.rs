//! What happens to one order: checked, and failed on request.

use std::time::{Duration, Instant};

use orders::{Amount, Order};
use pipeline::failure::{Failure, FailureReason, ReasonName};
use relane::stage::HandleError;

/// Longest product name that is kept as an average, in bytes. Its record holds the name
/// twice and has to stay below the usual limit of a record, 1 MB.
const PRODUCT_BYTES_MAX: usize = 400_000;

/// Why an order is refused whose product name is longer.
const PRODUCT_TOO_LONG: ReasonName = ReasonName::of("product-too-long");

/// The order handler with its simulated failures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Handler {
    /// How long each attempt waits first.
    pub(crate) latency: Duration,
    /// Share of attempts that fail, 0.0 to 1.0.
    pub(crate) failure_rate: f64,
    /// Seed of the failures' formula.
    pub(crate) failure_seed: u64,
    /// Everything fails until then, as if what orders need were away.
    pub(crate) outage_until: Option<Instant>,
}

impl Handler {
    /// Makes one attempt at an order and returns the amount to count.
    ///
    /// # Errors
    ///
    /// Fails as the business rules or the simulated failure say.
    pub(crate) fn attempt(
        &self,
        order: &Order,
        attempt: u32,
        redrives: u32,
    ) -> Result<Amount, HandleError> {
        let amount = orders::validate(order).map_err(|invalid| {
            use orders::InvalidOrder as I;
            let reason = match invalid {
                I::EmptyOrderId => FailureReason::EmptyOrderId,
                I::EmptyProduct => FailureReason::EmptyProduct,
                I::NegativePrice => FailureReason::NegativePrice,
                I::PriceNotFinite => FailureReason::PriceNotFinite,
                I::PriceTooLarge => FailureReason::PriceTooLarge,
            };
            HandleError::Failed(failure(reason, invalid.to_string()))
        })?;
        if order.product.len() > PRODUCT_BYTES_MAX {
            let detail = format!(
                "a product name of {} bytes is above the limit of {PRODUCT_BYTES_MAX}",
                order.product.len()
            );
            return Err(HandleError::permanent(PRODUCT_TOO_LONG, detail));
        }
        if self.outage_until.is_some_and(|until| Instant::now() < until) {
            let detail = "the downstream refuses on request (--simulate-outage)";
            return Err(HandleError::away(detail));
        }
        let (rate, seed) = (self.failure_rate, self.failure_seed);
        if rate > 0.0 && orders::simulate::fails(&order.order_id, attempt, seed, redrives, rate) {
            let detail = format!("attempt {attempt} fails on request (--simulate-failures {rate})");
            return Err(HandleError::Failed(failure(FailureReason::Simulated, detail)));
        }
        Ok(amount)
    }
}

/// Invalid orders and simulated failures have no schema to blame, so fingerprints name none
/// until the caller adds the record's.
const fn failure(reason: FailureReason, detail: String) -> Failure {
    Failure { reason, schema_id: None, detail }
}
