//! `--on-dead-letter hold`: what waits behind a record that is given up goes with it.
//!
//! All of it goes in the turn of its predecessor, hence in one transaction: no mark is kept that a
//! crash could lose. So the records of one key may take a turn past its limits. Not without end:
//! a key with [`FOLLOWERS_BYTES_MAX`](pipeline::keys::FOLLOWERS_BYTES_MAX) of waiting records, or as
//! many as `--followers-max`, gets no more of them, and a turn that is full takes in nothing else.
//! Two turns' worth is written well within the time of a transaction.

use pipeline::failure::{Failure, FailureReason};
use pipeline::record::Offset;

use crate::lane::outbound::{Destination, OutboundRecord};
use crate::lane::outcomes::OutcomeEntry;
use crate::lane::pending::PendingRecord;
use crate::lane::processor::Processor;
use crate::stage::Stage;

/// A record that is given up, by what those that follow it are found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Predecessor {
    pub(crate) partition: i32,
    pub(crate) key: Box<[u8]>,
    pub(crate) place: Offset,
}

/// What follows, and whether the retry topic has refused it or a neighbor in its batch.
struct Follower {
    pending: PendingRecord,
    is_suspect: bool,
}

impl<S: Stage> Processor<S> {
    /// A record as one that others follow, if they are to be given up with it.
    pub(crate) fn predecessor(&self, pending: &PendingRecord) -> Option<Predecessor> {
        let sequence = pending.sequence().filter(|_| self.order.holds_followers())?;
        let partition = pending.record.partition;
        Some(Predecessor { partition, key: sequence.key.into(), place: sequence.origin })
    }

    /// Dead-letters what is in retry behind a record, or on its way there in this turn.
    pub(crate) fn give_up_followers(&mut self, dead: &Predecessor) {
        let mut followers = self.take_forwarded(dead);
        followers.extend(self.take_waiting(dead));
        followers.sort_by_key(|follower| (follower.pending.place, follower.pending.record.offset));
        for follower in followers {
            self.give_up_follower(follower);
        }
    }

    fn take_waiting(&mut self, dead: &Predecessor) -> Vec<Follower> {
        let mut followers = Vec::new();
        let Some(owned) = self.owned_mut(dead.partition) else { return followers };
        let offsets: Vec<Offset> = owned.waiting.of_key(&dead.key).collect();
        for offset in offsets {
            let Some(owned) = self.owned_mut(dead.partition) else { break };
            let place = owned.waiting.get(offset).and_then(|(_, pending)| pending.place);
            // Handlers of a key never overlap; but without transactions a record that comes first
            // may be there a second time when the handler of a later one has begun.
            if place < Some(dead.place) || owned.waiting.is_running(offset) {
                continue;
            }
            let Some((_, pending)) = owned.waiting.remove(offset) else { continue };
            self.turn.take(pending.record.bytes());
            self.turn.consumed_retry += 1;
            self.turn.has_given_up_waiting = true;
            self.settle_retry(dead.partition, offset);
            followers.push(Follower { pending, is_suspect: false });
        }
        followers
    }

    /// Takes out of the turn what it sends of the key and what lies behind the record, with
    /// its entries in the outcome log.
    fn take_forwarded(&mut self, dead: &Predecessor) -> Vec<Follower> {
        let follows = |forward: &OutboundRecord| {
            let PendingRecord { record, place, .. } = &forward.pending;
            *place > Some(dead.place)
                && record.partition == dead.partition
                && record.key.as_ref() == Some(&dead.key)
                && !forward.is_durable
        };
        // Nothing of the key is on its way, unless it is the retry topic that refuses a record.
        let expects = |processor: &mut Self| {
            processor
                .owned_mut(dead.partition)
                .is_some_and(|owned| owned.waiting.expects(&dead.key))
        };
        if !expects(self) || !self.turn.outbound.iter().any(follows) {
            return Vec::new();
        }
        let (mut kept, mut taken, mut tags) = (Vec::new(), Vec::new(), Vec::new());
        for forward in self.turn.outbound.drain(..) {
            let follows = follows(&forward);
            tags.push((!follows).then_some(kept.len()));
            if follows { taken.push(forward) } else { kept.push(forward) }
        }
        self.turn.outbound = kept;
        self.turn.outcomes.retain_mut(|entry| {
            let Some(tag) = entry.forward else { return true };
            entry.forward = tags[tag];
            entry.forward.is_some()
        });
        taken.into_iter().map(|forward| self.follower(forward)).collect()
    }

    /// A record that was to be forwarded, as one that waits.
    fn follower(&mut self, forward: OutboundRecord) -> Follower {
        if forward.is_repark() {
            self.turn.reparked -= 1;
        }
        Follower { pending: forward.pending, is_suspect: forward.suspect }
    }

    /// Dead-letters a record because one of its key that came first was given up.
    fn give_up_follower(&mut self, Follower { pending, is_suspect }: Follower) {
        if self.keeps_outcomes {
            let input = self.decode(pending.record.value.as_deref());
            let attempt = pending.attempt;
            let mut entry = OutcomeEntry::untried(&pending.record, &pending.origin, attempt);
            if let Ok(input) = input {
                entry.name = self.stage.name(input);
            }
            self.turn.outcomes.push(entry);
        }
        let failure = Failure {
            reason: FailureReason::PredecessorDead,
            schema_id: self.stage.schema_id(pending.record.value.as_deref()),
            detail: "an earlier record of this key was dead-lettered".into(),
        };
        self.send(pending, Some(failure), Destination::DeadLetter);
        if let Some(forward) = self.turn.outbound.last_mut() {
            forward.suspect = is_suspect;
        }
    }
}
