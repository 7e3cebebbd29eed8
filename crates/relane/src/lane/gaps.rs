//! Partitions whose next record is not there any more.

use crate::clock::Instant;
use crate::lane::limits::BOUNDS_ASK;
use crate::lane::partition_state::{PartitionState, Phase, StopReason};
use crate::lane::{Lane, LaneError};
use crate::stage::Stage;

impl<S: Stage> Lane<S> {
    /// Looks, between turns, at what the reader found out of range. It stops at such a
    /// partition for good, so each one is either stopped with words or read again.
    pub(crate) fn look_for_gaps(&mut self) -> Result<(), LaneError> {
        if !std::mem::take(&mut self.gap_seen) {
            return Ok(());
        }
        let topics = self.settings.topics.clone();
        for partition in self.processor.partitions() {
            let owned = self.processor.owned_mut(partition).expect("just listed");
            if !owned.is_active() {
                continue;
            }
            let (main, retry) = (owned.main.top(), owned.retry.top());
            let reads_main = owned.reads_main;
            for (topic, top, is_read) in
                [(&topics.main, main, reads_main), (&topics.retry, retry, true)]
            {
                if is_read {
                    self.look_at(topic, partition, top)?;
                }
            }
        }
        Ok(())
    }

    fn look_at(&mut self, topic: &str, partition: i32, top: i64) -> Result<(), LaneError> {
        let Ok((low, high)) = self.ends.bounds(topic, partition, BOUNDS_ASK) else {
            self.gap_seen = true; // asked again in the next turn
            return Ok(());
        };
        if top > high {
            return Err(LaneError::offsets_beyond(&self.settings, topic, partition, top, high));
        }
        let Some(owned) = self.processor.owned_mut(partition).filter(|owned| owned.is_active())
        else {
            return Ok(());
        };
        let is_main = topic == self.settings.topics.main;
        if top < low {
            let range = format!("{topic}/{partition} offsets {top} to {}", low - 1);
            if !self.settings.accepts_gap {
                let detail = format!(
                    "{range} were deleted before they were read; restart with --accept-gap to go \
                     on without them"
                );
                self.stop_partition(partition, detail);
                return Ok(());
            }
            tracing::warn!("skipping {range}: deleted before they were read (--accept-gap)");
            if is_main { owned.main.pass(low) } else { owned.retry.pass(low) }
        }
        if let Some(dedupe) = owned.dedupe.as_mut().filter(|_| is_main) {
            dedupe.pass(low);
        }
        if is_main {
            self.stop_main(partition); // the turn starts it again, at its top
            return Ok(());
        }
        let position = pipeline::record::CommitPosition(owned.retry.top());
        let failed = |error: kafka_io::KafkaError| LaneError::Failed(error.to_string());
        self.reader.stop(topic, partition).map_err(failed)?;
        self.reader.start(topic, partition, position).map_err(failed)
    }

    fn stop_partition(&mut self, partition: i32, detail: String) {
        tracing::error!(partition, "{detail}");
        self.drop_partition(partition);
        let mut stopped = PartitionState::new(partition, Instant::now(), self.settings.order);
        stopped.phase = Phase::Stopped { reason: StopReason::RetentionGap, detail };
        self.processor.owned[partition as usize] = Some(Box::new(stopped));
    }
}
