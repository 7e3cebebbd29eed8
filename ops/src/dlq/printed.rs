//! What every subcommand does: open the topic, write what is meant, say at the end how much that was.

use std::io::Write;
use std::ops::ControlFlow;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use service_kit::exit::AppError;
use service_kit::output::{note, result_by};
use service_kit::terminal::tame_json;

use super::dead_letter::DeadLetter;
use super::error::DlqError;
use super::filter::Filter;
use super::flags::{Connection, Group, Output, Settings, Which};
use super::redrive::Handled;
use super::source::{DlqTopic, Selection, Tally};
use super::value::ValueReader;

/// A topic of dead letters, and which of them are meant.
pub(super) struct Source {
    pub(super) settings: Settings,
    pub(super) topic: DlqTopic,
    pub(super) filter: Filter,
    pub(super) limit: Option<u64>,
    /// Those that are not handed out.
    pub(super) passed_over: Option<Handled>,
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
        Ok(Self { settings, topic, filter, limit: which.limit, passed_over: None })
    }

    /// What reads order ids, where the filter asks for them.
    fn values(&self) -> Result<Option<ValueReader>, DlqError> {
        self.filter.needs_value().then(|| ValueReader::new(&self.settings.registry)).transpose()
    }

    /// Hands each dead letter that is meant to `take`, up to the limit.
    pub(super) fn each(
        &self,
        mut take: impl FnMut(&DeadLetter<'_>) -> Result<(), DlqError>,
    ) -> Result<Tally, DlqError> {
        self.each_until(self.limit, |letter| take(letter).map(ControlFlow::Continue))
    }

    /// Hands each dead letter that is meant to `take`, up to another limit, until it wants no more.
    pub(super) fn each_until(
        &self,
        limit: Option<u64>,
        take: impl FnMut(&DeadLetter<'_>) -> Result<ControlFlow<()>, DlqError>,
    ) -> Result<Tally, DlqError> {
        let mut values = self.values()?;
        let selection = Selection {
            filter: &self.filter,
            limit,
            values: values.as_mut(),
            passed_over: self.passed_over.as_ref(),
        };
        self.topic.scan(selection, |text| note(&format!("orders: {text}")), take)
    }

    /// Writes a start, something for each dead letter that is meant, and an end. None where the reader
    /// of stdout has gone.
    pub(super) fn each_written(
        &self,
        start: impl FnOnce(&mut dyn Write) -> Result<(), DlqError>,
        mut line: impl FnMut(&mut dyn Write, &DlqTopic, &DeadLetter<'_>, bool) -> Result<(), DlqError>,
        end: impl FnOnce(&mut dyn Write) -> Result<(), DlqError>,
    ) -> Result<Option<Tally>, AppError> {
        written(|out| {
            start(out)?;
            let mut is_first = true;
            let tally = self.each(|letter| {
                line(out, &self.topic, letter, std::mem::replace(&mut is_first, false))
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

fn summary(topic: &str, tally: Tally, has_filter: bool) -> String {
    let Tally { scanned, matched, passed_over, is_limited } = tally;
    let meant = matched + passed_over;
    let text = match (is_limited, has_filter) {
        (true, _) => format!(
            "stopped at --limit: {matched} of the first {scanned} dead letters of {topic} shown"
        ),
        (false, true) => format!("{meant} of {scanned} dead letters of {topic} match"),
        (false, false) => format!("{scanned} dead letters in {topic}"),
    };
    match passed_over {
        0 => text,
        hidden => format!("{text}; {hidden} of them went back and are shown with --handled only"),
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

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
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
        let hidden = Tally { passed_over: 3, ..tally(9, 2, false) };
        let expected = "5 of 9 dead letters of dlq match; 3 of them went back and are shown with --handled only";
        assert_eq!(summary("dlq", hidden, true), expected);
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
