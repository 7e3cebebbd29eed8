//! Which brokers there are, and since when one of them is missing.

use std::collections::BTreeMap;

use kafka_io::cluster::Broker;

/// Most brokers that are remembered after they went; those that are there are all kept.
const MISSING_MAX: usize = 32;

/// A broker that was seen at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: i32,
    pub(super) address: String,
    /// When the cluster stopped to name it, in epoch milliseconds.
    pub(super) missing_since_ms: Option<i64>,
}

/// Brokers by number.
#[derive(Debug, Clone, Default)]
pub(super) struct Brokers(BTreeMap<i32, Seen>);

impl Brokers {
    /// Takes in which brokers the cluster names now.
    pub(super) fn add(&mut self, now: &[Broker], at_ms: i64) {
        for seen in self.0.values_mut() {
            let is_there = now.iter().any(|broker| broker.id == seen.id);
            if !is_there {
                seen.missing_since_ms.get_or_insert(at_ms);
            }
        }
        for broker in now {
            let address = broker.address.clone();
            self.0.insert(broker.id, Seen { id: broker.id, address, missing_since_ms: None });
        }
        while self.missing().count() > MISSING_MAX {
            let Some(first) = self.missing().min_by_key(|seen| seen.missing_since_ms) else {
                break;
            };
            let id = first.id;
            self.0.remove(&id);
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Seen> {
        self.0.values().cloned().collect()
    }

    fn missing(&self) -> impl Iterator<Item = &Seen> {
        self.0.values().filter(|seen| seen.missing_since_ms.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brokers(ids: &[i32]) -> Vec<Broker> {
        ids.iter().map(|id| Broker { id: *id, address: format!("b{id}:9092") }).collect()
    }

    #[test]
    fn a_broker_is_missing_since_it_is_not_named_and_until_it_is_again() {
        let mut known = Brokers::default();
        let mut since = |ids: &[i32], at_ms| {
            known.add(&brokers(ids), at_ms);
            known.all().iter().map(|seen| (seen.id, seen.missing_since_ms)).collect::<Vec<_>>()
        };
        assert_eq!(since(&[1, 2], 10), [(1, None), (2, None)]);
        assert_eq!(since(&[1], 20), [(1, None), (2, Some(20))]);
        assert_eq!(since(&[1], 30), [(1, None), (2, Some(20))]);
        assert_eq!(since(&[1, 2, 3], 40), [(1, None), (2, None), (3, None)]);
    }

    #[test]
    fn so_many_missing_brokers_are_remembered() {
        let mut known = Brokers::default();
        for id in 0..100 {
            known.add(&brokers(&[id]), i64::from(id));
        }
        assert_eq!(known.all().len(), MISSING_MAX + 1);
    }
}
