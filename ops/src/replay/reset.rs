//! Resets a group in one transaction, in the name of its only member.
//!
//! A transaction's offsets are taken from a member of the group's present generation only. So a consumer
//! that joins meanwhile makes the commit fail, and nothing has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::time::{Duration, Instant};

use fail::fail_point;
use kafka_io::client_config::{BROKER_PROBE_LIMIT, Role, set_defaults};
use kafka_io::ends::GroupOffsets;
use kafka_io::member::{Change, Member, OffsetCommit};
use kafka_io::native::RecordHeaders;
use kafka_io::write_error::WriteError;
use kafka_io::writer::{Guarantee, NO_TAG, Writer, topic_name};
use pipeline::completion::Completion;
use pipeline::record::CommitPosition;
use service_kit::clock::now_ms;
use service_kit::exit::AppError;

use super::ledger::{Entry, VERSION};
use super::plan::Found;
use crate::audit::{GROUP, MAIN_OFFSET, RESET, RETRY_COMPLETION, RETRY_OFFSET, Settings};
use crate::connected::Connected;
use crate::dlq::DlqError;
use crate::dlq::redrive::{Ledger, run_id, transactional_id};

/// Longest wait until a lone member has all partitions.
const JOIN_MAX: Duration = Duration::from_secs(20);

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Longest wait until the transactional id is taken over: what an earlier run has begun is decided first.
const TAKE_OVER_MAX: Duration = Duration::from_secs(30);

/// The only member of the group.
pub(super) struct Joined {
    member: Member,
    group: String,
}

