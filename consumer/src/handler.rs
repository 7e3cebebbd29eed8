//! What happens to one order: checked, and failed on request.

use orders::{Amount, Order};
use pipeline::failure::{Failure, FailureReason};

/// Longest product name that is kept as an average, in bytes. Its record holds the name
/// twice and has to stay below the usual limit of a record, 1 MB.
const PRODUCT_BYTES_MAX: usize = 400_000;

/// The order handler with its simulated failures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Handler {
    /// Share of attempts that fail, 0.0 to 1.0.
    pub(crate) failure_rate: f64,
    /// Seed of the failures' formula.
    pub(crate) failure_seed: u64,
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
    ) -> Result<Amount, Failure> {
        let amount = orders::validate(order).map_err(|invalid| {
            use orders::InvalidOrder as I;
            let reason = match invalid {
                I::EmptyOrderId => FailureReason::EmptyOrderId,
                I::EmptyProduct => FailureReason::EmptyProduct,
                I::NegativePrice => FailureReason::NegativePrice,
                I::PriceNotFinite => FailureReason::PriceNotFinite,
                I::PriceTooLarge => FailureReason::PriceTooLarge,
            };
            failure(reason, invalid.to_string())
        })?;
        if order.product.len() > PRODUCT_BYTES_MAX {
            let detail = format!(
                "a product name of {} bytes is above the limit of {PRODUCT_BYTES_MAX}",
                order.product.len()
            );
            return Err(failure(FailureReason::Handler, detail));
        }
        let (rate, seed) = (self.failure_rate, self.failure_seed);
        if rate > 0.0 && orders::simulate::fails(&order.order_id, attempt, seed, redrives, rate) {
            let detail = format!("attempt {attempt} fails on request (--simulate-failures {rate})");
            return Err(failure(FailureReason::Simulated, detail));
        }
        Ok(amount)
    }
}

/// Invalid orders and simulated failures have no schema to blame, so fingerprints name none
/// until the caller adds the record's.
const fn failure(reason: FailureReason, detail: String) -> Failure {
    Failure { reason, schema_id: None, detail }
}
