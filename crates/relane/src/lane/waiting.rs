//! Attempts at records of the retry partition that wait.

use pipeline::record::Offset;

use crate::lane::attempt::Subject;
use crate::lane::in_flight::Answered;
use crate::lane::limits::UNRESOLVED_PAUSE_MS;
use crate::lane::processor::Processor;
use crate::stage::Stage;

impl<S: Stage> Processor<S> {
    /// Makes the next attempt at a waiting record that is due. The caller has made sure that
    /// the window can settle it.
    pub(crate) fn run_waiting(
        &mut self,
        partition: i32,
        offset: Offset,
        answered: Option<Answered<S::Input>>,
    ) {
        let Some(owned) = self.owned_mut(partition) else { return };
        let Some((due_at_ms, pending)) = owned.waiting.remove(offset) else { return };
        self.turn.take(pending.record.bytes());
        let (attempt, timestamp) = (pending.attempt.saturating_add(1), pending.origin.timestamp);
        let header = |name: &str| pending.record.header(name);
        let subject = Subject {
            value: pending.record.value.as_deref(),
            header: &header,
            attempt,
            redrives: pending.redrive_count,
            is_retry: true,
        };
        let origin = (pending.origin.partition, Offset(pending.origin.offset));
        let key = || pending.record.key.as_deref();
        let attempted = self.attempt(partition, &subject, key, || origin, answered.into());
        match self.conclude(attempted, attempt, timestamp, pending, |_, pending| pending) {
            None => {
                self.turn.consumed_retry += 1;
                self.settle_retry(partition, offset);
            }
            Some(pending) => {
                let again_at_ms = due_at_ms.max(self.now_ms + UNRESOLVED_PAUSE_MS);
                if let Some(owned) = self.owned_mut(partition) {
                    owned.wait(offset, again_at_ms, pending);
                }
            }
        }
    }
}