impl Joined {
    /// Joins the group, and waits until it has all partitions.
    ///
    /// # Errors
    ///
    /// Fails where that does not come about in time, since another member came.
    pub(super) fn join(settings: &Settings, partitions: i32) -> Result<Self, AppError> {
        let config = settings.kafka.base(Role::Consumer);
        let group = settings.group.clone();
        let failed = |text: String| AppError::failed(text);
        let member = Member::join(&config, &group, None, &settings.topics.main)
            .map_err(|error| failed(error.to_string()))?;
        let (mut owned, give_up_at) = (BTreeSet::new(), Instant::now() + JOIN_MAX);
        let all: BTreeSet<i32> = (0..partitions).collect();
        while owned != all {
            for change in member.serve() {
                match change {
                    Change::Assigned(some) => owned.extend(some),
                    Change::Revoked(some) => owned.retain(|one| !some.contains(one)),
                }
            }
            if let Some((_, text)) = member.fatal() {
                return Err(failed(text));
            }
            if Instant::now() >= give_up_at {
                return Err(other_member(&group));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let joined = Self { member, group };
        let handle =
            GroupOffsets::new(&config, &joined.group).map_err(|error| failed(error.to_string()))?;
        let members =
            handle.members(BROKER_PROBE_LIMIT).map_err(|error| failed(error.to_string()))?;
        let own = joined.member.membership().member_id;
        if members.iter().any(|member| member.member_id != own) {
            return Err(other_member(&joined.group));
        }
        Ok(joined)
    }

    /// Stays in the group.
    ///
    /// # Errors
    ///
    /// Fails where the group shares out its partitions anew: somebody came.
    pub(super) fn serve(&self) -> Result<(), AppError> {
        let is_alone = self.member.serve().is_empty() && self.member.fatal().is_none();
        if is_alone { Ok(()) } else { Err(other_member(&self.group)) }
    }
}

fn other_member(group: &str) -> AppError {
    AppError::failed(format!("nothing was changed: a consumer joined the group {group} meanwhile"))
        .hint("stop it and run this command again")
}

/// Takes the transactional id of redrives over: a run that goes on sends nothing any more, and the next one
/// reads the ledger of replays first. It holds as long as the writer lives.
///
/// # Errors
///
/// Fails where the id is not given; nothing was changed then.
pub(super) fn stop_redrives(settings: &Settings) -> Result<Writer, AppError> {
    let id = transactional_id(&settings.topics.dead_letter);
    let config = settings.kafka.base(Role::Producer);
    Writer::open(&config, Guarantee::ExactlyOnce, &id, TAKE_OVER_MAX)
        .map_err(|error| AppError::failed(format!("nothing was changed: {error}")))
}

/// What is written.
pub(super) struct Reset<'a> {
    settings: &'a Settings,
    found: &'a [Found],
    /// By name the ids of the topics, from before anything was looked at.
    topic_ids: BTreeMap<String, String>,
    id: String,
    to: String,
}

impl<'a> Reset<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        to: &str,
        found: &'a [Found],
        topic_ids: BTreeMap<String, String>,
    ) -> Self {
        Self { settings, found, topic_ids, id: run_id(), to: to.to_owned() }
    }

    /// Makes the ledger where there is none.
    pub(super) async fn ensure_ledger(&self, connected: &Connected) -> Result<(), DlqError> {
        Ledger::new(connected, &self.settings.replays).ensure().await
    }

    /// Resets the group, and returns the name of the replay.
    ///
    /// # Errors
    ///
    /// Fails with what is known of the group then: nothing was changed, or it is unknown.
    pub(super) fn execute(self, joined: Joined) -> Result<String, AppError> {
        let id = format!("{}-replay", self.settings.group);
        let mut config = self.settings.kafka.base(Role::Producer);
        set_defaults(&mut config, [("linger.ms", "5")]);
        let mut writer = Writer::open(&config, Guarantee::ExactlyOnce, &id, TAKE_OVER_MAX)
            .map_err(|error| AppError::failed(format!("nothing was changed: {error}")))?;
        joined.serve()?;
        if let Err(error) = self.transact(&mut writer, &joined.member) {
            let error = writer.explain(error);
            let _ = writer.abort(); // what cannot be aborted now, the coordinator aborts
            return Err(explain(&error, &joined.group));
        }
        joined.member.leave();
        Ok(self.id)
    }

    fn transact(&self, writer: &mut Writer, member: &Member) -> Result<(), WriteError> {
        let topics = &self.settings.topics;
        let (averages, ledger) = (topic_name(&topics.averages), topic_name(&self.settings.replays));
        writer.begin()?;
        let mut offsets = Vec::new();
        for found in self.found {
            self.empty(writer, &averages, found)?;
            let entry = serde_json::to_vec(&self.entry(found));
            let entry = entry.map_err(|error| WriteError::Failed(error.to_string()))?;
            let key = self.settings.group.as_bytes();
            writer.produce(&ledger, 0, Some(key), Some(&entry), None, NO_TAG)?;
            let main = Completion::at(CommitPosition(found.to));
            let retry = self.retry(found);
            let partition = found.cut.partition;
            let (to, retry_to) = positions(found);
            offsets.push(OffsetCommit::new(&topics.main, partition, &main, to));
            offsets.push(OffsetCommit::new(&topics.retry, partition, &retry, retry_to));
        }
        writer.acknowledged()?;
        fail_point!("replay-produced", |_| std::process::abort());
        writer.commit(member, &offsets, || {
            fail_point!("replay-offsets-sent", |_| std::process::abort());
            fail_point!("replay-commit-sent", |_| {
                // The commit is sent next: the process dies while its answer is on the way.
                std::thread::spawn(|| {
                    std::thread::sleep(Duration::from_micros(400));
                    std::process::abort();
                });
            });
        })?;
        fail_point!("replay-committed", |_| std::process::abort());
        Ok(())
    }

    /// A tombstone for each product, and then the note that the count begins anew. It comes last: whatever
    /// compaction takes away, it takes the older records of the products first.
    fn empty(&self, writer: &Writer, topic: &CString, found: &Found) -> Result<(), WriteError> {
        let partition = found.cut.partition;
        for product in found.partials.keys() {
            let key = Some(product.as_bytes());
            writer.produce(topic, partition, key, None, None, NO_TAG)?;
        }
        let (to, retry_to) = positions(found);
        let mut headers = RecordHeaders::new();
        let mut add = |name: &str, value: &str| {
            headers.add(name.as_bytes(), Some(value.as_bytes()));
        };
        add(GROUP, &self.settings.group);
        add(MAIN_OFFSET, &to.to_string());
        add(RETRY_OFFSET, &retry_to.to_string());
        let retry = self.retry(found);
        if retry.is_shared() {
            add(RETRY_COMPLETION, &retry.encode());
        }
        add(RESET, &self.id);
        writer.produce(topic, partition, Some(b""), None, Some(&headers), NO_TAG)
    }

    /// All that waits is settled. That other groups use the topic stays true.
    fn retry(&self, found: &Found) -> Completion {
        let (_, retry_to) = positions(found);
        let is_shared = found.cut.before.retry.is_shared || found.retries.is_shared;
        Completion::at(retry_to).with_shared(is_shared)
    }

    fn entry(&self, found: &Found) -> Entry {
        let (topics, bounds) = (&self.settings.topics, found.cut.bounds);
        let of = |name: &str, at: i64| (name.to_owned(), at);
        Entry {
            version: VERSION,
            replay_id: self.id.clone(),
            group: self.settings.group.clone(),
            partition: found.cut.partition,
            orders: of(&topics.main, found.to),
            retry: of(&topics.retry, bounds.retry.end),
            dead_letters: of(&topics.dead_letter, bounds.dead_letter.end),
            averages: of(&topics.averages, bounds.averages.end),
            outcomes: topics.outcomes.as_ref().map(|name| of(name, bounds.outcomes.end)),
            topic_ids: self.topic_ids.clone(),
            to: self.to.clone(),
            at_ms: now_ms(),
            by: std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()),
        }
    }
}

/// Commit positions of orders and retries afterwards.
const fn positions(found: &Found) -> (CommitPosition, CommitPosition) {
    (CommitPosition(found.to), CommitPosition(found.cut.bounds.retry.end))
}

fn explain(error: &WriteError, group: &str) -> AppError {
    match error {
        WriteError::StaleMember(_) => other_member(group),
        // Whoever took the id over may have found the commit decided.
        WriteError::Unknown(why) | WriteError::Fenced(why) => AppError::failed(format!(
            "it is unknown whether the group was reset: {why}"
        ))
        .hint(
            "check with the same command without --execute, and run it again if needed: a second \
             run has the same effect",
        ),
        error => AppError::failed(format!("nothing was changed: {error}")),
    }
}
