//! What the averages note of the offsets that were committed with them.
//!
//! Another tool that sets an offset drops its metadata. What was settled above it is then known from
//! here, as the consumer takes it.

use pipeline::completion::Completion;
use pipeline::record::CommitPosition;

use super::books::Books;
use super::borrowed::Borrowed;
use super::cut::Settled;
use super::report::{At, Invariant};

/// Header: the main position that was committed with it.
pub(crate) const MAIN_OFFSET: &str = "x-main-offset";
/// Header: the retry position that was committed with it.
pub(crate) const RETRY_OFFSET: &str = "x-retry-offset";
/// Header: what was settled above the main position.
const MAIN_COMPLETION: &str = "x-main-completion";
/// Header: what was settled above the retry position.
pub(crate) const RETRY_COMPLETION: &str = "x-retry-completion";
/// Header of a note: the count begins anew, and whatever stands before it in the partition is of an
/// earlier one. It names the replay.
pub(crate) const RESET: &str = "x-reset-id";

/// An offset as it is noted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    position: i64,
    /// Ranges that are settled above it, where they are noted.
    settled: Option<Vec<(i64, i64)>>,
}

impl Note {
    fn has(&self, offset: i64) -> bool {
        let ranges = self.settled.as_deref().unwrap_or_default();
        ranges.iter().any(|(first, last)| (*first..=*last).contains(&offset))
    }
}

/// The last offsets that the averages of a partition note.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Noted {
    main: Option<Note>,
    retry: Option<Note>,
    /// An operator has deleted a product, and its notes with it.
    is_partial: bool,
}

/// Records that are settled below the committed offset, and not below the noted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lag {
    main: u64,
    retry: u64,
}

impl Noted {
    /// A product was deleted.
    pub(crate) fn forget(&mut self) {
        *self = Self { is_partial: true, ..Self::default() };
    }

    /// Takes what a record notes, in the order of the log, and returns both positions.
    pub(crate) fn take(
        &mut self,
        record: &Borrowed<'_>,
        at_least_once: bool,
    ) -> Result<(i64, i64), String> {
        let main = note(record, MAIN_OFFSET, MAIN_COMPLETION)?;
        let retry = note(record, RETRY_OFFSET, RETRY_COMPLETION)?;
        let positions = (main.position, retry.position);
        for (last, note, name) in
            [(&mut self.main, main, MAIN_OFFSET), (&mut self.retry, retry, RETRY_OFFSET)]
        {
            let before = last.as_ref().map_or(i64::MIN, |last| last.position);
            if note.position < before {
                if at_least_once {
                    continue; // a process that was held up
                }
                return Err(format!("its {name} is {}, after {before}", note.position));
            }
            // A record without a completion is not the first of its turn.
            if note.position > before || note.settled.is_some() {
                *last = Some(note);
            }
        }
        Ok(positions)
    }
}

fn note(record: &Borrowed<'_>, offset: &str, above: &str) -> Result<Note, String> {
    let position = number(record, offset)?;
    Ok(Note { position, settled: completion(record, CommitPosition(position), above)? })
}

fn once<'a>(record: &Borrowed<'a>, name: &str) -> Result<Option<&'a str>, String> {
    let mut all = record.all(name);
    let value = all.next().flatten();
    if all.next().is_some() {
        return Err(format!("{name} is there twice"));
    }
    value
        .map(|value| std::str::from_utf8(value).map_err(|_| format!("{name} is not text")))
        .transpose()
}

fn number(record: &Borrowed<'_>, name: &str) -> Result<i64, String> {
    let text = once(record, name)?.ok_or_else(|| format!("{name} is missing"))?;
    // As a number is written: without a sign, and without a zero before it.
    let is_plain = text == "0" || !text.starts_with(['0', '+', '-']);
    let number = text.parse().ok().filter(|_| is_plain);
    number.ok_or_else(|| format!("{name} is {text:?}"))
}

fn completion(
    record: &Borrowed<'_>,
    position: CommitPosition,
    name: &str,
) -> Result<Option<Vec<(i64, i64)>>, String> {
    let Some(text) = once(record, name)? else { return Ok(None) };
    let read = Completion::decode(text, position).ok();
    let read = read.filter(|completion| completion.belongs_to(position) && !text.is_empty());
    let read = read.ok_or_else(|| format!("{name} cannot be read"))?;
    Ok(Some(read.settled_ranges(position)))
}

