//! What the demo plays. All of it follows from the seed.

use std::time::Duration;

use producer::generate::GeneratorSettings;

/// Orders that are sent.
pub const ORDERS: u64 = 160;

/// Orders per second. Together they take 8 s.
pub(crate) const ORDERS_PER_SECOND: u32 = 20;

/// Wait before each retry.
pub(crate) const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The story has failed when it is not over by then; it takes about 10 s.
pub(crate) const STORY_MAX: Duration = Duration::from_secs(60);

/// Products of the orders.
const PRODUCTS: std::num::NonZeroU32 = std::num::NonZeroU32::new(6).expect("six is not zero");

/// The numbers that decide what becomes of each order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Story {
    /// Seed of the orders and of the attempts that fail.
    pub seed: u64,
    /// Share of attempts that fail on request.
    pub failure_rate: f64,
    /// Attempts after the first one.
    pub max_retries: u32,
}

impl Story {
    /// In this story orders end in every way: at once, after one and two retries, dead.
    pub const SEED_DEFAULT: u64 = 7;

    /// Returns the story of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, failure_rate: 0.25, max_retries: 2 }
    }

    /// What is sent: the good orders and the planted bad ones.
    #[must_use]
    pub const fn generator(&self) -> GeneratorSettings {
        GeneratorSettings {
            seed: self.seed,
            products: PRODUCTS,
            negative_rate: 0.02,
            malformed_rate: 0.02,
        }
    }
}
