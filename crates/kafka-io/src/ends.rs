//! Asks where partitions end and what a group has committed, without reading or joining.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::access::unreadable;
use crate::acquaintance::meet_broker;
use crate::coverage;
use crate::events::Events;
use crate::member::{self, AskError, Committed};
use crate::parting::{Parting, note_made};
use crate::permission::{Needs, is_denial};

/// Bounds of partitions as a reader of uncommitted records sees them: every acknowledged record is
/// below the returned end. May be used from several threads.
pub struct Ends {
    consumer: Parting<BaseConsumer<Events>>,
    /// A broker is met before the first question.
    was_asked: AtomicBool,
}

impl Ends {
    /// Creates a handle, which begins to connect at once.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub fn new(config: &ClientConfig) -> KafkaResult<Self> {
        let mut config = quiet(config);
        config.set("isolation.level", "read_uncommitted").set("enable.auto.commit", "false");
        Ok(Self { consumer: make(&config, "ends")?, was_asked: AtomicBool::new(false) })
    }

    /// Like [`Self::new`], but as a reader of committed records sees it: the returned end is the
    /// last stable offset, below the first record of an undecided transaction.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub fn stable(config: &ClientConfig) -> KafkaResult<Self> {
        let mut config = quiet(config);
        config.set("isolation.level", "read_committed").set("enable.auto.commit", "false");
        Ok(Self { consumer: make(&config, "ends")?, was_asked: AtomicBool::new(false) })
    }

    /// Start and end (exclusive) of one partition. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn bounds(
        &self,
        topic: &str,
        partition: i32,
        limit: Duration,
    ) -> Result<(i64, i64), AskError> {
        let give_up_at = Instant::now() + limit;
        if !self.was_asked.swap(true, Ordering::Relaxed) {
            meet_broker(self.consumer.client(), limit);
        }
        drain(&self.consumer);
        let asked = loop {
            let left = give_up_at.saturating_duration_since(Instant::now());
            match self.consumer.fetch_watermarks(topic, partition, left) {
                // Brokers that answer so are there: the partition was just made, or its leader moves.
                Err(error)
                    if error.rdkafka_error_code().is_some_and(is_leaderless)
                        && left > 2 * LEADER_PAUSE =>
                {
                    std::thread::sleep(LEADER_PAUSE);
                }
                asked => break asked,
            }
        };
        asked.map_err(|error| match self.blame(&error, topic) {
            // What was heard of the connections says more than that time is up.
            AskError::Away(text) => {
                drain(&self.consumer);
                AskError::Away(self.consumer.context().trouble().unwrap_or(text))
            }
            other => other,
        })
    }

    /// Offset of the first record of a partition that is not older than `time_ms`, in milliseconds
    /// since the Unix epoch; `None` if all are older. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn at_time(
        &self,
        topic: &str,
        partition: i32,
        time_ms: i64,
        limit: Duration,
    ) -> Result<Option<i64>, AskError> {
        drain(&self.consumer);
        let mut asked = TopicPartitionList::with_capacity(1);
        let blame = |error: KafkaError| self.blame(&error, topic);
        asked.add_partition_offset(topic, partition, Offset::Offset(time_ms)).map_err(blame)?;
        let answer = self.consumer.offsets_for_times(asked, limit).map_err(blame)?;
        let found = answer.find_partition(topic, partition);
        let found =
            found.ok_or_else(|| AskError::Away("no answer for the partition".to_owned()))?;
        found.error().map_err(blame)?;
        Ok(match found.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    }

    /// A topic that is hidden from this client looks as if it did not exist.
    fn blame(&self, error: &KafkaError, topic: &str) -> AskError {
        let is_absent = error.rdkafka_error_code().is_some_and(is_absent);
        if is_absent {
            let missing = unreadable(self.consumer.client(), [topic]);
            return missing.map_or_else(|| AskError::absent(topic), AskError::Refused);
        }
        AskError::about(error, Needs::topic("Describe", topic))
    }

    /// Ends of all partitions of a topic.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time for any of them.
    pub fn of_topic(
        &self,
        topic: &str,
        partitions: i32,
        limit: Duration,
    ) -> Result<Vec<i64>, AskError> {
        (0..partitions).map(|p| self.bounds(topic, p, limit).map(|(_, end)| end)).collect()
    }
}

/// Who leads a partition is asked anew after this long, in milliseconds. A handle that neither reads
/// nor writes does not notice that a leader has moved: it would ask the old one in vain, for 15
/// minutes by default.
const LEADERS_KNOWN_MS: &str = "5000";

/// Pause before a partition without a leader is asked about again.
pub(crate) const LEADER_PAUSE: Duration = Duration::from_millis(50);

/// Whether a partition has no leader yet, or its leader has just changed. A broker that has just started refuses the
/// leader's epoch until it has read its own metadata.
pub(crate) const fn is_leaderless(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        code,
        E::NotLeaderForPartition
            | E::LeaderNotAvailable
            | E::FencedLeaderEpoch
            | E::UnknownLeaderEpoch
    )
}

