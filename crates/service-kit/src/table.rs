//! Tables for people: each column is as wide as its cells.

use crate::live::width;

/// Alignment of a cell in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A heading and rows of cells; control characters must have been taken out of them.
#[derive(Debug, Clone)]
pub struct Table {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns a table with these columns and no rows.
    #[must_use]
    pub fn new(columns: &[(&str, Side)]) -> Self {
        let heading = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let sides = columns.iter().map(|(_, side)| *side).collect();
        Self { sides, rows: vec![heading] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Returns the lines, without a line break after the last one.
    #[must_use]
    pub fn text(&self) -> String {
        let of_column = |at: usize| {
            let cells = self.rows.iter().filter_map(move |row| row.get(at));
            cells.map(|cell| width(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.sides.len()).map(of_column).collect();
        let line = |row: &Vec<String>| {
            let mut line = String::new();
            for ((cell, side), columns) in row.iter().zip(&self.sides).zip(&widths) {
                let blanks = columns.saturating_sub(width(cell));
                let gap = if line.is_empty() { "" } else { "  " };
                line.push_str(&match side {
                    Side::Left => format!("{gap}{cell}{:blanks$}", ""),
                    Side::Right => format!("{gap}{:blanks$}{cell}", ""),
                });
            }
            line.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table =
            Table::new(&[("NAME", Side::Left), ("COUNT", Side::Right), ("", Side::Left)]);
        table.row(["日本茶".to_owned(), "7".to_owned(), "fresh".to_owned()]);
        table.row(["tea".to_owned(), "1234567".to_owned(), String::new()]);
        let expected = "NAME      COUNT\n日本茶        7  fresh\ntea     1234567";
        assert_eq!(table.text(), expected);
    }
}
