//! How long a channel is believed in whose confirmations do not come.

use std::time::Instant;

use crate::limits::{ANSWER_TO_OTHERS, OVERDUE_MAX};

/// What was heard on the newest channel of a link.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    generation: u64,
    answered_at: Option<Instant>,
    overdue: u32,
    is_exhausted: bool,
}

impl Patience {
    /// The broker has said something about a message of this channel.
    pub(crate) fn note_answer(&mut self, generation: u64, at: Instant) {
        if self.is_newest(generation) {
            self.answered_at = self.answered_at.max(Some(at));
        }
    }

    /// Notes a message without an answer, and whether its channel is to be given up: it has been
    /// silent since, or it answers others and there are too many of these.
    pub(crate) fn is_over(&mut self, generation: u64, sent_at: Instant) -> bool {
        if !self.is_newest(generation) {
            return false;
        }
        self.overdue += 1;
        // What was answered just after may have been on its way when the broker fell silent.
        let latest = sent_at + ANSWER_TO_OTHERS;
        let is_silent = self.answered_at.is_none_or(|answered_at| answered_at < latest);
        self.is_exhausted |= is_silent || self.overdue >= OVERDUE_MAX;
        self.is_exhausted
    }

    /// Whether this channel was given up: what is sent over it before it is replaced waits in vain once
    /// more.
    pub(crate) const fn has_given_up(&self, generation: u64) -> bool {
        self.is_exhausted && generation == self.generation
    }

    /// What was heard on an older channel does not count.
    fn is_newest(&mut self, generation: u64) -> bool {
        if generation > self.generation {
            *self = Self { generation, ..Self::default() };
        }
        generation == self.generation
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_channel_that_has_said_nothing_since_is_given_up_at_once() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        assert!(patience.is_over(1, start));
        patience.note_answer(2, at(start, 1));
        assert!(patience.is_over(2, at(start, 2)));
    }

    #[test]
    fn an_answer_to_another_message_that_was_on_its_way_is_no_sign_of_life() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        patience.note_answer(1, start + Duration::from_millis(200));
        assert!(patience.is_over(1, start));
    }

    #[test]
    fn nothing_more_is_sent_over_a_channel_that_was_given_up_and_the_next_one_starts_anew() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        assert!(!patience.has_given_up(1));
        assert!(patience.is_over(1, start));
        assert!(patience.has_given_up(1) && !patience.has_given_up(2));
        patience.note_answer(2, at(start, 1));
        assert!(!patience.has_given_up(1) && !patience.has_given_up(2));
    }

    #[test]
    fn a_channel_that_answers_others_is_given_up_when_too_much_is_overdue() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        patience.note_answer(1, at(start, 5));
        for _ in 1..OVERDUE_MAX {
            assert!(!patience.is_over(1, start));
        }
        assert!(patience.is_over(1, start));
    }

    #[test]
    fn a_new_channel_begins_anew_and_an_old_one_changes_nothing() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        patience.note_answer(1, at(start, 5));
        for _ in 1..OVERDUE_MAX {
            assert!(!patience.is_over(1, start));
        }
        patience.note_answer(2, at(start, 5));
        assert!(!patience.is_over(1, start), "it is given up already");
        assert!(!patience.is_over(2, start));
        patience.note_answer(1, at(start, 9));
        assert!(patience.is_over(2, at(start, 7)));
    }
}
