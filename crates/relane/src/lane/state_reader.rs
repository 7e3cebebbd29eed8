//! Takes state records in that are read back.

use kafka_io::reader::HeldRecord;

use crate::lane::checkpoint::{Checkpoint, STATE_GROUP, STATE_RESET};
use crate::lane::partition_state::PartitionState;
use crate::stage::Stage;

/// Takes records in one after the other, up to the first that cannot be taken yet, and leaves
/// the rest: of one product the last record counts, so that none may be taken before another.
pub(crate) fn take_in_order<T, E>(
    records: &mut Vec<T>,
    mut take: impl FnMut(&T) -> Result<bool, E>,
) -> Result<(), E> {
    let mut taken = 0;
    for record in &*records {
        if !take(record)? {
            break;
        }
        taken += 1;
    }
    records.drain(..taken);
    Ok(())
}

/// Takes one state record in; `false` when its schema is not known yet.
pub(crate) fn restore_one<S: Stage>(
    stage: &mut S,
    owned: &mut PartitionState<S::State>,
    record: &HeldRecord,
    group: &str,
) -> Result<bool, String> {
    let at = format!("partition {} offset {}", record.partition, record.offset);
    let text = |name| record.header(name).and_then(|value| std::str::from_utf8(value).ok());
    // A record without a value is a note without state or, where it names no group, a tombstone
    // that an operator wrote: its key starts anew.
    let writer = text(STATE_GROUP);
    let is_tombstone = record.value.is_none() && writer.is_none();
    if !is_tombstone {
        let writer = writer.ok_or_else(|| format!("{at} names no group"))?;
        if writer != group {
            return Err(format!("{at} belongs to group {writer:?}"));
        }
    }
    if record.value.is_none() && !is_tombstone {
        if record.header(STATE_RESET).is_some() {
            (owned.state, owned.checkpoint) = (S::State::default(), Checkpoint::default());
        }
        owned.checkpoint.take(record);
        return Ok(true);
    }
    let taken = stage
        .read_state(&mut owned.state, record.key.as_deref(), record.value.as_deref())
        .map_err(|detail| format!("{at}: {detail}"))?;
    if taken && !is_tombstone {
        owned.checkpoint.take(record);
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use kafka_io::native::RecordHeaders;
    use pipeline::record::{Offset, Timestamp, TimestampType};

    use super::*;
    use crate::clock::Instant;
    use crate::lane::simulation::business::{Business, Sums};
    use crate::settings::KeyOrdering;

    const GROUP: &str = "count";

    /// A record of the state, with the position of main that it notes.
    fn record(key: &str, value: Option<&str>, main: &str, reset: Option<&str>) -> HeldRecord {
        let mut headers = RecordHeaders::new();
        for (name, value) in [(STATE_GROUP, GROUP), ("x-main-offset", main)] {
            headers.add(name.as_bytes(), Some(value.as_bytes()));
        }
        if let Some(reset) = reset {
            headers.add(b"x-reset-id", Some(reset.as_bytes()));
        }
        HeldRecord {
            partition: 0,
            offset: Offset(0),
            timestamp: Timestamp { ms: 0, kind: TimestampType::CreateTime },
            key: Some(key.as_bytes().into()),
            value: value.map(|value| value.as_bytes().into()),
            headers: Some(headers),
        }
    }

    /// What a restore reads back of these: the sums, and the position of main.
    fn restored(records: &[HeldRecord]) -> (Vec<(String, u64, i128)>, Option<i64>) {
        let mut stage = Business { latency: std::time::Duration::ZERO, away_ms: (0, 0), asked: 0 };
        let mut owned = PartitionState::<Sums>::new(0, Instant::now(), KeyOrdering::None);
        for record in records {
            assert_eq!(restore_one(&mut stage, &mut owned, record, GROUP), Ok(true));
        }
        let sums = owned.state.iter().map(|(key, (count, sum))| (key.to_string(), *count, *sum));
        (sums.collect(), owned.checkpoint.main.map(|main| main.position))
    }

    #[test]
    fn a_note_with_the_header_of_a_replay_voids_the_state_and_the_offsets_before_it() {
        let counted = || record("tea", Some("4 100"), "9", None);
        let sum = |count, sum| vec![("tea".to_owned(), count, sum)];
        // A note of a turn that counted nothing takes nothing back, however old it is.
        let note = record("", None, "2", None);
        assert_eq!(restored(&[counted(), note]), (sum(4, 100), Some(9)));
        let reset = || record("", None, "2", Some("replay-7"));
        assert_eq!(restored(&[counted(), reset()]), (Vec::new(), Some(2)));
        let again = record("tea", Some("1 30"), "3", None);
        assert_eq!(restored(&[counted(), reset(), again]), (sum(1, 30), Some(3)));
    }

    #[test]
    fn the_header_of_a_replay_on_a_record_with_a_value_voids_nothing() {
        let counted = record("tea", Some("4 100"), "9", None);
        let other = record("cake", Some("1 5"), "9", Some("replay-7"));
        assert_eq!(restored(&[counted, other]).0.len(), 2);
    }

    #[test]
    fn a_record_whose_schema_becomes_known_meanwhile_is_still_taken_before_those_behind_it() {
        let mut unread = vec![1, 2, 3];
        let mut taken = Vec::new();
        for is_known in [false, true] {
            let mut looks = 0;
            let take = |record: &i32| {
                looks += 1;
                // The schema arrives right after the first look.
                let can_take = is_known || looks > 1;
                if can_take {
                    taken.push(*record);
                }
                Ok::<_, String>(can_take)
            };
            take_in_order(&mut unread, take).unwrap();
        }
        assert_eq!((taken, unread), (vec![1, 2, 3], vec![]));
    }
}
