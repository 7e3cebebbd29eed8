//! `--dedupe N`: an order whose id stands a little lower in the same partition is not counted.
//!
//! Every record is judged when it is fetched from the main topic, in the order of the log; what
//! comes back from the retry topic was judged then. So that the answer depends on the log alone,
//! nothing behind a record is judged before the record itself can be read: while its schema is
//! not known, its partition stands still.

use codec::decode::DecodeError;
use pipeline::dedupe::Seen;
use pipeline::record::Offset;

use crate::lane::handles::Fetched;
use crate::lane::outcomes::OutcomeEntry;
use crate::lane::processor::Processor;
use crate::stage::{RecordId, Stage};

/// What is to be done with a main record.
pub(crate) enum DedupeVerdict<I> {
    /// Go on with it: decoded, if it was for this.
    Fresh(Option<I>),
    /// An order with this id stands within reach; its name, for the outcome log.
    Duplicate(RecordId),
    /// Nothing, until its schema is known.
    Undecided,
}

impl<S: Stage> Processor<S> {
    /// Judges a record of the main topic, whether or not it is settled already.
    pub(crate) fn check_duplicate(&mut self, record: &Fetched<'_>) -> DedupeVerdict<S::Input> {
        let (partition, offset) = (record.partition(), record.offset());
        if self.owned_mut(partition).is_none_or(|owned| owned.dedupe.is_none()) {
            return DedupeVerdict::Fresh(None);
        }
        let decoded = self.decode(record.value());
        let decoded = decoded.map(|input| Some(input).filter(|input| self.stage.is_valid(input)));
        let index = usize::try_from(partition).ok();
        let owned = index.and_then(|index| self.owned.get_mut(index)?.as_deref_mut());
        let Some(owned) = owned else { return DedupeVerdict::Fresh(None) };
        let Some(dedupe) = owned.dedupe.as_mut() else { return DedupeVerdict::Fresh(None) };
        let input = match decoded {
            Ok(Some(input)) => input,
            Ok(None) | Err(DecodeError::Failed(_)) => {
                dedupe.pass(offset.next().0);
                return DedupeVerdict::Fresh(None);
            }
            Err(DecodeError::Unresolved { .. }) => {
                owned.awaiting_dedupe = Some(record.hold());
                return DedupeVerdict::Undecided;
            }
        };
        if let Some(identity) = self.stage.identity(&input, record.key()) {
            return match dedupe.take(offset, &identity) {
                Seen::First | Seen::Forgotten => DedupeVerdict::Fresh(Some(input)),
                Seen::Before(_) => DedupeVerdict::Duplicate(self.stage.name(input)),
            };
        }
        let name = self.stage.name(input);
        match dedupe.take(offset, &name.id) {
            Seen::First | Seen::Forgotten => DedupeVerdict::Fresh(None),
            Seen::Before(_) => DedupeVerdict::Duplicate(name),
        }
    }

    /// Takes a duplicate in: it is told and settled, and nothing else.
    pub(crate) fn end_duplicate(&mut self, record: &Fetched<'_>, name: RecordId) {
        let (partition, offset) = (record.partition(), record.offset());
        self.turn.take(0);
        self.turn.duplicates += 1;
        self.gate.ended_well();
        if self.keeps_outcomes {
            self.turn.outcomes.push(OutcomeEntry {
                partition,
                origin_partition: partition,
                origin_offset: offset,
                key: record.key().map(Into::into),
                name,
                attempt: 1,
                forward: None,
                is_duplicate: true,
                note: None,
            });
        }
        self.end_main(partition, offset);
    }

    /// Looks again whether the record that a partition stands still for can be read by now. If
    /// so it is fetched again.
    pub(crate) fn look_at_unjudged(&mut self, partition: i32) {
        let Some(owned) = self.owned_mut(partition) else { return };
        let Some(record) = owned.awaiting_dedupe.take() else { return };
        if !self.knows_schema(record.value.as_deref())
            && let Some(owned) = self.owned_mut(partition)
        {
            owned.awaiting_dedupe = Some(record);
        }
    }
}

/// Where to read main from: at the window's top, or lower while records are to be remembered.
pub(crate) fn read_from<T>(owned: &crate::lane::partition_state::PartitionState<T>) -> Offset {
    let top = owned.main.top();
    Offset(owned.dedupe.as_ref().map_or(top, |dedupe| top.min(dedupe.top())))
}
