//! Lines between the rows that say of which group they are, where a topic has dead letters of more than one.
//!
//! A column would leave no room for a key in 80 columns, or cut the name that the next command needs. Rows are printed as they come:
//! that there is a second group is known when its first dead letter is.

use service_kit::live::fit;

/// Which groups were met.
pub(super) struct Groups {
    columns: usize,
    first: Option<String>,
    /// That of the row before, once there are several.
    last: Option<String>,
    are_several: bool,
    /// A row had no group: another tool has written it.
    is_mixed: bool,
}

impl Groups {
    /// Lines have at most so many columns.
    pub(super) const fn of(columns: usize) -> Self {
        Self { columns, first: None, last: None, are_several: false, is_mixed: false }
    }

    /// The line before the next row, which is of this group; none where the rows before say enough.
    pub(super) fn line_before(&mut self, group: Option<&str>) -> Option<String> {
        if self.are_several {
            if self.last.as_deref() == group {
                return None;
            }
            self.last = group.map(str::to_owned);
            return Some(self.told(group, None));
        }
        let Some(group) = group else {
            self.is_mixed = true;
            return None;
        };
        let first = self.first.get_or_insert_with(|| group.to_owned());
        if *first == group {
            return None;
        }
        let none = if self.is_mixed { " or none" } else { "" };
        let above = format!("those above are of {first}{none}");
        self.are_several = true;
        self.last = Some(group.to_owned());
        Some(self.told(Some(group), Some(&above)))
    }

    fn told(&self, group: Option<&str>, above: Option<&str>) -> String {
        let group = group.map_or_else(|| "no group".to_owned(), |group| format!("group {group}"));
        let line = match above {
            Some(above) => format!("of {group}; {above}:"),
            None => format!("of {group}:"),
        };
        fit(&line, self.columns)
    }
}

#[cfg(test)]
mod tests {
    use service_kit::live::width;

    use super::*;

    fn lines(groups: &[Option<&str>]) -> Vec<Option<String>> {
        let mut met = Groups::of(80);
        groups.iter().map(|group| met.line_before(*group)).collect()
    }

    fn lines_there(groups: &[Option<&str>]) -> Vec<String> {
        lines(groups).into_iter().flatten().collect()
    }

    #[test]
    fn where_all_dead_letters_are_of_one_group_or_of_none_nothing_is_said_of_groups() {
        assert!(lines_there(&[Some("a"), None, Some("a"), None]).is_empty());
        assert!(lines_there(&[None, None]).is_empty());
    }

    #[test]
    fn from_the_second_group_on_a_line_stands_wherever_the_group_is_another() {
        let told = lines(&[Some("a"), Some("a"), Some("b"), Some("b"), Some("a"), None, Some("b")]);
        let [None, None, Some(second), None, Some(back), Some(none), Some(again)] = &told[..]
        else {
            panic!("{told:?}")
        };
        assert_eq!(second, "of group b; those above are of a:");
        assert_eq!([back, none, again], ["of group a:", "of no group:", "of group b:"]);
        let mixed = lines_there(&[None, Some("a"), Some("b")]);
        assert_eq!(mixed, ["of group b; those above are of a or none:"]);
    }

    #[test]
    fn a_line_fits_the_terminal_and_controls_none_whatever_stands_in_the_record() {
        let hostile = format!("\u{1b}[2J{}", "x".repeat(200));
        for line in lines_there(&[Some("a"), Some(&hostile), Some("a"), Some(&hostile)]) {
            assert!(width(&line) <= 80 && !line.contains(char::is_control), "{line:?}");
        }
    }
}
