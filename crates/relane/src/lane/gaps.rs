//! Partitions whose next record is not there any more.

use crate::lane::error::LaneError;
use crate::lane::intake::Intake;
use crate::lane::lane_core::{Core, failed};
use crate::lane::limits::BOUNDS_ASK;
use crate::lane::partition_state::StopReason;
use crate::stage::Stage;

impl Intake {
    /// Looks, between turns, at what the reader found out of range. It stops at such a
    /// partition for good, so each one is either stopped with words or read again.
    pub(crate) fn look_for_gaps<S: Stage>(&mut self, core: &mut Core<S>) -> Result<(), LaneError> {
        if !std::mem::take(&mut self.gap_seen) {
            return Ok(());
        }
        let topics = core.settings.topics.clone();
        for partition in core.processor.partitions() {
            let Some(owned) = core.processor.owned_mut(partition) else { continue };
            if !owned.is_active() {
                continue;
            }
            let (main, retry) = (owned.main.top(), owned.retry.top());
            let reads_main = owned.reads_main;
            for (topic, top, is_read) in
                [(&topics.main, main, reads_main), (&topics.retry, retry, true)]
            {
                if is_read {
                    self.look_at(core, topic, partition, top)?;
                }
            }
        }
        Ok(())
    }

    fn look_at<S: Stage>(
        &mut self,
        core: &mut Core<S>,
        topic: &str,
        partition: i32,
        top: i64,
    ) -> Result<(), LaneError> {
        let Ok((low, high)) = core.ends.bounds(topic, partition, BOUNDS_ASK) else {
            self.gap_seen = true; // asked again in the next turn
            return Ok(());
        };
        if top > high {
            return Err(LaneError::offsets_beyond(&core.settings, topic, partition, top, high));
        }
        let Some(owned) = core.processor.owned_mut(partition).filter(|owned| owned.is_active())
        else {
            return Ok(());
        };
        let is_main = topic == core.settings.topics.main;
        if top < low {
            let range = format!("{topic}/{partition} offsets {top} to {}", low - 1);
            if !core.settings.accepts_gap {
                let detail = format!(
                    "{range} were deleted before they were read; restart with {} to continue without them",
                    core.settings.words.settings.accept_gap
                );
                core.stop_partition(partition, StopReason::RetentionGap, detail);
                return Ok(());
            }
            tracing::warn!(
                "skipping {range}: deleted before they were read ({})",
                core.settings.words.settings.accept_gap
            );
            if is_main { owned.main.pass(low) } else { owned.retry.pass(low) }
        }
        if let Some(dedupe) = owned.dedupe.as_mut().filter(|_| is_main) {
            dedupe.pass(low);
        }
        if is_main {
            core.stop_main(partition); // the turn starts it again, at its top
            return Ok(());
        }
        let position = pipeline::record::CommitPosition(owned.retry.top());
        core.reader.stop(topic, partition).map_err(failed)?;
        core.reader.start(topic, partition, position).map_err(failed)
    }
}
