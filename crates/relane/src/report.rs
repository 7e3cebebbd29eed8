//! The result of a run of a pipeline.

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Attempts at records of the main topic that were settled.
    pub consumed: u64,
    /// Records whose handler succeeded.
    pub succeeded: u64,
    /// Attempts that failed and whose record was sent to the retry topic.
    pub retried: u64,
    /// Records that became dead letters.
    pub dead_lettered: u64,
    /// Records that wait in the retry topic.
    pub waiting: u64,
    /// Whether all records present at the start are settled.
    pub reached_end: bool,
}
