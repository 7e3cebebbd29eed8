//! Files that a flag names: a secret, headers, certificates.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::exit::AppError;
use crate::terminal::one_line;

/// Largest file of settings, a secret, headers or certificates; anything larger is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The text of the file that `flag` names, of 1 MiB at most. A file that cannot be read is named where its folder
/// exists; otherwise its name may be the secret itself.
///
/// # Errors
///
/// If it cannot be read, is larger, or is not UTF-8.
pub fn read(flag: &str, file: &Path) -> Result<String, AppError> {
    text_of(file).map_err(|error| {
        let which = if is_path(file) { shown(file) } else { "its file".to_owned() };
        AppError::usage(format!("{flag}: {which} cannot be read: {error}"))
    })
}

/// Whether a name that somebody gave is plainly a path: its folder, which is not the root, exists.
fn is_path(file: &Path) -> bool {
    let folder = file.parent().filter(|folder| folder.parent().is_some());
    folder.is_some_and(|folder| !folder.as_os_str().is_empty() && folder.is_dir())
}

fn shown(file: &Path) -> String {
    one_line(&file.display().to_string())
}

/// The first line of the file that `flag` names.
///
/// # Errors
///
/// As [`read`], and if the line is empty.
pub fn first_line(flag: &str, file: &Path) -> Result<String, AppError> {
    let text = read(flag, file)?;
    let line = text.lines().next().filter(|line| !line.is_empty());
    let empty = || AppError::usage(format!("{flag}: the first line of {} is empty", shown(file)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named_where_its_folder_exists_and_cannot_be_a_secret() {
        let folder = std::env::temp_dir();
        let missing = folder.join("no-such-token-4711");
        let told = |file: &Path| read("--token-file", file).unwrap_err().message().to_owned();
        assert!(
            told(&missing).contains("no-such-token-4711 cannot be read: "),
            "{}",
            told(&missing)
        );
        for secret in ["hunter2", "/hunter2", "nowhere-4711/hunter2"] {
            let told = told(Path::new(secret));
            assert!(told.starts_with("--token-file: its file cannot be read: "), "{told}");
        }
    }
}
