//! What is known of each id, and since when.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Lookup, ResolverLimits};
use crate::writer_schema::WriterSchema;

#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) slots: HashMap<u32, Slot>,
    /// Counts uses, to find the least recent one.
    pub(super) uses: u64,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) state: State,
    pub(super) is_fetching: bool,
    pub(super) last_use: u64,
    pub(super) asked_at: Instant,
    /// When the registry first said that it has no such id.
    pub(super) absent_since: Option<Instant>,
}

#[derive(Debug)]
pub(super) enum State {
    Unknown,
    /// Not found, and not for long enough to be believed.
    Absent {
        again_at: Instant,
    },
    Ready(Arc<WriterSchema>),
    Unusable {
        why: String,
        until: Instant,
    },
    NotFound {
        until: Instant,
    },
    Away {
        detail: String,
        failure_count: u32,
        retry_at: Instant,
    },
}

impl Known {
    pub(super) fn set(&mut self, id: u32, state: State, now: Instant) {
        self.uses += 1;
        let (last_use, asked_at) = (self.uses, now);
        let slot = Slot { state, is_fetching: false, last_use, asked_at, absent_since: None };
        self.slots.insert(id, slot);
    }

    /// Why ids other than this one cannot be had, of those that somebody wanted lately.
    pub(super) fn outages(&self, now: Instant, recall: Duration, but: u32) -> Vec<&str> {
        let wanted =
            self.slots.iter().filter(|(id, slot)| **id != but && now - slot.asked_at < recall);
        let away = wanted.filter_map(|(_, slot)| match &slot.state {
            State::Away { detail, .. } => Some(detail.as_str()),
            _ => None,
        });
        away.collect()
    }

    pub(super) fn touch(&mut self, id: u32, now: Instant) -> &mut Slot {
        self.uses += 1;
        let slot = self.slots.get_mut(&id).expect("the caller made sure of it");
        slot.last_use = self.uses;
        slot.asked_at = now;
        slot
    }

    /// Drops an id if there is no room for another; false where none can be dropped.
    pub(super) fn make_room(&mut self, ids_max: usize) -> bool {
        if self.slots.len() < ids_max {
            return true;
        }
        let droppable = self.slots.iter().filter(|(_, slot)| !slot.is_fetching);
        let victim = droppable
            .min_by_key(|(_, slot)| (matches!(slot.state, State::Ready(_)), slot.last_use));
        let victim = victim.map(|(id, _)| *id);
        victim.is_some_and(|id| self.slots.remove(&id).is_some())
    }

    pub(super) fn forget_delays(&mut self) {
        let now = Instant::now();
        for slot in self.slots.values_mut() {
            if let State::Away { retry_at, failure_count, .. } = &mut slot.state {
                (*retry_at, *failure_count) = (now, 0);
            }
        }
    }
}

impl Slot {
    /// What to answer, and whether the registry should be asked.
    pub(super) fn look(&self, now: Instant) -> (Lookup, bool) {
        match &self.state {
            State::Ready(schema) => (Lookup::Ready(Arc::clone(schema)), false),
            State::Unusable { why, until } if now < *until => {
                (Lookup::Unusable(why.clone()), false)
            }
            State::NotFound { until } if now < *until => (Lookup::NotFound, false),
            State::Unusable { .. } | State::NotFound { .. } | State::Unknown => {
                (Lookup::Pending, true)
            }
            State::Absent { again_at } => (Lookup::Pending, now >= *again_at),
            State::Away { detail, retry_at, .. } => {
                (Lookup::Away(detail.clone()), now >= *retry_at)
            }
        }
    }
}

impl State {
    pub(super) fn after_failure(
        &self,
        detail: String,
        now: Instant,
        limits: &ResolverLimits,
    ) -> Self {
        let failure_count = match self {
            Self::Away { failure_count, .. } => failure_count.saturating_add(1),
            _ => 1,
        };
        let doubled = limits.retry_delay_min.saturating_mul(1 << (failure_count - 1).min(16));
        let retry_at = now + doubled.min(limits.retry_delay_max);
        Self::Away { detail, failure_count, retry_at }
    }
}
