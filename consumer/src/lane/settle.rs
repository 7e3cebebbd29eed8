//! Makes a turn durable: its records, averages and offsets in one transaction.

use std::time::Instant;

use codec::wire::{Outcome, OrderOutcomeRef, ProductAverageRef};
use kafka_io::member::{Change, OffsetCommit};
use kafka_io::native::RecordHeaders;
use kafka_io::writer::{Refused, WriteError, Writer};
use pipeline::completion::{Completion, METADATA_CHARS_MIN};

use crate::lane::limits::{
    AWAY_PAUSE, AWAY_PAUSE_MAX, FENCE_AGAIN, MARKER_COMMIT_AFTER, OFFSET_REFRESH, REDO_MAX,
    STALE_MEMBER_MAX, WRITER_OPEN, unresolved_max,
};
use crate::lane::owned::{LastCommit, Owned};
use crate::lane::restore::{AVERAGES_GROUP, AVERAGES_MAIN_OFFSET, AVERAGES_RETRY_OFFSET};
use crate::lane::turn::{Destination, Forward, OutcomeEntry};
use crate::lane::{Lane, LaneError};

/// What became of an attempt to commit a turn.
enum Attempt {
    Committed,
    /// Nothing of it is visible; the turn stands as it was.
    Redo,
    /// Nothing of it is visible; a record of it was refused and is smaller now.
    RedoSmaller,
    /// Its state was dropped and is read back from the brokers.
    ReadAgain,
}

/// Longest order id, product or key in an entry of the outcome log, in bytes.
const OUTCOME_TEXT_BYTES_MAX: usize = 64 * 1024;

impl Lane {
    /// Makes sure there is a writer; `false` while the brokers are away.
    pub(crate) fn ready_to_write(&mut self) -> Result<bool, LaneError> {
        if self.writer.as_ref().is_some_and(Writer::must_be_replaced) {
            tracing::info!(lane = self.index, "the transaction coordinator was lost; new writer");
            self.writer = None;
        }
        if self.writer.is_some() {
            return Ok(true);
        }
        if Instant::now() < self.writer_again_at {
            std::thread::sleep(AWAY_PAUSE / 4);
            return Ok(false);
        }
        let guarantee = self.settings.guarantee;
        match Writer::open(&self.writer_config, guarantee, &self.transactional_id, WRITER_OPEN) {
            Ok(writer) => {
                self.writer = Some(writer);
                self.writer_pause = AWAY_PAUSE;
                self.away = None;
                Ok(true)
            }
            Err(WriteError::Denied(text)) => Err(LaneError::Denied(text)),
            Err(error) => {
                self.note_away(&error.to_string());
                self.writer_again_at = Instant::now() + self.writer_pause;
                self.writer_pause = (self.writer_pause * 2).min(AWAY_PAUSE_MAX);
                Ok(false)
            }
        }
    }

    /// Commits the turn, if there is something to commit.
    pub(crate) fn settle_turn(&mut self) -> Result<(), LaneError> {
        if !self.is_commit_due() {
            self.desk.turn.restart();
            return Ok(());
        }
        let (mut stale_since, mut redos) = (None, 0);
        while redos < REDO_MAX && !self.shared.must_abandon() {
            let started = Instant::now();
            match self.try_commit(&mut stale_since)? {
                Attempt::Committed => {
                    self.count_committed(started);
                    return Ok(());
                }
                Attempt::Redo => redos += 1,
                // Each record gets smaller a few times at most, so this ends by itself.
                Attempt::RedoSmaller => self.beat(),
                Attempt::ReadAgain => return Ok(()),
            }
        }
        tracing::warn!(lane = self.index, "a turn could not be committed; reading state again");
        self.read_again();
        Ok(())
    }

    fn is_commit_due(&self) -> bool {
        if self.desk.iter().any(|owned| owned.dirty) {
            return true;
        }
        let idle = self.last_commit_at.elapsed() >= MARKER_COMMIT_AFTER;
        self.desk.iter().any(|owned| needs_offsets(owned, idle))
    }

