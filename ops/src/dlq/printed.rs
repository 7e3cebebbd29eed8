//! What every subcommand does: open the topic, write what is meant, say at the end how much that was.

use std::io::Write;

use serde::Serialize;
use service_kit::clock::now_ms;
use service_kit::exit::AppError;
use service_kit::output::{note, result_by};
use service_kit::terminal::tame_json;

use super::dead_letter::DeadLetter;
use super::error::DlqError;
use super::filter::Filter;
use super::flags::{Connection, Group, Output, Settings, Which};
use super::redrive::{Handled, Mark};
use super::source::{DlqTopic, Selection, Taken, Tally};
use super::value::ValueReader;
use crate::progress::{Count, Progress, Results};
use service_kit::shutdown::Shutdown;

/// A topic of dead letters, and which of them are meant.
pub(super) struct Source {
    pub(super) settings: Settings,
    pub(super) topic: DlqTopic,
    pub(super) filter: Filter,
    pub(super) limit: Option<u64>,
    /// Those that are handled, as the ledger says.
    pub(super) handled: Handled,
    /// Whether these are handed out as well.
    pub(super) shows_handled: bool,
}

impl Source {
    /// Checks all flags before anybody is asked, and opens the topic.
    pub(super) fn open(
        connection: &Connection,
        output: Output,
        which: &Which,
    ) -> Result<Self, AppError> {
        Self::open_for(connection, output, &Group::default(), which)
    }

    /// As [`Self::open`], for the dead letters of a group.
    pub(super) fn open_for(
        connection: &Connection,
        output: Output,
        group: &Group,
        which: &Which,
    ) -> Result<Self, AppError> {
        let settings = Settings::load(connection, output, group)?;
        let filter = which.filter(now_ms())?;
        let topic = DlqTopic::open(&settings.kafka, &settings.topic)?;
        let (limit, handled) = (which.limit, Handled::default());
        Ok(Self { settings, topic, filter, limit, handled, shows_handled: false })
    }

    /// What reads order ids, where the filter asks for them.
    fn values(&self) -> Result<Option<ValueReader>, DlqError> {
        self.filter.needs_value().then(|| ValueReader::new(&self.settings.registry)).transpose()
    }

    /// What was done about a dead letter, as the ledger says.
    pub(super) fn mark(&self, letter: &DeadLetter<'_>) -> Option<Mark> {
        self.handled.mark(letter.record.partition, letter.record.offset)
    }

