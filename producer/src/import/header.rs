//! The header of a CSV file: what separates the fields, and which column holds which of an order's.

use std::io::{self, Read};

use memchr::memchr2;
use service_kit::settings::nearest;

use super::csv_rows::{CsvRows, Fields};
use super::lines::Lines;

/// What separates fields, in the order of preference.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// So many columns are listed in an error.
const COLUMNS_LISTED_MAX: usize = 20;
/// So many characters of each of them.
const COLUMN_CHARS_MAX: usize = 60;

/// Names of the fields of an order, as schema and `--map` write them.
pub(super) const ORDER_ID: &str = "orderId";
pub(super) const PRODUCT: &str = "product";
pub(super) const PRICE: &str = "price";

/// Which column (CSV) or key (JSON) holds which field of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMap {
    pub(super) order_id: String,
    pub(super) product: String,
    pub(super) price: String,
}

/// Why a mapping cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldMapError {
    /// An order has no such field.
    #[error("an order has no field '{0}'; its fields are orderId, product and price")]
    UnknownField(String),
    /// The mapping of a field names no column.
    #[error("--map {0}= names no column")]
    EmptyColumn(String),
    /// The header lacks the column.
    #[error("no column '{column}' for {field}{}; {columns}", did_you_mean(.nearest.as_deref()))]
    NoColumn {
        /// Field of the order.
        field: &'static str,
        /// Column that was looked for.
        column: String,
        /// Column that was probably meant.
        nearest: Option<String>,
        /// Which columns there are.
        columns: String,
    },
    /// The header has the column more than once.
    #[error("the column '{0}' occurs more than once in the header")]
    ColumnTwice(String),
}

fn did_you_mean(nearest: Option<&str>) -> String {
    match nearest {
        Some(column) => format!(" (did you mean '{column}'? Set it with --map)"),
        None => " (set the column with --map)".to_owned(),
    }
}

impl Default for FieldMap {
    /// Each field stands in the column of its own name.
    fn default() -> Self {
        Self { order_id: ORDER_ID.into(), product: PRODUCT.into(), price: PRICE.into() }
    }
}

impl FieldMap {
    /// Takes pairs of field and column; a field that is not named stands in the column of its own
    /// name.
    ///
    /// # Errors
    ///
    /// Fails on a field that an order does not have, and on an empty column name.
    pub fn new<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, FieldMapError> {
        let mut map = Self::default();
        for (field, column) in pairs {
            let slot = match field {
                ORDER_ID => &mut map.order_id,
                PRODUCT => &mut map.product,
                PRICE => &mut map.price,
                other => return Err(FieldMapError::UnknownField(other.to_owned())),
            };
            if column.is_empty() {
                return Err(FieldMapError::EmptyColumn(field.to_owned()));
            }
            column.clone_into(slot);
        }
        Ok(map)
    }
}

/// Positions of the fields in a CSV row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) order_id: usize,
    pub(super) product: usize,
    pub(super) price: usize,
}

impl Columns {
    pub(super) fn find(header: &Fields, map: &FieldMap) -> Result<Self, FieldMapError> {
        let names: Vec<String> = (0..header.len())
            .filter_map(|index| header.get(index))
            .map(|name| String::from_utf8_lossy(name).trim().to_owned())
            .collect();
        let find = |field: &'static str, column: &str| {
            let mut places = names.iter().enumerate().filter(|(_, name)| *name == column.trim());
            match (places.next(), places.next()) {
                (Some((index, _)), None) => Ok(index),
                (Some(_), Some(_)) => Err(FieldMapError::ColumnTwice(column.to_owned())),
                (None, _) => Err(FieldMapError::NoColumn {
                    field,
                    column: column.to_owned(),
                    nearest: nearest(column, names.iter().map(String::as_str)).map(str::to_owned),
                    columns: listed(&names),
                }),
            }
        };
        Ok(Self {
            order_id: find(ORDER_ID, &map.order_id)?,
            product: find(PRODUCT, &map.product)?,
            price: find(PRICE, &map.price)?,
        })
    }
}

