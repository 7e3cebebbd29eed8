//! What the user can set of an import.

use std::path::{Path, PathBuf};

use clap::Args;
use orders::PriceFormat;
use serde::{Deserialize, Serialize};
use service_kit::exit::AppError;
use service_kit::settings::{KeyValue, pairs};

use crate::import::{FieldMap, ImportSettings, Input, InputFormat, PriceRules, foreign, is_input};

/// What is imported, and how it is read.
#[derive(Debug, Default, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Import")]
pub struct ImportFlags {
    /// Import orders from this file, or from standard input (-)
    #[arg(long, env = "PRODUCER_INPUT", value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// Format of the input [default: from the file's name]
    #[arg(long, env = "PRODUCER_INPUT_FORMAT", value_name = "FORMAT")]
    pub input_format: Option<InputFormat>,

    /// Columns or keys of the order's fields: orderId=Invoice,product=Description,price=Price
    #[arg(long, env = "PRODUCER_MAP", value_name = "FIELD=COLUMN", value_delimiter = ',')]
    #[serde(with = "pairs", default)]
    pub map: Option<Vec<KeyValue>>,

    /// Separator of CSV fields; \t is a tab [default: from the sep= line, or the one of , ; \t |
    /// with which the header has all columns]
    #[arg(long, env = "PRODUCER_DELIMITER", value_name = "CHAR")]
    pub delimiter: Option<String>,

    /// How prices are written [default: plain]
    #[arg(long, env = "PRODUCER_PRICE_FORMAT", value_name = "FORMAT")]
    pub price_format: Option<PriceFormatFlag>,

    /// Reject rows whose price does not fit the record's float exactly enough, instead of only
    /// counting them in a warning
    #[arg(long, env = "PRODUCER_STRICT_PRICES", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    pub strict_prices: Option<bool>,

    /// Skip the first N rows, as a stopped import advises; --rejects is then appended to [default: 0]
    #[arg(long, env = "PRODUCER_SKIP_ROWS", value_name = "N")]
    pub skip_rows: Option<u64>,

    /// Write rows that cannot become an order or were not delivered to this CSV file (line, reason, row)
    #[arg(long, env = "PRODUCER_REJECTS", value_name = "FILE")]
    pub rejects: Option<PathBuf>,
}

/// How prices are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PriceFormatFlag {
    /// 1234.50
    Plain,
    /// $1,234.50: a point before the decimals, a currency beside it
    Currency,
    /// 1.234,50 €: a comma before the decimals, a currency beside it
    Comma,
}

impl ImportFlags {
    /// Checks the flags; returns what is imported, and the file for rejected rows.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and a message that names the flag.
    pub(super) fn settings(&self) -> Result<Option<(ImportSettings, Option<PathBuf>)>, AppError> {
        let Some(path) = &self.input else {
            self.refuse_without_input()?;
            return Ok(None);
        };
        let pairs = self.map.iter().flatten().map(|pair| (pair.key.as_str(), pair.value.as_str()));
        let map = FieldMap::new(pairs).map_err(|error| AppError::usage(error.to_string()))?;
        let is_stdin = path.as_os_str() == "-";
        let input = if is_stdin { Input::Stdin } else { Input::File(path.clone()) };
        if self
            .rejects
            .as_deref()
            .is_some_and(|rejects| rejects == path || is_input(&input, rejects))
        {
            return Err(AppError::usage(
                "--rejects is the input file itself, which would be overwritten",
            )
            .hint("choose another file"));
        }
        let format = match self.price_format {
            None | Some(PriceFormatFlag::Plain) => PriceFormat::Plain,
            Some(PriceFormatFlag::Currency) => PriceFormat::Currency,
            Some(PriceFormatFlag::Comma) => PriceFormat::Comma,
        };
        let settings = ImportSettings {
            input,
            format: form(path, self.input_format)?,
            map,
            delimiter: self.delimiter.as_deref().map(delimiter).transpose()?,
            prices: PriceRules { format, is_strict: self.strict_prices.unwrap_or(false) },
            skip_rows: self.skip_rows.unwrap_or(0),
        };
        Ok(Some((settings, self.rejects.clone())))
    }

    fn refuse_without_input(&self) -> Result<(), AppError> {
        let flags = [
            ("--map", self.map.is_some()),
            ("--input-format", self.input_format.is_some()),
            ("--delimiter", self.delimiter.is_some()),
            ("--price-format", self.price_format.is_some()),
            ("--strict-prices", self.strict_prices.is_some()),
            ("--skip-rows", self.skip_rows.is_some()),
            ("--rejects", self.rejects.is_some()),
        ];
        match flags.iter().find(|(_, is_set)| *is_set) {
            Some((flag, _)) => Err(AppError::usage(format!("{flag} needs --input"))),
            None => Ok(()),
        }
    }
}

fn form(input: &Path, given: Option<InputFormat>) -> Result<InputFormat, AppError> {
    let extension = input.extension().and_then(|extension| extension.to_str());
    let extension = extension.map(str::to_ascii_lowercase);
    let by_name = match extension.as_deref() {
        Some("csv" | "tsv" | "tab" | "txt") => Some(InputFormat::Csv),
        Some("jsonl" | "ndjson") => Some(InputFormat::Jsonl),
        _ => None,
    };
    given.or(by_name).ok_or_else(|| {
        if let Some((what, advice)) = extension.as_deref().and_then(foreign::by_extension) {
            let message = format!(
                "'{}' is {what}, judging by its name, not CSV or JSON Lines",
                input.display()
            );
            return AppError::usage(message).hint(advice);
        }
        let message = format!("the format of '{}' cannot be told from its name", input.display());
        AppError::usage(message).hint("add --input-format csv or --input-format jsonl")
    })
}

fn delimiter(text: &str) -> Result<u8, AppError> {
    match text {
        "\\t" | "tab" => Ok(b'\t'),
        text => match text.as_bytes() {
            [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => Ok(*byte),
            _ => Err(AppError::usage(format!(
                "--delimiter '{text}' is not a single character such as ',', ';' or '\\t'"
            ))),
        },
    }
}
