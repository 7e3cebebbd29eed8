//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::Value;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the root exists")
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML file, or of a text that a program printed.
pub(crate) fn yaml(path: &str) -> Vec<Value> {
    documents(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML text; merge keys are carried out.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, serde_norway::Error> {
    let mut all = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        let mut value = serde_norway::Value::deserialize(document)?;
        value.apply_merge()?;
        let value = serde_norway::from_value::<Value>(value)?;
        if !value.is_null() {
            all.push(value);
        }
    }
    Ok(all)
}

/// Files with this ending in a folder and below, sorted.
pub(crate) fn under(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder") {
            let entry = entry.expect("it can be read");
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.ends_with(&format!(".{ending}")) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{ending} in {folder}");
    found
}

/// A program that scripts/setup.sh has installed; one that the machine had before stands on the PATH.
pub(crate) fn tool(name: &str) -> PathBuf {
    let home = std::env::var_os("HOME").expect("a home");
    let cache = std::env::var_os("XDG_CACHE_HOME");
    let cache = cache.map_or_else(|| Path::new(&home).join(".cache"), PathBuf::from);
    let installed = cache.join("order-pipeline/tools/bin").join(name);
    if installed.exists() { installed } else { PathBuf::from(name) }
}
