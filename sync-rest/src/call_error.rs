//! A call without an answer.

use std::fmt;
use std::time::Duration;

use crate::breaker::Trouble;

/// Whether a failed call may have had an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// Surely nothing was done.
    Nothing,
    /// The call was sent, and it is not known what became of it.
    Perhaps,
}

/// A call without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The service.
    pub service: &'static str,
    /// What is wrong with it; `None` if only the deadline was too short.
    pub trouble: Option<Trouble>,
    /// Whether the deadline passed.
    pub is_overdue: bool,
    /// Whether it may have had an effect.
    pub begun: Begun,
    /// What happened.
    pub detail: String,
    /// When it is worth trying again.
    pub retry_after: Duration,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.service, self.detail)
    }
}

/// The last error, knowing that an earlier try may have had an effect.
pub(crate) fn merged(earlier: Option<CallError>, last: CallError) -> CallError {
    match earlier {
        Some(CallError { begun: Begun::Perhaps, .. }) => {
            CallError { begun: Begun::Perhaps, ..last }
        }
        _ => last,
    }
}
