//! The tables of a report, as values: HTML, Markdown and CSV are made of the same ones.

mod costs;
mod figures;
mod findings;
mod losses;
mod lots;
mod qualities;

use crate::cells::Cell;
use crate::results::Results;
use crate::stats::Spread;
use crate::words::time;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its head.
    pub title: &'static str,
    /// Whether it has numbers, which stand on the right.
    pub is_number: bool,
}

/// What stands in a place of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry {
    /// For people.
    pub text: String,
    /// For programs: the number without its unit, in the unit of the column; the text where there is none.
    pub value: Option<f64>,
    /// Whether it does not count, because the audit of its runs failed.
    pub is_struck: bool,
}

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Name of its CSV file.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it says, in a sentence.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each with an entry for each column.
    pub rows: Vec<Vec<Entry>>,
}

/// A column of words.
pub(crate) const fn words(title: &'static str) -> Column {
    Column { title, is_number: false }
}

/// A column of numbers.
pub(crate) const fn numbers(title: &'static str) -> Column {
    Column { title, is_number: true }
}

impl Entry {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(crate) fn number(value: f64) -> Self {
        Self { text: crate::words::number(value), value: Some(value), is_struck: false }
    }

    pub(crate) fn of(value: Option<f64>, text: impl Fn(f64) -> String) -> Self {
        value.map_or_else(Self::none, |value| Self {
            text: text(value),
            value: Some(value),
            is_struck: false,
        })
    }

    /// There is nothing to say.
    pub(crate) fn none() -> Self {
        Self::text("–")
    }

    /// A time in microseconds: the median, and how far the rounds go apart.
    pub(crate) fn time(spread: Option<Spread>) -> Self {
        let Some(Spread { median, min, max }) = spread else { return Self::none() };
        let text = if min == max {
            time(median)
        } else {
            format!("{} ({}–{})", time(median), time(min), time(max))
        };
        Self { text, value: Some(median), is_struck: false }
    }

    pub(crate) fn struck(self, is_struck: bool) -> Self {
        let is_struck = is_struck && self.value.is_some();
        Self { is_struck, ..self }
    }
}

/// All tables that have rows, in the order of the report.
#[must_use]
pub fn tables(results: &Results, cells: &[Cell<'_>]) -> Vec<Table> {
    let all = [
        figures::headline(cells),
        losses::losses(results, cells),
        figures::sweep(cells),
        lots::faults(cells),
        lots::lots(cells),
        lots::replays(cells),
        figures::audits(cells),
        figures::failures(results),
        lots::notes(results),
        costs::costs(cells),
        costs::generator(cells),
        qualities::qualities(results),
    ];
    all.into_iter().filter(|table| !table.rows.is_empty()).collect()
}