    /// Hands each dead letter that the filter means to `take`, up to a limit, until it wants no more.
    pub(super) fn each(
        &self,
        limit: Option<u64>,
        look_on: LookOn,
        take: impl FnMut(&DeadLetter<'_>) -> Result<Taken, DlqError>,
    ) -> Result<Tally, DlqError> {
        let LookOn { results, count, stop } = look_on;
        let mut values = self.values()?;
        let selection = Selection { filter: &self.filter, limit, values: values.as_mut() };
        let (whole, format) = (self.topic.offsets(&self.filter), self.settings.log_format);
        let progress = Progress::of(self.topic.name(), whole, format, results);
        self.topic.scan(selection, &mut progress.with(count).until(stop), take)
    }

    /// Writes a start, something for each dead letter that is meant, and an end. None where the reader
    /// of stdout has gone.
    pub(super) fn each_written(
        &self,
        start: impl FnOnce(&mut dyn Write) -> Result<(), DlqError>,
        mut line: impl FnMut(&mut dyn Write, &Line<'_>) -> Result<(), DlqError>,
        end: impl FnOnce(&mut dyn Write) -> Result<(), DlqError>,
    ) -> Result<Option<Tally>, AppError> {
        written(|out| {
            start(out)?;
            let mut is_first = true;
            let tally = self.each(self.limit, LookOn::at(Results::AsTheyCome), |letter| {
                let mark = self.mark(letter);
                if let Some(mark) = mark.filter(|_| !self.shows_handled) {
                    return Ok(Taken::PassedOver(mark));
                }
                let is_first = std::mem::replace(&mut is_first, false);
                line(out, &Line { topic: self.topic.name(), letter, mark, is_first })?;
                Ok(Taken::Meant)
            })?;
            end(out)?;
            Ok(tally)
        })
    }

    /// The last line, on stderr: how many dead letters were looked at, and how many were meant.
    pub(super) fn tell(&self, tally: Tally) {
        note(&format!("orders: {}", summary(self.topic.name(), tally, !self.filter.is_empty())));
    }
}

/// How a scan is told and ended.
pub(super) struct LookOn {
    results: Results,
    count: Option<Count>,
    stop: Option<Shutdown>,
}

impl LookOn {
    /// Told, and not ended.
    pub(super) const fn at(results: Results) -> Self {
        Self { results, count: None, stop: None }
    }

    /// Told with a number, and ended by a signal.
    pub(super) const fn until(stop: Option<Shutdown>, count: Option<Count>) -> Self {
        Self { results: Results::AtTheEnd, count, stop }
    }
}

/// A dead letter that is printed.
pub(super) struct Line<'a> {
    pub(super) topic: &'a str,
    pub(super) letter: &'a DeadLetter<'a>,
    pub(super) mark: Option<Mark>,
    pub(super) is_first: bool,
}

fn summary(topic: &str, tally: Tally, has_filter: bool) -> String {
    let Tally { scanned, matched, redriven, discarded, is_limited } = tally;
    let meant = matched + redriven + discarded;
    let text = match (is_limited, has_filter) {
        (true, _) => format!(
            "stopped at --limit: {matched} of the first {scanned} dead letters of {topic} shown"
        ),
        (false, true) => format!("{meant} of {scanned} dead letters of {topic} match"),
        (false, false) => format!("{scanned} dead letters in {topic}"),
    };
    match handled_words(redriven, discarded) {
        None => text,
        Some(words) => format!("{text}; {words}: --handled includes them"),
    }
}

/// How many were handled; none where none was.
pub(super) fn handled_words(redriven: u64, discarded: u64) -> Option<String> {
    match (redriven, discarded) {
        (0, 0) => None,
        (back, 0) => Some(format!("{back} of them were redriven")),
        (0, discarded) => Some(format!("{discarded} of them were discarded")),
        (back, discarded) => {
            Some(format!("{back} of them were redriven, {discarded} were discarded"))
        }
    }
}

/// Writes results piece by piece. None where the reader of stdout has gone: it has what it wanted.
pub(super) fn written<T>(
    write: impl FnOnce(&mut dyn Write) -> Result<T, DlqError>,
) -> Result<Option<T>, AppError> {
    let mut done = None;
    result_by(|out| match write(out) {
        Err(DlqError::Output(error)) => Err(error),
        other => {
            done = Some(other);
            Ok(())
        }
    })?;
    Ok(done.transpose()?)
}

/// A value as one line of JSON that no terminal takes for a command.
pub(super) fn json_line(value: &impl Serialize) -> Result<String, DlqError> {
    let line = serde_json::to_string(value).map_err(|error| DlqError::Output(error.into()))?;
    Ok(tame_json(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_what_was_looked_at_and_what_was_meant() {
        let tally = |scanned, matched, is_limited| Tally {
            scanned,
            matched,
            is_limited,
            ..Tally::default()
        };
        for (redriven, discarded, words) in
            [(3, 0, "3 of them were redriven"), (2, 1, "2 of them were redriven, 1 were discarded")]
        {
            let hidden = Tally { redriven, discarded, ..tally(9, 2, false) };
            let expected = "5 of 9 dead letters of dlq match; ".to_owned()
                + words
                + ": --handled includes them";
            assert_eq!(summary("dlq", hidden, true), expected);
        }
        for (tally, has_filter, expected) in [
            (tally(9, 9, false), false, "9 dead letters in dlq"),
            (tally(9, 2, false), true, "2 of 9 dead letters of dlq match"),
            (tally(9, 0, false), true, "0 of 9 dead letters of dlq match"),
            (
                tally(9, 2, true),
                false,
                "stopped at --limit: 2 of the first 9 dead letters of dlq shown",
            ),
        ] {
            assert_eq!(summary("dlq", tally, has_filter), expected);
        }
    }
}
