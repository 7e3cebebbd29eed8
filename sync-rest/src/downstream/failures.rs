//! What a call that failed says of the service that was asked.

use std::sync::atomic::Ordering;
use std::time::Duration;

use codec::registry::root_cause;

use super::{Downstream, Failed, RETRY_AFTER};
use crate::breaker::{Open, Trouble};
use crate::call_error::{Begun, CallError};

impl Downstream {
    pub(super) fn not_sent(&self, error: &reqwest::Error) -> Failed {
        self.is_unreachable.store(error.is_connect(), Ordering::Relaxed);
        if error.is_connect() {
            let detail = format!("no connection to {}: {}", self.base, root_cause(error));
            return self.away(Begun::Nothing, detail).into();
        }
        let detail = format!("the connection broke: {}", root_cause(error));
        Failed { error: self.away(Begun::Perhaps, detail), is_repeatable: true }
    }

    pub(super) fn overdue_before(&self) -> CallError {
        let detail = "the deadline had passed before the call".to_owned();
        CallError { is_overdue: true, ..self.error(None, Begun::Nothing, detail) }
    }

    pub(super) fn overdue(&self, given: Duration) -> CallError {
        self.is_unreachable.store(false, Ordering::Relaxed);
        let trouble = self.slow_if_fair(Some(given));
        let detail = format!("no answer within the remaining {} ms", given.as_millis());
        CallError { is_overdue: true, ..self.error(trouble, Begun::Perhaps, detail) }
    }

    /// A late answer is the service's fault only if it was given a fair time.
    pub(super) fn slow_if_fair(&self, given: Option<Duration>) -> Option<Trouble> {
        given.is_none_or(|given| given >= self.fair_time).then_some(Trouble::Slow)
    }

    pub(super) fn refused(&self, open: Open) -> CallError {
        let word = open.trouble.word();
        let detail = format!("it was {word} a moment ago and is not called now");
        let error = self.error(Some(open.trouble), Begun::Nothing, detail);
        CallError { retry_after: open.retry_after, ..error }
    }

    /// The error of an answer that this service does not expect.
    pub fn misunderstood(&self, status: u16) -> CallError {
        let detail = format!("it answered {status}; do both services run the same version?");
        self.away(Begun::Perhaps, detail)
    }

    pub(super) fn away(&self, begun: Begun, detail: String) -> CallError {
        self.error(Some(Trouble::Away), begun, detail)
    }

    pub(super) fn error(
        &self,
        trouble: Option<Trouble>,
        begun: Begun,
        detail: String,
    ) -> CallError {
        let (service, retry_after) = (self.name, RETRY_AFTER);
        CallError { service, trouble, is_overdue: false, begun, detail, retry_after }
    }
}
