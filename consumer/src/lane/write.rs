//! What a turn writes, in the order in which it is written.

use codec::wire::{OrderOutcomeRef, Outcome, ProductAverageRef};
use kafka_io::member::OffsetCommit;
use kafka_io::native::RecordHeaders;
use kafka_io::writer::{WriteError, Writer};
use pipeline::completion::Completion;
use pipeline::headers::Dialects;

use crate::lane::owned::Owned;
use crate::lane::restore::{AVERAGES_GROUP, AVERAGES_MAIN_OFFSET, AVERAGES_RETRY_OFFSET};
use crate::lane::settle::needs_offsets;
use crate::lane::turn::{Destination, Forward, OutcomeEntry};
use crate::lane::{Lane, LaneSettings, TopicNames};

/// Longest order id, product or key in an entry of the outcome log, in bytes.
const OUTCOME_TEXT_BYTES_MAX: usize = 64 * 1024;

impl Lane {
    /// Produces everything of the turn and commits it with the offsets.
    pub(crate) fn write_turn(&mut self) -> Result<Vec<OffsetCommit>, WriteError> {
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
        if writer.must_be_replaced() {
            return Err(WriteError::Unknown("the coordinator was lost".into()));
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
                writer.produce(
                    &names.averages,
                    owned.partition,
                    key,
                    value,
                    Some(&headers),
                    no_tag,
                )?;
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
}

/// Offsets of every partition that has moved, main and retry always together.
fn offsets_of(owned: &[Option<Box<Owned>>], settings: &LaneSettings) -> Vec<OffsetCommit> {
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
    for (name, window) in
        [(AVERAGES_MAIN_OFFSET, &owned.main), (AVERAGES_RETRY_OFFSET, &owned.retry)]
    {
        let position = window.position().to_string();
        headers.add(name.as_bytes(), Some(position.as_bytes()));
    }
    headers
}

fn send_forward(
    writer: &Writer,
    names: &TopicNames,
    dialects: Dialects,
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
