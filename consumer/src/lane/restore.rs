//! From assigned to active: offsets, averages, waiting retries, in this order.

use std::collections::HashMap;
use std::time::Instant;

use codec::decode::{DecodeError, Decoder};
use codec::wire::ProductAverage;
use kafka_io::member::{AskError, Committed};
use kafka_io::reader::{Fetched, HeldRecord};
use orders::Amount;
use pipeline::completion::{Completion, CompletionError};
use pipeline::record::CommitPosition;
use pipeline::window::Window;

use crate::lane::desk::Desk;
use crate::lane::limits::{BOUNDS_ASK, COMMITTED_ASK, COMMITTED_ASK_MAX, COMMITTED_PAUSE};
use crate::lane::owned::{LastCommit, Owned, Phase, StopReason};
use crate::lane::{Lane, LaneError};

/// Header of an averages record: the group that it belongs to.
pub(crate) const AVERAGES_GROUP: &str = "x-group";
/// Header of an averages record: the main position committed with it.
pub(crate) const AVERAGES_MAIN_OFFSET: &str = "x-main-offset";
/// Header of an averages record: the retry position committed with it.
pub(crate) const AVERAGES_RETRY_OFFSET: &str = "x-retry-offset";

impl Lane {
    /// Moves every partition that is being restored one step on.
    pub(crate) fn restore_step(&mut self) -> Result<(), LaneError> {
        self.ask_offsets()?;
        if self.desk.iter().all(|owned| owned.is_active()) {
            return Ok(());
        }
        let positions = self.reader.positions().unwrap_or_default();
        for partition in self.desk.partitions() {
            let topics = &self.settings.topics;
            let owned = self.desk.owned_mut(partition).expect("just listed");
            let position = |topic: &str| {
                positions.get(&(topic.to_owned(), partition)).copied().unwrap_or(i64::MIN)
            };
            match owned.phase {
                Phase::LoadAverages { until } => {
                    let is_read = position(&topics.averages) >= until;
                    self.read_averages_back(partition, is_read)?;
                }
                Phase::LoadRetries { until } if position(&topics.retry) >= until => {
                    owned.retry.pass(position(&topics.retry));
                    self.activate(partition);
                }
                _ => {}
            }
            self.tell_if_overdue(partition, &positions);
        }
        Ok(())
    }

    /// Says once what a partition waits for whose restore takes too long.
    fn tell_if_overdue(&mut self, partition: i32, positions: &HashMap<(String, i32), i64>) {
        let topics = &self.settings.topics;
        let owned = self.desk.owned_mut(partition).expect("just listed");
        if owned.overdue_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        let (topic, until) = match owned.phase {
            Phase::LoadAverages { until } => (&topics.averages, until),
            Phase::LoadRetries { until } => (&topics.retry, until),
            Phase::AskOffsets { .. } => {
                owned.overdue_at = None;
                tracing::warn!(
                    partition,
                    "restore waits for the group's committed offsets: the \
                    coordinator does not answer, or a transaction over them is undecided"
                );
                return;
            }
            _ => return,
        };
        owned.overdue_at = None;
        let at = positions.get(&(topic.clone(), partition)).copied().unwrap_or(0);
        tracing::warn!(
            partition,
            "restore waits at offset {at} of {topic}/{partition}, which ends at {until}: a \
             transaction may have been left open; look with kafka-transactions \
             --bootstrap-server {} describe-producers --topic {topic} --partition {partition}",
            self.settings.bootstrap_servers
        );
    }

