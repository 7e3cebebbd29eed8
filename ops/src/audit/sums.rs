//! The averages against the fold, as far as the topics still hold what they were made of.

use orders::Amount;

use super::averages::{Partial, Total};
use super::books::Books;
use super::orders_read::words;
use super::report::{At, Invariant, Violation};

/// By how much the averages may differ from the fold, since something was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Slack {
    /// Orders that were counted, or may have been, and are gone or cannot be read.
    pub(crate) above: u64,
    /// Orders that look counted, and may not be, since what would tell is gone.
    pub(crate) below: u64,
}

impl Slack {
    /// Whether the difference may come from what was deleted.
    fn explains(self, fold: Total, told: Total) -> bool {
        if self == Self::default() {
            return false;
        }
        let more = told.0.saturating_sub(fold.0);
        let less = fold.0.saturating_sub(told.0);
        let sums_can_differ = self.above > 0 && self.below > 0;
        // Prices are not below zero: more orders are not worth less.
        let fits = sums_can_differ
            || (less == 0 && told.1 >= fold.1 && (more > 0 || told.1 == fold.1))
            || (more == 0 && told.1 <= fold.1 && (less > 0 || told.1 == fold.1));
        more <= self.above && less <= self.below && fits
    }
}

impl Books<'_> {
    fn slack(&self) -> Slack {
        let (bounds, begins) = (self.cut.bounds, self.cut.begins);
        let gone = |low: i64| u64::try_from(low).unwrap_or(0);
        // Redriven orders whose retries were trimmed look dead, and are counted.
        let revived = if bounds.retry.low > begins.retry { self.view.dead_lettered } else { 0 };
        // The outcome log does not need the dead letters to tell what was counted.
        let is_told = self.reads_outcomes() && self.told_from.is_some() && self.untold == 0;
        let low = bounds.dead_letter.low - begins.dead_letter;
        let is_compacted = self.surroundings.is_compacted(&self.settings.topics.dead_letter);
        let dead = match (is_told, is_compacted) {
            (true, _) => 0,
            (false, false) => gone(low),
            (false, true) => gone(bounds.dead_letter.end - begins.dead_letter),
        };
        let Slack { above, below } = self.slack;
        Slack { above: above + gone(bounds.main.low - begins.main) + revived, below: below + dead }
    }

    /// Says what retention and compaction have taken from the proof.
    pub(crate) fn note_gaps(&mut self) {
        let mut gaps = self.deleted();
        gaps.extend(self.compacted());
        if let Some(outcomes) = self.settings.topics.outcomes.as_ref().filter(|_| self.untold > 0) {
            let (topic, p) = (&self.settings.topics.main, self.cut.partition);
            let from = self.told_from.unwrap_or(self.cut.before.main.floor());
            let text = format!(
                "below {topic}/{p}@{from}: {outcomes} has no entries for these orders; only their sums are compared"
            );
            gaps.push((Invariant::I2, text.clone()));
            if self.settings.promises.keeps_key_order {
                gaps.push((Invariant::I5, text));
            }
        }
        gaps.into_iter().for_each(|(invariant, what)| self.report.unprovable(invariant, what));
    }

    fn deleted(&self) -> Vec<(Invariant, String)> {
        let (bounds, topics, p) = (self.cut.bounds, &self.settings.topics, self.cut.partition);
        let mut gaps = Vec::new();
        if bounds.main.low > self.cut.begins.main {
            let low = bounds.main.low;
            let text = format!(
                "below {}/{p}@{low}: these orders were deleted; their outcome is unknown",
                topics.main
            );
            gaps.extend([Invariant::I1, Invariant::I4].map(|invariant| (invariant, text.clone())));
        }
        if bounds.dead_letter.low > self.cut.begins.dead_letter {
            let low = bounds.dead_letter.low;
            let text =
                format!("below {}/{p}@{low}: these dead letters were deleted", topics.dead_letter);
            gaps.extend([Invariant::I2, Invariant::I10].map(|i| (i, text.clone())));
            if self.slack().below > 0 {
                gaps.push((Invariant::I1, text));
            }
        }
        gaps
    }

    /// A topic that is compacted may have lost what it had.
    fn compacted(&self) -> Vec<(Invariant, String)> {
        use Invariant::{I1, I2, I4, I10};
        let topics = &self.settings.topics;
        let roles: [(&str, &str, &[Invariant]); 4] = [
            (&topics.main, "orders may be missing", &[I1, I2, I4]),
            (&topics.retry, "retries may be missing", &[I1, I10]),
            (&topics.dead_letter, "dead letters may be missing", &[I1, I2, I10]),
            (topics.outcomes.as_deref().unwrap_or_default(), "it is not used", &[I2]),
        ];
        let compacted =
            roles.into_iter().filter(|(topic, ..)| self.surroundings.is_compacted(topic));
        let told = compacted.flat_map(|(topic, what, invariants)| {
            let text = format!("{topic} is compacted (cleanup.policy): {what}");
            invariants.iter().map(move |invariant| (*invariant, text.clone()))
        });
        told.collect()
    }

    /// Compares fold and averages, by product and in all.
    pub(crate) fn compare_sums(&mut self) {
        let slack = self.slack();
        let at_least_once = self.settings.promises.at_least_once;
        let fold = std::mem::take(&mut self.fold);
        let partials = std::mem::take(&mut self.averages.partials);
        let mut names: Vec<&str> = fold.keys().chain(partials.keys()).map(|name| &**name).collect();
        names.sort_unstable();
        names.dedup();
        let (mut folded, mut told) = ((0, Amount::ZERO), (0, Amount::ZERO));
        let (mut is_open, mut unexplained) = (false, 0_u64);
        let mut used = Slack::default();
        let absent = Partial { offset: -1, ..Partial::default() };
        for name in names {
            self.report.checked(Invariant::I4, 1);
            let wanted = fold.get(name).copied().unwrap_or_default();
            let partial = partials.get(name).unwrap_or(&absent);
            let mut possible = std::iter::once(&partial.total).chain(&partial.candidates);
            is_open |= !partial.candidates.is_empty();
            let found = possible.find(|total| **total == wanted).copied().unwrap_or(partial.total);
            folded = (folded.0 + wanted.0, folded.1 + wanted.1);
            told = (told.0 + found.0, told.1 + found.1);
            if found == wanted {
                continue;
            }
            if slack.explains(wanted, found) {
                self.report.unprovable(Invariant::I4, self.of_one(name, found, wanted));
                used.above += found.0.saturating_sub(wanted.0);
                used.below += wanted.0.saturating_sub(found.0);
                continue;
            }
            if at_least_once && found.0 > wanted.0 {
                self.repeats += found.0 - wanted.0;
                continue;
            }
            unexplained += 1;
            let what = format!(
                "the averages have {}, the orders add up to {}",
                words(found),
                words(wanted)
            );
            self.sum_violation(name, partial.offset, what);
        }
        // Each product may be explained by what is gone, and all of them together not.
        if !at_least_once && (used.above > slack.above || used.below > slack.below) {
            unexplained += 1;
            let p = self.cut.partition;
            let what = format!(
                "partition {p}: the averages count {} orders, {} can be read, and at most {} can \
                 have been deleted",
                words(told),
                words(folded),
                slack.above + slack.below
            );
            let (topic, offset) = (self.settings.topics.averages.clone(), None);
            let at = At { topic, partition: p, offset };
            self.violation(Invariant::I4, at, None, what);
        }
        let repeated = at_least_once && told.0 > folded.0;
        if unexplained > 0 && told.0 != folded.0 && !repeated {
            self.conservation_violation(told.0, folded.0);
        }
        if is_open {
            let note = format!(
                "partition {}: the group committed offsets while the audit read it",
                self.cut.partition
            );
            self.report.note(Invariant::I4, note);
        }
    }

    /// What is told of one product, and what can be seen of it.
    fn of_one(&self, name: &str, found: (u64, Amount), wanted: (u64, Amount)) -> String {
        let p = self.cut.partition;
        format!(
            "partition {p} {name:?}: the averages count {}, {} can be read",
            words(found),
            words(wanted)
        )
    }

    fn conservation_violation(&mut self, told: u64, folded: u64) {
        let view = self.view;
        let what = format!(
            "{} orders are settled: {} wait, {} are dead letters, {} duplicates, so {folded} should \
             be counted; the averages count {told}",
            view.settled, view.waiting, view.dead_lettered, view.duplicates
        );
        let topic = self.settings.topics.main.clone();
        let at = At { topic, partition: view.partition, offset: view.committed };
        self.report.violation(
            if told > folded { Invariant::I2 } else { Invariant::I1 },
            Violation { at: at.clone(), origin: None, product: None, what: what.clone() },
        );
        if told < folded {
            self.report
                .violation(Invariant::I6, Violation { at, origin: None, product: None, what });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn total(count: u64, ten_thousandths: i128) -> Total {
        (count, Amount::from_ten_thousandths(ten_thousandths))
    }

    #[test]
    fn without_a_gap_nothing_explains_a_difference() {
        assert!(!Slack::default().explains(total(1, 5), total(2, 9)));
    }

    #[test]
    fn deleted_orders_explain_more_and_never_less() {
        let slack = Slack { above: 3, below: 0 };
        assert!(slack.explains(total(1, 5), total(4, 9)));
        assert!(!slack.explains(total(1, 5), total(5, 9)), "more than were deleted");
        assert!(!slack.explains(total(1, 5), total(0, 0)));
        assert!(!slack.explains(total(1, 5), total(1, 6)), "no order is worth 0.0001 alone");
        assert!(!slack.explains(total(1, 5), total(2, 4)), "a price is not below zero");
    }

    #[test]
    fn deleted_dead_letters_explain_less_and_never_more() {
        let slack = Slack { above: 0, below: 2 };
        assert!(slack.explains(total(3, 9), total(1, 5)));
        assert!(!slack.explains(total(3, 9), total(4, 9)));
    }
}
