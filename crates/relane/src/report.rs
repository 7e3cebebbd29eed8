//! The result of a run of a pipeline.

/// What a run did, as [`Builder::run`](crate::Builder::run) returns it. Counts are those of this run and of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Records of the main topic that were settled there: handled, sent to the retry topic, or dead-lettered.
    pub consumed: u64,
    /// Records whose handler succeeded.
    pub succeeded: u64,
    /// Attempts that failed and whose record was sent to the retry topic.
    pub retried: u64,
    /// Records that became dead letters.
    pub dead_lettered: u64,
    /// Records that wait in the retry topic, in the partitions that this process owned at the end.
    pub waiting: u64,
    /// Whether all records present at the start are settled.
    pub reached_end: bool,
}
