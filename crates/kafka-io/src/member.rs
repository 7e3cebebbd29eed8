//! Membership of the consumer group: which partitions are owned, and the committed offsets.
//!
//! The member subscribes to the main topic and never fetches: its partitions are paused as soon as
//! they are assigned. The [`Reader`] fetches, from the position that the lane sets once a partition
//! is restored. So no partition runs early, and no paused state must survive a rebalance.
//!
//! [`Reader`]: crate::reader::Reader

use std::sync::Mutex;
use std::time::{Duration, Instant};

use pipeline::completion::Completion;
use pipeline::record::CommitPosition;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

pub use crate::ask_error::AskError;
use crate::client_config::set_defaults;
use crate::closing::Closing;
use crate::coverage;
use crate::events::Events;
use crate::native::{self, Membership};
use crate::permission::{Needs, is_denial};

/// A change of what this member owns, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// These partitions of the main topic are owned from now on.
    Assigned(Vec<i32>),
    /// These are no longer owned.
    Revoked(Vec<i32>),
}

/// What a group has committed for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Position; `None` if nothing was ever committed or it has expired.
    pub position: Option<CommitPosition>,
    /// Metadata of the offset, as text; foreign bytes are replaced.
    pub metadata: String,
}

/// One offset to commit, with the list of records settled above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommit {
    /// Topic of the partition.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Lowest unsettled offset.
    pub position: CommitPosition,
    /// Metadata text of [`Completion::encode`].
    pub metadata: String,
}

impl OffsetCommit {
    /// An offset with the completion above it.
    pub fn new(
        topic: &str,
        partition: i32,
        completion: &Completion,
        position: CommitPosition,
    ) -> Self {
        Self { topic: topic.to_owned(), partition, position, metadata: completion.encode() }
    }
}

/// Longest wait for the end of a rebalance in which a member leaves.
const LEAVE_MAX: Duration = Duration::from_secs(2);
/// How often a member that leaves checks whether it has left.
const LEAVE_LOOK_EVERY: Duration = Duration::from_millis(5);

/// Member of the group; every call must come from the lane's own thread.
pub struct Member {
    consumer: Closing<MemberContext>,
    group: String,
    topic: String,
    is_static: bool,
}

impl Member {
    /// Joins `group` for `topic`. The first change arrives through [`Self::serve`].
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub fn join(
        config: &ClientConfig,
        group: &str,
        instance_id: Option<&str>,
        topic: &str,
    ) -> KafkaResult<Self> {
        let mut config = config.clone();
        config
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed") // else committed offsets are not stable
            .set("queued.min.messages", "1")
            .set("queued.max.messages.kbytes", "1")
            .set_log_level(RDKafkaLogLevel::Info);
        if let Some(id) = instance_id {
            config.set("group.instance.id", id);
        }
        // Partitions that are added at run time are noticed with the next look at the topic. A
        // rebalance reaches a member with its next heartbeat: the default of 3 s is long.
        let defaults = [
            ("topic.metadata.refresh.interval.ms", "30000"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "1000"),
        ];
        set_defaults(&mut config, defaults);
        let consumer = Closing::new(config.create_with_context(MemberContext::default())?);
        consumer.subscribe(&[topic])?;
        let (group, topic) = (group.to_owned(), topic.to_owned());
        Ok(Self { consumer, group, topic, is_static: instance_id.is_some() })
    }

    /// Processes the group protocol without waiting and returns the changes. A rebalance happens
    /// only in this call, so never inside a transaction.
    pub fn serve(&self) -> Vec<Change> {
        // Bounded: each round serves one event, and a rebalance makes few.
        for _ in 0..64 {
            match self.consumer.poll(Duration::ZERO) {
                Some(Ok(_)) => tracing::debug!("a paused partition delivered a record; dropped"),
                Some(Err(error)) => self.note(&error),
                None => break,
            }
        }
        std::mem::take(&mut *self.changes())
    }

    /// A member that is refused would wait for its group for ever.
    fn note(&self, error: &KafkaError) {
        let events = &self.consumer.context().events;
        events.error_seen(error);
        if let Some(code) = error.rdkafka_error_code().filter(|code| is_denial(*code)) {
            events.denied(code, self.needs().explain(code, &error.to_string()));
        }
    }

