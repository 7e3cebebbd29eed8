//! Looks at the topics while a pipeline runs: a setting that was right at the start may be changed,
//! records may be removed from inside the log, and other groups may begin to use the topics.
//!
//! Nothing here stops a lane. What is in a topic is read best before it is removed, so that a
//! pipeline whose topic is compacted by now goes on, says so, and is not ready.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kafka_io::ClientConfig;
use kafka_io::access::{Operation, Want};
use kafka_io::admin::Admin;
use kafka_io::ends::Ends;
use kafka_io::member::AskError;
use kafka_io::reader::{Polled, Reader};
use pipeline::headers::ORIGIN_GROUP;
use pipeline::record::CommitPosition;

use crate::advice;
use crate::gaps::{Gap, Missing};
use crate::layout;
use crate::notices::Notices;
use crate::prepare::layout;
use crate::settings::EngineSettings;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Longest wait for one answer of a look.
const ASK_MAX: Duration = Duration::from_secs(5);

/// Longest time for the last dead letters of all partitions, and for a look into a gap.
const READ_MAX: Duration = Duration::from_secs(5);

/// Longest wait for one of these records.
const POLL_MAX: Duration = Duration::from_millis(200);

/// The last dead letters of a partition that are looked at.
const TAIL_RECORDS: i64 = 200;

/// So many offsets in a row without a record are no markers: each would be the end of another
/// transaction, all of them open at once.
const GAP_OFFSETS_MIN: i64 = 1_000;

/// Longest wait for a look that is under way when the run ends.
const END_MAX: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct TopicWatch {
    work: Arc<Work>,
    again_at: Instant,
    /// Tells when the look that is under way is over.
    under_way: Option<Receiver<()>>,
}

/// What a look needs, and what the last one has seen.
struct Work {
    settings: EngineSettings,
    consumer: ClientConfig,
    notices: Arc<Notices>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Ends of the partitions of the dead-letter topic.
    dead_letter_ends: BTreeMap<i32, i64>,
    is_compaction_told: bool,
    /// The longest gap that was looked into.
    gap: Option<Gap>,
}

impl TopicWatch {
    pub(crate) fn new(
        settings: &EngineSettings,
        consumer: &ClientConfig,
        notices: &Arc<Notices>,
    ) -> Self {
        let work = Work {
            settings: settings.clone(),
            consumer: consumer.clone(),
            notices: Arc::clone(notices),
            seen: Mutex::default(),
        };
        Self { work: Arc::new(work), again_at: Instant::now(), under_way: None }
    }

    /// Starts a look if one is due, in a thread of its own. `owned` are the partitions of this
    /// process, `missing` what is missing of what it has read.
    pub(crate) fn look(&mut self, owned: Vec<i32>, missing: Missing) {
        let is_over = |under_way: &Receiver<()>| {
            under_way.recv_timeout(Duration::ZERO) != Err(RecvTimeoutError::Timeout)
        };
        let is_under_way = self.under_way.as_ref().is_some_and(|look| !is_over(look));
        if !self.work.settings.checks_topic_settings
            || is_under_way
            || Instant::now() < self.again_at
        {
            return;
        }
        self.again_at = Instant::now() + LOOK_EVERY;
        let (tell, told) = channel();
        let work = Arc::clone(&self.work);
        let thread = std::thread::Builder::new().name("topic-watch".to_owned());
        let spawned = thread.spawn(move || {
            if let Err(error) = work.look(&owned, missing) {
                tracing::debug!(%error, "the topics could not be checked");
            }
            let _is_waited_for = tell.send(());
        });
        match spawned {
            Ok(_) => self.under_way = Some(told),
            Err(error) => tracing::warn!(%error, "the topics are not being checked"),
        }
    }

    /// Waits a little for a look that is under way.
    pub(crate) fn end(&mut self) {
        if let Some(look) = self.under_way.take() {
            let _is_over = look.recv_timeout(END_MAX);
        }
    }
}