    fn ask_offsets(&mut self) -> Result<(), LaneError> {
        let now = Instant::now();
        let waits = |owned: &&Owned| matches!(owned.phase, Phase::AskOffsets { again_at } if again_at <= now);
        let asking: Vec<i32> = self.desk.iter().filter(waits).map(|o| o.partition).collect();
        if asking.is_empty() {
            return Ok(());
        }
        // All at once, then one by one: an undecided transaction over one partition must not
        // hold up the others.
        match self.committed(&asking) {
            Ok(committed) => {
                self.away = None;
                self.committed_ask = COMMITTED_ASK;
                for (partition, committed) in asking.into_iter().zip(committed) {
                    if !self.start_restore(partition, committed)? {
                        break; // a leader is away: the others are asked after the pause as well
                    }
                    self.beat();
                }
                self.postpone_asking();
                return Ok(());
            }
            Err(AskError::Refused(text)) => return Err(LaneError::Denied(text)),
            Err(error @ (AskError::Away(_) | AskError::MetadataTooLarge | AskError::Fenced(_))) => {
                self.note_away(&error.to_string());
            }
            Err(AskError::Undecided) if asking.len() > 1 => {
                for &partition in &asking {
                    if let Ok(committed) = self.committed(&[partition]) {
                        let [committed] = <[_; 1]>::try_from(committed).expect("one was asked");
                        self.start_restore(partition, committed)?;
                    }
                }
            }
            Err(AskError::Undecided) => {}
        }
        self.committed_ask = (self.committed_ask * 2).min(COMMITTED_ASK_MAX);
        self.postpone_asking();
        Ok(())
    }

    /// Partitions whose offsets are not known are asked about again after a pause.
    fn postpone_asking(&mut self) {
        let later = Instant::now() + COMMITTED_PAUSE;
        for owned in self.desk.iter_mut() {
            if let Phase::AskOffsets { again_at } = &mut owned.phase {
                *again_at = later;
            }
        }
    }

    /// Committed offsets of main and retry for each partition.
    fn committed(&self, partitions: &[i32]) -> Result<Vec<(Committed, Committed)>, AskError> {
        let topics = &self.settings.topics;
        let pairs: Vec<(&str, i32)> = partitions
            .iter()
            .flat_map(|p| [(topics.main.as_str(), *p), (topics.retry.as_str(), *p)])
            .collect();
        let answer = self.member.committed(&pairs, self.committed_ask)?;
        let mut answer = answer.into_iter();
        let mut pairs = Vec::with_capacity(partitions.len());
        while let (Some(main), Some(retry)) = (answer.next(), answer.next()) {
            pairs.push((main, retry));
        }
        Ok(pairs)
    }

    /// Has the committed offsets: checks them against the topics and starts to read back.
    fn start_restore(
        &mut self,
        partition: i32,
        (main, retry): (Committed, Committed),
    ) -> Result<bool, LaneError> {
        // Ends as a reader of uncommitted records sees them, taken after the stable offsets:
        // the marker of a transaction that moved those offsets may still be missing elsewhere.
        let topics = self.settings.topics.clone();
        let bounds = |topic: &str| self.ends.bounds(topic, partition, BOUNDS_ASK);
        let all = [&topics.main, &topics.retry, &topics.averages];
        let mut known = Vec::with_capacity(all.len());
        for topic in all {
            match bounds(topic) {
                Ok(found) => known.push(found),
                Err(error) => {
                    self.note_away(&error.to_string());
                    return Ok(false);
                }
            }
        }
        let [main_bounds, retry_bounds, averages_bounds] =
            <[_; 3]>::try_from(known).expect("three were asked");
        let accepts_gap = self.settings.accepts_gap;
        let owned = self.desk.owned_mut(partition).expect("it is being restored");
        if main.position.is_some() && retry.position.is_none() {
            return Err(LaneError::offsets_missing(&self.settings, &topics.retry, partition));
        }
        let (main_start, completion) = start(&main, main_bounds.0)?;
        owned.main = Window::restore(main_start, &completion);
        owned.has_averages = completion.has_averages();
        let (retry_start, completion) = start(&retry, retry_bounds.0)?;
        owned.retry = Window::restore(retry_start, &completion);
        owned.is_shared = completion.is_shared();
        owned.committed_main = last_commit(&main);
        owned.committed_retry = last_commit(&retry);
        for (topic, start, (low, high)) in
            [(&topics.main, main_start, main_bounds), (&topics.retry, retry_start, retry_bounds)]
        {
            if start.0 > high {
                return Err(LaneError::offsets_beyond(
                    &self.settings,
                    topic,
                    partition,
                    start.0,
                    high,
                ));
            }
            if start.0 >= low {
                continue;
            }
            let range = format!("{topic}/{partition} offsets {start} to {}", low - 1);
            if accepts_gap {
                tracing::warn!("skipping {range}: deleted before they were read (--accept-gap)");
                let window = if topic == &topics.main { &mut owned.main } else { &mut owned.retry };
                *window = Window::new(CommitPosition(low));
            } else {
                let detail = format!(
                    "{range} were deleted before they were read; restart with --accept-gap to go on without them"
                );
                tracing::error!(partition, "{detail}");
                owned.phase = Phase::Stopped { reason: StopReason::RetentionGap, detail };
                return Ok(true);
            }
        }
        let (low, until) = averages_bounds;
        owned.retry_load_until = retry_bounds.1;
        if low >= until {
            self.check_averages(partition)?;
            self.load_retries(partition)?;
            return Ok(true);
        }
        owned.phase = Phase::LoadAverages { until };
        self.reader
            .start(&topics.averages, partition, CommitPosition(low))
            .map_err(|error| LaneError::Failed(error.to_string()))?;
        Ok(true)
    }

