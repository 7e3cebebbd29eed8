//! What a scenario is.

use std::time::Duration;

use crate::run::{Run, Size};

/// Longest short form of any scenario, on a machine that runs others beside it.
const SHORT_MAX: Duration = Duration::from_secs(300);

/// A fault with what must come of it.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// Rows of the list of faults in docs/faults.md.
    pub rows: &'static [u8],
    /// What is done to the pipeline.
    pub does: &'static str,
    /// What must come of it.
    pub expects: &'static str,
    /// Longest full form, in seconds.
    pub full_max_s: u64,
    /// Does it, and panics where it does not come out.
    pub run: fn(&mut Run),
}

impl Scenario {
    /// How long it may take.
    #[must_use]
    pub const fn limit(&self, size: Size) -> Duration {
        match size {
            Size::Short => SHORT_MAX,
            Size::Full => Duration::from_secs(self.full_max_s),
        }
    }
}
