//! What became of the attempts of a turn, for a stage that hears of them.

use crate::lane::outbound::Destination;
use crate::lane::turn::Turn;
use crate::stage::{Fate, Settled};

impl<N> Turn<N> {
    /// The attempts that it settles, as they are told when it is committed.
    pub(crate) fn settled(&self) -> impl Iterator<Item = Settled<'_, N>> {
        self.outcomes.iter().filter_map(|entry| {
            let forward = entry.forward.and_then(|index| self.outbound.get(index));
            let failure = || forward?.failure.as_ref();
            let fate = match forward.map(|forward| forward.destination) {
                None if entry.is_duplicate => Fate::Duplicate,
                None => Fate::Succeeded(entry.note.as_ref()?),
                Some(Destination::Retry { due_at_ms }) => {
                    Fate::Retried { failure: failure()?, due_at_ms }
                }
                Some(Destination::DeadLetter) => Fate::DeadLettered(failure()?),
                // It was not tried.
                Some(Destination::Behind { .. } | Destination::Repark) => return None,
            };
            Some(Settled {
                partition: entry.origin_partition,
                offset: entry.origin_offset.0,
                key: entry.key.as_deref(),
                name: &entry.name,
                attempt: entry.attempt,
                fate,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use kafka_io::reader::HeldRecord;
    use pipeline::failure::{Failure, FailureReason};
    use pipeline::headers::Origin;
    use pipeline::record::{Offset, Timestamp, TimestampType};

    use super::*;
    use crate::lane::outbound::OutboundRecord;
    use crate::lane::outcomes::OutcomeEntry;
    use crate::lane::pending::PendingRecord;
    use crate::stage::RecordId;

    fn forward(destination: Destination, reason: FailureReason) -> OutboundRecord {
        let timestamp = Timestamp { ms: 5, kind: TimestampType::CreateTime };
        let record = HeldRecord {
            partition: 1,
            offset: Offset(7),
            timestamp,
            key: None,
            value: None,
            headers: None,
        };
        let (topic, group) = ("orders".into(), "group".into());
        let origin = Origin { topic, partition: 1, offset: 7, timestamp, group };
        let pending = PendingRecord { attempt: 2, ..PendingRecord::first(record, origin) };
        let failure = Failure { reason, schema_id: None, detail: String::new() };
        OutboundRecord::new(pending, destination, Some(failure), 7)
    }

    fn entry(offset: i64, forward: Option<usize>, note: Option<u8>) -> OutcomeEntry<u8> {
        OutcomeEntry {
            partition: 1,
            origin_partition: 1,
            origin_offset: Offset(offset),
            key: None,
            name: RecordId::default(),
            attempt: 2,
            forward,
            is_duplicate: note.is_none() && forward.is_none(),
            note,
        }
    }

    #[test]
    fn a_stage_is_told_what_the_turn_has_written_of_each_record_that_was_tried() {
        let mut turn = Turn::new();
        let retried = Destination::Retry { due_at_ms: 90 };
        let behind = Destination::Behind { due_at_ms: 90 };
        turn.outbound = vec![
            forward(retried, FailureReason::Simulated),
            forward(Destination::DeadLetter, FailureReason::NegativePrice),
            forward(behind, FailureReason::Simulated),
            forward(retried, FailureReason::Simulated),
        ];
        assert!(turn.outbound[3].shrink_further(), "the retry topic refuses it for its size");
        turn.outcomes = vec![
            entry(0, None, Some(9)),
            entry(1, Some(0), None),
            entry(2, Some(1), None),
            entry(3, Some(2), None),
            entry(4, Some(3), None),
            entry(5, None, None),
        ];
        let told: Vec<String> = turn
            .settled()
            .map(|Settled { offset, fate, .. }| match fate {
                Fate::Succeeded(note) => format!("{offset} succeeded {note}"),
                Fate::Duplicate => format!("{offset} duplicate"),
                Fate::Retried { due_at_ms, .. } => format!("{offset} retried {due_at_ms}"),
                Fate::DeadLettered(failure) => format!("{offset} dead {}", failure.reason.as_str()),
            })
            .collect();
        let expected = [
            "0 succeeded 9",
            "1 retried 90",
            "2 dead negative-price",
            "4 dead too-large-to-retry",
            "5 duplicate",
        ];
        assert_eq!(told, expected);
    }
}