impl Work {
    fn look(&self, owned: &[i32], missing: Missing) -> Result<(), AskError> {
        let admin = Admin::new(&self.consumer)?;
        self.look_at_settings(&admin, &missing)?;
        self.look_for_removed(&missing)?;
        self.look_for_strangers(&admin, owned)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_at_settings(&self, admin: &Admin, missing: &Missing) -> Result<(), AskError> {
        let topics = &self.settings.topics;
        let names: Vec<&str> = layout::roles(topics).into_iter().map(|(_, name)| name).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| AskError::Away(error.to_string()))?;
        let existing = runtime.block_on(admin.describe(&names, ASK_MAX))?;
        let problems = layout(&self.settings).setting_problems(&existing);
        let text = (!problems.is_empty())
            .then(|| format!("{}; {}", advice::message(&problems), advice::hint(&problems)));
        if self.notices.note_topic_problems(text.clone()) {
            match &text {
                Some(text) => tracing::error!("a topic in use was changed: {text}"),
                None => tracing::info!("the settings of all topics are correct again"),
            }
        }
        let is_compacted = problems.iter().any(|problem| {
            problem.message.starts_with(&format!("topic {}: cleanup.policy", topics.main))
        });
        let mut seen = self.seen();
        if is_compacted
            && !seen.is_compaction_told
            && let Some(first) = missing.first
        {
            seen.is_compaction_told = true;
            tracing::error!(
                "{} offsets of {} are missing among those read since the start, and the topic \
                 is now compacted. The first are partition {} offsets {} to {}. Some may be \
                 transaction markers; any {} among them were not handled",
                missing.offsets,
                topics.main,
                first.partition,
                first.first,
                first.last,
                self.settings.words.records,
            );
        }
        Ok(())
    }

    /// A long run of offsets without any record, also such as were aborted, was removed.
    fn look_for_removed(&self, missing: &Missing) -> Result<(), AskError> {
        let Some(gap) = missing.largest.filter(|gap| gap.last - gap.first >= GAP_OFFSETS_MIN)
        else {
            return Ok(());
        };
        if self.settings.accepts_compacted || self.seen().gap == Some(gap) {
            return Ok(());
        }
        let topic = &self.settings.topics.main;
        let failed = |error: kafka_io::KafkaError| AskError::Away(error.to_string());
        let reader =
            Reader::new_uncommitted(&self.consumer, &self.settings.group).map_err(failed)?;
        reader.start(topic, gap.partition, CommitPosition(gap.first)).map_err(failed)?;
        let give_up_at = Instant::now() + READ_MAX;
        while Instant::now() < give_up_at {
            let is_empty = match reader.poll(POLL_MAX) {
                Polled::Record(record) => record.offset().0 > gap.last,
                Polled::End(_) => true,
                Polled::Nothing | Polled::Away(_) => continue,
                Polled::OutOfRange | Polled::Denied(_) | Polled::Missing(_) => false,
            };
            if is_empty {
                tracing::error!(
                    "{topic}/{} has no record at offsets {} to {}: they were removed from inside \
                     the log, as compaction does, and were not processed; check its \
                     cleanup.policy and send the missing records again",
                    gap.partition,
                    gap.first,
                    gap.last
                );
            }
            self.seen().gap = Some(gap);
            break;
        }
        Ok(())
    }

    /// Looks whose the last dead letters are.
    fn look_for_strangers(&self, admin: &Admin, owned: &[i32]) -> Result<(), AskError> {
        let topic = &self.settings.topics.dead_letter;
        let wants = [Want { topic, operations: vec![Operation::Read] }];
        if !admin.missing_permissions(&wants, ASK_MAX)?.is_empty() {
            return Ok(()); // the pipeline itself does without
        }
        let failed = |error: kafka_io::KafkaError| AskError::Away(error.to_string());
        let ends = Ends::new(&self.consumer).map_err(failed)?;
        let reader = Reader::new(&self.consumer, &self.settings.group).map_err(failed)?;
        let mut open = 0;
        for &partition in owned {
            let (low, high) = ends.bounds(topic, partition, ASK_MAX)?;
            let last = self.seen().dead_letter_ends.insert(partition, high).unwrap_or(0);
            let start = last.max(low).max(high - TAIL_RECORDS);
            if start < high {
                reader.start(topic, partition, CommitPosition(start)).map_err(failed)?;
                open += 1;
            }
        }
        let give_up_at = Instant::now() + READ_MAX;
        while open > 0 && Instant::now() < give_up_at {
            match reader.poll(POLL_MAX) {
                Polled::Record(record) => {
                    let group = record.header(ORIGIN_GROUP).map(String::from_utf8_lossy);
                    if let Some(group) = group {
                        self.tell_stranger(record.partition(), &group);
                    }
                }
                Polled::End(_) => open -= 1,
                Polled::Nothing | Polled::Away(_) => {}
                Polled::OutOfRange | Polled::Denied(_) | Polled::Missing(_) => break,
            }
        }
        Ok(())
    }

    fn tell_stranger(&self, partition: i32, group: &str) {
        let (own, topic) = (&self.settings.group, &self.settings.topics.dead_letter);
        if group != own && self.notices.is_first_stranger(topic, partition) {
            tracing::warn!(
                "{topic}/{partition} also holds dead letters of group {group:?}, which only \
                 x-origin-group distinguishes; give each group its own dead-letter topic"
            );
        }
    }
}
