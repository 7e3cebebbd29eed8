//! Other tools that change the group's offsets, and the operator who then does what a lane says.

use rand::Rng as _;
use rand::rngs::SmallRng;

use crate::model::broker::Broker;
use crate::model::log::{Target, Topic};

/// Names of the headers that note an offset in the state, and what is settled above it.
const fn headers_of(topic: Topic) -> (&'static str, &'static str) {
    match topic {
        Topic::Retry => ("x-retry-offset", "x-retry-completion"),
        _ => ("x-main-offset", "x-main-completion"),
    }
}

/// The highest position that the state notes for a partition, and the metadata told with it.
pub(crate) fn noted(broker: &Broker, (topic, partition): Target) -> Option<(i64, String)> {
    let (offset, completion) = headers_of(topic);
    let mut highest: Option<(i64, String)> = None;
    for (_, record) in broker.logs[&(Topic::State, partition)].committed() {
        let text = |name| record.header(name).and_then(|value| std::str::from_utf8(value).ok());
        let position: i64 = text(offset)?.parse().ok()?;
        let metadata = text(completion);
        match &mut highest {
            Some((last, _)) if *last > position => {}
            Some((last, known)) if *last == position => {
                metadata.unwrap_or(known).to_owned().clone_into(known);
            }
            _ => highest = Some((position, metadata.unwrap_or_default().to_owned())),
        }
    }
    highest
}

fn targets(broker: &Broker) -> impl Iterator<Item = Target> {
    let partitions = 0..broker.group.partitions();
    partitions.flat_map(|partition| [(Topic::Main, partition), (Topic::Retry, partition)])
}

/// Whether an offset is missing or lower than the state says: until an operator has set it again,
/// nobody can say what is settled.
pub(crate) fn is_changed(broker: &Broker) -> bool {
    targets(broker).any(|target| {
        let position = broker.offsets_now(target).map(|(position, _)| position);
        noted(broker, target).is_some_and(|(noted, _)| position.is_none_or(|at| at < noted))
    })
}

/// Deletes or moves back some offsets. Before anything is settled in a partition its state notes
/// nothing, and nothing would run again.
pub(crate) fn change_offsets(broker: &mut Broker, random: &mut SmallRng) {
    for target in targets(broker).collect::<Vec<_>>() {
        let position = broker.offsets_now(target).map(|(position, _)| position);
        let (Some(position), Some(_)) = (position, noted(broker, target)) else { continue };
        match random.random_range(0..4) {
            0 => {}
            1 => broker.set_offset(target, None),
            // Often to where it is, which costs the metadata.
            2 => broker.set_offset(target, Some(position)),
            _ => broker.set_offset(target, Some(random.random_range(0..=position))),
        }
    }
}

/// Runs the commands that a lane proposes.
///
/// # Errors
///
/// Says what is no command.
pub(crate) fn follow(broker: &mut Broker, hint: &str) -> Result<(), String> {
    for command in hint.split(" && ") {
        let words: Vec<&str> = command.split(' ').collect();
        let after = |flag| words.iter().skip_while(|word| **word != flag).nth(1);
        let of = after("--topic").and_then(|topic| topic.split_once(':'));
        let parsed = of.and_then(|(topic, partition)| {
            let target = (broker.topic(topic), partition.parse().ok()?);
            Some((target, after("--to-offset")?.parse().ok()?))
        });
        let (target, position) = parsed.ok_or_else(|| format!("an operator met {command:?}"))?;
        broker.set_offset(target, Some(position));
    }
    Ok(())
}
