//! Whose a record is: an order's, or that of a record which another program put into the retry topic.

use super::books::Books;
use super::report::At;
use super::table::{Fact, Facts};

/// One life of an order: from the topic of orders, or back from the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// Another program put it into the retry topic.
    pub(crate) is_stranger: bool,
    /// Offset on the topic of orders, or on that of retries.
    pub(crate) offset: i64,
    /// How often it came back.
    pub(crate) redrives: u32,
}

impl Spot {
    /// Offset on the topic of orders.
    pub(crate) const fn order(self) -> Option<i64> {
        if self.is_stranger { None } else { Some(self.offset) }
    }

    pub(crate) const fn life(self, redrives: u32) -> Self {
        Self { redrives, ..self }
    }
}

impl Books<'_> {
    /// Where the order itself lies.
    pub(crate) fn spot_at(&self, spot: Spot) -> At {
        let topics = &self.settings.topics;
        self.at(if spot.is_stranger { &topics.retry } else { &topics.main }, spot.offset)
    }

    /// What is known of one life of an order.
    pub(crate) fn facts_at(&self, spot: Spot) -> Facts {
        if spot.redrives > 0 {
            return self.lives.get(&spot).copied().unwrap_or_default();
        }
        if spot.is_stranger {
            return self.strangers.get(&spot.offset).map_or_else(Facts::default, |s| s.facts);
        }
        self.table.get(spot.offset).unwrap_or_default()
    }

    pub(crate) fn change_facts(&mut self, spot: Spot, change: impl FnOnce(&mut Facts)) {
        let first = if spot.is_stranger {
            self.strangers.get_mut(&spot.offset).map(|stranger| &mut stranger.facts)
        } else {
            self.table.get_mut(spot.offset)
        };
        let Some(first) = first else { return };
        if spot.redrives == 0 {
            change(first);
        } else {
            first.set(Fact::Redriven);
            change(self.lives.entry(spot).or_default());
        }
    }

    /// The last life of an order.
    pub(crate) fn last_life(&self, first: Spot) -> Spot {
        if !self.facts_at(first).has(Fact::Redriven) {
            return first;
        }
        let lives = self.lives.range(first.life(0)..=first.life(u32::MAX));
        lives.last().map_or(first, |(spot, _)| *spot)
    }
}
