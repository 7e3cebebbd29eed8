//! Records that the broker refuses for their size: what becomes of them, and of those behind them.
//!
//! One oversized record fails its whole batch. So a record that was refused is sent alone, and only
//! one that is refused alone goes another way: from retry to the dead letters, and there with fewer
//! and fewer of its parts.

use kafka_io::RDKafkaErrorCode;
use kafka_io::reader::HeldRecord;
use kafka_io::writer::Refused;
use pipeline::failure::Failure;

use crate::lane::committer::Committer;
use crate::lane::error::LaneError;
use crate::lane::followers::Predecessor;
use crate::lane::lane_core::Core;
use crate::lane::limits::SUSPECTS_MAX;
use crate::stage::Stage;

impl Committer {
    /// Marks refused records: sent alone next time, and smaller when they were alone already.
    pub(crate) fn shrink<S: Stage>(
        &self,
        core: &mut Core<S>,
        refused: &[Refused],
    ) -> Result<(), LaneError> {
        let outbound = &mut core.processor.turn.outbound;
        if !core.settings.is_exactly_once() {
            // There is no transaction to take the others back: they must not be sent again.
            for (tag, forward) in outbound.iter_mut().enumerate() {
                forward.is_durable |=
                    !forward.suspect && refused.iter().all(|refused| refused.tag != tag);
            }
        }
        let mut dead = Vec::new();
        // What was refused for another reason failed in the wake of these.
        for Refused { tag, code } in refused.iter().filter(|refused| refused.is_size()) {
            let Some(forward) = core.processor.turn.outbound.get_mut(*tag) else {
                return Err(LaneError::state_refused(&core.settings, &code.to_string()));
            };
            if !forward.suspect {
                forward.suspect = true;
                continue;
            }
            for tag in self.too_large_with(core, *tag) {
                dead.extend(shrink_one(core, tag, *code)?);
            }
        }
        give_up_too_large(core, dead);
        Ok(())
    }

    /// The record that was refused alone, and those that are known to be too large with it.
    fn too_large_with<S: Stage>(&self, core: &Core<S>, tag: usize) -> Vec<usize> {
        let (outbound, dialects) = (&core.processor.turn.outbound, core.settings.dialects());
        let (bytes, is_retry) = (outbound[tag].wire_bytes(dialects), outbound[tag].is_to_retry());
        let compresses = ["compression.type", "compression.codec"]
            .iter()
            .any(|key| self.config.get(key).is_some_and(|value| value != "none"));
        // Uncompressed, a larger record for the same topic is too large as well.
        let follows = |other: usize| {
            let forward = &outbound[other];
            !compresses
                && forward.suspect
                && !forward.is_durable
                && forward.is_to_retry() == is_retry
                && forward.wire_bytes(dialects) >= bytes
        };
        (0..outbound.len()).filter(|other| *other == tag || follows(*other)).collect()
    }
}

/// Records that were on their way to retry are dead letters after all: they count as such, and
/// with `--on-dead-letter hold` those behind them go with them.
fn give_up_too_large<S: Stage>(core: &mut Core<S>, mut dead: Vec<(Option<Predecessor>, Failure)>) {
    let mut last: Option<Predecessor> = None;
    dead.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (predecessor, failure) in dead {
        let is_same_key = |last: &Predecessor, of: &Predecessor| {
            (last.partition, &last.key) == (of.partition, &of.key)
        };
        if last.as_ref().zip(predecessor.as_ref()).is_some_and(|(a, b)| is_same_key(a, b)) {
            continue; // it has gone with the one before
        }
        core.processor.gate.dead_letter(&failure);
        if let Some(predecessor) = predecessor {
            core.processor.give_up_followers(&predecessor);
            last = Some(predecessor);
        }
    }
    core.processor.fit_windows();
}

/// Takes the next way around the refusal of one record; its failure, if that is the way from
/// retry to the dead letters.
fn shrink_one<S: Stage>(
    core: &mut Core<S>,
    tag: usize,
    code: RDKafkaErrorCode,
) -> Result<Option<(Option<Predecessor>, Failure)>, LaneError> {
    let forward = &mut core.processor.turn.outbound[tag];
    let (is_repark, was_to_retry) = (forward.is_repark(), forward.is_to_retry());
    if !forward.shrink_further() {
        let topics = &core.settings.topics;
        return Err(LaneError::Failed(if is_repark {
            format!(
                "{} refuses a record that it already holds: {code}; raise its \
                 max.message.bytes",
                topics.retry
            )
        } else {
            format!(
                "{} refuses even a minimal dead letter: {code}; raise its max.message.bytes",
                topics.dead_letter
            )
        }));
    }
    core.metrics.shrunk.increment(1);
    let HeldRecord { partition, offset, .. } = &forward.pending.record;
    let left_out = forward.shrink.left_out();
    tracing::error!(partition, %offset, left_out, "the record is too large for the broker");
    let failure = forward.failure.clone().filter(|_| was_to_retry);
    let predecessor = core.processor.predecessor(&core.processor.turn.outbound[tag].pending);
    Ok(failure.map(|failure| (predecessor, failure)))
}

/// Whether sending the suspects one by one would outlast the transaction.
pub(crate) fn has_too_many_suspects<S: Stage>(core: &Core<S>) -> bool {
    let suspects = core.processor.turn.outbound.iter().filter(|forward| forward.suspect);
    core.settings.is_exactly_once() && suspects.count() > SUSPECTS_MAX
}
