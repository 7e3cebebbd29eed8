//! The committed offsets against the topics.

use super::books::Books;
use super::cut::{Offsets, Settled};
use super::report::{At, Invariant};
use crate::scan::Bounds;

/// Ranges of lost offsets that are named; of the rest only the number.
const RANGES_SHOWN_MAX: usize = 10;

impl Books<'_> {
    pub(crate) fn judge_offsets(&mut self) {
        let topics = &self.settings.topics;
        let Offsets { main, retry } = self.cut.before.clone();
        for (topic, settled, bounds) in [
            (&topics.main, &main, self.cut.bounds.main),
            (&topics.retry, &retry, self.cut.bounds.retry),
        ] {
            self.judge_offset(topic, settled, bounds);
        }
        if main.position.is_some() != retry.position.is_some() {
            let at = At { topic: topics.main.clone(), partition: self.cut.partition, offset: None };
            let what = "only one of the offsets of orders and retries is committed";
            self.violation(Invariant::I6, at, None, what);
        }
        if main.has_averages && self.averages.partials.is_empty() {
            let topic = topics.averages.clone();
            let at = At { topic, partition: self.cut.partition, offset: None };
            let what = "the committed offset says that there are averages, but there are none";
            self.violation(Invariant::I4, at, None, what);
        }
        self.judge_notes();
        self.judge_rest();
    }

    fn judge_offset(&mut self, topic: &str, settled: &Settled, bounds: Bounds) {
        self.report.checked(Invariant::I6, 1);
        let Some(position) = settled.position else { return };
        let at = self.at(topic, position);
        if position > bounds.end {
            let what = format!("the committed offset is past the end, {}", bounds.end);
            self.violation(Invariant::I6, at.clone(), None, what);
        }
        if !settled.is_ours {
            let what = if settled.is_completed {
                "the list of records settled above it comes from the averages"
            } else {
                "nothing above it counts as settled"
            };
            let what = format!("{at}: the offset was committed by another tool; {what}");
            self.report.note(Invariant::I6, what);
        }
        let lost = settled.open_below(bounds.low);
        if !lost.is_empty() {
            let ranges = in_words(&lost);
            let what = format!("offsets {ranges} were deleted before they were settled");
            self.violation(Invariant::I1, at, None, what);
        }
    }

    /// What is left to do.
    fn judge_rest(&mut self) {
        self.report.checked(Invariant::I8, 1);
        let view = self.view;
        if view.unsettled + view.retry_depth == 0 {
            return;
        }
        let what =
            format!("{} orders are not settled, {} retries wait", view.unsettled, view.retry_depth);
        if self.settings.promises.is_drained {
            let topic = self.settings.topics.main.clone();
            let at = At { topic, partition: view.partition, offset: view.committed };
            self.violation(Invariant::I8, at, None, what);
        } else {
            self.report.note(Invariant::I8, format!("partition {}: {what}", view.partition));
        }
    }
}

/// Ranges, first to last, as people read them.
fn in_words(ranges: &[(i64, i64)]) -> String {
    let shown = ranges.iter().take(RANGES_SHOWN_MAX);
    let shown: Vec<String> = shown.map(|(first, last)| format!("{first} to {last}")).collect();
    let more = ranges.len().saturating_sub(RANGES_SHOWN_MAX);
    let more = if more > 0 { format!(" and {more} more ranges") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_ranges_are_named_and_many_are_counted() {
        assert_eq!(in_words(&[(0, 0)]), "0 to 0");
        assert_eq!(in_words(&[(0, 0), (5, 7)]), "0 to 0, 5 to 7");
        let many: Vec<(i64, i64)> = (0..12).map(|n| (n * 2, n * 2)).collect();
        assert!(in_words(&many).ends_with("18 to 18 and 2 more ranges"));
    }
}
