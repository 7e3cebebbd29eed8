//! Text that is safe to print: foreign bytes must not move the cursor, color the terminal or fake
//! a line of their own.

use std::io::{self, Write};

/// Returns `text` with control characters written as escapes (`\n`, `\x1b`, `\u{9b}`); a tab stays.
///
/// ```
/// # use service_kit::terminal::one_line;
/// assert_eq!(one_line("id\n\u{1b}[31mred"), "id\\n\\x1b[31mred");
/// ```
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        push_escaped(&mut clean, character);
    }
    clean
}

fn push_escaped(clean: &mut String, character: char) {
    match character {
        '\t' => clean.push('\t'),
        '\n' => clean.push_str("\\n"),
        '\r' => clean.push_str("\\r"),
        c if c.is_control() && c.is_ascii() => {
            clean.push_str(&format!("\\x{:02x}", u32::from(c)));
        }
        // Line and paragraph separators and the bidirectional overrides reorder or break lines too.
        c if c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
        {
            clean.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        }
        c => clean.push(c),
    }
}

/// Writes each buffer as one line: control characters inside it become escapes.
///
/// The log formatter hands over one whole event per write. It escapes ESC in the fields itself but
/// lets line breaks through, so a field could fake a second log line; the colors that it adds on a
/// terminal stay if `keep_escape` is set.
#[derive(Debug)]
pub struct LineGuard<W> {
    inner: W,
    keep_escape: bool,
}

impl<W: Write> LineGuard<W> {
    /// Returns a writer in front of `inner`.
    pub fn new(inner: W, keep_escape: bool) -> Self {
        Self { inner, keep_escape }
    }
}

impl<W: Write> Write for LineGuard<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let body = text.strip_suffix('\n').unwrap_or(&text);
        let mut line = String::with_capacity(body.len() + 1);
        for character in body.chars() {
            if character == '\u{1b}' && self.keep_escape {
                line.push(character);
            } else {
                push_escaped(&mut line, character);
            }
        }
        line.push('\n');
        self.inner.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_escapes() {
        assert_eq!(one_line("a\r\nb\u{7}\u{9b}2J\u{202e}x"), "a\\r\\nb\\x07\\u{9b}2J\\u{202e}x");
    }

    #[test]
    fn ordinary_text_is_untouched() {
        let text = "Zürich\tケース → “x”";
        assert_eq!(one_line(text), text);
    }

    #[test]
    fn a_buffer_is_one_line_however_many_it_pretends_to_be() {
        let mut out = Vec::new();
        LineGuard::new(&mut out, false).write_all(b"a\nERROR fake\x1b[2J\n").unwrap();
        assert_eq!(out, b"a\\nERROR fake\\x1b[2J\n");
    }

    #[test]
    fn colors_of_the_formatter_stay_on_a_terminal() {
        let mut out = Vec::new();
        LineGuard::new(&mut out, true).write_all(b"\x1b[32mINFO\x1b[0m ok\n").unwrap();
        assert_eq!(out, b"\x1b[32mINFO\x1b[0m ok\n");
    }
}
