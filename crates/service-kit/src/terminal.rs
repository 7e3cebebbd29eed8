//! Text that is safe to print: foreign bytes must not move the cursor, color the terminal or fake
//! a line of their own.

use std::io::{self, Write};

use crate::fold::folded_line;

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

/// Returns JSON text with what a serializer leaves raw, though it drives or confuses a terminal (DEL,
/// C1 controls, line separators, bidirectional overrides), as `\u` escapes: the same value to a reader.
///
/// ```
/// # use service_kit::terminal::tame_json;
/// assert_eq!(tame_json("{\"id\":\"a\u{9b}2J\"}".to_owned()), "{\"id\":\"a\\u009b2J\"}");
/// ```
#[must_use]
pub fn tame_json(json: String) -> String {
    // Such a character stands in a string only, and none of them needs a pair of escapes.
    if !has_wild(&json) {
        return json;
    }
    let mut tame = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_wild(character) {
            tame.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            tame.push(character);
        }
    }
    tame
}

/// Writes JSON as [`tame_json`] returns it, piece by piece: nothing of it is kept.
#[derive(Debug)]
pub struct TameJson<W>(W);

impl<W: Write> TameJson<W> {
    /// Returns a writer in front of `inner`.
    pub const fn new(inner: W) -> Self {
        Self(inner)
    }
}

impl<W: Write> Write for TameJson<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let text = match std::str::from_utf8(piece) {
            Ok(text) => text,
            // A character that goes on in the next piece; a serializer writes whole ones.
            Err(error) if error.valid_up_to() == 0 => return self.0.write(piece),
            Err(error) => std::str::from_utf8(&piece[..error.valid_up_to()]).unwrap_or_default(),
        };
        if has_wild(text) {
            self.0.write_all(tame_json(text.to_owned()).as_bytes())?;
        } else {
            self.0.write_all(text.as_bytes())?;
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether a text has any of them. All are above printable ASCII, of which most texts are.
fn has_wild(text: &str) -> bool {
    !text.bytes().all(|byte| byte < 0x7f) && text.chars().any(is_wild)
}

/// What is no ASCII control below the blank, and moves the cursor, breaks lines or reorders them.
fn is_wild(character: char) -> bool {
    matches!(character, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push_escaped(clean: &mut String, character: char) {
    match character {
        '\t' => clean.push('\t'),
        '\n' => clean.push_str("\\n"),
        '\r' => clean.push_str("\\r"),
        c if c.is_control() && c.is_ascii() => {
            clean.push_str(&format!("\\x{:02x}", u32::from(c)));
        }
        c if is_wild(c) => {
            clean.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        }
        c => clean.push(c),
    }
}

/// Writes each buffer as one line: control characters inside it become escapes.
///
/// A line that cannot be written is dropped: the log formatter would panic over it, in the middle
/// of the program's work, because the reader of a pipe has gone.
///
/// The log formatter hands over one whole event per write. It escapes ESC in the fields itself but
/// lets line breaks through, so a field could fake a second log line; the colors that it adds on a
/// terminal stay with [`Escapes::ColoredText`].
#[derive(Debug)]
pub struct LineGuard<W> {
    inner: W,
    escapes: Escapes,
    fold: Option<Fold>,
}

/// How wide a line may be, and how far to the right it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fold {
    /// Columns of the terminal.
    pub columns: usize,
    /// Columns that are left free where a line goes on.
    pub indent: usize,
}

/// How a [`LineGuard`] writes what must not be written as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// For people.
    Text,
    /// For people with colors: escape sequences stay.
    ColoredText,
    /// As JSON has it; the buffer is a JSON value.
    Json,
}

impl<W: Write> LineGuard<W> {
    /// Returns a writer in front of `inner`.
    pub fn new(inner: W, escapes: Escapes) -> Self {
        Self { inner, escapes, fold: None }
    }

    /// Breaks lines of text that are too wide for a terminal. A line of JSON stays one.
    #[must_use]
    pub fn folded(self, fold: Option<Fold>) -> Self {
        Self { fold, ..self }
    }
}

impl<W: Write> Write for LineGuard<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let body = text.strip_suffix('\n').unwrap_or(&text);
        if self.escapes == Escapes::Json {
            let line = tame_json(body.to_owned()) + "\n";
            let _ = self.inner.write_all(line.as_bytes());
            return Ok(event.len());
        }
        let mut line = String::with_capacity(body.len() + 1);
        for character in body.chars() {
            if character == '\u{1b}' && self.escapes == Escapes::ColoredText {
                line.push(character);
            } else {
                push_escaped(&mut line, character);
            }
        }
        if let Some(Fold { columns, indent }) = self.fold {
            line = folded_line(&line, columns, indent).into_owned();
        }
        line.push('\n');
        let _ = self.inner.write_all(line.as_bytes());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.inner.flush();
        Ok(())
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
    fn json_is_tamed_piece_by_piece_as_in_one() {
        for text in ["{\"id\":\"a\u{9b}2J\"}", "{\"id\":\"日本茶\u{202e}\"}", "{}", ""] {
            for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let mut out = Vec::new();
                let mut tame = TameJson::new(&mut out);
                tame.write_all(&text.as_bytes()[..at]).unwrap();
                tame.write_all(&text.as_bytes()[at..]).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), tame_json(text.to_owned()));
            }
        }
    }

    #[test]
    fn ordinary_text_is_untouched() {
        let text = "Zürich\tケース → “x”";
        assert_eq!(one_line(text), text);
    }

    #[test]
    fn a_buffer_is_one_line_however_many_it_pretends_to_be() {
        let mut out = Vec::new();
        LineGuard::new(&mut out, Escapes::Text).write_all(b"a\nERROR fake\x1b[2J\n").unwrap();
        assert_eq!(out, b"a\\nERROR fake\\x1b[2J\n");
    }

    #[test]
    fn a_reader_that_has_gone_does_not_stop_the_log() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        for escapes in [Escapes::Text, Escapes::Json] {
            let mut guard = LineGuard::new(Gone, escapes);
            guard.write_all(b"a\n").unwrap();
            guard.flush().unwrap();
        }
    }

    #[test]
    fn colors_of_the_formatter_stay_on_a_terminal() {
        let mut out = Vec::new();
        LineGuard::new(&mut out, Escapes::ColoredText)
            .write_all(b"\x1b[32mINFO\x1b[0m ok\n")
            .unwrap();
        assert_eq!(out, b"\x1b[32mINFO\x1b[0m ok\n");
    }
}
