//! What the group gives and takes.

use std::time::Instant;

use kafka_io::member::Change;

use crate::lane::limits::{COVERAGE_AGAIN, COVERAGE_ASK, COVERAGE_EVERY};
use crate::lane::owned::{Owned, Phase, StopReason};
use crate::lane::{Lane, LaneError};

impl Lane {
    /// Takes in what the group gave and took since the last turn.
    pub(crate) fn follow_membership(&mut self) -> Result<(), LaneError> {
        for change in self.member.serve() {
            self.apply(change);
        }
        if let Some((code, text)) = self.member.fatal() {
            return Err(LaneError::member(code, &text, &self.instance()));
        }
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
                    self.add_partition(partition);
                }
            }
            Change::Revoked(partitions) => {
                tracing::info!(lane = self.index, ?partitions, "partitions revoked");
                for partition in partitions {
                    self.drop_partition(partition);
                }
            }
        }
    }

    fn add_partition(&mut self, partition: i32) {
        let Ok(index) = usize::try_from(partition) else { return };
        if self.desk.owned.len() <= index {
            self.desk.owned.resize_with(index + 1, || None);
        }
        let mut owned = Owned::new(partition, Instant::now());
        if partition >= self.settings.partitions {
            let detail = format!(
                "{} has no partition {partition}; add it to the retry, dead-letter and averages \
                 topics and restart",
                self.settings.topics.retry
            );
            tracing::error!(partition, "{detail}");
            owned.phase = Phase::Stopped { reason: StopReason::MissingPartition, detail };
        }
        self.desk.owned[index] = Some(Box::new(owned));
    }

    /// Forgets a partition and stops reading its topics.
    pub(crate) fn drop_partition(&mut self, partition: i32) {
        let Some(index) = usize::try_from(partition).ok() else { return };
        let Some(owned) = self.desk.owned.get_mut(index).and_then(Option::take) else { return };
        self.forget_lag(partition);
        let topics = &self.settings.topics;
        let reads_retry = matches!(owned.phase, Phase::LoadRetries { .. } | Phase::Active);
        let reads_averages = matches!(owned.phase, Phase::LoadAverages { .. });
        for (reads, topic) in [
            (owned.reads_main, &topics.main),
            (reads_retry, &topics.retry),
            (reads_averages, &topics.averages),
        ] {
            if reads && let Err(error) = self.reader.stop(topic, partition) {
                tracing::warn!(%error, topic, partition, "reading did not stop");
            }
        }
    }

    /// Drops all state and reads it back from the brokers: after an outcome that is unknown,
    /// what they hold is the only truth.
    pub(crate) fn read_again(&mut self) {
        for partition in self.desk.partitions() {
            self.drop_partition(partition);
            self.add_partition(partition);
        }
        self.desk.turn.restart();
    }

    /// Looks now and then whether every partition has an owner; if one has none twice in a
    /// row, joins the group anew.
    pub(crate) fn look_for_unowned(&mut self) {
        if self.index != 0 || Instant::now() < self.coverage_at || !self.has_assignment {
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
