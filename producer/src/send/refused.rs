//! Records that a broker refused for the size of their request.
//!
//! A broker says no to a whole request, also to those records in it that it would take. So they are
//! sent again in ever smaller groups, with nothing else on its way: what is refused alone is too
//! large, and all others are delivered. They come behind records that were delivered in between.

use super::ledger::Refused;
use super::{Run, SendError};

impl Run<'_> {
    /// Finds out which of the refused records are too large, and delivers the others.
    ///
    /// # Errors
    ///
    /// If a rejected row cannot be kept, or the producer has failed.
    pub(super) fn settle_refused(&mut self) -> Result<(), SendError> {
        let ledger = self.sender.publisher.observer();
        // What is still on its way may be refused as well.
        if !self.wait_until_idle() {
            return Ok(());
        }
        let mut groups = vec![ledger.take_refused()];
        while let Some(group) = groups.pop() {
            let (too_large, mut group): (Vec<_>, Vec<_>) =
                group.into_iter().partition(|refused| self.is_too_large(refused.bytes()));
            for refused in too_large {
                self.refuse(refused)?;
            }
            if group.len() > 1 {
                let second = group.split_off(group.len() / 2);
                for half in [group, second] {
                    let again = self.send_again(half)?;
                    groups.push(again);
                }
            } else if let Some(alone) = group.pop() {
                self.learn_too_large(alone.bytes());
                self.refuse(alone)?;
            }
            ledger.check()?;
        }
        Ok(())
    }

    /// Sends a group with nothing else on its way; returns what is refused again.
    fn send_again(&mut self, group: Vec<Refused>) -> Result<Vec<Refused>, SendError> {
        let publisher = &self.sender.publisher;
        let ledger = publisher.observer();
        let mut result = Ok(());
        for Refused { key, value, entry } in group {
            if result.is_err() || self.is_time_up() {
                ledger.give_up(Refused { key, value, entry });
                continue;
            }
            let sequence = self.next_sequence();
            ledger.note_again(sequence, entry);
            let (topic, stop) = (&self.sender.settings.topic, self.stop);
            let sent =
                publisher.publish(topic, None, Some(&key), value.as_deref(), sequence, || {
                    !stop.is_requested()
                });
            if let Err(error) = sent {
                if let Some(entry) = ledger.strike_again(sequence) {
                    ledger.give_up(Refused { key, value, entry });
                }
                result = Err(error);
            }
        }
        result?;
        if self.wait_until_idle() {
            return Ok(ledger.take_refused());
        }
        Ok(Vec::new())
    }

    fn refuse(&mut self, refused: Refused) -> Result<(), SendError> {
        let reason = format!(
            "the record of {} bytes is larger than the broker takes (max.message.bytes)",
            refused.bytes()
        );
        Ok(self.sender.publisher.observer().refuse(refused, &reason)?)
    }

    /// Whether a record of this size was refused alone, so that another one is as well. What is
    /// compressed has no size that says so.
    pub(super) fn is_too_large(&self, bytes: usize) -> bool {
        !self.sender.is_compressed && self.too_large_bytes.is_some_and(|known| bytes >= known)
    }

    fn learn_too_large(&mut self, bytes: usize) {
        let known = self.too_large_bytes.unwrap_or(usize::MAX);
        self.too_large_bytes = Some(known.min(bytes));
    }
}