    fn try_commit(&mut self, stale_since: &mut Option<Instant>) -> Result<Attempt, LaneError> {
        let result = self.write_turn();
        let lost = self.writer.as_ref().is_none_or(Writer::must_be_replaced);
        match result {
            Ok(offsets) => {
                if lost {
                    // Committed, yet perhaps by a request that is still on its way once more.
                    self.outcome_unknown("the coordinator was lost during the transaction");
                    return Ok(Attempt::ReadAgain);
                }
                self.note_offsets(offsets);
                Ok(Attempt::Committed)
            }
            Err(error) => {
                let was_open = !matches!(error, WriteError::Unknown(_) | WriteError::Fenced(_));
                let aborted = was_open && !lost && self.abort();
                if aborted {
                    self.metrics.transaction("aborted");
                }
                tracing::debug!(lane = self.index, %error, aborted, "turn not committed");
                self.after_failure(error, aborted, stale_since)
            }
        }
    }

    /// Aborts the open transaction; `false` when the writer has to go.
    fn abort(&mut self) -> bool {
        self.writer.as_mut().is_some_and(|writer| writer.abort().is_ok())
    }

    fn after_failure(
        &mut self,
        error: WriteError,
        aborted: bool,
        stale_since: &mut Option<Instant>,
    ) -> Result<Attempt, LaneError> {
        if let WriteError::Denied(text) = error {
            return Err(LaneError::Denied(text));
        }
        if !aborted {
            if let WriteError::Fenced(text) = &error {
                self.note_fence(text)?;
            }
            self.outcome_unknown(&error.to_string());
            return Ok(Attempt::ReadAgain);
        }
        match error {
            WriteError::Refused(refused) => {
                self.shrink(&refused)?;
                Ok(Attempt::RedoSmaller)
            }
            WriteError::MetadataTooLarge => {
                if self.metadata_chars <= METADATA_CHARS_MIN {
                    return Err(LaneError::Failed(format!(
                        "the broker refuses offset metadata of {METADATA_CHARS_MIN} characters; \
                         raise its offset.metadata.max.bytes"
                    )));
                }
                self.metadata_chars = (self.metadata_chars / 2).max(METADATA_CHARS_MIN);
                let limit_bytes = Completion::bytes_for_chars(self.metadata_chars);
                self.desk.unresolved_max = unresolved_max(limit_bytes);
                tracing::warn!(
                    lane = self.index,
                    characters = self.metadata_chars,
                    "the broker takes less offset metadata; working with half as much"
                );
                self.read_again();
                Ok(Attempt::ReadAgain)
            }
            WriteError::StaleMember(_) => Ok(self.wait_for_membership(stale_since)),
            _ => {
                std::thread::sleep(AWAY_PAUSE);
                Ok(Attempt::Redo)
            }
        }
    }

    /// Redoes the turn while its partitions are still owned; else reads everything again.
    fn wait_for_membership(&mut self, stale_since: &mut Option<Instant>) -> Attempt {
        let since = *stale_since.get_or_insert_with(Instant::now);
        let changes = self.member.serve();
        let revoked = changes.iter().any(|change| matches!(change, Change::Revoked(_)));
        for change in changes {
            self.apply(change);
        }
        if revoked || since.elapsed() >= STALE_MEMBER_MAX {
            self.read_again();
            return Attempt::ReadAgain;
        }
        std::thread::sleep(AWAY_PAUSE / 4);
        Attempt::Redo
    }

    /// Whether the turn is visible is not known: a new writer with the same id settles it
    /// (the old transaction is decided before the new writer is ready), then state is read.
    fn outcome_unknown(&mut self, why: &str) {
        tracing::warn!(lane = self.index, why, "outcome unknown; reading state again");
        self.metrics.transaction("unknown");
        self.writer = None;
        self.read_again();
    }

    fn note_fence(&mut self, text: &str) -> Result<(), LaneError> {
        let again = self.fenced_at.is_some_and(|at| at.elapsed() < FENCE_AGAIN);
        if again {
            return Err(LaneError::IdTaken {
                id: self.transactional_id.clone(),
                detail: text.to_owned(),
            });
        }
        self.fenced_at = Some(Instant::now());
        Ok(())
    }

