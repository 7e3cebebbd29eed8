//! The Java servers' jars: pinned in `pom.xml`, fetched once with Maven into a cache that later runs reuse.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::java::run_to_end;
use crate::process::{Launch, wait_until};
use crate::program::cache_dir;
use crate::{Program, Programs, StackError};

/// What is fetched, and in which version.
const POM: &str = include_str!("../pom.xml");

/// How long fetching may take; about 160 MB at the first time.
pub const FETCH_LIMIT: Duration = Duration::from_secs(900);

/// Time between two words of a fetch that goes on.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What a fetch is doing, for the one who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchStep<'a> {
    /// Another process holds this file while it fetches the same.
    AnotherFetches(&'a Path),
    /// Maven begins to fetch into this folder.
    Begins(&'a Path),
    /// Maven has been at it for this long.
    GoesOn(Duration),
}

/// A folder with Kafka's class path and the unpacked schema registry.
#[derive(Debug, Clone)]
pub struct Jars {
    dir: PathBuf,
}

impl Jars {
    /// Returns the jars in the user's cache (`$XDG_CACHE_HOME` or `~/.cache`), fetching them if they are not there.
    /// `say` is called with each step of a fetch, which takes a while.
    ///
    /// # Errors
    /// When Maven is missing or fails, or the cache cannot be written.
    pub fn ensure(
        programs: &Programs,
        say: &(dyn Fn(FetchStep<'_>) + Sync),
    ) -> Result<Self, StackError> {
        let cache = cache_dir().ok_or(StackError::Setting {
            setting: "HOME",
            value: String::new(),
            rule: "the jars are kept below it",
        })?;
        Self::ensure_in(&cache, programs, say)
    }

    /// Returns the jars in `cache`, fetching them if they are not there.
    ///
    /// # Errors
    /// As for [`Jars::ensure`].
    pub fn ensure_in(
        cache: &Path,
        programs: &Programs,
        say: &(dyn Fn(FetchStep<'_>) + Sync),
    ) -> Result<Self, StackError> {
        let digest = Sha256::digest(POM);
        let key: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        let dir = cache.join(format!("servers-{key}"));
        // It is renamed into place when complete: what has this name is whole.
        if dir.is_dir() {
            return Ok(Self { dir });
        }
        fs::create_dir_all(cache).map_err(StackError::io("cannot create", cache))?;
        let lock_path = cache.join("fetch.lock");
        let _lock = match lock(&lock_path, Duration::ZERO) {
            Err(StackError::Locked { .. }) => {
                say(FetchStep::AnotherFetches(&lock_path));
                lock(&lock_path, FETCH_LIMIT)?
            }
            taken => taken?,
        };
        if !dir.is_dir() {
            say(FetchStep::Begins(&dir));
            saying_that_it_goes_on(say, || fetch(cache, &dir, programs))?;
        }
        Ok(Self { dir })
    }

    /// Returns the folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the class path of Kafka and its tools, as `java -cp` takes it.
    #[must_use]
    pub fn kafka_classpath(&self) -> String {
        format!("{}/kafka/*", self.dir.display())
    }

    /// Returns the jar that starts the schema registry; its libraries lie beside it.
    ///
    /// # Errors
    /// When the cache does not hold it; removing the cache makes the next run fetch it again.
    pub fn registry_runner(&self) -> Result<PathBuf, StackError> {
        let dir = self.dir.join("registry");
        let entries = fs::read_dir(&dir).map_err(StackError::io("cannot read", &dir))?;
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.to_string_lossy().ends_with("-runner.jar"))
            .ok_or_else(|| StackError::OtherContent {
                path: self.dir.clone(),
                found: "no schema registry".to_owned(),
                asked: "registry/*-runner.jar".to_owned(),
            })
    }
}

/// Runs `fetch`, and says every few seconds that it goes on.
fn saying_that_it_goes_on<T>(say: &(dyn Fn(FetchStep<'_>) + Sync), fetch: impl FnOnce() -> T) -> T {
    let (ended, ending) = channel::<()>();
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            while ending.recv_timeout(SAY_EVERY) == Err(RecvTimeoutError::Timeout) {
                say(FetchStep::GoesOn(begun.elapsed()));
            }
        });
        let result = fetch();
        drop(ended);
        result
    })
}

/// Fetches into a folder beside `dir` and renames it, while the lock is held.
fn fetch(cache: &Path, dir: &Path, programs: &Programs) -> Result<(), StackError> {
    let staging = cache.join("fetching");
    if staging.exists() {
        // Left by a fetch that was interrupted: nobody else is here while the lock is held.
        fs::remove_dir_all(&staging).map_err(StackError::io("cannot remove", &staging))?;
    }
    fs::create_dir_all(&staging).map_err(StackError::io("cannot create", &staging))?;
    let pom = staging.join("pom.xml");
    fs::write(&pom, POM).map_err(StackError::io("cannot write", &pom))?;
    let directory = format!("-Dstack.directory={}", staging.display());
    let args = ["--batch-mode", "--quiet", "--file", "pom.xml", &directory, "initialize"];
    let output =
        run_to_end(&Launch::new(programs.find(Program::Maven)?, args, &staging), FETCH_LIMIT)?;
    output.checked()?;
    fs::rename(&staging, dir).map_err(StackError::io("cannot rename to", dir))
}

/// Takes the lock file at `path`, waiting at most `limit` for another process that holds it.
pub(crate) fn lock(path: &Path, limit: Duration) -> Result<File, StackError> {
    let file = File::create(path).map_err(StackError::io("cannot create", path))?;
    let mut failure = None;
    let is_taken = wait_until(limit, || match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(source)) => {
            failure = Some(source);
            true
        }
    });
    match failure {
        Some(source) => Err(StackError::io("cannot lock", path)(source)),
        None if is_taken => Ok(file),
        None => Err(StackError::Locked { path: path.to_path_buf(), limit }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::sync::Mutex;

    #[test]
    fn a_lock_that_another_holds_is_an_error_after_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = lock(&path, Duration::ZERO).unwrap();
        assert!(matches!(lock(&path, Duration::ZERO), Err(StackError::Locked { .. })));
        drop(first);
        assert!(lock(&path, Duration::ZERO).is_ok());
    }

    #[test]
    fn a_failed_fetch_leaves_no_half_cache_and_names_what_maven_said() {
        let dir = tempfile::tempdir().unwrap();
        let maven = dir.path().join("mvn");
        fs::write(&maven, "#!/bin/sh\nmkdir -p kafka; echo 'no route to repository'; exit 1\n")
            .unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&maven, mode).unwrap();
        let cache = dir.path().join("cache");
        let programs = Programs::in_folders(dir.path().as_os_str());
        let steps = Mutex::new(Vec::new());
        let note = |step: FetchStep<'_>| steps.lock().unwrap().push(format!("{step:?}"));
        let error = Jars::ensure_in(&cache, &programs, &note).unwrap_err();
        assert!(steps.into_inner().unwrap()[0].starts_with("Begins("));
        assert!(error.to_string().contains("no route to repository"), "{error}");
        assert!(fs::read_dir(&cache).unwrap().all(|entry| {
            !entry.unwrap().file_name().to_string_lossy().starts_with("servers-")
        }));
    }

    #[test]
    fn who_waits_for_the_fetch_of_another_process_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let others = lock(&dir.path().join("fetch.lock"), Duration::ZERO).unwrap();
        let (waits, waiting) = channel();
        let (programs, cache) = (Programs::in_folders(OsStr::new("")), dir.path());
        let note = |step: FetchStep<'_>| {
            // The second step is that of the fetch itself.
            let _second = waits.send(matches!(step, FetchStep::AnotherFetches(_)));
        };
        thread::scope(|scope| {
            let fetching = scope.spawn(|| Jars::ensure_in(cache, &programs, &note).map(|_| ()));
            assert!(waiting.recv().unwrap());
            drop(others);
            fetching.join().unwrap().unwrap_err();
        });
    }

    #[test]
    fn a_missing_maven_is_named_with_the_command_that_installs_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = Jars::ensure_in(dir.path(), &Programs::in_folders(OsStr::new("")), &|_| ())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "not installed: mvn; install with: apt-get install -y --no-install-recommends maven"
        );
    }
}
