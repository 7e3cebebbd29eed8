//! Where the programs are that the lab starts: beside it, as cargo puts them. `cargo run` builds only the lab, so what
//! is missing is built first.

use std::path::{Path, PathBuf};
use std::process::Command;

use service_kit::exit::AppError;
use service_kit::output::note;

use crate::workload::Paradigm;

/// The programs of the flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    dir: PathBuf,
}

impl Programs {
    /// Finds them; under cargo, builds those that are missing.
    ///
    /// # Errors
    ///
    /// Fails with the command that builds them.
    pub fn ensure(paradigms: &[Paradigm]) -> Result<Self, AppError> {
        let own = std::env::current_exe().map_err(|error| {
            AppError::failed(format!("where this program is, is not known: {error}"))
        })?;
        let mut dir = own.parent().map(Path::to_path_buf).unwrap_or_default();
        if dir.ends_with("deps") {
            dir.pop(); // a test's
        }
        let programs = Self { dir };
        let missing = programs.missing(paradigms);
        if missing.is_empty() {
            return Ok(programs);
        }
        let args = build_args(&missing, programs.profile());
        let command = format!("cargo {}", args.join(" "));
        if let Some(cargo) = std::env::var_os("CARGO") {
            note(&format!("lab: building {}", missing.join(", ")));
            let built = Command::new(cargo).args(&args).status();
            if built.is_ok_and(|status| status.success()) && programs.missing(paradigms).is_empty()
            {
                return Ok(programs);
            }
        }
        let found =
            format!("{} is not beside lab in {}", missing.join(", "), programs.dir.display());
        Err(AppError::failed(found).hint(format!("build what is missing: {command}")))
    }

    /// Those in this folder.
    #[cfg(test)]
    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn missing(&self, paradigms: &[Paradigm]) -> Vec<&'static str> {
        let names = paradigms.iter().map(|paradigm| paradigm.name());
        names.filter(|name| !self.dir.join(name).is_file()).collect()
    }

    /// Path of a program.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// `release`, or `debug` for any other profile: how fast they are depends on it.
    #[must_use]
    pub fn profile(&self) -> &'static str {
        if self.dir.ends_with("release") { "release" } else { "debug" }
    }
}

fn build_args(missing: &[&str], profile: &str) -> Vec<String> {
    let mut args = vec!["build".to_owned()];
    if profile == "release" {
        args.push("--release".to_owned());
    }
    args.extend(missing.iter().flat_map(|name| ["--bin".to_owned(), (*name).to_owned()]));
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_built_in_the_profile_of_the_lab_itself() {
        assert_eq!(build_args(&["rabbit"], "release").join(" "), "build --release --bin rabbit");
        assert_eq!(build_args(&["a", "b"], "debug").join(" "), "build --bin a --bin b");
    }
}