/// The columns for a message; not where they are no text.
fn listed(names: &[String]) -> String {
    let is_text = |name: &String| {
        !name.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER)
    };
    if !names.iter().all(is_text) {
        return "the first line is not UTF-8 text".to_owned();
    }
    let brief = |name: &String| match name.char_indices().nth(COLUMN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.clone(),
    };
    let shown: Vec<String> = names.iter().take(COLUMNS_LISTED_MAX).map(brief).collect();
    let more = names.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("the columns are {}{more}", shown.join(", "))
}

/// How the fields of a file are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Separation {
    /// By this.
    pub(super) delimiter: u8,
    /// By this all columns would be found, but it was not asked for.
    pub(super) better: Option<u8>,
}

/// Finds out what separates the fields, and takes a `sep=` line off. What was `given` counts before
/// the line, and the line before the header.
pub(super) fn separation<R: Read>(
    lines: &mut Lines<R>,
    given: Option<u8>,
    map: &FieldMap,
) -> io::Result<Separation> {
    let announced = take_sep_line(lines)?;
    match given.or(announced) {
        None => Ok(Separation { delimiter: by_header(lines, map)?.1, better: None }),
        Some(delimiter) => {
            let (is_found, better) = by_header(lines, map)?;
            let better = (is_found && better != delimiter).then_some(better);
            Ok(Separation { delimiter, better })
        }
    }
}

/// Takes the line `sep=;` off, with which spreadsheet programs begin a file.
fn take_sep_line<R: Read>(lines: &mut Lines<R>) -> io::Result<Option<u8>> {
    const SEP: &[u8] = b"sep=";
    let first = loop {
        let ahead = lines.ahead()?;
        let end = memchr2(b'\r', b'\n', ahead);
        if let Some(end) = end {
            break ahead[..end].to_vec();
        }
        let may_be = ahead.len() <= SEP.len() + 4;
        if !may_be || !lines.read_ahead()? {
            return Ok(None);
        }
    };
    let unquoted = first.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\""));
    let line = unquoted.unwrap_or(&first).trim_ascii_end();
    let line = if line.len() < SEP.len() + 1 { unquoted.unwrap_or(&first) } else { line };
    let Some((name, value)) = line.split_at_checked(SEP.len()) else { return Ok(None) };
    let delimiter = match value {
        b"\\t" => b'\t',
        [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => *byte,
        _ => return Ok(None),
    };
    if !name.eq_ignore_ascii_case(SEP) {
        return Ok(None);
    }
    // A short line: it comes in one piece, or in two where its end was not read yet.
    while let Some(piece) = lines.next()? {
        if piece.line_end.is_some() {
            break;
        }
    }
    Ok(Some(delimiter))
}

/// The delimiter with which the header has all columns, and true; else the one that separates most.
fn by_header<R: Read>(lines: &mut Lines<R>, map: &FieldMap) -> io::Result<(bool, u8)> {
    loop {
        let ahead = lines.ahead()?;
        let (mut most, mut is_cut) = ((1, DELIMITERS[0]), ahead.is_empty());
        for delimiter in DELIMITERS {
            let mut rows = CsvRows::new(Lines::with_capacity(ahead, ahead.len()), delimiter);
            let mut fields = Fields::default();
            let Some(row) = rows.next(&mut fields)? else { continue };
            is_cut |= !row.is_ended;
            if row.broken.is_some() {
                continue;
            }
            if row.is_ended && Columns::find(&fields, map).is_ok() {
                return Ok((true, delimiter));
            }
            if fields.len() > most.0 {
                most = (fields.len(), delimiter);
            }
        }
        // The header may go on behind what was read, or end with the input.
        if !is_cut || !lines.read_ahead()? {
            return Ok(best_of_whole(lines.ahead()?, map).unwrap_or((false, most.1)));
        }
    }
}

/// As above, for a header that ends with the input.
fn best_of_whole(all: &[u8], map: &FieldMap) -> Option<(bool, u8)> {
    DELIMITERS.into_iter().find_map(|delimiter| {
        let mut rows = CsvRows::new(Lines::with_capacity(all, all.len()), delimiter);
        let mut fields = Fields::default();
        let row = rows.next(&mut fields).ok()??;
        let is_found = row.broken.is_none() && Columns::find(&fields, map).is_ok();
        is_found.then_some((true, delimiter))
    })
}

/// A delimiter as the user writes it.
pub(super) fn written(delimiter: u8) -> String {
    match delimiter {
        b'\t' => "\\t".to_owned(),
        byte => char::from(byte).to_string(),
    }
}
