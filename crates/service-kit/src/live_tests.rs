use super::*;

/// A terminal with what was printed on it, and the view that stands there.
struct Seen {
    parser: vt100::Parser,
    foot: Foot,
    size: Size,
}

impl Seen {
    fn new(columns: u16, rows: u16) -> Self {
        let size = Size { columns: columns.into(), rows: rows.into() };
        Self { parser: vt100::Parser::new(rows, columns, 100), foot: Foot::EMPTY, size }
    }

    fn show(&mut self, lines: &[&str]) {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        let change = self.foot.replace(lines, self.size);
        self.parser.process(change.as_bytes());
    }

    fn log(&mut self, line: &str) {
        let all = self.foot.with_above(line.as_bytes(), self.size.columns);
        self.parser.process(&all);
    }

    fn lines(&self) -> Vec<String> {
        let text = self.parser.screen().contents();
        text.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

#[test]
fn a_view_is_drawn_over_in_place() {
    let mut seen = Seen::new(20, 6);
    seen.parser.process(b"$ consumer\r\n");
    seen.show(&["counted 1", "waiting for retry 3"]);
    seen.show(&["counted 2", "waiting 0"]);
    assert_eq!(seen.lines(), ["$ consumer", "counted 2", "waiting 0"]);
    seen.show(&["counted 2"]);
    assert_eq!(seen.lines(), ["$ consumer", "counted 2"]);
    seen.show(&[]);
    assert_eq!(seen.lines(), ["$ consumer"]);
}

#[test]
fn log_lines_appear_above_it_also_when_the_terminal_is_full() {
    let mut seen = Seen::new(20, 4);
    seen.show(&["a", "b"]);
    for line in ["one\r\n", "two\r\n", "longer than the terminal\r\n"] {
        seen.log(line);
        assert!(seen.lines().ends_with(&["a".to_owned(), "b".to_owned()]), "{line:?}");
    }
    assert_eq!(seen.lines(), ["inal", "a", "b"]);
}

#[test]
fn what_is_too_wide_is_cut_and_what_is_too_high_is_left_out() {
    let mut seen = Seen::new(10, 4);
    let line = "日本茶と珈琲 and more";
    seen.show(&[line; 9]);
    assert_eq!(seen.lines(), ["日本茶と…"; 3]);
    seen.show(&["0123456789ab"; 2]);
    assert_eq!(seen.lines(), ["012345678…"; 2], "all columns are used");
    seen.show(&["x"]);
    assert_eq!(seen.lines(), ["x"], "nothing of it stays");
}

#[test]
fn the_same_lines_are_not_drawn_again() {
    let mut foot = Foot::EMPTY;
    assert!(!foot.replace(vec!["a".to_owned()], SIZE_DEFAULT).is_empty());
    assert_eq!(foot.replace(vec!["a".to_owned()], SIZE_DEFAULT), "");
}

#[test]
fn a_terminal_that_got_narrower_has_wrapped_the_view() {
    let mut foot = Foot::EMPTY;
    let _ = foot.replace(vec!["x".repeat(70), "y".to_owned()], SIZE_DEFAULT);
    let narrow = Size { columns: 30, rows: 24 };
    let change = foot.replace(vec!["x".repeat(30)], narrow);
    assert!(change.starts_with("\r\x1b[4A\x1b[J"), "{change:?}");
}

#[test]
fn a_foreign_text_takes_no_more_room_than_it_gets() {
    let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
    let marks = "e\u{301}".repeat(1_000);
    for text in ["", "espresso", "日本茶", "tab\there", "\u{1b}[31mred\n", family, &marks] {
        for columns in 0..40 {
            let line = fit(text, columns);
            assert!(width(&line) <= columns, "{text:?} in {columns}: {line:?}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert_eq!(width(&fill(text, columns)), columns, "{text:?}");
            assert!(line.chars().count() <= 4 * FIT_CHARS_MAX, "{line:?}");
        }
    }
}