/// Whether a topic or partition is not there, or hidden.
pub(crate) const fn is_absent(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(code, E::UnknownPartition | E::UnknownTopic | E::UnknownTopicOrPartition)
}

fn make(config: &ClientConfig, what: &str) -> KafkaResult<Parting<BaseConsumer<Events>>> {
    let handle = config.create_with_context(Events::default())?;
    note_made(what);
    Ok(Parting::new(handle))
}

/// Settings of a handle that is not polled: what it reports would pile up unread.
fn quiet(config: &ClientConfig) -> ClientConfig {
    let mut config = config.clone();
    config.remove("statistics.interval.ms");
    config.remove("debug");
    config.set("metadata.max.age.ms", LEADERS_KNOWN_MS);
    config.set_log_level(RDKafkaLogLevel::Info); // why a connection is lost is told at Info
    config
}

/// Reads the few errors that a handle has reported, and returns the last refusal among them.
fn drain(consumer: &BaseConsumer<Events>) -> Option<RDKafkaErrorCode> {
    let mut denial = None;
    for _ in 0..EVENTS_MAX {
        match consumer.poll(Duration::ZERO) {
            None => break,
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let code = error.rdkafka_error_code().filter(|code| is_denial(*code));
                denial = code.or(denial);
            }
        }
    }
    denial
}

/// Events read at one go.
const EVENTS_MAX: usize = 64;

/// A member of a group, as the group's coordinator describes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupMember {
    /// Id that the coordinator gave it.
    pub member_id: String,
    /// `client.id` of its program.
    pub client_id: String,
    /// Address that it connects from.
    pub host: String,
}

/// Committed offsets of a group, read from outside of it.
pub struct GroupOffsets {
    consumer: Parting<BaseConsumer<Events>>,
    group: String,
    /// The refusal that was reported last, until an answer comes. librdkafka looks for the group's coordinator from
    /// the start on, and reports the same refusal once: it may come before anybody asks.
    last_refusal: Mutex<Option<RDKafkaErrorCode>>,
}

impl GroupOffsets {
    /// Creates a handle, which begins to connect at once.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub fn new(config: &ClientConfig, group: &str) -> KafkaResult<Self> {
        let mut config = quiet(config);
        config
            .set("group.id", group)
            .set("isolation.level", "read_committed") // librdkafka asks for stable offsets only then
            .set("enable.auto.commit", "false");
        let consumer = make(&config, "group offsets")?;
        Ok(Self { consumer, group: group.to_owned(), last_refusal: Mutex::new(None) })
    }

    /// What the group has committed for `(topic, partition)` pairs, in their order.
    ///
    /// # Errors
    ///
    /// Fails while a transaction over these offsets is undecided, or without an answer.
    pub fn committed(
        &self,
        partitions: &[(&str, i32)],
        limit: Duration,
    ) -> Result<Vec<Committed>, AskError> {
        let needs = Needs::group("Describe", &self.group);
        let answer = member::committed(&self.consumer, needs, partitions, limit);
        if answer.is_ok() {
            self.forget_refusal();
        }
        // Without the permission librdkafka looks for the group's coordinator until the time is up;
        // why, it only reports.
        match (answer, self.refusal()) {
            (Err(AskError::Undecided | AskError::Away(_)), Some(code)) => {
                Err(AskError::of_code(Some(code), needs.explain(code, &code.to_string())))
            }
            (answer, _) => answer,
        }
    }

    /// Current members of the group; a dead member stays in it until its session ends. Blocks for
    /// at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time, or without the permission to ask.
    pub fn members(&self, limit: Duration) -> Result<Vec<GroupMember>, AskError> {
        self.refusal(); // reads what was reported
        let needs = Needs::group("Describe", &self.group);
        let list = self.consumer.fetch_group_list(Some(&self.group), limit);
        let list = list.map_err(|error| AskError::about(&error, needs))?;
        let of_group = list.groups().iter().filter(|found| found.name() == self.group);
        let members = of_group.flat_map(|found| found.members()).map(|member| GroupMember {
            member_id: member.id().to_owned(),
            client_id: member.client_id().to_owned(),
            host: member.client_host().trim_start_matches('/').to_owned(),
        });
        Ok(members.collect())
    }

    /// Whether the group has assigned these partitions of a topic: it is stable, and each has an
    /// owner. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time, or without the permission to ask.
    pub fn is_shared_out(
        &self,
        topic: &str,
        partitions: i32,
        limit: Duration,
    ) -> Result<bool, AskError> {
        self.refusal(); // reads what was reported
        let unowned = coverage::unowned(&self.consumer, &self.group, topic, partitions, limit)?;
        Ok(unowned.is_some_and(|unowned| unowned.is_empty()))
    }

    /// Reads what was reported, and returns the last refusal since an answer came.
    fn refusal(&self) -> Option<RDKafkaErrorCode> {
        let mut last = self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner);
        *last = drain(&self.consumer).or(*last);
        *last
    }

    fn forget_refusal(&self) {
        drain(&self.consumer);
        *self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
