//! The settings files that are shipped: read as the programs read them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// What stands before a key that is commented out.
const COMMENTED_OUT: &str = "#: ";

/// Reads `text` as a settings file; `load` is how the program reads one.
pub fn read<F>(text: &str, load: impl FnOnce(&Path) -> F) -> F {
    let mut file = tempfile::NamedTempFile::with_suffix(".toml").expect("a file");
    file.write_all(text.as_bytes()).expect("a file");
    load(file.path())
}

/// Reads the settings file that is shipped for `program`, as it is and with every key that it
/// shows; returns the latter. Panics unless each setting has a value then.
#[track_caller]
pub fn shipped<F: Serialize>(program: &str, load: impl Fn(&Path) -> F) -> F {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join(format!("config/{program}.toml"));
    let text = std::fs::read_to_string(&path).expect("it is shipped");
    read(&text, &load);
    let keys: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix(COMMENTED_OUT)).collect();
    let flags = read(&keys.join("\n"), &load);
    let object = serde_json::to_value(&flags).expect("an object");
    let object = object.as_object().expect("an object");
    let missing: Vec<&String> =
        object.iter().filter(|(_, value)| value.is_null()).map(|(key, _)| key).collect();
    assert!(missing.is_empty(), "{} lacks {missing:?}", path.display());
    flags
}