    /// Decodes what was fetched of the averages; once all of it is read, goes on to the retries.
    fn read_averages_back(&mut self, partition: i32, is_read: bool) -> Result<(), LaneError> {
        let owned = self.desk.owned_mut(partition).expect("it is being restored");
        let mut unread = std::mem::take(&mut owned.averages_unread);
        take_in_order(&mut unread, |record| {
            restore_one(&mut self.averages_decoder, owned, record, &self.settings.group)
        })
        .map_err(|detail| LaneError::foreign_averages(&self.settings, &detail))?;
        owned.averages_unread = unread;
        if !is_read || !owned.averages_unread.is_empty() {
            return Ok(());
        }
        self.check_averages(partition)?;
        self.reader
            .stop(&self.settings.topics.averages, partition)
            .map_err(|error| LaneError::Failed(error.to_string()))?;
        self.load_retries(partition)
    }

    fn load_retries(&mut self, partition: i32) -> Result<(), LaneError> {
        let owned = self.desk.owned_mut(partition).expect("it is being restored");
        let until = owned.retry_load_until;
        self.reader
            .start(&self.settings.topics.retry, partition, CommitPosition(owned.retry.top()))
            .map_err(|error| LaneError::Failed(error.to_string()))?;
        owned.phase = Phase::LoadRetries { until };
        if owned.retry.top() >= until {
            self.activate(partition);
        }
        Ok(())
    }

    /// Offsets and averages exist together or not at all, and agree.
    fn check_averages(&mut self, partition: i32) -> Result<(), LaneError> {
        let exactly_once = self.settings.is_exactly_once();
        let owned = self.desk.owned_mut(partition).expect("it is being restored");
        let is_empty = owned.averages.partials().is_empty();
        let position = |last: &Option<LastCommit>| last.as_ref().map(|last| last.position.0);
        let (committed, retry) =
            (position(&owned.committed_main), position(&owned.committed_retry));
        if let (Some(retry), Some(noted)) = (retry, owned.noted.retry)
            && retry < noted
            && exactly_once
        {
            let topic = self.settings.topics.retry.clone();
            return Err(LaneError::offsets_reset(&self.settings, &topic, partition, retry, noted));
        }
        match (committed, owned.noted.main) {
            (None, Some(noted)) => Err(LaneError::offsets_lost(&self.settings, partition, noted)),
            (None, None) if owned.committed_retry.is_some() => {
                let main = &self.settings.topics.main;
                Err(LaneError::offsets_missing(&self.settings, main, partition))
            }
            (Some(_), _) if owned.has_averages && is_empty => {
                Err(LaneError::averages_lost(&self.settings, partition))
            }
            (Some(committed), Some(noted)) if committed < noted && exactly_once => {
                let topic = self.settings.topics.main.clone();
                Err(LaneError::offsets_reset(&self.settings, &topic, partition, committed, noted))
            }
            _ => {
                owned.has_averages |= !is_empty;
                Ok(())
            }
        }
    }

    fn activate(&mut self, partition: i32) {
        let owned = self.desk.owned_mut(partition).expect("it is being restored");
        owned.phase = Phase::Active;
        tracing::info!(
            partition,
            main = owned.main.top(),
            waiting = owned.waiting.len(),
            products = owned.averages.partials().len(),
            "partition restored"
        );
    }
}

