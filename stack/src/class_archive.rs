//! Java's classes as an archive: loaded and checked once for this machine, mapped into memory by every later start.
//!
//! Half of what it takes to start a broker is loading classes. The archive is written by the virtual machine when a
//! server that was started for this purpose ends (`-XX:ArchiveClassesAtExit`). A virtual machine that finds it missing,
//! broken or made by another version starts without it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::StackError;
use crate::jars::lock;

/// How long another process may take to make the same archive.
const MAKE_LIMIT: Duration = Duration::from_secs(120);

/// Arguments of a virtual machine that maps `archive`, and says nothing about it on its standard output.
pub(crate) fn args_with(archive: Option<&Path>) -> Vec<String> {
    let Some(archive) = archive else { return Vec::new() };
    let mapped = format!("-XX:SharedArchiveFile={}", archive.display());
    vec![mapped, "-Xlog:disable".to_owned(), "-Xlog:all=error:stderr".to_owned()]
}

/// Returns where the archive of `server` lies for this virtual machine, below `dir`.
fn path_of(dir: &Path, server: &str, java: &Path) -> PathBuf {
    let java = java.canonicalize().unwrap_or_else(|_| java.to_owned());
    let changed = fs::metadata(&java).and_then(|metadata| metadata.modified()).ok();
    let changed_s =
        changed.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |at| at.as_secs());
    let digest = Sha256::digest(format!("{} {changed_s}", java.display()));
    let key: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    dir.join(format!("{server}-{key}.jsa"))
}

/// Returns the archive of `server`, if it was made.
pub(crate) fn find(dir: &Path, server: &str, java: &Path) -> Option<PathBuf> {
    Some(path_of(dir, server, java)).filter(|path| path.is_file())
}

/// Makes the archive of `server` unless it is there. `run_once` starts the server in the folder that it is given, with the
/// arguments that it is given, waits until it answers, and stops it.
///
/// # Errors
/// When the cache cannot be written, or `run_once` fails. Servers start without it as well.
pub(crate) fn ensure(
    dir: &Path,
    server: &str,
    java: &Path,
    run_once: impl FnOnce(&Path, Vec<String>) -> Result<(), StackError>,
) -> Result<(), StackError> {
    let path = path_of(dir, server, java);
    if path.is_file() {
        return Ok(());
    }
    let _lock = lock(&dir.join(format!("{server}-archive.lock")), MAKE_LIMIT)?;
    if path.is_file() {
        return Ok(());
    }
    let staging = fresh_folder(dir, server)?;
    let archive = staging.join("classes.jsa");
    let made = run_once(&staging, vec![format!("-XX:ArchiveClassesAtExit={}", archive.display())])
        .and_then(|()| fs::rename(&archive, &path).map_err(StackError::io("cannot make", &path)));
    let _left_behind = fs::remove_dir_all(&staging);
    made
}

/// Returns an empty folder for the run that makes the archive; the lock is held.
fn fresh_folder(dir: &Path, server: &str) -> Result<PathBuf, StackError> {
    let staging = dir.join(format!("{server}-archiving"));
    if staging.exists() {
        // Left by a run that was interrupted.
        fs::remove_dir_all(&staging).map_err(StackError::io("cannot remove", &staging))?;
    }
    fs::create_dir_all(&staging).map_err(StackError::io("cannot create", &staging))?;
    Ok(staging)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_made_once_and_only_a_whole_one_is_found() {
        let cache = tempfile::tempdir().unwrap();
        let (dir, java) = (cache.path(), Path::new("/bin/sh"));
        let failed = |_: &Path, _: Vec<String>| {
            Err(StackError::Setting { setting: "x", value: String::new(), rule: "y" })
        };
        assert!(ensure(dir, "kafka", java, failed).is_err());
        assert!(ensure(dir, "kafka", java, |_, _| Ok(())).is_err(), "nothing was written");
        assert_eq!(find(dir, "kafka", java), None);

        let written = |_: &Path, args: Vec<String>| {
            let path = args[0].strip_prefix("-XX:ArchiveClassesAtExit=").unwrap();
            fs::write(path, "classes").map_err(StackError::io("cannot write", Path::new(path)))
        };
        ensure(dir, "kafka", java, written).unwrap();
        let found = find(dir, "kafka", java).unwrap();
        assert!(args_with(Some(&found))[0].ends_with(found.to_str().unwrap()));
        ensure(dir, "kafka", java, failed).expect("it is there");
        assert_eq!(find(dir, "registry", java), None);
        assert!(args_with(None).is_empty());
    }
}
