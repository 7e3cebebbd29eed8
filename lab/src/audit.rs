//! The delivery audit: what was promised, and what became of it, order by order.
//!
//! An order *overtakes* another one of its item when it was sent after the other one was accepted, and is done before it.
//! Two orders that were on their way to the service at the same time have no order.

use serde::{Deserialize, Serialize};

use crate::book::{Answer, Others, Trace};

/// What an audit found. Counts are of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Orders that were planned.
    pub planned: u64,
    /// Taken, by the answer.
    pub accepted: u64,
    /// Refused for good by the business, in the answer.
    pub refused: u64,
    /// Not taken, and nothing done, by the answer.
    pub failed: u64,
    /// Not sent: the generator had no room for one more request. No paradigm is to blame.
    pub not_sent: u64,
    /// Not taken, and what was done is not known, by the answer or for want of one.
    pub unknown: u64,
    /// Of the unknown: done.
    pub unknown_done: u64,
    /// Accepted, and done exactly once.
    pub done_once: u64,
    /// Of those that are done: the customer was told that the order does not come.
    #[serde(default)] // results of earlier versions do not have it
    pub rejected: u64,
    /// Accepted, and among the dead letters: every attempt has failed, and somebody can send the order back.
    #[serde(default)] // results of earlier versions do not have it
    pub dead_lettered: u64,
    /// Accepted, and neither done nor a dead letter when the wait was over.
    pub lost: u64,
    /// Done more than once.
    pub duplicated: u64,
    /// Not taken by the service's word, and done all the same.
    pub done_despite_no: u64,
    /// Done before an order of the same item that was accepted before they were sent.
    pub out_of_order: u64,
    /// Requests that were sent a second time.
    pub repeats: u64,
    /// Of them, answered as the order was: taken, or refused.
    pub repeats_accepted: u64,
    /// Invalid messages that were sent.
    pub poison: u64,
    /// Of them, rejected by the order API.
    pub poison_turned_away: u64,
    /// Of them, dead-lettered by a service.
    pub poison_dead_lettered: u64,
    /// Of them, those of which nobody says what became of them.
    pub poison_unknown: u64,
}

impl Audit {
    /// Audits traces; `dead_lettered` is what the services count, where they tell.
    #[must_use]
    pub fn of(traces: &[Trace], others: &Others, dead_lettered: Option<u64>) -> Self {
        let count = |is: &dyn Fn(&Trace) -> bool| traces.iter().filter(|t| is(t)).count() as u64;
        let answer = |answer: Answer| count(&move |trace| trace.answer == answer);
        let is_open = |trace: &Trace| {
            trace.is_sent() && matches!(trace.answer, Answer::Unknown | Answer::None)
        };
        let behind = others.poison - others.poison_turned_away - others.poison_unknown;
        let not_told = if dead_lettered.is_some() { 0 } else { behind };
        let is_accepted = |trace: &Trace| trace.answer == Answer::Accepted;
        let is_undone = |trace: &Trace| is_accepted(trace) && trace.outcomes == 0;
        let orders_dead = count(&|trace| is_undone(trace) && trace.is_dead);
        Self {
            planned: traces.len() as u64,
            accepted: answer(Answer::Accepted),
            refused: answer(Answer::Refused),
            failed: answer(Answer::Failed),
            not_sent: count(&|trace| !trace.is_sent()),
            unknown: count(&is_open),
            unknown_done: count(&|trace| is_open(trace) && trace.outcomes > 0),
            done_once: count(&|trace| is_accepted(trace) && trace.outcomes == 1),
            rejected: count(&|trace| trace.outcomes > 0 && trace.is_rejected),
            dead_lettered: orders_dead,
            lost: count(&|trace| is_undone(trace) && !trace.is_dead),
            duplicated: count(&|trace| trace.outcomes > 1),
            done_despite_no: count(&|trace| trace.answer == Answer::Failed && trace.outcomes > 0),
            out_of_order: out_of_order(traces),
            repeats: others.repeats,
            repeats_accepted: others.repeats_accepted,
            poison: others.poison,
            poison_turned_away: others.poison_turned_away,
            poison_dead_lettered: dead_lettered.unwrap_or(0).saturating_sub(orders_dead),
            poison_unknown: others.poison_unknown + not_told,
        }
    }

