//! A table that is sorted, filtered and cut to the room there is: all of it values.

use std::cmp::Ordering;

use service_kit::live::{fill, fit, width};

/// Blanks between two columns.
const GAP: usize = 2;

/// Least columns of a name that is cut.
const NAME_MIN: usize = 4;

/// What a cell says besides its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tone {
    #[default]
    Plain,
    /// It need not be read each time.
    Dim,
    Good,
    Warn,
    Bad,
    /// A heading.
    Head,
}

/// What rows are sorted by.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Key {
    Number(f64),
    Text(String),
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
    pub(super) key: Key,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { key: Key::Text(text.to_lowercase()), text, tone: Tone::Plain }
    }

    pub(super) fn number(number: f64, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Plain, key: Key::Number(number) }
    }

    /// A count, `-` where it is not known.
    pub(super) fn count(count: Option<u64>) -> Self {
        let text = count.map_or_else(|| "-".to_owned(), grouped);
        #[expect(clippy::cast_precision_loss, reason = "only its order counts")]
        Self::number(count.map_or(-1.0, |count| count as f64), text)
    }

    pub(super) fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

/// A number as people read it: `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) head: &'static str,
    pub(super) side: Side,
    /// Those with a higher rank go first where the room is short; 0 stays.
    pub(super) rank: u8,
}

impl Column {
    pub(super) const fn left(head: &'static str, rank: u8) -> Self {
        Self { head, side: Side::Left, rank }
    }

    pub(super) const fn right(head: &'static str, rank: u8) -> Self {
        Self { head, side: Side::Right, rank }
    }
}

/// By which column rows are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sort {
    pub(super) column: usize,
    pub(super) is_falling: bool,
}

