//! Results on stdout and lines on stderr, whoever has stopped to read them.
//!
//! `println!` and `eprintln!` panic when the reader of a pipe has gone (`… | head -1`). What is
//! printed here is dropped then: a reader that wants no more has what it wanted.

use std::io::{self, ErrorKind, Write};

use crate::exit::AppError;
use crate::fold::{self, Stream};
use crate::live::Stderr;

/// Writes `text` to stdout, as it is.
///
/// # Errors
///
/// Fails (exit code 1) if stdout takes nothing, as a full disk does. That nobody reads is no error.
pub fn result(text: &str) -> Result<(), AppError> {
    write_result(&mut io::stdout().lock(), text)
}

/// Writes `text` and a line's end to stdout.
///
/// # Errors
///
/// As [`result`].
pub fn result_line(text: &str) -> Result<(), AppError> {
    let mut line = String::with_capacity(text.len() + 1);
    line.push_str(text);
    line.push('\n');
    result(&line)
}

/// Writes text for people to stdout: on a terminal, lines that are too long are folded to its width.
///
/// # Errors
///
/// As [`result`].
pub fn text(text: &str) -> Result<(), AppError> {
    result(&fold::for_stream(text, Stream::Stdout))
}

/// Writes a result of any length to stdout, piece by piece.
///
/// # Errors
///
/// As [`result`].
pub fn result_by(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), AppError> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    judge(write(&mut out).and_then(|()| out.flush()))
}

/// Writes `text` and a line's end to stderr, at once, folded to the width of a terminal; nothing happens
/// if that cannot be.
pub fn note(text: &str) {
    let text = fold::for_stream(text, Stream::Stderr);
    let _ = Stderr.write_all(format!("{text}\n").as_bytes());
}

fn write_result(out: &mut impl Write, text: &str) -> Result<(), AppError> {
    judge(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

fn judge(written: io::Result<()>) -> Result<(), AppError> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(AppError::failed(format!("stdout cannot be written: {error}"))),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is_one() {
        let mut out = Vec::new();
        write_result(&mut out, "a\n").unwrap();
        assert_eq!(out, b"a\n");
        write_result(&mut Broken(ErrorKind::BrokenPipe), "a").unwrap();
        let error = write_result(&mut Broken(ErrorKind::StorageFull), "a").unwrap_err();
        assert_eq!(error.status().code(), 1);
    }
}
