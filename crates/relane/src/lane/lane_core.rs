//! What all parts of a lane work with: its settings, the reader and the processor, and what it knows of
//! the brokers.

use std::sync::Arc;

use crate::clock::Instant;
use crate::lane::broker_watch::BrokerWatch;
use crate::lane::error::LaneError;
use crate::lane::handles::{Ends, Reader};
use crate::lane::limits::PROBE;
use crate::lane::partition_state::{PartitionState, Phase, StopReason};
use crate::lane::processor::Processor;
use crate::lane::settings::LaneSettings;
use crate::metrics::{self, LaneMetrics};
use crate::shared::{LaneView, Shared};
use crate::stage::Stage;

/// See the module.
pub(crate) struct Core<S: Stage> {
    pub(crate) index: usize,
    pub(crate) settings: Arc<LaneSettings>,
    pub(crate) shared: Arc<Shared<S::Summary>>,
    pub(crate) view: Arc<LaneView<S::Summary>>,
    pub(crate) metrics: LaneMetrics,
    pub(crate) ends: Arc<Ends>,
    pub(crate) reader: Reader,
    pub(crate) brokers: BrokerWatch,
    pub(crate) processor: Processor<S>,
}

impl<S: Stage> Core<S> {
    /// Tells that the lane turns.
    pub(crate) fn heartbeat(&self) {
        self.view.lock().beat_at = Some(Instant::now());
    }

    /// Name of this lane's member, as an operator gave it.
    pub(crate) fn instance(&self) -> String {
        let id = self.settings.instance_id.as_deref().unwrap_or(&self.shared.process_id);
        format!("{id}-{}", self.index)
    }

    /// Something that was asked or written had no answer.
    pub(crate) fn note_away(&mut self, text: &str) {
        tracing::debug!(lane = self.index, text, "no answer from the brokers");
        self.brokers.note_away(text);
        self.view.lock().away = Some(text.to_owned());
    }

    /// Asks whether a broker is there, if that is not known from the lane's work.
    pub(crate) fn probe_if_quiet(&mut self, last_commit_at: Instant) {
        if !self.brokers.asks_now(last_commit_at) {
            return;
        }
        let partition = self.processor.iter().next().map_or(0, |owned| owned.partition);
        let answer = self.ends.bounds(&self.settings.topics.main, partition, PROBE);
        if let Err(error) = &answer {
            tracing::debug!(lane = self.index, %error, "no answer from the brokers");
        }
        self.brokers.note_asked(answer.err().map(|error| error.to_string()));
    }

    /// Takes a partition in that the group gives: it is to be restored.
    pub(crate) fn add_partition(&mut self, partition: i32, takes_tally: bool) {
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
        self.processor.put(owned);
    }

    /// Forgets a partition and stops reading its topics.
    pub(crate) fn drop_partition(&mut self, partition: i32) {
        let Some(owned) = self.processor.take_partition(partition) else { return };
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
                tracing::warn!(%error, topic, partition, "the reader did not stop");
            }
        }
    }

    /// Drops a partition and lets it stand still until an operator acts.
    pub(crate) fn stop_partition(&mut self, partition: i32, reason: StopReason, detail: String) {
        tracing::error!(partition, "{detail}");
        self.drop_partition(partition);
        let mut stopped = PartitionState::new(partition, Instant::now(), self.settings.order);
        stopped.phase = Phase::Stopped { reason, detail };
        self.processor.put(stopped);
    }

    /// Drops all state and reads it back from the brokers: after an outcome that is unknown,
    /// what they hold is the only truth.
    pub(crate) fn read_again(&mut self) {
        // Of one whose offsets are still asked for nothing is held, and it keeps its place among
        // those: the others are asked about together, and without it.
        let holds =
            |owned: &&PartitionState<S::State>| !matches!(owned.phase, Phase::AskOffsets { .. });
        // The lane's own tally is newer than what it has committed itself, unless it has not
        // got as far as to look since the group gave it the partition.
        let held = self.processor.iter().filter(holds);
        let held: Vec<(i32, bool)> = held.map(|o| (o.partition, o.takes_tally)).collect();
        for (partition, takes_tally) in held {
            self.drop_partition(partition);
            self.add_partition(partition, takes_tally);
        }
        self.processor.discard_turn();
    }

    /// Stops fetching a main partition for now.
    pub(crate) fn stop_main(&mut self, partition: i32) {
        let topic = &self.settings.topics.main;
        let Some(owned) = self.processor.owned_mut(partition) else { return };
        if std::mem::take(&mut owned.reads_main)
            && let Err(error) = self.reader.stop(topic, partition)
        {
            tracing::warn!(%error, partition, "the reader of the main topic did not stop");
        }
    }

    /// The partition's next owner tells its lag: a stale one here would be counted twice.
    fn forget_lag(&self, partition: i32) {
        let topics = &self.settings.topics;
        for topic in [&topics.main, &topics.retry] {
            metrics::forget_lag(&self.settings.group, topic, partition);
        }
    }
}

/// A failure of librdkafka that only an operator can do something about.
pub(crate) fn failed(error: kafka_io::KafkaError) -> LaneError {
    LaneError::Failed(error.to_string())
}
