//! Where a record goes after an attempt: a value, decided without I/O.

use std::time::Duration;

use crate::failure::Failure;
use crate::retry::RetryPlan;

/// Next stop of a record that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Another attempt after this wait.
    Retry(Duration),
    /// No further attempt.
    DeadLetter,
}

/// Picks the next stop of a record whose attempt number `attempt` (the first is 1) failed.
///
/// A failure of the surroundings (registry, broker or downstream away) never comes here: it
/// is not a route, the record simply stays unsettled. `spread` is a random share in 0..1.
pub fn route(failure: &Failure, attempt: u32, plan: &RetryPlan, spread: f64) -> Route {
    if !failure.class().is_transient() {
        return Route::DeadLetter;
    }
    plan.delay_after(attempt, spread).map_or(Route::DeadLetter, Route::Retry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{FailureClass, FailureReason};

    #[track_caller]
    fn check(reason: FailureReason, attempt: u32, expected: Route) {
        let plan = RetryPlan::new(2, vec![Duration::from_secs(2)], 0.0).unwrap();
        let failure = Failure { reason, schema_id: None, detail: String::new() };
        assert_eq!(route(&failure, attempt, &plan, 0.0), expected);
    }

    #[test]
    fn a_transient_failure_is_retried_until_the_attempts_are_used_up() {
        let wait = Route::Retry(Duration::from_secs(2));
        check(FailureReason::Simulated, 1, wait);
        check(FailureReason::Handler, 2, wait);
        check(FailureReason::Simulated, 3, Route::DeadLetter);
    }

    #[test]
    fn every_other_class_is_dead_lettered_on_its_first_attempt() {
        for reason in FailureReason::ALL {
            if reason.class() != FailureClass::Transient {
                check(reason, 1, Route::DeadLetter);
            }
        }
    }
}
