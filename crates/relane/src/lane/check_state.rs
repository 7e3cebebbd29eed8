//! Whether offsets and state agree after both were read back.

use pipeline::completion::Completion;
use pipeline::record::CommitPosition;
use pipeline::window::Window;

use crate::lane::checkpoint::CheckpointOffset;
use crate::lane::error::{LaneError, Misplaced};
use crate::lane::lane_core::Core;
use crate::lane::limits::BOUNDS_ASK;
use crate::lane::partition_state::{LastCommit, PartitionState};
use crate::lane::settings::LaneSettings;
use crate::stage::{Stage, State as _};

impl<S: Stage> Core<S> {
    /// Offsets and state exist together or not at all, and agree.
    pub(crate) fn check_state(&mut self, partition: i32) -> Result<(), LaneError> {
        let settings = &self.settings;
        let Some(owned) = self.processor.owned_mut(partition) else { return Ok(()) };
        let misplaced = misplaced(settings, owned);
        if !misplaced.is_empty() {
            let is_counted = !owned.state.is_empty();
            let error = LaneError::offsets_misplaced(settings, partition, &misplaced, is_counted);
            return Err(self.made_anew(partition, &misplaced).unwrap_or(error));
        }
        let is_empty = owned.state.is_empty();
        let topics = &settings.topics;
        match (&owned.committed_main, &owned.committed_retry) {
            (Some(_), None) | (None, Some(_)) => {
                let (missing, present) = match owned.committed_main {
                    Some(_) => (&topics.retry, &topics.main),
                    None => (&topics.main, &topics.retry),
                };
                let bounds = self.ends.bounds(missing, partition, BOUNDS_ASK);
                let is_empty = bounds.is_ok_and(|(start, end)| start == end);
                let named = (missing.as_str(), present.as_str());
                return Err(LaneError::offsets_missing(settings, named, partition, is_empty));
            }
            (Some(_), Some(_)) if owned.has_state && is_empty => {
                return Err(LaneError::state_lost(settings, partition));
            }
            _ => {}
        }
        owned.has_state |= !is_empty;
        apply_checkpoint(owned)?;
        // Written by a version that made no note without state: it is made up for.
        let has_topic = topics.state.is_some();
        owned.dirty |= has_topic && owned.checkpoint.main.is_none() && is_settled_further(owned);
        Ok(())
    }

    /// A topic that was made anew may not have the position that was noted: no command is to
    /// propose it.
    fn made_anew(&self, partition: i32, misplaced: &[Misplaced]) -> Option<LaneError> {
        misplaced.iter().find_map(|Misplaced { topic, noted, .. }| {
            let (_, end) = self.ends.bounds(topic, partition, BOUNDS_ASK).ok()?;
            let is_beyond = *noted > end;
            is_beyond
                .then(|| LaneError::offsets_beyond(&self.settings, topic, partition, *noted, end))
        })
    }
}

/// Whether the committed offsets are past what a group without a past starts at.
fn is_settled_further<T: Default>(owned: &PartitionState<T>) -> bool {
    let PartitionState { main, retry, main_low, retry_low, committed_main, .. } = owned;
    committed_main.is_some()
        && (main.position().0 > *main_low
            || retry.position().0 > *retry_low
            || main.completion().has_settled()
            || retry.completion().has_settled())
}

/// Offsets of a partition that are missing, or below what its state says was committed with it.
/// Without transactions a crash leaves them below.
fn misplaced<T: Default>(settings: &LaneSettings, owned: &PartitionState<T>) -> Vec<Misplaced> {
    let topics = &settings.topics;
    let mut misplaced = Vec::new();
    for (topic, committed, noted) in [
        (&topics.main, &owned.committed_main, &owned.checkpoint.main),
        (&topics.retry, &owned.committed_retry, &owned.checkpoint.retry),
    ] {
        let Some(CheckpointOffset { position: noted, .. }) = *noted else { continue };
        let committed = committed.as_ref().map(|last| last.position.0);
        let is_behind = |at| at < noted && settings.is_exactly_once();
        if committed.is_none_or(is_behind) {
            misplaced.push(Misplaced { topic: topic.clone(), committed, noted });
        }
    }
    misplaced
}

/// Where another tool has set an offset, what is settled above it is taken from the state. What
/// was settled above a lower position stays so above a higher one.
fn apply_checkpoint<T: Default>(owned: &mut PartitionState<T>) -> Result<(), LaneError> {
    let PartitionState { main, retry, checkpoint: noted, committed_main, committed_retry, .. } =
        owned;
    for (window, noted, committed) in
        [(main, &noted.main, &*committed_main), (retry, &noted.retry, &*committed_retry)]
    {
        let (Some(noted), Some(committed)) = (noted, committed) else { continue };
        let Some(text) = &noted.completion else { continue };
        if committed.position.0 < noted.position || is_ours(committed) {
            continue;
        }
        let position = CommitPosition(noted.position);
        let completion = Completion::decode(text, position).map_err(|error| {
            LaneError::Failed(format!(
                "a state record says what is settled above {position} in a format that this \
                 program does not know ({error}); run the version that wrote it or a newer one"
            ))
        })?;
        tracing::info!(partition = owned.partition, %position, "using the state's list of records settled above the offset");
        owned.has_state |= completion.has_averages();
        owned.is_shared |= completion.is_shared();
        let passed = window.top(); // the offset, and a gap behind it that was accepted
        *window = Window::restore(position, &completion);
        window.pass(passed);
    }
    Ok(())
}

/// Whether a lane committed this offset, and no other tool has moved it.
fn is_ours(committed: &LastCommit) -> bool {
    let LastCommit { position, metadata } = committed;
    !metadata.is_empty()
        && Completion::decode(metadata, *position)
            .is_ok_and(|completion| completion.belongs_to(*position))
}