    fn needs(&self) -> Needs<'_> {
        Needs::topic("Read", &self.topic).and(Needs::group("Read", &self.group))
    }

    fn changes(&self) -> std::sync::MutexGuard<'_, Vec<Change>> {
        self.consumer.context().changes.lock().expect("no panic while held")
    }

    /// Current generation and member id.
    pub fn membership(&self) -> Membership {
        native::membership(&self.consumer)
    }

    /// Error after which the member can do nothing more, such as a fenced instance id or a
    /// missing permission.
    pub fn fatal(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.consumer.context().events.fatal()
    }

    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    pub(crate) fn consumer(&self) -> &BaseConsumer<MemberContext> {
        &self.consumer
    }

    /// What the group has committed for `(topic, partition)` pairs, in their order.
    /// Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails while a transaction over these offsets is undecided, or without an answer.
    pub fn committed(
        &self,
        partitions: &[(&str, i32)],
        limit: Duration,
    ) -> Result<Vec<Committed>, AskError> {
        committed(&self.consumer, Needs::group("Read", &self.group), partitions, limit)
    }

    /// Commits offsets in the member's name, outside of any transaction.
    ///
    /// # Errors
    ///
    /// Fails when the member is not joined, or as the broker says.
    pub fn commit(&self, offsets: &[OffsetCommit]) -> Result<(), AskError> {
        if !self.membership().is_joined() {
            return Err(AskError::Away("the member is not in its group".to_owned()));
        }
        let list = offset_list(offsets).map_err(|error| AskError::of(&error))?;
        let commit = self.consumer.commit(&list, CommitMode::Sync);
        commit.map_err(|error| AskError::about(&error, Needs::group("Read", &self.group)))
    }

    /// Partitions of the topic without an owner in a stable group; none while it rebalances. Blocks
    /// for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn unowned(&self, partitions: i32, limit: Duration) -> Result<Vec<i32>, AskError> {
        let unowned =
            coverage::unowned(&self.consumer, &self.group, &self.topic, partitions, limit)?;
        Ok(unowned.unwrap_or_default())
    }

    /// Leaves the group and joins it again, which causes a rebalance.
    ///
    /// # Errors
    ///
    /// Fails as librdkafka says.
    pub fn rejoin(&self) -> KafkaResult<()> {
        self.consumer.unsubscribe();
        self.consumer.subscribe(&[&self.topic])
    }

    /// Requests to leave the group, which happens in the next [`Self::serve`]. Until then
    /// librdkafka sends no request and keeps the member's id, which it would forget after a session
    /// without an answer. For a group whose coordinator does not answer.
    pub fn stand_aside(&self) {
        self.consumer.unsubscribe();
    }

    /// From now on [`Self::serve`] leaves the group and joins it again, as a new member.
    ///
    /// # Errors
    ///
    /// Fails as librdkafka says.
    pub fn come_back(&self) -> KafkaResult<()> {
        self.consumer.subscribe(&[&self.topic])
    }

    /// Leaves the group; a static member stays registered by design. Blocks for at most
    /// [`LEAVE_MAX`] during a rebalance, and as long as librdkafka takes.
    pub fn leave(self) {
        drop(self);
    }
}

impl Drop for Member {
    /// Leaves the group before librdkafka closes the consumer. librdkafka puts an unsubscription off
    /// until a rebalance ends, but a close does not wait for it: when the group's answer arrives
    /// meanwhile, the consumer leaves through a coordinator that it has let go (the process ends
    /// with SIGSEGV), or waits for ever for its own main thread. A static member sends nothing
    /// when it leaves, so it has nothing to wait for.
    fn drop(&mut self) {
        self.consumer.unsubscribe();
        let give_up_at = Instant::now() + LEAVE_MAX;
        while !self.is_static && !self.membership().member_id.is_empty() {
            self.consumer.poll(LEAVE_LOOK_EVERY);
            if Instant::now() > give_up_at {
                break;
            }
        }
    }
}

/// What a consumer's group has committed for `(topic, partition)` pairs, in their order.
pub(crate) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: Needs<'_>,
    partitions: &[(&str, i32)],
    limit: Duration,
) -> Result<Vec<Committed>, AskError> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    let started = Instant::now();
    let answer = consumer.committed_offsets(list, limit).map_err(|error| {
        // While offsets are unstable librdkafka asks again until the time is up.
        let timed_out = error.rdkafka_error_code() == Some(RDKafkaErrorCode::OperationTimedOut)
            && started.elapsed() >= limit;
        if timed_out { AskError::Undecided } else { AskError::about(&error, group) }
    })?;
    let mut committed = Vec::with_capacity(partitions.len());
    for (index, element) in answer.elements().iter().enumerate() {
        let needs = Needs::topic("Describe", element.topic()).and(group);
        element.error().map_err(|error| AskError::about(&error, needs))?;
        let position = match element.offset() {
            Offset::Offset(offset) => Some(CommitPosition(offset)),
            _ => None,
        };
        let metadata = native::metadata_bytes(&answer, index);
        let metadata = String::from_utf8_lossy(&metadata).into_owned();
        committed.push(Committed { position, metadata });
    }
    Ok(committed)
}

pub(crate) fn offset_list(offsets: &[OffsetCommit]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for commit in offsets {
        let mut element = list.add_partition(&commit.topic, commit.partition);
        element.set_offset(Offset::Offset(commit.position.0))?;
        element.set_metadata(&commit.metadata);
    }
    Ok(list)
}

#[derive(Default)]
pub(crate) struct MemberContext {
    events: Events,
    changes: Mutex<Vec<Change>>,
}

impl MemberContext {
    fn note(&self, change: Change) {
        self.changes.lock().expect("no panic while held").push(change);
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.events.log(level, facility, text);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.events.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let partitions: Vec<i32> = list.elements().iter().map(|e| e.partition()).collect();
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let is_assign = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let result = match (is_assign, cooperative) {
            (true, true) => hold_still(list)
                .and_then(|()| consumer.incremental_assign(list))
                .and_then(|()| consumer.pause(list)),
            (true, false) => hold_still(list)
                .and_then(|()| consumer.assign(list))
                .and_then(|()| consumer.pause(list)),
            (false, true) => consumer.incremental_unassign(list),
            (false, false) => consumer.unassign(),
        };
        if let Err(error) = result {
            tracing::warn!(%error, ?partitions, "librdkafka did not accept the assignment");
        }
        self.note(if is_assign {
            Change::Assigned(partitions)
        } else {
            Change::Revoked(partitions)
        });
    }
}

/// Gives every partition a fixed offset, so that no committed offset is looked up for it.
fn hold_still(list: &mut TopicPartitionList) -> KafkaResult<()> {
    list.set_all_offsets(Offset::Offset(0))
}

#[cfg(test)]
mod tests;
