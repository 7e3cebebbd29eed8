//! What a lane writes with, and when it may write and must.

use std::time::Duration;

use kafka_io::ClientConfig;
use kafka_io::writer::WriteError;
use rand::Rng as _;

use crate::clock::Instant;
use crate::lane::error::LaneError;
use crate::lane::handles::Writer;
use crate::lane::lane_core::Core;
use crate::lane::limits::{
    AWAY_JITTER, AWAY_PAUSE, AWAY_PAUSE_MAX, CAREFUL_FOR, FENCE_AGAIN, FENCE_PAUSE,
    MARKER_COMMIT_AFTER, OFFSET_REFRESH, WRITER_OPEN,
};
use crate::lane::partition_state::PartitionState;
use crate::lane::processor::Processor;
use crate::lane::settings::LaneSettings;
use crate::lane::topic_names::TopicNames;
use crate::stage::Stage;

/// Makes turns durable. Its writer comes and goes; its transactional id stays.
pub(crate) struct Committer {
    pub(crate) writer: Option<Writer>,
    pub(crate) config: ClientConfig,
    transactional_id: String,
    pub(crate) topic_names: TopicNames,
    pub(crate) buffer: Vec<u8>,
    pub(crate) last_commit_at: Instant,
    /// When a writer is tried again, and how long the pause after that is.
    again_at: Instant,
    pause: Duration,
    fenced_at: Option<Instant>,
    /// Until then turns are small: a batch was refused whose records must be sent alone.
    careful_until: Option<Instant>,
}

impl Committer {
    pub(crate) fn new(
        config: &ClientConfig,
        settings: &LaneSettings,
        process_id: &str,
        index: usize,
    ) -> Self {
        let name = settings.instance_id.as_deref().unwrap_or(process_id);
        Self {
            writer: None,
            config: config.clone(),
            transactional_id: format!("{}-{name}-{index}", settings.group),
            topic_names: TopicNames::of(&settings.topics),
            buffer: Vec::new(),
            last_commit_at: Instant::now(),
            again_at: Instant::now(),
            pause: AWAY_PAUSE,
            fenced_at: None,
            careful_until: None,
        }
    }

    /// Makes sure there is a writer; `false` while the brokers are away.
    pub(crate) fn is_ready<S: Stage>(&mut self, core: &mut Core<S>) -> Result<bool, LaneError> {
        if self.writer.as_ref().is_some_and(Writer::must_be_replaced) {
            tracing::info!(
                lane = core.index,
                "the connection to the transaction coordinator was lost; replacing the producer"
            );
            self.writer = None;
        }
        if self.writer.is_some() {
            return Ok(true);
        }
        if Instant::now() < self.again_at {
            crate::clock::sleep(AWAY_PAUSE / 4);
            return Ok(false);
        }
        let guarantee = core.settings.guarantee;
        match Writer::open(&self.config, guarantee, &self.transactional_id, WRITER_OPEN) {
            Ok(writer) => {
                self.writer = Some(writer);
                self.pause = AWAY_PAUSE;
                core.brokers.note_answer();
                Ok(true)
            }
            Err(WriteError::Denied(text)) => Err(LaneError::Denied(text)),
            Err(error) => {
                core.note_away(&error.to_string());
                let spread = core.processor.random.random::<f64>();
                self.again_at = Instant::now() + spread_out(self.pause, spread);
                self.pause = (self.pause * 2).min(AWAY_PAUSE_MAX);
                Ok(false)
            }
        }
    }

    pub(crate) fn is_due<S: Stage>(&self, processor: &Processor<S>) -> bool {
        if processor.has_settled() {
            return true;
        }
        let idle = self.last_commit_at.elapsed() >= MARKER_COMMIT_AFTER;
        processor.iter().any(|owned| needs_offsets(owned, idle))
    }

    pub(crate) fn note_fence(
        &mut self,
        settings: &LaneSettings,
        text: &str,
    ) -> Result<(), LaneError> {
        let again = self.fenced_at.is_some_and(|at| at.elapsed() < FENCE_AGAIN);
        if again {
            return Err(LaneError::id_taken(settings, self.transactional_id.clone(), text));
        }
        self.fenced_at = Some(Instant::now());
        // Two that open at the same time may each fence the other, and both would end.
        self.again_at = Instant::now() + FENCE_PAUSE;
        Ok(())
    }

    /// A batch was refused that has many records: turns are small for a while.
    pub(crate) fn be_careful(&mut self) {
        self.careful_until = Some(Instant::now() + CAREFUL_FOR);
    }

    /// Whether turns are to be small.
    pub(crate) fn is_careful(&self) -> bool {
        self.careful_until.is_some_and(|until| Instant::now() < until)
    }
}

/// Whether the offsets of a partition that did nothing are due for a commit.
pub(crate) fn needs_offsets<T: Default>(owned: &PartitionState<T>, idle: bool) -> bool {
    let is_first = owned.committed_main.is_none();
    let stale = owned.committed_at.is_none_or(|at| at.elapsed() >= OFFSET_REFRESH);
    owned.is_active() && (is_first || stale || (idle && owned.is_ahead_of_commit()))
}

/// A pause of a lane that others make as well.
fn spread_out(pause: Duration, spread: f64) -> Duration {
    pause.mul_f64(1.0 + AWAY_JITTER * spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_that_lost_their_brokers_together_do_not_ask_again_together() {
        for (spread, pause) in [(0.0, AWAY_PAUSE_MAX), (1.0, AWAY_PAUSE_MAX * 12 / 10)] {
            assert_eq!(spread_out(AWAY_PAUSE_MAX, spread), pause);
        }
    }
}