impl Desk {
    /// Keeps a fetched averages record until the restore step decodes it.
    pub(crate) fn take_averages(&mut self, record: &Fetched<'_>) {
        if let Some(owned) = self.owned_mut(record.partition())
            && matches!(owned.phase, Phase::LoadAverages { .. })
        {
            owned.averages_unread.push(record.hold());
        }
    }
}

/// Takes records in one after the other, up to the first that cannot be taken yet, and leaves
/// the rest: of one product the last record counts, so that none may be taken before another.
fn take_in_order<T, E>(
    records: &mut Vec<T>,
    mut take: impl FnMut(&T) -> Result<bool, E>,
) -> Result<(), E> {
    let mut taken = 0;
    for record in &*records {
        if !take(record)? {
            break;
        }
        taken += 1;
    }
    records.drain(..taken);
    Ok(())
}

/// Takes one averages record in; `false` when its schema is not known yet.
fn restore_one(
    decoder: &mut Decoder<ProductAverage>,
    owned: &mut Owned,
    record: &HeldRecord,
    group: &str,
) -> Result<bool, String> {
    let at = format!("partition {} offset {}", record.partition, record.offset);
    let text = |name| record.header(name).and_then(|value| std::str::from_utf8(value).ok());
    if record.value.is_none() {
        // A tombstone that an operator wrote: the product starts anew.
        if let Some(product) = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()) {
            owned.averages.restore(product, 0, Amount::ZERO);
        }
        return Ok(true);
    }
    let writer = text(AVERAGES_GROUP).ok_or_else(|| format!("{at} names no group"))?;
    if writer != group {
        return Err(format!("{at} belongs to group {writer:?}"));
    }
    let average = match decoder.decode(record.value.as_deref()) {
        Ok(average) => average,
        Err(DecodeError::Unresolved { .. }) => return Ok(false),
        Err(DecodeError::Failed(failure)) => return Err(format!("{at}: {}", failure.detail)),
    };
    let count = u64::try_from(average.count).map_err(|_| format!("{at} has a negative count"))?;
    owned.averages.restore(&average.product, count, average.sum);
    let position = |name| text(name).and_then(|value| value.parse::<i64>().ok());
    owned.noted.main = owned.noted.main.max(position(AVERAGES_MAIN_OFFSET));
    owned.noted.retry = owned.noted.retry.max(position(AVERAGES_RETRY_OFFSET));
    Ok(true)
}

/// Where a window starts, and what is settled above. Nothing committed starts at the first
/// record there is.
fn start(committed: &Committed, low: i64) -> Result<(CommitPosition, Completion), LaneError> {
    let Some(position) = committed.position else {
        return Ok((CommitPosition(low), Completion::at(CommitPosition(low))));
    };
    match Completion::decode(&committed.metadata, position) {
        Ok(completion) => Ok((position, completion)),
        // To ignore it would run settled records again.
        Err(error @ CompletionError::Version(_)) => Err(LaneError::Failed(format!(
            "the offset committed at {position} was written by a newer consumer ({error}); \
             run that version, or a newer one"
        ))),
        Err(CompletionError::Malformed(_)) => {
            tracing::info!(%position, "the offset was committed by another tool");
            Ok((position, Completion::at(position)))
        }
    }
}

fn last_commit(committed: &Committed) -> Option<LastCommit> {
    let position = committed.position?;
    Some(LastCommit { position, metadata: committed.metadata.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_whose_schema_becomes_known_meanwhile_is_still_taken_before_those_behind_it() {
        let mut unread = vec![1, 2, 3];
        let mut taken = Vec::new();
        for is_known in [false, true] {
            let mut looks = 0;
            let take = |record: &i32| {
                looks += 1;
                // The schema arrives right after the first look.
                let can_take = is_known || looks > 1;
                if can_take {
                    taken.push(*record);
                }
                Ok::<_, String>(can_take)
            };
            take_in_order(&mut unread, take).unwrap();
        }
        assert_eq!((taken, unread), (vec![1, 2, 3], vec![]));
    }
}
