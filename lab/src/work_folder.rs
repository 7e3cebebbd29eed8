//! The folder in which a run keeps the data and logs of what it starts. Only a folder that the lab has made is ever emptied.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use service_kit::exit::AppError;

use crate::session::unwritable;

/// Its name in the folder for results.
const NAME: &str = "work";

/// Says that the lab has made the folder. A run holds a lock on it.
const MARK: &str = ".made-by-lab";

/// Keeps other runs out of the folder while it lives.
#[derive(Debug)]
pub(crate) struct InUse(#[expect(dead_code, reason = "the lock ends with the file")] File);

/// Makes the folder below the one for results, or removes what an earlier run left in it.
///
/// # Errors
///
/// Fails when another run uses it, when it cannot be written, and with exit code 2 when there is a folder of this name
/// that the lab has not made.
pub(crate) fn emptied(out: &Path) -> Result<(PathBuf, InUse), AppError> {
    let work = out.join(NAME);
    let failed = |error: io::Error| unwritable(&work, &error);
    let mark = work.join(MARK);
    if !mark.is_file() && fs::read_dir(&work).is_ok_and(|mut entries| entries.next().is_some()) {
        let text = format!("{} has files that the lab did not make", work.display());
        return Err(AppError::usage(text).hint("give another folder with --out"));
    }
    fs::create_dir_all(&work).map_err(failed)?;
    let held = File::options().create(true).append(true).open(&mark).map_err(failed)?;
    match held.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let text = format!("another run of the lab uses {}", work.display());
            return Err(
                AppError::failed(text).hint("wait for its end, or give another folder with --out")
            );
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    for entry in fs::read_dir(&work).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if path == mark {
            continue;
        }
        let is_folder = entry.file_type().map_err(failed)?.is_dir();
        let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(failed)?;
    }
    let work = work.canonicalize().map_err(failed)?;
    Ok((work, InUse(held)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_before_left_is_removed() {
        let out = tempfile::tempdir().expect("a folder");
        let (work, in_use) = emptied(out.path()).expect("it is made");
        fs::create_dir(work.join("kafka")).expect("a folder");
        fs::write(work.join("kafka/log"), "old").expect("a file");
        drop(in_use);
        let (again, _in_use) = emptied(out.path()).expect("it is the lab's");
        assert_eq!((again.clone(), again.join("kafka").exists()), (work, false));
    }

    #[test]
    fn a_folder_that_somebody_else_made_stays_as_it_is() {
        let out = tempfile::tempdir().expect("a folder");
        fs::create_dir(out.path().join(NAME)).expect("a folder");
        let theirs = out.path().join(NAME).join("thesis.txt");
        fs::write(&theirs, "years of it").expect("a file");
        let error = emptied(out.path()).expect_err("not the lab's");
        assert!(error.to_string().contains("did not make"), "{error}");
        assert_eq!(fs::read_to_string(theirs).expect("it is there"), "years of it");
    }

    #[test]
    fn a_second_run_in_the_same_folder_is_refused() {
        let out = tempfile::tempdir().expect("a folder");
        let (_, _in_use) = emptied(out.path()).expect("it is made");
        let error = emptied(out.path()).expect_err("in use");
        assert!(error.to_string().contains("another run"), "{error}");
    }
}
