//! What the records of the state note of the offsets that were committed with them.
//!
//! Another tool sets an offset without its metadata. What was settled above it is then known from
//! here only, and would run again otherwise. A partition in which something was settled and nothing
//! was counted has no state to write: its note is a record of its own, with an empty key and no
//! value.

use kafka_io::reader::HeldRecord;

/// Header of a state record: the group that it belongs to.
pub(crate) const STATE_GROUP: &str = "x-group";
/// Header of a state record: the main position committed with it.
pub(crate) const STATE_MAIN_OFFSET: &str = "x-main-offset";
/// Header of a state record: the retry position committed with it.
pub(crate) const STATE_RETRY_OFFSET: &str = "x-retry-offset";
/// Header of a turn's first state record: what is settled above the main position.
pub(crate) const STATE_MAIN_COMPLETION: &str = "x-main-completion";
/// Header of a turn's first state record: what is settled above the retry position.
pub(crate) const STATE_RETRY_COMPLETION: &str = "x-retry-completion";

/// Header of a note: whatever stands before it in the partition is of an earlier count. The state begins
/// empty, at the offsets that the note names, however high they were before.
pub(crate) const STATE_RESET: &str = "x-reset-id";

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
