//! Settings of a program: flag > environment > `config/<program>.toml` > default.
//!
//! A program describes its settings once, as a struct whose fields are all `Option`: clap reads
//! flags and environment into it, serde reads the file into it, and [`load`] lays one over the
//! other. The program then turns the result into its checked settings.
//!
//! It stays own: figment and config end at the first value that does not fit; here each unknown key
//! and each wrong value is named at once, with the key that was meant, and none that may be a secret
//! is repeated.
//!
//! ```
//! use service_kit::units::DurationArg;
//!
//! #[derive(Debug, Default, clap::Parser, serde::Serialize, serde::Deserialize)]
//! struct Flags {
//!     /// Settings file instead of config/echo.toml.
//!     #[arg(long, env = "ECHO_CONFIG")]
//!     #[serde(skip)]
//!     config: Option<std::path::PathBuf>,
//!     /// Time between two lines.
//!     #[arg(long, env = "ECHO_INTERVAL")]
//!     interval: Option<DurationArg>,
//! }
//!
//! let flags = Flags { interval: Some("2s".parse().unwrap()), ..Flags::default() };
//! let settings = service_kit::settings::load("echo", flags.config.clone().as_deref(), flags)?;
//! assert_eq!(settings.interval.unwrap().to_string(), "2s");
//! # Ok::<(), service_kit::settings::SettingsError>(())
//! ```

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::exit::AppError;
use crate::flag_file::text_of;

/// Why the settings of a program cannot be used. Each of them ends the program with code 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file is missing or cannot be read.
    #[error("settings file {file} cannot be read: {source}", file = .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("settings file {file}, line {line}: {detail}", file = .file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line of the error, from 1.
        line: usize,
        /// What the parser says.
        detail: String,
    },
    /// Keys that no setting has, and values that a setting cannot take: all of them at once.
    #[error("settings file {file}: {}", .problems.join("; "), file = .file.display())]
    Keys {
        /// The file.
        file: PathBuf,
        /// One sentence per key.
        problems: Vec<String>,
    },
    /// The settings struct does not serialize to an object of optional values: a bug.
    #[error("the settings of this program are not an object of optional values: {0}")]
    Shape(String),
}

impl From<SettingsError> for AppError {
    fn from(error: SettingsError) -> Self {
        Self::usage(error.to_string())
    }
}

/// Lays `flags` (flags and environment, read by clap) over the program's settings file.
///
/// The file is `config`, or `config/<program>.toml` in the working directory if there is one. Its
/// keys are the field names of `T`; `-` and `_` are alike. Tables are merged key by key; any other
/// value is replaced by the one of higher rank.
///
/// # Errors
///
/// Fails if a file that was asked for is missing, if the file is not TOML, or if it has a key that
/// `T` does not know or a value that the key cannot take.
pub fn load<T>(program: &str, config: Option<&Path>, flags: T) -> Result<T, SettingsError>
where
    T: Serialize + DeserializeOwned,
{
    let default_file = PathBuf::from(format!("config/{program}.toml"));
    let (file, is_required) = match config {
        Some(file) => (file.to_owned(), true),
        None => (default_file, false),
    };
    let text = match text_of(&file) {
        Ok(text) => text,
        Err(source) if !is_required && source.kind() == io::ErrorKind::NotFound => {
            return Ok(flags);
        }
        Err(source) => return Err(SettingsError::Unreadable { file, source }),
    };
    let upper = object_of(&flags)?;
    let from_file: T = parse(&file, &text, &upper)?;
    let mut merged = object_of(&from_file)?;
    overlay(&mut merged, upper);
    serde_json::from_value(Value::Object(merged))
        .map_err(|error| SettingsError::Shape(error.to_string()))
}

fn object_of<T: Serialize>(settings: &T) -> Result<Map<String, Value>, SettingsError> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(SettingsError::Shape(other.to_string())),
        Err(error) => Err(SettingsError::Shape(error.to_string())),
    }
}

