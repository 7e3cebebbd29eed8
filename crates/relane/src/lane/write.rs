//! What a turn writes, in the order in which it is written.

use std::ffi::CStr;

use fail::fail_point;
use kafka_io::member::OffsetCommit;
use kafka_io::native::RecordHeaders;
use kafka_io::writer::{NO_TAG, WriteError};
use pipeline::completion::Completion;
use pipeline::failure::Failure;
use pipeline::headers::Dialects;

use crate::lane::checkpoint::NOTE_KEY;
use crate::lane::committer::{Committer, needs_offsets};
use crate::lane::handles::{Member, Writer};
use crate::lane::lane_core::Core;
use crate::lane::outbound::{Destination, OutboundRecord};
use crate::lane::outcomes::OutcomeEntry;
use crate::lane::processor::Processor;
use crate::lane::state_headers;
use crate::lane::topic_names::TopicNames;
use crate::stage::{AttemptOutcome, Emitted, Outcome, Stage, State as _};

/// Longest key of an entry of the outcome log, in bytes; a longer one is left out.
const OUTCOME_KEY_BYTES_MAX: usize = 64 * 1024;

impl Committer {
    /// Produces everything of the turn and commits it with the offsets.
    pub(crate) fn write_turn<S: Stage>(
        &mut self,
        core: &mut Core<S>,
        member: &Member,
    ) -> Result<Vec<OffsetCommit>, WriteError> {
        let is_exactly_once = core.settings.is_exactly_once();
        let writer = self.writer.as_mut().ok_or_else(|| WriteError::Unknown("no writer".into()))?;
        writer.begin()?;
        fail_point!("after-begin", core.processor.has_settled(), |_| std::process::abort());
        let (names, dialects) = (&self.topic_names, core.settings.dialects());
        let outbound = &mut core.processor.turn.outbound;
        // Where an attempt before wrote them, nothing is: a missing report must not leave that.
        for forward in outbound.iter_mut().filter(|forward| !forward.is_durable) {
            forward.delivered_at = None;
        }
        let open = || (0..).zip(outbound.iter()).filter(|(_, forward)| !forward.is_durable);
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
            send_forward(writer, names, dialects, tag, &outbound[tag])?;
            writer.acknowledged()?;
            outbound[tag].is_durable = !is_exactly_once;
        }
        self.send_state_and_outcomes(core)?;
        let writer = self.writer.as_mut().ok_or_else(|| WriteError::Unknown("no writer".into()))?;
        writer.acknowledged()?;
        if !is_exactly_once {
            // Without a transaction nothing takes these back: a redo must not send them again.
            core.processor.turn.outbound.iter_mut().for_each(|forward| forward.is_durable = true);
            core.processor.turn.are_outcomes_durable = true;
            core.processor.turn.emitted.clear();
        }
        if writer.must_be_replaced() {
            return Err(WriteError::Unknown("the connection to the coordinator was lost".into()));
        }
        fail_point!("after-produce", core.processor.has_settled(), |_| std::process::abort());
        let offsets = offsets(core);
        let writer = self.writer.as_mut().ok_or_else(|| WriteError::Unknown("no writer".into()))?;
        writer.commit(member, &offsets, || {
            fail_point!("after-offsets", core.processor.has_settled(), |_| std::process::abort());
            fail_point!("commit-sent", core.processor.has_settled(), |_| {
                // The commit is sent next: the process dies while its answer is on the way.
                std::thread::spawn(|| {
                    std::thread::sleep(std::time::Duration::from_micros(400));
                    std::process::abort();
                });
            });
        })?;
        fail_point!("commit-returned", core.processor.has_settled(), |_| std::process::abort());
        Ok(offsets)
    }

    /// Produces what follows from the outbound records: state, outcomes, and what the stage emits.
    fn send_state_and_outcomes<S: Stage>(&mut self, core: &mut Core<S>) -> Result<(), WriteError> {
        let writer = self.writer.as_ref().ok_or_else(|| WriteError::Unknown("no writer".into()))?;
        let names = &self.topic_names;
        let Processor { owned, stage, turn, now_ms, .. } = &mut core.processor;
        let now_ms = *now_ms;
        let dirty = owned.iter_mut().flatten().filter(|owned| owned.dirty);
        for (owned, topic) in dirty.flat_map(|owned| Some(owned).zip(names.state.as_ref())) {
            // What the state notes must not lag behind what is settled.
            owned.state.touch_any();
            let headers = state_headers::headers(&core.settings.group, owned);
            let mut first = state_headers::first_headers(&headers, owned);
            let mut put = |key: &[u8], value: Option<&[u8]>| {
                let first = first.take();
                let headers = first.as_ref().unwrap_or(&headers);
                writer.produce(topic, owned.partition, Some(key), value, Some(headers), NO_TAG)
            };
            let mut is_noted = false;
            stage.write_state(&mut owned.state, now_ms, |key, value| {
                is_noted = true;
                put(key, Some(value))
            })?;
            if !is_noted {
                put(NOTE_KEY, None)?;
            }
        }
        if let Some(topic) = &names.outcomes {
            let open = turn.outcomes.iter().filter(|_| !turn.are_outcomes_durable);
            for entry in open {
                self.buffer.clear();
                let forward = entry.forward.and_then(|index| turn.outbound.get(index));
                let destination = forward.map(|forward| forward.destination);
                if matches!(destination, Some(Destination::Behind { .. })) {
                    continue; // it was not tried: nothing has become of it
                }
                stage.write_outcome(&outcome(entry, forward, now_ms), &mut self.buffer);
                let key = entry.key.as_deref().filter(|key| key.len() <= OUTCOME_KEY_BYTES_MAX);
                writer.produce(topic, entry.partition, key, Some(&self.buffer), None, NO_TAG)?;
            }
        }
        if let Some(topic) = &names.output {
            for emitted in &turn.emitted {
                send_emitted(writer, topic, emitted)?;
            }
        }
        Ok(())
    }
}

