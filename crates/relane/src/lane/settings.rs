//! Checked settings of a lane.

use std::time::Duration;

use kafka_io::writer::Guarantee;
use pipeline::dead_letter_limit::DeadLetterLimits;
use pipeline::headers::Dialects;
use pipeline::retry::RetryPlan;

use crate::settings::{KeyOrdering, OnDeadLetterLimit, PipelineName, Topics};
use crate::stage::Words;

/// Checked settings of a lane.
#[derive(Debug, Clone)]
pub(crate) struct LaneSettings {
    pub(crate) name: PipelineName,
    pub(crate) words: Words,
    pub(crate) topics: Topics,
    pub(crate) group: String,
    /// Partitions of every topic.
    pub(crate) partitions: i32,
    pub(crate) guarantee: Guarantee,
    pub(crate) plan: RetryPlan,
    pub(crate) order: KeyOrdering,
    /// Offsets over which duplicates are looked for.
    pub(crate) dedupe: Option<u32>,
    /// How long the handler of one attempt may take.
    pub(crate) handler_timeout: Duration,
    pub(crate) concurrency: usize,
    pub(crate) turn_records_max: usize,
    pub(crate) waiting_records_max: usize,
    pub(crate) dead_letter_limits: Option<DeadLetterLimits>,
    pub(crate) on_dead_letter_limit: OnDeadLetterLimit,
    pub(crate) accepts_gap: bool,
    pub(crate) writes_connect_headers: bool,
    pub(crate) instance_id: Option<String>,
    /// Ends of the main partitions when an `--exit-at-end` run started.
    pub(crate) main_ends: Option<Vec<i64>>,
    pub(crate) bootstrap_servers: String,
}

impl LaneSettings {
    pub(crate) fn is_exactly_once(&self) -> bool {
        self.guarantee == Guarantee::ExactlyOnce
    }

    /// How dead letters speak to other tools.
    pub(crate) fn dialects(&self) -> Dialects<'_> {
        Dialects { connect: self.writes_connect_headers, name: self.name.as_str() }
    }
}
