//! Why a whole input cannot be used.

use std::io;

use super::header::{FieldMapError, written};

/// Why the whole input cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// It cannot be opened.
    #[error("{input} cannot be opened: {source}")]
    Open {
        /// The input.
        input: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// Reading failed on the way.
    #[error("{input} cannot be read after line {line}: {source}")]
    Read {
        /// The input.
        input: String,
        /// Last line that was read.
        line: u64,
        /// What the operating system says.
        source: io::Error,
    },
    /// It is no text of rows.
    #[error("{input} is {what}, not CSV or JSON Lines")]
    Foreign {
        /// The input.
        input: String,
        /// What it is.
        what: &'static str,
        /// How it becomes one that is read.
        advice: &'static str,
    },
    /// A CSV file has no header line.
    #[error("{input} has no header line; the first line of a CSV file must name its columns")]
    NoHeader {
        /// The input.
        input: String,
    },
    /// The header is no CSV row.
    #[error("the header line of {input} is broken: {reason}")]
    BrokenHeader {
        /// The input.
        input: String,
        /// Why.
        reason: String,
        /// The header begins as JSON does.
        is_json: bool,
    },
    /// A column is not in the header.
    #[error("{input}: {source}")]
    Columns {
        /// The input.
        input: String,
        /// Which column.
        source: FieldMapError,
        /// The delimiter with which all columns are found.
        better: Option<u8>,
        /// The header begins as JSON does.
        is_json: bool,
    },
    /// A JSON array, not JSON Lines.
    #[error("{input} is a JSON array; give JSON Lines: one object per line, without commas")]
    JsonArray {
        /// The input.
        input: String,
    },
    /// JSON objects that take several lines each.
    #[error("{input} has a JSON object on several lines; give JSON Lines: one object per line")]
    JsonOverLines {
        /// The input.
        input: String,
    },
    /// More rows were to be skipped than there are.
    #[error("{input} has only {rows} rows, but --skip-rows is {skip}")]
    TooFewRows {
        /// The input.
        input: String,
        /// Rows that it has.
        rows: u64,
        /// Rows that were to be skipped.
        skip: u64,
    },
}

impl InputError {
    /// Returns whether the settings are to blame (exit code 2) and not the machine.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Read { .. })
    }

    /// Returns what the user can do next, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Foreign { advice, .. } => Some((*advice).to_owned()),
            Self::Columns { is_json: true, .. } | Self::BrokenHeader { is_json: true, .. } => {
                Some("it looks like JSON: add --input-format jsonl".to_owned())
            }
            Self::Columns { better: Some(better), .. } => {
                Some(format!("with --delimiter '{}' the header has all columns", written(*better)))
            }
            Self::JsonArray { .. } => {
                Some("jq -c '.[]' FILE > orders.jsonl converts an array".to_owned())
            }
            Self::JsonOverLines { .. } => {
                Some("jq -c . FILE > orders.jsonl writes each object in one line".to_owned())
            }
            _ => None,
        }
    }
}
