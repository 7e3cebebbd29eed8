//! What the group gives and takes.

use kafka_io::member::Change;

use crate::clock::Instant;
use crate::lane::handles::Member;
use crate::lane::hooks::{self, FailPoint};
use crate::lane::limits::{
    COVERAGE_AGAIN, COVERAGE_ASK, COVERAGE_EVERY, FENCE_AGAIN, OWN_FENCE_WITHIN,
};
use crate::lane::partition_state::{PartitionState, Phase, StopReason};
use crate::lane::{Lane, LaneError};
use crate::stage::Stage;

/// Whether the fence of a static member can be its own doing. A request to join whose answer an
/// outage swallowed may have been heard: librdkafka asks again with the id that it knows, and that
/// one is fenced. Each outage may do that; another instance fences the new member again without.
fn may_have_fenced_itself(away_at: Option<Instant>, fenced_at: Option<Instant>) -> bool {
    let Some(away_at) = away_at.filter(|at| at.elapsed() < OWN_FENCE_WITHIN) else { return false };
    fenced_at.is_none_or(|at| at < away_at || at.elapsed() >= FENCE_AGAIN)
}

impl<S: Stage> Lane<S> {
    /// Takes in what the group gave and took since the last turn.
    pub(crate) fn follow_membership(&mut self) -> Result<(), LaneError> {
        if !self.stands_aside {
            for change in self.member.serve() {
                self.apply(change);
            }
        }
        let Some((code, text)) = self.member.fatal() else { return Ok(()) };
        let error = LaneError::member(code, &text, &self.instance());
        if matches!(error, LaneError::IdTaken { .. })
            && may_have_fenced_itself(self.away_at, self.member_fenced_at)
        {
            tracing::warn!(lane = self.index, "fenced after an outage, perhaps by its own request");
            return self.join_anew();
        }
        Err(error)
    }

    /// Gives up the member with all that it owned, and joins the group as a new one.
    fn join_anew(&mut self) -> Result<(), LaneError> {
        for partition in self.processor.partitions() {
            self.drop_partition(partition);
        }
        self.processor.gate.discard();
        self.processor.turn.restart();
        self.has_assignment = false;
        self.member_fenced_at = Some(Instant::now());
        let instance = self.settings.instance_id.as_ref().map(|_| self.instance());
        let (group, topic) = (&self.settings.group, &self.settings.topics.main);
        self.member = Member::join(&self.member_config, group, instance.as_deref(), topic)
            .map_err(|error| LaneError::Failed(error.to_string()))?;
        Ok(())
    }

    pub(crate) fn apply(&mut self, change: Change) {
        self.metrics.rebalances.increment(1);
        match change {
            Change::Assigned(partitions) => {
                tracing::info!(lane = self.index, ?partitions, "partitions assigned");
                self.has_assignment = true;
                for partition in partitions {
                    self.drop_partition(partition);
                    self.add_partition(partition, true);
                }
            }
            Change::Revoked(partitions) => {
                hooks::pass(FailPoint::InRevoke, true);
                tracing::info!(lane = self.index, ?partitions, "partitions revoked");
                for partition in partitions {
                    self.drop_partition(partition);
                }
                // What is owned next is known when the group has shared out anew.
                self.has_assignment &= self.processor.iter().next().is_some();
            }
        }
    }

    fn add_partition(&mut self, partition: i32, takes_tally: bool) {
        let Ok(index) = usize::try_from(partition) else { return };
        if self.processor.owned.len() <= index {
            self.processor.owned.resize_with(index + 1, || None);
        }
        let mut owned = PartitionState::new(partition, Instant::now(), self.settings.order);
        owned.takes_tally = takes_tally;
        if partition >= self.settings.partitions {
            let detail = format!(
                "{} has no partition {partition}; add it to the retry, dead-letter and {} \
                 topics and restart",
                self.settings.topics.retry, self.settings.words.state
            );
            tracing::error!(partition, "{detail}");
            owned.phase = Phase::Stopped { reason: StopReason::MissingPartition, detail };
        }
        self.processor.owned[index] = Some(Box::new(owned));
    }

