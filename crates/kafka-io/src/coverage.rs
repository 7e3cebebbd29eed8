//! Is every partition owned by somebody?
//!
//! Cooperative rebalances move a partition in two steps: its owner gives it up, and a second
//! rebalance gives it away. A static member that dies between the two and comes back in time
//! is handed what it had, without a rebalance, so the second step never comes: the group is
//! stable and a partition belongs to nobody. Seen on a broker after `kill -9` in a restart loop.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

use crate::member::AskError;
use crate::permission::Needs;

/// State of a group in which assignments are final.
const STABLE: &str = "Stable";

/// Partitions of `topic` below `partitions` that no member of the group owns; `None` while the group
/// rebalances, or has members of which nothing is known. Blocks for at most `limit`.
pub(crate) fn unowned<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    topic: &str,
    partitions: i32,
    limit: Duration,
) -> Result<Option<Vec<i32>>, AskError> {
    let list = consumer
        .fetch_group_list(Some(group), limit)
        .map_err(|error| AskError::about(&error, Needs::group("Describe", group)))?;
    let found = list.groups().iter().find(|found| found.name() == group);
    let Some(group) = found.filter(|group| group.state() == STABLE) else { return Ok(None) };
    let mut is_owned = vec![false; usize::try_from(partitions).unwrap_or(0)];
    for member in group.members() {
        let assignment = member.assignment().unwrap_or_default();
        let Some(owned) = assigned(assignment, topic) else { return Ok(None) };
        for partition in owned {
            if let Some(owned) = usize::try_from(partition).ok().and_then(|p| is_owned.get_mut(p)) {
                *owned = true;
            }
        }
    }
    let unowned = (0..partitions).zip(is_owned).filter(|(_, owned)| !owned).map(|(p, _)| p);
    Ok(Some(unowned.collect()))
}

/// Partitions of `topic` in a member's assignment, as Kafka's consumer protocol writes it:
/// version, then topics with their partitions. `None` if it is not of that form.
fn assigned(bytes: &[u8], topic: &str) -> Option<Vec<i32>> {
    let mut owned = Vec::new();
    if bytes.is_empty() {
        return Some(owned);
    }
    let (_version, mut rest) = bytes.split_first_chunk::<2>()?;
    for _ in 0..take_i32(&mut rest)? {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (name, after) = after.split_at_checked(length)?;
        rest = after;
        for _ in 0..take_i32(&mut rest)? {
            let partition = take_i32(&mut rest)?;
            if name == topic.as_bytes() {
                owned.push(partition);
            }
        }
    }
    Some(owned)
}

fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(i32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(topics: &[(&str, &[i32])]) -> Vec<u8> {
        let mut bytes = vec![0, 1];
        bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
        for (name, partitions) in topics {
            bytes.extend(i16::try_from(name.len()).unwrap().to_be_bytes());
            bytes.extend(name.as_bytes());
            bytes.extend(i32::try_from(partitions.len()).unwrap().to_be_bytes());
            partitions.iter().for_each(|p| bytes.extend(p.to_be_bytes()));
        }
        bytes.extend((-1_i32).to_be_bytes()); // no user data
        bytes
    }

    #[test]
    fn an_assignment_is_read_by_topic() {
        let bytes = assignment(&[("other", &[7]), ("orders", &[0, 2])]);
        assert_eq!(assigned(&bytes, "orders"), Some(vec![0, 2]));
        assert_eq!(assigned(&bytes, "none"), Some(vec![]));
        assert_eq!(assigned(&[], "orders"), Some(vec![]), "a member that owns nothing");
    }

    #[test]
    fn what_is_not_an_assignment_is_not_taken_for_one() {
        let bytes = assignment(&[("orders", &[0, 2])]);
        for cut in 1..bytes.len() - 4 {
            assert_eq!(assigned(&bytes[..cut], "orders"), None, "cut at {cut}");
        }
    }
}
