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
        let Some(topics) = assigned(assignment) else { return Ok(None) };
        let owned = topics.into_iter().filter(|(name, _)| name == topic);
        for partition in owned.flat_map(|(_, partitions)| partitions) {
            if let Some(owned) = usize::try_from(partition).ok().and_then(|p| is_owned.get_mut(p)) {
                *owned = true;
            }
        }
    }
    let unowned = (0..partitions).zip(is_owned).filter(|(_, owned)| !owned).map(|(p, _)| p);
    Ok(Some(unowned.collect()))
}

/// Topics with their partitions in a member's assignment, as Kafka's consumer protocol writes it:
/// version, then topics with their partitions. `None` if it is not of that form.
pub(crate) fn assigned(bytes: &[u8]) -> Option<Vec<(String, Vec<i32>)>> {
    let mut topics = Vec::new();
    if bytes.is_empty() {
        return Some(topics);
    }
    let (_version, mut rest) = bytes.split_first_chunk::<2>()?;
    for _ in 0..take_i32(&mut rest)? {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (name, after) = after.split_at_checked(length)?;
        rest = after;
        let mut partitions = Vec::new();
        for _ in 0..take_i32(&mut rest)? {
            partitions.push(take_i32(&mut rest)?);
        }
        topics.push((String::from_utf8_lossy(name).into_owned(), partitions));
    }
    Some(topics)
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
        let expected = vec![("other".to_owned(), vec![7]), ("orders".to_owned(), vec![0, 2])];
        assert_eq!(assigned(&bytes), Some(expected));
        assert_eq!(assigned(&[]), Some(vec![]), "a member that owns nothing");
    }

    #[test]
    fn what_is_not_an_assignment_is_not_taken_for_one() {
        let bytes = assignment(&[("orders", &[0, 2])]);
        for cut in 1..bytes.len() - 4 {
            assert_eq!(assigned(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}
