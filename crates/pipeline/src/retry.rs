//! How often and how late a failed record is tried again.

use std::time::Duration;

/// Checked retry plan: a delay for each attempt, the last one repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPlan {
    max_retries: u32,
    delays: Vec<Duration>,
    jitter: f64,
}

/// Why a retry plan was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RetryPlanError {
    /// No delay was given.
    #[error("the list of retry delays is empty; give at least one, such as 2s")]
    NoDelay,
    /// A delay is beyond what a due time can hold in practice.
    #[error("a retry delay of {0:?} is above the limit of 30 days")]
    DelayTooLong(Duration),
    /// The jitter is not a share.
    #[error("a retry jitter of {0} is not between 0.0 and 1.0")]
    JitterOutOfRange(f64),
}

impl RetryPlan {
    /// Longest delay that is accepted.
    pub const DELAY_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

    /// Checks a plan: `max_retries` further attempts after the first, `delays` by attempt,
    /// each delay spread by up to `jitter` of itself.
    ///
    /// # Errors
    ///
    /// Fails for an empty list, a delay above [`Self::DELAY_MAX`] or a jitter outside 0..=1.
    pub fn new(
        max_retries: u32,
        delays: Vec<Duration>,
        jitter: f64,
    ) -> Result<Self, RetryPlanError> {
        if delays.is_empty() {
            return Err(RetryPlanError::NoDelay);
        }
        if let Some(delay) = delays.iter().find(|delay| **delay > Self::DELAY_MAX) {
            return Err(RetryPlanError::DelayTooLong(*delay));
        }
        if !(0.0..=1.0).contains(&jitter) {
            return Err(RetryPlanError::JitterOutOfRange(jitter));
        }
        Ok(Self { max_retries, delays, jitter })
    }

    /// The same waits, as long as they are said to be.
    #[must_use]
    pub const fn exact(mut self) -> Self {
        self.jitter = 0.0;
        self
    }

    /// Attempts in all: the first one and its retries.
    pub const fn attempts_max(&self) -> u32 {
        self.max_retries.saturating_add(1)
    }

    /// Wait after failed attempt number `attempt` (the first is 1), or `None` when it was the
    /// last. `spread` in 0..1 places the record inside the jitter; a record is never early.
    pub fn delay_after(&self, attempt: u32, spread: f64) -> Option<Duration> {
        if attempt >= self.attempts_max() {
            return None;
        }
        let index = (attempt.max(1) - 1) as usize;
        let delay = self.delays[index.min(self.delays.len() - 1)];
        Some(delay.mul_f64(1.0 + self.jitter * spread.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn each_attempt_has_its_delay_and_the_last_one_is_repeated() {
        let plan = RetryPlan::new(4, vec![secs(2), secs(30), secs(300)], 0.0).unwrap();
        let delays: Vec<_> = (1..=5).map(|attempt| plan.delay_after(attempt, 0.5)).collect();
        let expected = [Some(secs(2)), Some(secs(30)), Some(secs(300)), Some(secs(300)), None];
        assert_eq!(delays, expected);
    }

    #[test]
    fn without_retries_the_first_failure_is_the_last() {
        let plan = RetryPlan::new(0, vec![secs(2)], 0.0).unwrap();
        assert_eq!(plan.delay_after(1, 0.0), None);
    }

    #[test]
    fn jitter_only_adds_up_to_its_share() {
        let plan = RetryPlan::new(1, vec![secs(10)], 0.2).unwrap();
        assert_eq!(plan.delay_after(1, 0.0), Some(secs(10)));
        assert_eq!(plan.delay_after(1, 1.0), Some(secs(12)));
        assert_eq!(plan.delay_after(1, 7.0), Some(secs(12)));
    }

    #[test]
    fn a_plan_that_cannot_work_is_refused() {
        assert_eq!(RetryPlan::new(1, vec![], 0.0), Err(RetryPlanError::NoDelay));
        assert_eq!(
            RetryPlan::new(1, vec![secs(1)], 1.5),
            Err(RetryPlanError::JitterOutOfRange(1.5))
        );
        assert!(RetryPlan::new(1, vec![secs(1)], f64::NAN).is_err());
        let long = RetryPlan::DELAY_MAX + secs(1);
        assert_eq!(RetryPlan::new(1, vec![long], 0.0), Err(RetryPlanError::DelayTooLong(long)));
    }
}
