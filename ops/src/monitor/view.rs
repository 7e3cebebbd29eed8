//! What of a picture is shown: the page, how it is sorted and filtered; and what keys change about that.

use super::grid::{Side, Sort};
use super::pages;

/// Longest filter, in characters.
const FILTER_CHARS_MAX: usize = 64;

/// Rows that PageUp and PageDown go.
const PAGE_ROWS: usize = 10;

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Overview,
    Topics,
    Partitions,
    Groups,
    Lag,
    Dead,
}

impl Page {
    /// In the order of their keys, from 1 on.
    pub(super) const ALL: [Self; 6] =
        [Self::Overview, Self::Topics, Self::Partitions, Self::Groups, Self::Lag, Self::Dead];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Topics => "topics",
            Self::Partitions => "partitions",
            Self::Groups => "groups",
            Self::Lag => "lag",
            Self::Dead => "dead letters",
        }
    }

    const fn number(self) -> usize {
        self as usize
    }
}

/// A key, whatever terminal sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Press {
    Char(char),
    Enter,
    Esc,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    Next,
    Previous,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-L.
    Redraw,
}

/// What follows from a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Draw,
    /// Everything is drawn anew, whatever stands on the screen.
    DrawAnew,
    Quit,
}

/// How a picture is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) page: Page,
    pub(super) filter: String,
    /// The filter is being written.
    pub(super) is_typing: bool,
    pub(super) has_help: bool,
    /// Rows that are scrolled over.
    pub(super) skip: usize,
    sorts: [Sort; Page::ALL.len()],
}

impl Default for View {
    fn default() -> Self {
        Self {
            page: Page::Overview,
            filter: String::new(),
            is_typing: false,
            has_help: false,
            skip: 0,
            sorts: Page::ALL.map(pages::sort_at_first),
        }
    }
}

impl View {
    /// How the page that is shown is sorted.
    pub(super) fn sort(&self) -> Sort {
        self.sorts[self.page.number()]
    }

    /// Takes a key.
    pub(super) fn press(&mut self, press: Press) -> Effect {
        match press {
            Press::Interrupt => return Effect::Quit,
            Press::Redraw => return Effect::DrawAnew,
            _ => {}
        }
        if self.is_typing {
            return self.type_filter(press);
        }
        if std::mem::take(&mut self.has_help) {
            return if press == Press::Char('q') { Effect::Quit } else { Effect::Draw };
        }
        match press {
            Press::Char('q') => return Effect::Quit,
            Press::Char('?' | 'h') => self.has_help = true,
            Press::Char('/') => self.is_typing = true,
            Press::Char('s') => self.sort_by_next(),
            Press::Char('r') => {
                let sort = &mut self.sorts[self.page.number()];
                sort.is_falling = !sort.is_falling;
            }
            Press::Char(digit @ '1'..='6') => {
                let number = usize::from(digit as u8 - b'1');
                self.turn_to(Page::ALL[number]);
            }
            Press::Next => self.turn_by(1),
            Press::Previous => self.turn_by(Page::ALL.len() - 1),
            Press::Down | Press::Char('j') => self.skip = self.skip.saturating_add(1),
            Press::Up | Press::Char('k') => self.skip = self.skip.saturating_sub(1),
            Press::PageDown => self.skip = self.skip.saturating_add(PAGE_ROWS),
            Press::PageUp => self.skip = self.skip.saturating_sub(PAGE_ROWS),
            Press::Home => self.skip = 0,
            Press::Esc => (self.filter, self.skip) = (String::new(), 0),
            _ => return Effect::None,
        }
        Effect::Draw
    }

    /// Goes back to where rows are: one cannot scroll beyond them.
    pub(super) fn keep_within(&mut self, rows: usize, height: usize) {
        self.skip = self.skip.min(rows.saturating_sub(height.saturating_sub(1)));
    }

    fn type_filter(&mut self, press: Press) -> Effect {
        match press {
            Press::Char(c) if self.filter.chars().count() < FILTER_CHARS_MAX => self.filter.push(c),
            Press::Backspace => drop(self.filter.pop()),
            Press::Enter => self.is_typing = false,
            Press::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            _ => return Effect::None,
        }
        self.skip = 0;
        Effect::Draw
    }

