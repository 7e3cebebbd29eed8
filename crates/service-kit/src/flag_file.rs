//! Files that a flag names: a secret, headers, certificates.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::exit::AppError;

/// Largest file of settings, a secret, headers or certificates; anything larger is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The text of the file that `flag` names, of 1 MiB at most. A file that cannot be read is not named: its name may be
/// the secret itself.
///
/// # Errors
///
/// If it cannot be read, is larger, or is not UTF-8.
pub fn read(flag: &str, file: &Path) -> Result<String, AppError> {
    text_of(file)
        .map_err(|error| AppError::usage(format!("{flag}: its file cannot be read: {error}")))
}

/// The first line of the file that `flag` names.
///
/// # Errors
///
/// As [`read`], and if the line is empty.
pub fn first_line(flag: &str, file: &Path) -> Result<String, AppError> {
    let text = read(flag, file)?;
    let line = text.lines().next().filter(|line| !line.is_empty());
    let empty = || AppError::usage(format!("{flag}: the first line of its file is empty"));
    line.map(str::to_owned).ok_or_else(empty)
}

pub(crate) fn text_of(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}