    /// Produces everything of the turn and commits it with the offsets.
    fn write_turn(&mut self) -> Result<Vec<OffsetCommit>, WriteError> {
        let is_exactly_once = self.settings.is_exactly_once();
        let writer = self.writer.as_mut().ok_or_else(|| WriteError::Unknown("no writer".into()))?;
        writer.begin()?;
        let (names, dialects) = (&self.topic_names, self.settings.dialects);
        let forwards = &mut self.desk.turn.forwards;
        let open = || (0..).zip(forwards.iter()).filter(|(_, forward)| !forward.is_durable);
        for (tag, forward) in open().filter(|(_, forward)| !forward.suspect) {
            send_forward(writer, names, dialects, tag, forward)?;
        }
        let mut alone: Vec<(usize, usize)> = open()
            .filter(|(_, forward)| forward.suspect)
            .map(|(tag, forward)| (forward.wire_bytes(dialects), tag))
            .collect();
        if !alone.is_empty() || !is_exactly_once {
            writer.acknowledged()?;
        }
        // The smallest first: when it is refused, what that means for the others is known.
        alone.sort_unstable();
        for (_, tag) in alone {
            send_forward(writer, names, dialects, tag, &forwards[tag])?;
            writer.acknowledged()?;
            forwards[tag].is_durable = !is_exactly_once;
        }
        self.send_state_and_outcomes()?;
        let writer = self.writer.as_mut().ok_or_else(|| WriteError::Unknown("no writer".into()))?;
        writer.acknowledged()?;
        if !is_exactly_once {
            // Without a transaction nothing takes these back: a redo must not send them again.
            self.desk.turn.forwards.iter_mut().for_each(|forward| forward.is_durable = true);
            self.desk.turn.outcomes.clear();
        }
        let offsets = offsets_of(&self.desk.owned, &self.settings);
        writer.commit(&self.member, &offsets)?;
        Ok(offsets)
    }

    /// Produces what follows from the forwards: averages and outcomes.
    fn send_state_and_outcomes(&mut self) -> Result<(), WriteError> {
        let writer = self.writer.as_ref().ok_or_else(|| WriteError::Unknown("no writer".into()))?;
        let names = &self.topic_names;
        let no_tag = usize::MAX;
        for owned in self.desk.owned.iter().flatten().filter(|owned| owned.dirty) {
            let headers = averages_headers(&self.settings.group, owned);
            let updated_at_ms = self.desk.now_ms;
            for partial in owned.averages.touched() {
                self.buffer.clear();
                let average = ProductAverageRef {
                    product: &partial.product,
                    count: i64::try_from(partial.count).unwrap_or(i64::MAX),
                    sum: partial.sum,
                    average: orders::average(partial.sum, partial.count).unwrap_or(0.0),
                    updated_at_ms,
                };
                self.encoders.averages.encode_into(&mut self.buffer, &average);
                let key = Some(partial.product.as_bytes());
                let value = Some(self.buffer.as_slice());
                writer.produce(&names.averages, owned.partition, key, value, Some(&headers), no_tag)?;
            }
        }
        if let (Some(topic), Some(encoder)) = (&names.outcomes, &self.encoders.outcomes) {
            let turn = &self.desk.turn;
            for entry in &turn.outcomes {
                self.buffer.clear();
                let forward = entry.forward.and_then(|index| turn.forwards.get(index));
                encoder.encode_into(&mut self.buffer, &outcome(entry, forward, self.desk.now_ms));
                let key = entry.key.as_deref().filter(|key| key.len() <= OUTCOME_TEXT_BYTES_MAX);
                writer.produce(topic, entry.partition, key, Some(&self.buffer), None, no_tag)?;
            }
        }
        Ok(())
    }

    /// Marks refused records: sent alone next time, and smaller when they were alone already.
    fn shrink(&mut self, refused: &[Refused]) -> Result<(), LaneError> {
        let forwards = &mut self.desk.turn.forwards;
        if !self.settings.is_exactly_once() {
            // There is no transaction to take the others back: they must not be sent again.
            for (tag, forward) in forwards.iter_mut().enumerate() {
                forward.is_durable |=
                    !forward.suspect && refused.iter().all(|refused| refused.tag != tag);
            }
        }
        // What was refused for another reason failed in the wake of these.
        for Refused { tag, code } in refused.iter().filter(|refused| refused.is_size()) {
            let dialects = self.settings.dialects;
            let Some(forward) = forwards.get_mut(*tag) else {
                return Err(LaneError::averages_refused(&self.settings, &code.to_string()));
            };
            if !forward.suspect {
                forward.suspect = true;
                continue;
            }
            let (bytes, is_retry) = (forward.wire_bytes(dialects), forward.is_to_retry());
            let compresses = ["compression.type", "compression.codec"]
                .iter()
                .any(|key| self.writer_config.get(key).is_some_and(|value| value != "none"));
            for (other, forward) in forwards.iter_mut().enumerate() {
                // Uncompressed, a larger record for the same topic is too large as well.
                let follows = !compresses
                    && forward.suspect
                    && !forward.is_durable
                    && forward.is_to_retry() == is_retry
                    && forward.wire_bytes(dialects) >= bytes;
                if other != *tag && !follows {
                    continue;
                }
                if !forward.shrink_further() {
                    return Err(LaneError::Failed(format!(
                        "{} refuses even a bare dead letter: {code}; raise its max.message.bytes",
                        self.settings.topics.dead_letter
                    )));
                }
                self.metrics.shrunk.increment(1);
                let (partition, offset) = (forward.record.partition, forward.record.offset);
                tracing::error!(partition, %offset, shrink = ?forward.shrink, "record too large for the broker; parts are left out");
            }
        }
        Ok(())
    }