    /// Forgets a partition and stops reading its topics.
    pub(crate) fn drop_partition(&mut self, partition: i32) {
        let Some(index) = usize::try_from(partition).ok() else { return };
        let Some(owned) = self.processor.owned.get_mut(index).and_then(Option::take) else {
            return;
        };
        self.processor.in_flight.forget(partition);
        self.forget_lag(partition);
        let topics = &self.settings.topics;
        let reads_retry = matches!(owned.phase, Phase::LoadRetries { .. } | Phase::Active);
        let reads_state = matches!(owned.phase, Phase::LoadState { .. });
        for (reads, topic) in [
            (owned.reads_main, Some(&topics.main)),
            (reads_retry, Some(&topics.retry)),
            (reads_state, topics.state.as_ref()),
        ] {
            if let Some(topic) = topic.filter(|_| reads)
                && let Err(error) = self.reader.stop(topic, partition)
            {
                tracing::warn!(%error, topic, partition, "reading did not stop");
            }
        }
    }

    /// Drops all state and reads it back from the brokers: after an outcome that is unknown,
    /// what they hold is the only truth.
    pub(crate) fn read_again(&mut self) {
        // Of one whose offsets are still asked for nothing is held, and it keeps its place among
        // those: the others are asked about together, and without it.
        let holds =
            |owned: &&PartitionState<S::State>| !matches!(owned.phase, Phase::AskOffsets { .. });
        let held: Vec<i32> = self.processor.iter().filter(holds).map(|o| o.partition).collect();
        for partition in held {
            // The lane's own tally is newer than what it has committed itself, unless it has not
            // got as far as to look since the group gave it the partition.
            let takes_tally = self.processor.owned_mut(partition).is_some_and(|o| o.takes_tally);
            self.drop_partition(partition);
            self.add_partition(partition, takes_tally);
        }
        self.processor.gate.discard();
        self.processor.turn.restart();
    }

    /// Looks now and then whether every partition has an owner; if one has none twice in a
    /// row, joins the group anew.
    pub(crate) fn check_coverage(&mut self) {
        if self.index != 0
            || Instant::now() < self.coverage_at
            || !self.member.membership().is_joined()
        {
            return;
        }
        self.coverage_at = Instant::now() + COVERAGE_EVERY;
        let unowned = match self.member.unowned(self.settings.partitions, COVERAGE_ASK) {
            Ok(unowned) => unowned,
            Err(error) => {
                tracing::debug!(%error, "who owns the partitions is not known");
                return;
            }
        };
        let is_second = std::mem::replace(&mut self.unowned_before, unowned.clone()) == unowned;
        if unowned.is_empty() {
            return;
        }
        self.coverage_at = Instant::now() + COVERAGE_AGAIN;
        if is_second {
            tracing::warn!(partitions = ?unowned, "the group is stable and nobody owns these; joining anew");
            self.unowned_before.clear();
            if let Err(error) = self.member.rejoin() {
                tracing::warn!(%error, "joining anew failed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::sleep;

    /// The brokers were away or a member was fenced so many seconds ago.
    fn judged(away_s: Option<u64>, fenced_s: Option<u64>) -> bool {
        let begun = Instant::now();
        sleep(Duration::from_secs(600));
        let ago = |seconds| begun + Duration::from_secs(600 - seconds);
        may_have_fenced_itself(away_s.map(ago), fenced_s.map(ago))
    }

    #[test]
    fn each_outage_may_make_a_member_fence_itself_once() {
        assert!(judged(Some(5), None));
        assert!(judged(Some(5), Some(20)), "a second outage within a minute");
        assert!(judged(Some(30), Some(70)));
    }

    #[test]
    fn a_fence_without_an_outage_since_the_last_one_is_another_instance() {
        assert!(!judged(None, None));
        assert!(!judged(Some(90), None), "that outage is long over");
        assert!(!judged(Some(20), Some(5)));
        assert!(!judged(None, Some(5)));
    }
}