/// Reads the file into `T`, one key at a time, so that each problem can name its key.
fn parse<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    known: &Map<String, Value>,
) -> Result<T, SettingsError> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        SettingsError::Syntax {
            file: file.to_owned(),
            line: 1 + text.get(..start).unwrap_or(text).matches('\n').count(),
            detail: error.message().to_owned(),
        }
    })?;
    let mut accepted = Map::new();
    let mut problems = Vec::new();
    for (written, value) in table {
        let key = written.replace('-', "_");
        if !known.contains_key(&key) {
            problems.push(unknown_key(&written, known));
            continue;
        }
        if has_no_finite_number(&value) {
            problems.push(format!("key '{written}': nan and inf are not allowed"));
            continue;
        }
        let value =
            serde_json::to_value(value).map_err(|error| SettingsError::Shape(error.to_string()))?;
        let alone = Map::from_iter([(key.clone(), value.clone())]);
        match serde_json::from_value::<T>(Value::Object(alone)) {
            // What the parser says may repeat the value.
            Err(_) if may_hold_a_secret(&key) => problems.push(format!(
                "key '{written}': its value has the wrong form; it is not repeated here because it \
                 may be a secret"
            )),
            Err(error) => problems.push(format!("key '{written}': {error}")),
            Ok(_) if accepted.insert(key, value).is_some() => {
                problems.push(format!("key '{written}' is given twice, with '-' and with '_'"));
            }
            Ok(_) => {}
        }
    }
    if !problems.is_empty() {
        return Err(SettingsError::Keys { file: file.to_owned(), problems });
    }
    serde_json::from_value(Value::Object(accepted))
        .map_err(|error| SettingsError::Shape(error.to_string()))
}

/// Whether the value of a key, or what stands there in its place, may be a secret.
fn may_hold_a_secret(key: &str) -> bool {
    const PARTS: [&str; 8] =
        ["url", "server", "librdkafka", "password", "secret", "token", "auth", "key_"];
    PARTS.iter().any(|part| key.contains(part))
}

/// JSON knows neither: a number that is none would count as a setting that is not set.
fn has_no_finite_number(value: &toml::Value) -> bool {
    match value {
        toml::Value::Float(number) => !number.is_finite(),
        toml::Value::Array(values) => values.iter().any(has_no_finite_number),
        toml::Value::Table(table) => table.values().any(has_no_finite_number),
        _ => false,
    }
}

fn unknown_key(written: &str, known: &Map<String, Value>) -> String {
    match nearest(&written.replace('-', "_"), known.keys().map(String::as_str)) {
        Some(key) => format!("unknown key '{written}'; did you mean '{key}'?"),
        None => {
            let keys: Vec<&str> = known.keys().map(String::as_str).collect();
            format!("unknown key '{written}'; known keys are {}", keys.join(", "))
        }
    }
}

/// Returns the candidate that `written` is most likely a slip of, if one is near enough.
pub fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    const SIMILARITY_MIN: f64 = 0.8;
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(written, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

fn overlay(lower: &mut Map<String, Value>, upper: Map<String, Value>) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (_, Value::Null) => {}
            (Some(Value::Object(below)), Value::Object(above)) => overlay(below, above),
            (_, value) => {
                lower.insert(key, value);
            }
        }
    }
}

/// One `key=value` of a repeatable flag. Its debug form has no value: that may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// What stands before the first `=`; never empty.
    pub key: String,
    /// What stands after it; may be empty.
    pub value: String,
}

impl FromStr for KeyValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Self { key: key.trim().to_owned(), value: value.to_owned() })
            }
            // The text is not repeated: it may be a secret without its key.
            _ => Err("must be written as key=value".to_owned()),
        }
    }
}

impl fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=…", self.key)
    }
}

/// `#[serde(with = "service_kit::settings::pairs", default)]` for a field of type
/// `Option<Vec<KeyValue>>`: a table in the settings file, whose keys may be dotted
/// (`linger.ms = 5`). Tables of file and flags are merged; the flag wins.
pub mod pairs {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use serde_json::{Map, Value};

    use super::KeyValue;

    /// Writes the pairs as an object; of equal keys the last one counts.
    ///
    /// # Errors
    ///
    /// Fails if the serializer does.
    pub fn serialize<S: Serializer>(
        pairs: &Option<Vec<KeyValue>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let object = pairs.as_ref().map(|pairs| {
            let entry = |pair: &KeyValue| (pair.key.clone(), Value::from(pair.value.clone()));
            Map::from_iter(pairs.iter().map(entry))
        });
        object.serialize(serializer)
    }

    /// Reads the pairs from a table of texts, numbers and booleans, flattening dotted keys.
    ///
    /// # Errors
    ///
    /// Fails on a list, or if it is not a table.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<KeyValue>>, D::Error> {
        let Some(table) = Option::<Map<String, Value>>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let mut pairs = Vec::new();
        flatten("", table, &mut pairs).map_err(D::Error::custom)?;
        Ok(Some(pairs))
    }

    fn flatten(
        prefix: &str,
        table: Map<String, Value>,
        pairs: &mut Vec<KeyValue>,
    ) -> Result<(), String> {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            let value = match value {
                Value::Object(inner) => {
                    flatten(&format!("{key}."), inner, pairs)?;
                    continue;
                }
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                Value::Null | Value::Array(_) => {
                    return Err(format!("'{key}' must be a text, a number or a boolean"));
                }
            };
            pairs.push(KeyValue { key, value });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