    fn sort_by_next(&mut self) {
        let columns = pages::columns(self.page);
        let sort = &mut self.sorts[self.page.number()];
        let column = (sort.column + 1) % columns.len().max(1);
        // Most of a number is what one looks for, and names from their first letter on.
        let is_falling = columns.get(column).is_some_and(|column| column.side == Side::Right);
        *sort = Sort { column, is_falling };
    }

    fn turn_by(&mut self, pages: usize) {
        self.turn_to(Page::ALL[(self.page.number() + pages) % Page::ALL.len()]);
    }

    fn turn_to(&mut self, page: Page) {
        (self.page, self.skip) = (page, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(presses: &[Press]) -> View {
        let mut view = View::default();
        for press in presses {
            view.press(*press);
        }
        view
    }

    #[test]
    fn keys_turn_pages() {
        use Press::{Char, Next, Previous};
        for (presses, page) in [
            (&[][..], Page::Overview),
            (&[Char('2')], Page::Topics),
            (&[Char('6')], Page::Dead),
            (&[Char('7')], Page::Overview),
            (&[Next, Next], Page::Partitions),
            (&[Previous], Page::Dead),
            (&[Char('6'), Next], Page::Overview),
            (&[Press::Down, Char('5')], Page::Lag),
        ] {
            let view = after(presses);
            assert_eq!((view.page, view.skip), (page, 0), "{presses:?}");
        }
    }

    #[test]
    fn a_filter_is_typed_kept_and_given_up() {
        use Press::{Backspace, Char, Enter, Esc};
        let typed = [Char('/'), Char('q'), Char('2'), Char('x'), Backspace];
        let view = after(&typed);
        assert_eq!((view.filter.as_str(), view.is_typing, view.page), ("q2", true, Page::Overview));
        let kept = after(&[&typed[..], &[Enter, Char('2')]].concat());
        assert_eq!((kept.filter.as_str(), kept.is_typing, kept.page), ("q2", false, Page::Topics));
        assert_eq!(after(&[&typed[..], &[Esc]].concat()).filter, "");
        assert_eq!(after(&[&typed[..], &[Enter, Esc]].concat()).filter, "");
        let long: Vec<Press> = std::iter::once(Char('/')).chain([Char('y'); 1_000]).collect();
        assert_eq!(after(&long).filter.len(), FILTER_CHARS_MAX);
    }

    #[test]
    fn s_sorts_by_the_next_column_and_r_turns_the_order() {
        let topics = after(&[Press::Char('2')]);
        let first = topics.sort();
        let next = after(&[Press::Char('2'), Press::Char('s')]).sort();
        assert_ne!(first.column, next.column);
        let turned = after(&[Press::Char('2'), Press::Char('r')]).sort();
        assert_eq!(turned, Sort { is_falling: !first.is_falling, ..first });
        let columns = pages::columns(Page::Topics).len();
        let around = [&[Press::Char('2')][..], &vec![Press::Char('s'); columns]].concat();
        assert_eq!(after(&around).sort().column, first.column, "it comes around");
        assert_eq!(after(&[Press::Char('s')]).page, Page::Overview, "where nothing is sorted");
    }

    #[test]
    fn quitting_works_everywhere_but_a_q_may_be_a_part_of_a_filter() {
        use Press::{Char, Interrupt};
        for (before, press, effect) in [
            (&[][..], Char('q'), Effect::Quit),
            (&[Char('?')], Char('q'), Effect::Quit),
            (&[Char('/')], Char('q'), Effect::Draw),
            (&[Char('/')], Interrupt, Effect::Quit),
            (&[Char('?')], Interrupt, Effect::Quit),
            (&[], Press::Redraw, Effect::DrawAnew),
            (&[], Char('ß'), Effect::None),
        ] {
            assert_eq!(after(before).press(press), effect, "{before:?} {press:?}");
        }
    }

    #[test]
    fn help_is_shown_until_the_next_key() {
        assert!(after(&[Press::Char('?')]).has_help);
        let view = after(&[Press::Char('?'), Press::Char('2')]);
        assert_eq!((view.has_help, view.page), (false, Page::Overview));
    }

    #[test]
    fn one_scrolls_no_further_than_there_are_rows() {
        let mut view = after(&[Press::PageDown, Press::PageDown, Press::Up]);
        assert_eq!(view.skip, 19);
        view.keep_within(30, 21);
        assert_eq!(view.skip, 10);
        view.keep_within(5, 21);
        assert_eq!(view.skip, 0);
    }
}