    /// Returns both added up.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            planned: self.planned + other.planned,
            accepted: self.accepted + other.accepted,
            refused: self.refused + other.refused,
            failed: self.failed + other.failed,
            not_sent: self.not_sent + other.not_sent,
            unknown: self.unknown + other.unknown,
            unknown_done: self.unknown_done + other.unknown_done,
            done_once: self.done_once + other.done_once,
            rejected: self.rejected + other.rejected,
            dead_lettered: self.dead_lettered + other.dead_lettered,
            lost: self.lost + other.lost,
            duplicated: self.duplicated + other.duplicated,
            done_despite_no: self.done_despite_no + other.done_despite_no,
            out_of_order: self.out_of_order + other.out_of_order,
            repeats: self.repeats + other.repeats,
            repeats_accepted: self.repeats_accepted + other.repeats_accepted,
            poison: self.poison + other.poison,
            poison_turned_away: self.poison_turned_away + other.poison_turned_away,
            poison_dead_lettered: self.poison_dead_lettered + other.poison_dead_lettered,
            poison_unknown: self.poison_unknown + other.poison_unknown,
        }
    }

    /// Whether every promise was kept: nothing lost, nothing done twice, nothing done after a refusal, and every invalid
    /// message of which something is known rejected or dead-lettered.
    #[must_use]
    pub const fn is_green(&self) -> bool {
        self.lost == 0
            && self.duplicated == 0
            && self.done_despite_no == 0
            && self.set_aside() >= self.poison
    }

    const fn set_aside(&self) -> u64 {
        self.poison_turned_away + self.poison_dead_lettered + self.poison_unknown
    }

    /// Orders that were sent and not accepted: what a client has to try again.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.failed + self.unknown
    }

    /// Orders that were sent.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.planned - self.not_sent
    }

    /// What was found, in words; nothing where all is well.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        let found = [
            (self.lost, "accepted and not done"),
            (self.duplicated, "done more than once"),
            (self.done_despite_no, "done although the answer said no"),
            (
                self.poison.saturating_sub(self.set_aside()),
                "invalid messages, neither rejected nor dead-lettered",
            ),
        ];
        found.into_iter().filter(|(n, _)| *n > 0).map(|(n, words)| format!("{n} {words}")).collect()
    }
}

/// Orders that overtook another one of their item.
fn out_of_order(traces: &[Trace]) -> u64 {
    let items = traces.iter().map(|trace| trace.item + 1).max().unwrap_or(0);
    let mut by_item: Vec<Vec<&Trace>> = vec![Vec::new(); items];
    for trace in traces.iter().filter(|trace| trace.answer == Answer::Accepted) {
        by_item[trace.item].push(trace);
    }
    by_item.iter().map(|orders| overtakers(orders)).sum()
}