    fn note_offsets(&mut self, offsets: Vec<OffsetCommit>) {
        let now = Instant::now();
        for commit in offsets {
            let is_main = commit.topic == self.settings.topics.main;
            let Some(owned) = self.desk.owned_mut(commit.partition) else { continue };
            let last = Some(LastCommit { position: commit.position, metadata: commit.metadata });
            if is_main {
                owned.committed_main = last;
            } else {
                owned.committed_retry = last;
            }
            owned.committed_at = Some(now);
            owned.dirty = false;
            owned.averages.clear_touched();
        }
        self.last_commit_at = now;
        self.away = None;
    }
}

/// Whether the offsets of a partition that did nothing are due for a commit.
fn needs_offsets(owned: &Owned, idle: bool) -> bool {
    let stale = owned.committed_at.is_some_and(|at| at.elapsed() >= OFFSET_REFRESH);
    owned.is_active() && (stale || (idle && owned.is_ahead_of_commit()))
}

/// Offsets of every partition that has moved, main and retry always together.
fn offsets_of(owned: &[Option<Box<Owned>>], settings: &super::LaneSettings) -> Vec<OffsetCommit> {
    let mut offsets = Vec::new();
    for owned in owned.iter().flatten() {
        if !(owned.dirty || owned.is_ahead_of_commit() || needs_offsets(owned, true)) {
            continue;
        }
        let both: [(&str, &Completion, _); 2] = [
            (&settings.topics.main, &owned.main_completion(), owned.main.position()),
            (&settings.topics.retry, &owned.retry_completion(), owned.retry.position()),
        ];
        for (topic, completion, position) in both {
            offsets.push(OffsetCommit::new(topic, owned.partition, completion, position));
        }
    }
    offsets
}

fn averages_headers(group: &str, owned: &Owned) -> RecordHeaders {
    let mut headers = RecordHeaders::new();
    headers.add(AVERAGES_GROUP.as_bytes(), Some(group.as_bytes()));
    for (name, window) in [(AVERAGES_MAIN_OFFSET, &owned.main), (AVERAGES_RETRY_OFFSET, &owned.retry)] {
        let position = window.position().to_string();
        headers.add(name.as_bytes(), Some(position.as_bytes()));
    }
    headers
}

fn send_forward(
    writer: &Writer,
    names: &super::TopicNames,
    dialects: pipeline::headers::Dialects,
    tag: usize,
    forward: &Forward,
) -> Result<(), WriteError> {
    let topic = match forward.destination {
        Destination::Retry { .. } | Destination::Repark => &names.retry,
        Destination::DeadLetter => &names.dead_letter,
    };
    let wire = forward.wire(dialects);
    let partition = forward.record.partition;
    writer.produce(topic, partition, wire.key, wire.value.as_deref(), wire.headers.as_ref(), tag)
}

fn outcome<'a>(
    entry: &'a OutcomeEntry,
    forward: Option<&'a Forward>,
    settled_at_ms: i64,
) -> OrderOutcomeRef<'a> {
    let result = match forward.map(|forward| forward.destination) {
        None => Outcome::Succeeded,
        Some(Destination::Retry { .. } | Destination::Repark) => Outcome::Retried,
        Some(Destination::DeadLetter) => Outcome::DeadLettered,
    };
    let failure = forward.and_then(|forward| forward.hop.as_ref()).map(|parts| &parts.failure);
    OrderOutcomeRef {
        order_id: cut(&entry.order_id),
        product: cut(&entry.product),
        origin_partition: entry.origin_partition,
        origin_offset: entry.origin_offset.0,
        attempt: i32::try_from(entry.attempt).unwrap_or(i32::MAX),
        outcome: result,
        failure_class: failure.map(|failure| failure.class().as_str()),
        settled_at_ms,
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(OUTCOME_TEXT_BYTES_MAX)]
}
