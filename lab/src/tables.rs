//! The tables of a report, as values: HTML, Markdown and CSV are made of the same ones.

mod answers;
mod apart;
mod costs;
mod figures;
mod findings;
mod losses;
mod lots;
mod outages;
mod qualities;
mod replicas;

use crate::cells::Cell;
use crate::results::Results;
use crate::stats::Spread;
use crate::words::{number, seconds, time};
use crate::workload::Kind;

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

    /// There is no figure, and this is why.
    pub(crate) fn not(why: &str) -> Self {
        Self::text(format!("– {why}"))
    }

    /// A figure over rounds: the one in the middle, and both ends where they read differently.
    pub(crate) fn spread(spread: Option<Spread>, words: impl Fn(f64) -> String) -> Self {
        let Some(Spread { median, min, max }) = spread else { return Self::none() };
        let (middle, least, most) = (words(median), words(min), words(max));
        let text = if least == most { middle } else { format!("{middle} ({least}–{most})") };
        Self { text, value: Some(median), is_struck: false }
    }

    /// A time in microseconds, over rounds.
    pub(crate) fn time(of: Option<Spread>) -> Self {
        Self::spread(of, time)
    }

    pub(crate) fn struck(self, is_struck: bool) -> Self {
        let is_struck = is_struck && self.value.is_some();
        Self { is_struck, ..self }
    }
}

/// The rate that was offered: with that of a burst, and in words where there was none.
pub(crate) fn offered(cell: &Cell<'_>) -> Entry {
    let rate = number(cell.rate_per_s);
    let burst = cell.spec.as_ref().and_then(|spec| spec.burst);
    let text = match (cell.workload.kind, burst) {
        (Kind::Batch | Kind::Replay, _) => return Entry::text("all at once"),
        (_, Some((factor, _, length))) => {
            format!("{rate}, then {} for {}", number(cell.rate_per_s * factor), seconds(length))
        }
        (_, None) => rate,
    };
    Entry { text, value: Some(cell.rate_per_s), is_struck: false }
}

/// All tables that have rows, in the order of the report.
#[must_use]
pub fn tables(results: &Results, cells: &[Cell<'_>]) -> Vec<Table> {
    let all = [
        figures::headline(cells),
        losses::losses(results, cells),
        figures::sweep(cells),
        replicas::replicas(cells),
        outages::faults(cells),
        lots::lots(cells),
        lots::replays(cells),
        figures::audits(results, cells),
        answers::answers(results),
        lots::notes(results),
        costs::costs(results, cells),
        costs::generator(cells),
        qualities::qualities(results),
    ];
    all.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::results::{Run, WorkloadInfo};
    use crate::workload::{Paradigm, Workload};

    fn spread(min: f64, median: f64, max: f64) -> Option<Spread> {
        Some(Spread { median, min, max })
    }

    #[test]
    fn a_spread_is_printed_only_where_its_ends_read_differently() {
        assert_eq!(Entry::time(spread(2_009e3, 2_010e3, 2_011e3)).text, "2.01 s");
        assert_eq!(Entry::time(spread(2_000e3, 2_010e3, 2_011e3)).text, "2.01 s (2.00 s–2.01 s)");
        assert_eq!(Entry::time(None).text, "–");
        assert_eq!(Entry::not("void").text, "– void");
    }

    #[test]
    fn what_is_offered_is_told_as_it_came() {
        let offered_by = |kind, rate_per_s, spec: Option<Workload>| {
            let words = String::new();
            let info = WorkloadInfo { name: "a".to_owned(), kind, words, rounds: 1 };
            let run = Run::new("a", Paradigm::Rabbit, 0, rate_per_s, 0.0);
            offered(&Cell { spec, ..Cell::of_one(&info, &run) }).text
        };
        let plain = Workload::plain("a", 50.0, Duration::from_secs(15));
        let burst = Some((10.0, Duration::from_secs(5), Duration::from_secs(5)));
        let burst = Workload { burst, ..plain.clone() };
        assert_eq!(offered_by(Kind::Load, 50.0, Some(plain)), "50");
        assert_eq!(offered_by(Kind::Load, 50.0, None), "50");
        assert_eq!(offered_by(Kind::Load, 50.0, Some(burst)), "50, then 500 for 5 s");
        assert_eq!(offered_by(Kind::Batch, 0.0, None), "all at once");
    }
}
