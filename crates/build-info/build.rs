//! Finds out where the commit of a build is written, and makes the macro `commit!` that reads it.
//!
//! A git repository notes every commit at the end of a file, `logs/HEAD`. The macro includes that file
//! where it is used, so that only the `main.rs` of each program is compiled anew after a commit, and
//! nothing that depends on this crate.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Names the commit where there is no repository, as in an image that is built from a copy.
const VARIABLE: &str = "BUILD_COMMIT";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={VARIABLE}");
    let source = match git(&["rev-parse", "--git-path", "logs/HEAD"]).map(PathBuf::from) {
        Some(log) if is_our_repository() && root().join(&log).is_file() => {
            format!("$crate::Commit::of_log(include_bytes!({:?}))", root().join(log))
        }
        _ => {
            let commit = env::var(VARIABLE).unwrap_or_default();
            format!("$crate::Commit::named(&{:?})", commit.as_bytes())
        }
    };
    let text = format!(
        "/// Commit of the build: of the repository, or of `{VARIABLE}` at the time of the build.\n\
         /// To be used in a `main.rs` only: what holds it is compiled anew after each commit.\n\
         #[macro_export]\n\
         macro_rules! commit {{\n    () => {{{{\n        \
             const COMMIT: $crate::Commit = {source};\n        COMMIT.as_str()\n    }}}};\n}}\n"
    );
    let file = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("commit.rs");
    fs::write(file, text).expect("the directory of the build can be written");
}

/// Root of the workspace.
fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let root = Path::new(&here).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// A copy of the project may stand inside of another repository, whose commits are not of this build.
fn is_our_repository() -> bool {
    let top = git(&["rev-parse", "--show-toplevel"]).map(PathBuf::from);
    top.and_then(|top| top.canonicalize().ok()).is_some_and(|top| top == root())
}

/// What git answers, if it is there and is of help.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).current_dir(root()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
