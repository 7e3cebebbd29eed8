//! What the records of the state note of the offsets that were committed with them.
//!
//! Another tool sets an offset without its metadata. What was settled above it is then known from
//! here only, and would run again otherwise. A partition in which something was settled and nothing
//! was counted has no state to write: its note is a record of its own, with an empty key and no
//! value.

use kafka_io::native::RecordHeaders;
use kafka_io::reader::HeldRecord;
use pipeline::completion::Completion;
use pipeline::record::CommitPosition;
use pipeline::window::Window;

use crate::lane::error::Misplaced;
use crate::lane::hooks::{Bug, is_planted};
use crate::lane::limits::BOUNDS_ASK;
use crate::lane::partition_state::{LastCommit, PartitionState};
use crate::lane::settings::LaneSettings;
use crate::lane::{Lane, LaneError};
use crate::stage::{Stage, State as _};

/// Header of a state record: the group that it belongs to.
pub(crate) const STATE_GROUP: &str = "x-group";
/// Header of a state record: the main position committed with it.
const STATE_MAIN_OFFSET: &str = "x-main-offset";
/// Header of a state record: the retry position committed with it.
const STATE_RETRY_OFFSET: &str = "x-retry-offset";
/// Header of a turn's first state record: what is settled above the main position.
const STATE_MAIN_COMPLETION: &str = "x-main-completion";
/// Header of a turn's first state record: what is settled above the retry position.
const STATE_RETRY_COMPLETION: &str = "x-retry-completion";

/// Key of a note that comes without state. What reads the topic as a table finds a deleted row.
pub(crate) const NOTE_KEY: &[u8] = b"";

/// An offset as state records note it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckpointOffset {
    pub(crate) position: i64,
    /// Metadata of that offset; `None` where nothing above it was settled.
    pub(crate) completion: Option<Box<str>>,
}

/// The highest offsets of both topics that the state records of a partition note.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Checkpoint {
    pub(crate) main: Option<CheckpointOffset>,
    pub(crate) retry: Option<CheckpointOffset>,
}

impl Checkpoint {
    /// Takes in what a record notes. Records come in the order in which they were written.
    pub(crate) fn take(&mut self, record: &HeldRecord) {
        let text = |name| record.header(name).and_then(|value| std::str::from_utf8(value).ok());
        for (noted, offset, completion) in [
            (&mut self.main, STATE_MAIN_OFFSET, STATE_MAIN_COMPLETION),
            (&mut self.retry, STATE_RETRY_OFFSET, STATE_RETRY_COMPLETION),
        ] {
            let Some(position) = text(offset).and_then(|value| value.parse().ok()) else {
                continue;
            };
            note(noted, position, text(completion));
        }
    }
}

/// At one position ever more is settled, so that the last completion holds; a record without
/// one is not the first of its turn.
fn note(noted: &mut Option<CheckpointOffset>, position: i64, completion: Option<&str>) {
    let is_older = |last: &CheckpointOffset| {
        last.position > position || (last.position == position && completion.is_none())
    };
    if !noted.as_ref().is_some_and(is_older) {
        *noted = Some(CheckpointOffset { position, completion: completion.map(Into::into) });
    }
}

/// Headers of the state records that a turn writes for a partition.
pub(crate) fn headers<T: Default>(group: &str, owned: &PartitionState<T>) -> RecordHeaders {
    let mut headers = RecordHeaders::new();
    headers.add(STATE_GROUP.as_bytes(), Some(group.as_bytes()));
    for (name, window) in [(STATE_MAIN_OFFSET, &owned.main), (STATE_RETRY_OFFSET, &owned.retry)] {
        let position = window.position().to_string();
        headers.add(name.as_bytes(), Some(position.as_bytes()));
    }
    headers
}

/// Headers of the first of them: with the completions, where something is settled above.
///
/// One record is enough, and a completion is long. The first record of the newest turn is never
/// compacted away: a turn writes each key once, so that a record which replaces this one is of a
/// newer turn, which has written a first record of its own before.
pub(crate) fn first_headers<T: Default>(
    headers: &RecordHeaders,
    owned: &PartitionState<T>,
) -> Option<RecordHeaders> {
    let (main, retry) = (owned.main_completion(), owned.retry_completion());
    let told = [
        (STATE_MAIN_COMPLETION, main.has_settled().then_some(main)),
        (STATE_RETRY_COMPLETION, (retry.has_settled() || retry.is_shared()).then_some(retry)),
    ];
    if told.iter().all(|(_, completion)| completion.is_none()) {
        return None;
    }
    let mut first = headers.clone();
    for (name, completion) in told {
        if let Some(completion) = completion {
            first.add(name.as_bytes(), Some(completion.encode().as_bytes()));
        }
    }
    Some(first)
}

impl<S: Stage> Lane<S> {
    /// Offsets and state exist together or not at all, and agree.
    pub(crate) fn check_state(&mut self, partition: i32) -> Result<(), LaneError> {
        let settings = &self.settings;
        let owned = self.processor.owned_mut(partition).expect("it is being restored");
        let misplaced = misplaced(settings, owned);
        if !misplaced.is_empty() {
            let is_counted = !owned.state.is_empty();
            let error = LaneError::offsets_misplaced(settings, partition, &misplaced, is_counted);
            return Err(self.made_anew(partition, &misplaced).unwrap_or(error));
        }
        let is_empty = owned.state.is_empty();
        let topics = &settings.topics;
        match (&owned.committed_main, &owned.committed_retry) {
            (Some(_), None) => {
                return Err(LaneError::offsets_missing(settings, &topics.retry, partition));
            }
            (None, Some(_)) => {
                return Err(LaneError::offsets_missing(settings, &topics.main, partition));
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
    if is_planted(Bug::NotedIgnored) {
        return Ok(());
    }
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
                "a record of the state notes what is settled above {position} in a way that is \
                 not understood ({error}); run the version that wrote it, or a newer one"
            ))
        })?;
        tracing::info!(partition = owned.partition, %position, "what is settled above the offset is taken from the state");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(records: &[(i64, Option<&str>)]) -> Option<(i64, Option<String>)> {
        let mut noted = None;
        for (position, completion) in records {
            note(&mut noted, *position, *completion);
        }
        noted.map(|noted| (noted.position, noted.completion.map(Into::into)))
    }

    #[test]
    fn the_first_record_of_the_newest_turn_tells_what_is_settled_above() {
        // Turns of two records, the second without the completion.
        assert_eq!(noted(&[(5, Some("a")), (5, None)]), Some((5, Some("a".to_owned()))));
        let grows = [(5, Some("a")), (5, None), (5, Some("b")), (5, None)];
        assert_eq!(noted(&grows), Some((5, Some("b".to_owned()))));
        assert_eq!(noted(&[(5, Some("a")), (9, None), (9, None)]), Some((9, None)));
        // A writer without transactions that was held up.
        assert_eq!(noted(&[(9, Some("b")), (5, Some("a"))]), Some((9, Some("b".to_owned()))));
    }
}
