//! Takes in what was fetched: a main record gets its first attempt, one of retry waits until it is due.

use pipeline::headers::Lineage;
use pipeline::keys::Standing;
use pipeline::record::Offset;
use pipeline::waiting::Sequence;
use pipeline::window;

use crate::lane::attempt::{Before, Subject};
use crate::lane::duplicates::DedupeVerdict;
use crate::lane::handles::Fetched;
use crate::lane::metadata_limit::MetadataLimit;
use crate::lane::partition_state::{Phase, Stranger};
use crate::lane::pending::PendingRecord;
use crate::lane::processor::Processor;
use crate::stage::Stage;

/// What the reader has to do after a record was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Continue,
    /// Stop fetching this main partition for now.
    StopMain,
}

impl<S: Stage> Processor<S> {
    /// Takes a record of the main topic and makes its first attempt.
    pub(crate) fn take_main(&mut self, record: &Fetched<'_>) -> Next {
        if let Err(next) = self.admit(record) {
            return next;
        }
        let verdict = self.check_duplicate(record);
        if matches!(verdict, DedupeVerdict::Undecided) {
            return Next::StopMain;
        }
        let (partition, offset) = (record.partition(), record.offset());
        let Some(owned) = self.owned_mut(partition) else { return Next::StopMain };
        let (expected, fetched) = (owned.main.top(), owned.main.fetched(offset));
        self.missing.note(partition, expected, offset.0);
        if fetched != window::Fetched::New {
            return Next::Continue; // settled, or held already
        }
        let before = match verdict {
            DedupeVerdict::Duplicate(name) => {
                self.end_duplicate(record, name);
                return Next::Continue;
            }
            DedupeVerdict::Fresh(Some(input)) => Before::Decoded(input),
            DedupeVerdict::Fresh(None) | DedupeVerdict::Undecided => Before::Nothing,
        };
        let sequence = record.key().map(|key| Sequence { key, origin: offset });
        let status = self.owned_mut(partition).map(|owned| owned.waiting.standing(sequence));
        match status {
            Some(Standing::Free) => self.start_or_try(record, before),
            Some(Standing::Behind) => self.hold(record),
            Some(Standing::Parked) => {
                let origin = self.origin(partition, offset, record.timestamp(), false);
                self.turn.take(record.value().map_or(0, <[u8]>::len));
                self.forward_behind(record.hold(), origin);
                self.end_main(partition, offset);
            }
            // Fetched again later: the window does not know it yet.
            Some(Standing::Full) | None => return Next::StopMain,
        }
        Next::Continue
    }

    /// Whether a record of main may be taken in now; else what the reader does.
    fn admit(&mut self, record: &Fetched<'_>) -> Result<(), Next> {
        let (partition, offset) = (record.partition(), record.offset());
        let end = self.main_end(partition);
        let MetadataLimit { unresolved_max, unsettled_max, .. } = self.metadata;
        let is_out_of_room = self.is_out_of_room();
        let Some(owned) = self.owned_mut(partition) else { return Err(Next::StopMain) };
        if !owned.is_active() || !owned.reads_main {
            return Err(Next::Continue);
        }
        if end.is_some_and(|end| offset.0 >= end) {
            owned.main.pass(end.unwrap_or(offset.0));
            owned.main_done = true;
            return Err(Next::StopMain);
        }
        // Fetched again later: the window does not know it yet.
        let is_full =
            owned.unresolved.len() >= unresolved_max || owned.main.unsettled() >= unsettled_max;
        if is_full || owned.awaiting_dedupe.is_some() || is_out_of_room {
            return Err(Next::StopMain);
        }
        Ok(())
    }

    /// Lets the handler of a main record start, or makes its attempt at once.
    fn start_or_try(&mut self, record: &Fetched<'_>, before: Before<S::Input>) {
        if !self.in_flight.is_used() {
            return self.try_first(record, before);
        }
        let starts = self.may_start();
        let Some(owned) = self.owned_mut(record.partition()).filter(|_| starts) else {
            return self.hold(record);
        };
        owned.hold_in_order(record.key(), record.offset());
        self.start_main(record.hold());
    }

    /// Makes the first attempt at a record as it was fetched.
    fn try_first(&mut self, record: &Fetched<'_>, before: Before<S::Input>) {
        let (partition, offset) = (record.partition(), record.offset());
        let header = |name: &str| record.header(name);
        let subject = Subject {
            value: record.value(),
            header: &header,
            attempt: 1,
            redrives: 0,
            is_retry: false,
        };
        self.turn.take(subject.value.map_or(0, <[u8]>::len));
        let origin = || (partition, offset);
        let attempted = self.attempt(partition, &subject, || record.key(), origin, before);
        let pending = |this: &Self, record: &Fetched<'_>| {
            let origin = this.origin(partition, offset, record.timestamp(), false);
            PendingRecord::of_main(record.hold(), origin)
        };
        match self.conclude(attempted, 1, record.timestamp(), record, pending) {
            None => self.end_main(partition, offset),
            Some(record) => self.hold(record),
        }
    }

    /// Keeps a main record in memory for a later turn.
    fn hold(&mut self, record: &Fetched<'_>) {
        if let Some(owned) = self.owned_mut(record.partition()) {
            owned.hold_main(record.hold());
            self.held += 1;
        }
    }

    /// Takes a record of the retry topic: it waits until it is due.
    pub(crate) fn take_retry(&mut self, record: &Fetched<'_>) {
        let (partition, offset) = (record.partition(), record.offset());
        let Some(owned) = self.owned_mut(partition) else { return };
        owned.unread.read_to(offset.next().0);
        match owned.retry.fetched(offset) {
            window::Fetched::New => {}
            window::Fetched::Settled | window::Fetched::Repeated => return,
        }
        let lineage = Lineage::read(|name| record.header(name));
        match lineage.as_ref().filter(|lineage| lineage.origin.group != self.group) {
            Some(foreign) => self.skip_foreign(partition, offset, &foreign.origin.group),
            None => {
                let (due_at_ms, pending) = self.pending(record.hold(), lineage);
                if let Some(owned) = self.owned_mut(partition) {
                    owned.retry.hold(offset);
                    owned.wait(offset, due_at_ms, pending);
                }
            }
        }
    }

    /// A record of another group is skipped whenever it is fetched: like a marker, it counts as settled
    /// or not.
    fn skip_foreign(&mut self, partition: i32, offset: Offset, group: &str) {
        let Some(owned) = self.owned_mut(partition) else { return };
        owned.stranger.get_or_insert_with(|| Stranger::new(group));
        owned.retry.pass(offset.0 + 1);
        owned.is_shared = true;
        owned.dirty |= owned.is_active();
        self.turn.foreign += 1;
    }

    /// Keeps a fetched state record until the restore step decodes it.
    pub(crate) fn take_state(&mut self, record: &Fetched<'_>) {
        if let Some(owned) = self.owned_mut(record.partition())
            && matches!(owned.phase, Phase::LoadState { .. })
        {
            owned.state_unread.push(record.hold());
        }
    }
}