/// Offsets of every partition that has moved, main and retry always together. Each carries
/// the tally of the whole lane: whoever takes one of them over counts on from there.
fn offsets<S: Stage>(core: &Core<S>) -> Vec<OffsetCommit> {
    let (topics, tally) = (&core.settings.topics, core.processor.gate.tally());
    let limit_bytes = core.processor.metadata.bytes();
    let mut offsets = Vec::new();
    for owned in core.processor.iter() {
        if !(owned.dirty || owned.is_ahead_of_commit() || needs_offsets(owned, true)) {
            continue;
        }
        let main = owned.main_completion().with_tally(tally, limit_bytes);
        let both: [(&str, &Completion, _); 2] = [
            (&topics.main, &main, owned.main.position()),
            (&topics.retry, &owned.retry_completion(), owned.retry.position()),
        ];
        for (topic, completion, position) in both {
            offsets.push(OffsetCommit::new(topic, owned.partition, completion, position));
        }
    }
    offsets
}

fn send_emitted(writer: &Writer, topic: &CStr, emitted: &Emitted) -> Result<(), WriteError> {
    let Emitted { partition, key, value, headers } = emitted;
    let mut native = RecordHeaders::new();
    for (name, value) in headers {
        native.add(name.as_bytes(), Some(value));
    }
    writer.produce(topic, *partition, Some(key), Some(value), Some(&native), NO_TAG)
}

fn send_forward(
    writer: &Writer,
    names: &TopicNames,
    dialects: Dialects<'_>,
    tag: usize,
    forward: &OutboundRecord,
) -> Result<(), WriteError> {
    let topic = match forward.destination {
        Destination::Retry { .. } | Destination::Behind { .. } | Destination::Repark => {
            &names.retry
        }
        Destination::DeadLetter => &names.dead_letter,
    };
    let wire = forward.wire(dialects);
    let partition = forward.pending.record.partition;
    writer.produce(topic, partition, wire.key, wire.value.as_deref(), wire.headers.as_ref(), tag)
}

fn outcome<'a, N>(
    entry: &'a OutcomeEntry<N>,
    forward: Option<&'a OutboundRecord>,
    settled_at_ms: i64,
) -> AttemptOutcome<'a> {
    let result = match forward.map(|forward| forward.destination) {
        None if entry.is_duplicate => Outcome::Duplicate,
        None => Outcome::Succeeded,
        Some(Destination::Retry { .. } | Destination::Behind { .. } | Destination::Repark) => {
            Outcome::Retried
        }
        Some(Destination::DeadLetter) => Outcome::DeadLettered,
    };
    let failure = forward.and_then(|forward| forward.failure.as_ref());
    AttemptOutcome {
        name: &entry.name,
        origin_partition: entry.origin_partition,
        origin_offset: entry.origin_offset.0,
        attempt: entry.attempt,
        outcome: result,
        class: failure.map(Failure::class),
        settled_at_ms,
    }
}