impl Books<'_> {
    /// All averages were read: where another tool has set an offset, what is settled above it is
    /// taken from their notes, as the consumer does.
    pub(crate) fn adopt_notes(&mut self) {
        let Noted { main, retry, .. } = &self.averages.noted;
        for offsets in [&mut self.cut.before, &mut self.cut.after] {
            for (settled, note) in [(&mut offsets.main, main), (&mut offsets.retry, retry)] {
                adopt(settled, note.as_ref());
            }
        }
    }

    /// Looks at an offset of the orders that holds a record.
    pub(crate) fn look_at_main_offset(&mut self, offset: i64) {
        let note = self.averages.noted.main.as_ref();
        let (before, after) = (&self.cut.before.main, &self.cut.after.main);
        let (lags, is_claimed) = look(note, before, after, offset);
        self.lag.main += u64::from(lags);
        if is_claimed && !self.settings.promises.at_least_once {
            let what = "the averages mark it as settled, but the committed offset does not";
            self.violation(Invariant::I6, self.order_at(offset), None, what);
        }
    }

    /// Looks at an offset of the retry topic that holds a record of the group.
    pub(crate) fn look_at_retry_offset(&mut self, offset: i64) {
        let note = self.averages.noted.retry.as_ref();
        let (before, after) = (&self.cut.before.retry, &self.cut.after.retry);
        let (lags, is_claimed) = look(note, before, after, offset);
        self.lag.retry += u64::from(lags);
        if is_claimed && !self.settings.promises.at_least_once {
            let what = "the averages mark it as settled, but the committed offset does not";
            let at = self.at(&self.settings.topics.retry, offset);
            self.violation(Invariant::I6, at, None, what);
        }
    }

    /// Each turn that settles a record notes its offsets, once something was counted.
    pub(crate) fn judge_notes(&mut self) {
        let is_exact = !self.cut.moved() && !self.settings.promises.at_least_once;
        if !is_exact || self.averages.noted.is_partial {
            return;
        }
        let topics = &self.settings.topics;
        for (topic, note, lag) in [
            (&topics.main, &self.averages.noted.main, self.lag.main),
            (&topics.retry, &self.averages.noted.retry, self.lag.retry),
        ] {
            let Some(Note { position, .. }) = note.as_ref().filter(|_| lag > 0) else { continue };
            let what = format!(
                "the averages give {position} as the committed offset of {topic}, but {lag} records \
                 from there on are settled"
            );
            let (topic, partition) = (topics.averages.clone(), self.cut.partition);
            let at = At { topic, partition, offset: None };
            self.report.violation(
                Invariant::I6,
                super::report::Violation { at, origin: None, product: None, what },
            );
        }
    }
}

/// Whether the note lags behind a settled record, and whether it claims one that is not.
fn look(note: Option<&Note>, before: &Settled, after: &Settled, offset: i64) -> (bool, bool) {
    let Some(note) = note else { return (false, false) };
    let lags = offset >= note.position && offset < before.floor() && !note.has(offset);
    (lags, note.has(offset) && !after.has(offset))
}

fn adopt(settled: &mut Settled, note: Option<&Note>) {
    let Some(Note { position, settled: Some(ranges) }) = note else { return };
    if !settled.is_ours && settled.floor() >= *position {
        settled.adopt(ranges);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_of_another_tool_is_completed_from_the_notes() {
        let note = Note { position: 5, settled: Some(vec![(7, 8), (12, 12)]) };
        for (position, is_ours, expected) in [
            (Some(8), false, vec![8, 12]),
            (Some(5), false, vec![7, 8, 12]),
            (Some(4), false, vec![]),
            (Some(8), true, vec![]),
        ] {
            let mut settled = Settled::at(position);
            settled.is_ours = is_ours;
            adopt(&mut settled, Some(&note));
            let floor = settled.floor();
            let found: Vec<i64> =
                (5..14).filter(|offset| *offset >= floor && settled.has(*offset)).collect();
            assert_eq!(found, expected, "{position:?} {is_ours}");
        }
    }

    #[test]
    fn a_note_lags_behind_what_is_settled_below_the_committed_offset() {
        let note = Note { position: 5, settled: Some(vec![(6, 6)]) };
        let settled = Settled::at(Some(8));
        let looks = |offset| look(Some(&note), &settled, &settled, offset);
        assert_eq!([4, 5, 6, 7, 8].map(|o| looks(o).0), [false, true, false, true, false]);
        let behind = Settled::at(Some(5));
        assert!(look(Some(&note), &behind, &behind, 6).1, "it claims what is not settled");
    }
}
