//! Reads retry topics from the commit positions on, each record once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_io::cluster::Edge;
use kafka_io::member::AskError;

use super::{Breadth, GroupLag, Observer, Retries, TopicRole};
use crate::lag::waiting::Settled;
use crate::tail::{Drained, Place};

/// Longest time for reading the retry topic once, where everything is wanted.
const RETRIES_MAX: Duration = Duration::from_secs(20);

/// Longest time for what is new in the retry topic, in one look of many.
const RETRIES_SLICE: Duration = Duration::from_millis(100);

/// One wait for retry records that are known to be there.
const RETRIES_PATIENCE: Duration = Duration::from_millis(50);

impl Observer {
    /// Reads what is new in retry topics, and counts what is left there for each group.
    pub(super) fn read_retries(
        &mut self,
        groups: &mut [GroupLag],
        now_ms: i64,
    ) -> Result<(), AskError> {
        let all = || groups.iter().flat_map(|group| &group.partitions);
        let mut from: BTreeMap<Place, i64> = BTreeMap::new();
        for found in all().filter(|found| found.role == TopicRole::Retry && found.end.is_some()) {
            let position = found.position_or_start();
            from.entry(found.place())
                .and_modify(|low| *low = position.min(*low))
                .or_insert(position);
        }
        let places: Vec<Place> = from.keys().cloned().collect();
        let targets = self.edge(&places, Edge::StableEnd)?;
        let refused = |error: kafka_io::KafkaError| AskError::Refused(error.to_string());
        for (place, low) in &from {
            // What is not there is not waited for, and a position that went back is read anew.
            let is_followed = self.tail.position(place).is_some();
            let is_above = self.retries.get(place).is_some_and(|_| *low < self.lowest_read(place));
            let has_records = targets.get(place).is_some_and(|end| end > low);
            if (!is_followed && has_records) || (is_followed && is_above) {
                self.tail.look_up(&[&place.0], self.ask());
                self.tail.follow(place, *low).map_err(refused)?;
                self.retries.insert(place.clone(), Retries::from_offset(*low));
            }
            if let Some(kept) = self.retries.get_mut(place) {
                kept.forget_below(*low);
            }
        }
        let refused = |error: kafka_io::KafkaError| AskError::Refused(error.to_string());
        self.tail.go_on().map_err(refused)?;
        self.drain_retries(&targets)?;
        self.tail.rest().map_err(refused)?;
        for group in groups {
            for found in group.partitions.iter_mut().filter(|f| f.role == TopicRole::Retry) {
                let position = found.position_or_start();
                let settled = Settled::of(position, &found.metadata);
                let retries = self.retries.get(&found.place());
                let left = retries.map(|kept| kept.left(&group.group.name, &settled, now_ms));
                found.settled_above = settled.count_above();
                found.set_left(left.unwrap_or_default(), now_ms);
            }
        }
        Ok(())
    }

    fn lowest_read(&self, place: &Place) -> i64 {
        self.retries.get(place).map_or(i64::MAX, Retries::from)
    }

    fn drain_retries(&mut self, targets: &BTreeMap<Place, i64>) -> Result<(), AskError> {
        let (limit, patience) = match self.breadth {
            Breadth::OfGroups => (RETRIES_MAX, RETRIES_PATIENCE),
            Breadth::OfCluster => (RETRIES_SLICE, Duration::ZERO),
        };
        let give_up_at = Instant::now() + limit;
        loop {
            let Self { tail, retries, .. } = self;
            let drained = tail.drain(patience, RETRIES_SLICE, |place, record| {
                if let Some(kept) = retries.get_mut(place) {
                    kept.add(record.offset().0, |name| record.header(name));
                }
            });
            match drained {
                Drained::Refused(text) => return Err(AskError::Refused(text)),
                Drained::CutOff => self.start_anew()?,
                Drained::All | Drained::Some => {}
            }
            let has_more = |(place, end): (&Place, &i64)| {
                self.tail.position(place).is_some_and(|position| position < *end)
            };
            if self.breadth == Breadth::OfCluster || !targets.iter().any(has_more) {
                return Ok(());
            }
            if Instant::now() >= give_up_at {
                return Err(AskError::Away("the retry topic was not read to its end".to_owned()));
            }
        }
    }

    /// Goes on behind what was deleted.
    fn start_anew(&mut self) -> Result<(), AskError> {
        let positions = self.tail.positions().clone();
        let places: Vec<Place> = positions.keys().cloned().collect();
        for (place, start) in self.edge(&places, Edge::Start)? {
            if positions.get(&place).is_some_and(|position| *position < start) {
                let followed = self.tail.follow(&place, start);
                followed.map_err(|error| AskError::Refused(error.to_string()))?;
            }
        }
        Ok(())
    }
}