/// A line of text in pieces.
pub(super) type Pieces = Vec<(String, Tone)>;

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Grid {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Grid {
    /// Leaves only rows of which a cell holds this text, whatever its letters' case.
    pub(super) fn filter(&mut self, text: &str) {
        let text = text.to_lowercase();
        self.rows.retain(|row| row.iter().any(|cell| cell.text.to_lowercase().contains(&text)));
    }

    /// Sorts the rows; equal ones stay in their order.
    pub(super) fn sort(&mut self, sort: Sort) {
        self.rows.sort_by(|a, b| {
            let (Some(a), Some(b)) = (a.get(sort.column), b.get(sort.column)) else {
                return Ordering::Equal;
            };
            let order = match (&a.key, &b.key) {
                (Key::Number(a), Key::Number(b)) => a.total_cmp(b),
                (Key::Text(a), Key::Text(b)) => a.cmp(b),
                (Key::Number(_), Key::Text(_)) => Ordering::Less,
                (Key::Text(_), Key::Number(_)) => Ordering::Greater,
            };
            if sort.is_falling { order.reverse() } else { order }
        });
    }

    /// The heads and as many rows as fit, from `skip` on, none wider than `columns`. Where rows are left
    /// out, the last line says how many.
    pub(super) fn lines(
        &self,
        columns: usize,
        height: usize,
        skip: usize,
        sort: Option<Sort>,
    ) -> Vec<Pieces> {
        if height == 0 {
            return Vec::new();
        }
        let skip = skip.min(self.rows.len().saturating_sub(height.saturating_sub(1)));
        let left = self.rows.len() - skip;
        let has_more = left > height - 1;
        let shown = if has_more { height.saturating_sub(2) } else { left };
        let widths = self.widths(columns);
        let mut lines = Vec::with_capacity(height);
        let heads: Vec<Cell> =
            (0..self.columns.len()).map(|at| self.head(at, sort).tone(Tone::Head)).collect();
        lines.push(self.line(&heads, &widths, columns));
        let rows = self.rows.iter().skip(skip).take(shown);
        lines.extend(rows.map(|row| self.line(row, &widths, columns)));
        if has_more && lines.len() < height {
            let text = format!("… and {} more", grouped((left - shown) as u64));
            lines.push(vec![(fit(&text, columns), Tone::Dim)]);
        }
        lines
    }

    fn head(&self, at: usize, sort: Option<Sort>) -> Cell {
        let mark = match sort.filter(|sort| sort.column == at) {
            Some(Sort { is_falling: true, .. }) => "↓",
            Some(_) => "↑",
            None => "",
        };
        Cell::text(format!("{}{mark}", self.columns[at].head))
    }

    /// Columns that each one takes, 0 for those that have no room.
    fn widths(&self, columns: usize) -> Vec<usize> {
        let wanted = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            // One more, for the mark of sorting.
            let head = width(self.columns[at].head) + 1;
            cells.map(|cell| width(&cell.text)).max().unwrap_or(0).max(head)
        };
        let mut widths: Vec<usize> = (0..self.columns.len()).map(wanted).collect();
        let all = |widths: &[usize]| -> usize {
            let shown = widths.iter().filter(|width| **width > 0);
            shown.clone().sum::<usize>() + GAP * shown.count().saturating_sub(1)
        };
        while all(&widths) > columns {
            let droppable =
                (0..widths.len()).filter(|at| widths[*at] > 0 && self.columns[*at].rank > 0);
            match droppable.max_by_key(|at| self.columns[*at].rank) {
                Some(at) => widths[at] = 0,
                None => {
                    // What must stay is names: the widest one is cut, and where that is not enough,
                    // the last column goes.
                    let excess = all(&widths) - columns;
                    let widest = (0..widths.len()).max_by_key(|at| widths[*at]).unwrap_or(0);
                    let cut = widths[widest].saturating_sub(excess);
                    if cut >= NAME_MIN || widths.iter().filter(|width| **width > 0).count() == 1 {
                        widths[widest] = cut.max(1);
                        break;
                    }
                    let last = widths.iter().rposition(|width| *width > 0).unwrap_or(0);
                    widths[last] = 0;
                }
            }
        }
        widths
    }

    fn line(&self, cells: &[Cell], widths: &[usize], columns: usize) -> Pieces {
        let mut pieces: Pieces = Vec::with_capacity(cells.len() * 2);
        let mut used = 0;
        for (at, (cell, wide)) in cells.iter().zip(widths).enumerate() {
            if *wide == 0 {
                continue;
            }
            if used > 0 {
                pieces.push((" ".repeat(GAP), Tone::Plain));
                used += GAP;
            }
            let text = match self.columns[at].side {
                Side::Left => fill(&cell.text, *wide),
                Side::Right => {
                    let text = fit(&cell.text, *wide);
                    " ".repeat(wide.saturating_sub(width(&text))) + &text
                }
            };
            used += *wide;
            pieces.push((text, cell.tone));
        }
        debug_assert!(used <= columns.max(1), "{used} of {columns}");
        pieces
    }
}

