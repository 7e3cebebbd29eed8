//! Rows to orders.

use std::io::Read;
use std::str::FromStr as _;
use std::sync::mpsc::SyncSender;

use orders::Order;
use serde_json::{Map, Value};
use service_kit::settings::nearest;

use super::csv_rows::{CsvRows, Fields, Row};
use super::lines::{Lines, ROW_BYTES_MAX, without_line_end};
use super::{InputError, Message, RejectedRow};

/// Longest id and product together, in bytes: what Kafka takes by default, less frame and headers.
const TEXT_BYTES_MAX: usize = 999_000;

/// Names of the fields of an order, as schema and `--map` write them.
const ORDER_ID: &str = "orderId";
const PRODUCT: &str = "product";
const PRICE: &str = "price";

/// Which column (CSV) or key (JSON) holds which field of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMap {
    order_id: String,
    product: String,
    price: String,
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
    #[error("no column '{column}' for {field}{}; the columns are {columns}", did_you_mean(.nearest.as_deref()))]
    NoColumn {
        /// Field of the order.
        field: &'static str,
        /// Column that was looked for.
        column: String,
        /// Column that was probably meant.
        nearest: Option<String>,
        /// All columns.
        columns: String,
    },
    /// The header has the column more than once.
    #[error("the column '{0}' stands more than once in the header")]
    ColumnTwice(String),
}

fn did_you_mean(nearest: Option<&str>) -> String {
    match nearest {
        Some(column) => format!(" (did you mean '{column}'? Name it with --map)"),
        None => " (name the column with --map)".to_owned(),
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
struct Columns {
    order_id: usize,
    product: usize,
    price: usize,
}

impl Columns {
    fn find(header: &Fields, map: &FieldMap) -> Result<Self, FieldMapError> {
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
                    columns: names.join(", "),
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

/// Sends the rows of a CSV file; returns early when nobody listens any more.
pub(super) fn from_csv<R: Read>(
    input: &str,
    mut rows: CsvRows<R>,
    map: &FieldMap,
    sender: &SyncSender<Message>,
) -> Result<(), InputError> {
    let mut fields = Fields::default();
    let read = |rows: &mut CsvRows<R>, fields: &mut Fields| {
        let line = rows.line();
        rows.next(fields).map_err(|source| InputError::Read { input: input.into(), line, source })
    };
    match read(&mut rows, &mut fields)? {
        None => return Err(InputError::NoHeader { input: input.into() }),
        Some(Row { broken: Some(reason), .. }) => {
            return Err(InputError::BrokenHeader { input: input.into(), reason });
        }
        Some(_) => {}
    }
    let columns = Columns::find(&fields, map)
        .map_err(|source| InputError::Columns { input: input.into(), source })?;
    rows.set_width(fields.len());
    if sender.send(Message::Opened).is_err() {
        return Ok(());
    }
    while let Some(row) = read(&mut rows, &mut fields)? {
        let order = match row.broken {
            Some(reason) => Err(reason),
            None => order_from_fields(&fields, &columns),
        };
        if sender.send(message(row.line, row.raw, order)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Sends the rows of a JSON Lines file; returns early when nobody listens any more.
pub(super) fn from_jsonl<R: Read>(
    input: &str,
    mut lines: Lines<R>,
    map: &FieldMap,
    sender: &SyncSender<Message>,
) -> Result<(), InputError> {
    let mut is_listening = sender.send(Message::Opened).is_ok();
    while is_listening {
        let number = lines.number();
        let line = lines.next().map_err(|source| InputError::Read {
            input: input.into(),
            line: number,
            source,
        })?;
        let Some(line) = line else { break };
        let text = line.bytes.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let order = if line.is_cut {
            Err(format!("the row is longer than {ROW_BYTES_MAX} bytes"))
        } else {
            order_from_json(text, map)
        };
        let raw = without_line_end(&line.bytes).to_vec();
        is_listening = sender.send(message(line.number, raw, order)).is_ok();
    }
    Ok(())
}

fn message(line: u64, raw: Vec<u8>, order: Result<Order, String>) -> Message {
    match order {
        Ok(order) => Message::Order(order),
        Err(reason) => Message::Rejected(RejectedRow { line, reason, raw }),
    }
}

fn order_from_fields(fields: &Fields, columns: &Columns) -> Result<Order, String> {
    let text = |field: &str, index: usize| {
        let bytes = fields.get(index).ok_or_else(|| format!("{field} is missing"))?;
        std::str::from_utf8(bytes).map_err(|_| format!("{field} is not UTF-8"))
    };
    let order_id = text(ORDER_ID, columns.order_id)?;
    let product = text(PRODUCT, columns.product)?;
    let price = price_from_text(text(PRICE, columns.price)?)?;
    order(order_id.to_owned(), product.to_owned(), price)
}

fn order_from_json(line: &[u8], map: &FieldMap) -> Result<Order, String> {
    let object: Map<String, Value> =
        serde_json::from_slice(line).map_err(|error| format!("not a JSON object: {error}"))?;
    let value = |field: &str, key: &str| match object.get(key) {
        None | Some(Value::Null) => Err(format!("{field} is missing (no key '{key}')")),
        Some(value) => Ok(value.clone()),
    };
    let order_id = match value(ORDER_ID, &map.order_id)? {
        Value::String(id) => id,
        Value::Number(id) if id.is_u64() || id.is_i64() => id.to_string(),
        other => {
            return Err(format!("orderId is neither a text nor an integer: {}", brief(&other)));
        }
    };
    let product = match value(PRODUCT, &map.product)? {
        Value::String(product) => product,
        other => return Err(format!("product is not a text: {}", brief(&other))),
    };
    let price = match value(PRICE, &map.price)? {
        Value::Number(price) => price_from_text(&price.to_string())?,
        Value::String(price) => price_from_text(&price)?,
        other => return Err(format!("price is not a number: {}", brief(&other))),
    };
    order(order_id, product, price)
}

/// Only a text that is a number becomes a price; a finite number that a float cannot hold does not
/// become infinity. What a price may be is the consumer's business.
fn price_from_text(text: &str) -> Result<f32, String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err("price is empty".to_owned());
    }
    let price = f32::from_str(trimmed)
        .map_err(|_| format!("price is not a number: {}", brief(&Value::from(trimmed))))?;
    if price.is_infinite() && trimmed.contains(|c: char| c.is_ascii_digit()) {
        return Err(format!("price does not fit a float: {}", brief(&Value::from(trimmed))));
    }
    Ok(price)
}

fn order(order_id: String, product: String, price: f32) -> Result<Order, String> {
    let bytes = order_id.len() + product.len();
    if bytes > TEXT_BYTES_MAX {
        return Err(format!("orderId and product have {bytes} bytes, more than {TEXT_BYTES_MAX}"));
    }
    Ok(Order::new(order_id, product, price))
}

/// The start of a value for an error message.
fn brief(value: &Value) -> String {
    const CHARS_MAX: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
