//! Headers of the state records that a turn writes: what they note of the offsets that are committed with
//! them.

use kafka_io::native::RecordHeaders;

use crate::lane::checkpoint::{
    STATE_GROUP, STATE_MAIN_COMPLETION, STATE_MAIN_OFFSET, STATE_RETRY_COMPLETION,
    STATE_RETRY_OFFSET,
};
use crate::lane::partition_state::PartitionState;

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
