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
    use super::*;

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