fn overtakers(orders: &[&Trace]) -> u64 {
    // By the time of their answers, those that may be overtaken; each with the latest outcome up to it.
    let mut answered: Vec<(u64, u64)> =
        orders.iter().filter_map(|trace| trace.answered_us.zip(trace.outcome_us)).collect();
    answered.sort_unstable();
    let mut latest = 0;
    for (_, outcome_us) in &mut answered {
        latest = latest.max(*outcome_us);
        *outcome_us = latest;
    }
    let overtakes = |trace: &&&Trace| {
        let Some((sent_us, outcome_us)) = trace.sent_us.zip(trace.outcome_us) else { return false };
        let before = answered.partition_point(|(answered_us, _)| *answered_us < sent_us);
        before > 0 && answered[before - 1].1 > outcome_us
    };
    orders.iter().filter(overtakes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An accepted order of item 0: sent, answered, done.
    fn order(sent_us: u64, answered_us: u64, outcome_us: Option<u64>) -> Trace {
        Trace {
            planned_us: sent_us,
            sent_us: Some(sent_us),
            answered_us: Some(answered_us),
            answer: Answer::Accepted,
            outcome_us,
            outcomes: u32::from(outcome_us.is_some()),
            ..Trace::default()
        }
    }

    fn audit(traces: &[Trace]) -> Audit {
        Audit::of(traces, &Others::default(), Some(0))
    }

    #[test]
    fn an_order_that_was_accepted_and_never_done_is_lost() {
        let found = audit(&[order(0, 1, Some(2)), order(0, 1, None)]);
        assert_eq!((found.accepted, found.done_once, found.lost), (2, 1, 1));
        assert!(!found.is_green());
        assert_eq!(found.findings(), ["1 accepted and not done"]);
    }

    #[test]
    fn an_order_that_is_a_dead_letter_is_not_lost_and_one_that_was_sent_back_is_done() {
        let dead = Trace { is_dead: true, ..order(0, 1, None) };
        let back = Trace { is_dead: true, ..order(0, 1, Some(2)) };
        let others = Others { poison: 1, ..Others::default() };
        let found = Audit::of(&[dead, back], &others, Some(2));
        assert_eq!((found.dead_lettered, found.lost, found.done_once), (1, 0, 1));
        assert_eq!(found.poison_dead_lettered, 1, "the other dead letter is an order");
        assert!(found.is_green());
    }

    #[test]
    fn a_customer_who_is_told_no_is_told_and_counted_beside() {
        let no = Trace { is_rejected: true, ..order(0, 1, Some(2)) };
        let found = audit(&[no, order(0, 1, Some(2))]);
        assert_eq!((found.done_once, found.rejected, found.is_green()), (2, 1, true));
    }

    #[test]
    fn an_order_that_was_done_twice_is_a_duplicate_whatever_was_answered() {
        let twice = Trace { outcomes: 2, ..order(0, 1, Some(2)) };
        let unknown = Trace { answer: Answer::Unknown, ..twice };
        let found = audit(&[twice, unknown]);
        assert_eq!((found.duplicated, found.is_green()), (2, false));
    }

    #[test]
    fn a_no_must_be_a_no_and_an_unknown_may_be_either() {
        let no = Trace { answer: Answer::Failed, ..order(0, 1, Some(2)) };
        assert_eq!(audit(&[no]).findings(), ["1 done although the answer said no"]);
        let open = [Some(2), None]
            .map(|outcome| Trace { answer: Answer::Unknown, ..order(0, 1, outcome) });
        let found = audit(&open);
        assert_eq!((found.unknown, found.unknown_done, found.is_green()), (2, 1, true));
    }

    #[test]
    fn an_order_without_any_answer_is_not_known() {
        let found = audit(&[Trace { sent_us: Some(1), ..Trace::default() }]);
        assert_eq!((found.unknown, found.accepted, found.is_green()), (1, 0, true));
    }

    #[test]
    fn an_order_that_the_generator_had_no_room_for_is_no_failure_of_the_paradigm() {
        let found = audit(&[Trace::default(), order(0, 1, Some(2))]);
        assert_eq!((found.not_sent, found.missed(), found.sent()), (1, 0, 1));
        assert!(found.is_green());
    }

    #[test]
    fn an_order_overtakes_only_what_was_accepted_before_it_was_sent() {
        let first = order(0, 10, Some(100));
        assert_eq!(audit(&[first, order(20, 30, Some(90))]).out_of_order, 1);
        // Both were under way at the same time.
        assert_eq!(audit(&[first, order(5, 30, Some(90))]).out_of_order, 0);
        // Of another item.
        let other = Trace { item: 1, ..order(20, 30, Some(90)) };
        assert_eq!(audit(&[first, other]).out_of_order, 0);
        assert_eq!(audit(&[first, order(20, 30, Some(110))]).out_of_order, 0);
        // One slow order is overtaken by many: each of them is out of order.
        let many: Vec<Trace> = (0..5).map(|n| order(20 + n, 30 + n, Some(90 + n))).collect();
        assert_eq!(audit(&[&[first][..], &many].concat()).out_of_order, 5);
    }

    #[test]
    fn what_is_no_order_is_set_aside_at_the_door_or_behind_it() {
        let others = Others { poison: 3, poison_turned_away: 2, ..Others::default() };
        assert!(!Audit::of(&[], &others, Some(0)).is_green());
        assert!(Audit::of(&[], &others, Some(1)).is_green());
    }

    #[test]
    fn what_became_of_an_invalid_message_is_not_known_where_nobody_tells_and_that_is_not_red() {
        let others =
            Others { poison: 5, poison_turned_away: 1, poison_unknown: 1, ..Others::default() };
        let untold = Audit::of(&[], &others, None);
        assert_eq!((untold.poison_unknown, untold.poison_dead_lettered), (4, 0));
        assert!(untold.is_green());
        assert!(!Audit::of(&[], &others, Some(2)).is_green(), "one of three is missing");
    }

    #[test]
    fn repeats_that_were_taken_as_the_order_is_are_counted() {
        let others = Others { repeats: 3, repeats_accepted: 2, ..Others::default() };
        let found = Audit::of(&[], &others, None);
        assert_eq!((found.repeats, found.repeats_accepted), (3, 2));
    }
}
