//! When attempts fail: those that were asked for, and those of the store.

use amqp_io::consume::Trouble;
use amqp_io::received::Received;
use order_store::StoreError;
use orders::simulate;
use pipeline::failure::FailureReason;
use pipeline::retry::RetryPlan;
use service_kit::exit::AppError;

/// When attempts fail, and what follows.
#[derive(Debug, Clone)]
pub(crate) struct Failures {
    pub(crate) plan: RetryPlan,
    /// Share of attempts that fail on request.
    pub(crate) simulated_rate: f64,
    pub(crate) seed: u64,
}

impl Failures {
    /// The failure of this attempt that was asked for, if any.
    pub(crate) fn simulated(&self, order_id: &str, received: &Received) -> Result<(), Trouble> {
        let (attempt, redrives) = (received.attempt(), received.past.redrive_count);
        if simulate::fails(order_id, attempt, self.seed, redrives, self.simulated_rate) {
            let detail = format!("attempt {attempt} fails on request");
            return Err(Trouble::Failed(received.failure(FailureReason::Simulated, detail)));
        }
        Ok(())
    }
}

/// The end of a service whose store fails.
pub(crate) fn store_error(error: &StoreError) -> AppError {
    let failed = AppError::failed(error.to_string());
    match error {
        StoreError::InUse { .. } => failed.hint(
            "a second instance waits with --standby until it can take over; only order \
             services may each have their own --data-dir",
        ),
        _ => failed,
    }
}

/// The same, for a message in hand.
pub(crate) fn store_trouble(error: StoreError) -> Trouble {
    Trouble::Fatal(store_error(&error))
}
