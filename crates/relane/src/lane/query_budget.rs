//! How much of a turn the questions of a restore may take.

use std::time::Duration;

use crate::clock::Instant;
use crate::lane::limits::{BOUNDS_ASK, COMMITTED_ASK};

/// Time for the questions of one turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryBudget {
    until: Instant,
    lasts: Duration,
}

impl QueryBudget {
    pub(crate) fn of(time: Duration) -> Self {
        Self { until: Instant::now() + time, lasts: time }
    }

    /// Whether a broker that does not answer within this time is away.
    pub(crate) fn had_time(self) -> bool {
        self.lasts >= BOUNDS_ASK
    }

    pub(crate) fn is_over(self) -> bool {
        Instant::now() >= self.until
    }

    /// How long a question may take that would like this long. The last one of a turn gets a
    /// chance as well.
    pub(crate) fn wait(self, wanted: Duration) -> Duration {
        wanted.min(self.until.saturating_duration_since(Instant::now())).max(COMMITTED_ASK)
    }
}