/// The last values as bars of eight heights, the highest of them full; a blank stands for 0.
pub(super) fn trend(values: &[u64], columns: usize) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let values = &values[values.len().saturating_sub(columns)..];
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let bar = |value: &u64| {
        // Anything above 0 is seen.
        let height = (u128::from(*value) * 8).div_ceil(u128::from(most));
        BARS[usize::try_from(height).unwrap_or(8).min(8)]
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] =
        &[Column::left("NAME", 0), Column::right("LAG", 1), Column::right("END", 2)];

    fn grid(rows: &[(&str, u64, u64)]) -> Grid {
        let row = |(name, lag, end): &(&str, u64, u64)| {
            vec![Cell::text(*name), Cell::count(Some(*lag)), Cell::count(Some(*end))]
        };
        Grid { columns: COLUMNS, rows: rows.iter().map(row).collect() }
    }

    fn names(grid: &Grid) -> Vec<&str> {
        grid.rows.iter().map(|row| row[0].text.as_str()).collect()
    }

    fn text(lines: &[Pieces]) -> Vec<String> {
        let line = |line: &Pieces| line.iter().map(|(text, _)| text.as_str()).collect::<String>();
        lines.iter().map(line).collect()
    }

    #[test]
    fn rows_are_sorted_by_what_they_mean_and_equal_ones_stay() {
        let rows = [("b", 9, 1), ("a", 10, 1), ("C", 9, 1)];
        for (column, is_falling, expected) in [
            (0, false, ["a", "b", "C"]),
            (0, true, ["C", "b", "a"]),
            (1, false, ["b", "C", "a"]),
            (1, true, ["a", "b", "C"]),
            (2, true, ["b", "a", "C"]),
            (7, true, ["b", "a", "C"]),
        ] {
            let mut grid = grid(&rows);
            grid.sort(Sort { column, is_falling });
            assert_eq!(names(&grid), expected, "{column} {is_falling}");
        }
    }

    #[test]
    fn a_filter_keeps_rows_of_which_a_cell_holds_the_text() {
        let rows = [("orders", 9, 1), ("Orders-Retry", 10, 1), ("clicks", 9, 77)];
        for (filter, expected) in [
            ("", &["orders", "Orders-Retry", "clicks"][..]),
            ("ORDERS", &["orders", "Orders-Retry"]),
            ("77", &["clicks"]),
            ("nobody", &[]),
        ] {
            let mut grid = grid(&rows);
            grid.filter(filter);
            assert_eq!(names(&grid), expected, "{filter}");
        }
    }

    #[test]
    fn columns_of_the_highest_rank_go_first_where_the_room_is_short() {
        let grid = grid(&[("orders", 12_345, 9_876_543)]);
        for (columns, expected) in [
            (40, ["NAME       LAG        END", "orders  12,345  9,876,543"]),
            (20, ["NAME       LAG", "orders  12,345"]),
            (8, ["NAME  ", "orders"]),
            (4, ["NAME", "ord…"]),
        ] {
            assert_eq!(text(&grid.lines(columns, 9, 0, None)), expected, "{columns}");
        }
    }

    #[test]
    fn rows_that_have_no_room_are_counted_and_can_be_scrolled_to() {
        let rows: Vec<(&str, u64, u64)> =
            ["a", "b", "c", "d", "e"].map(|name| (name, 0, 0)).to_vec();
        let grid = grid(&rows);
        for (height, skip, expected) in [
            (6, 0, &["NAME", "a", "b", "c", "d", "e"][..]),
            (4, 0, &["NAME", "a", "b", "… and 3 more"]),
            (4, 1, &["NAME", "b", "c", "… and 2 more"]),
            (4, 2, &["NAME", "c", "d", "e"]),
            (4, 99, &["NAME", "c", "d", "e"]),
            (1, 0, &["NAME"]),
            (0, 0, &[]),
        ] {
            let lines = text(&grid.lines(60, height, skip, None));
            let starts: Vec<&str> =
                lines
                    .iter()
                    .map(|line| {
                        if line.starts_with('…') { line } else { line.split(' ').next().unwrap() }
                    })
                    .collect();
            assert_eq!(starts, expected, "{height} from {skip}");
        }
    }

    #[test]
    fn the_sorted_column_is_marked() {
        let grid = grid(&[("a", 1, 1)]);
        let heads = |sort| text(&grid.lines(60, 2, 0, Some(sort))).remove(0);
        assert!(heads(Sort { column: 1, is_falling: true }).contains("LAG↓"));
        assert!(heads(Sort { column: 0, is_falling: false }).contains("NAME↑"));
    }

    #[test]
    fn a_trend_shows_the_last_values_and_whatever_is_above_0() {
        for (values, columns, expected) in [
            (&[][..], 4, ""),
            (&[0, 0], 4, "  "),
            (&[1, 2, 3, 4, 5, 6, 7, 8], 8, "▁▂▃▄▅▆▇█"),
            (&[9, 9, 1, 2], 2, "▄█"),
            (&[0, 1, 1_000_000], 3, " ▁█"),
            (&[u64::MAX], 1, "█"),
        ] {
            assert_eq!(trend(values, columns), expected, "{values:?}");
        }
    }
}
