//! Rows to orders, for as long as somebody takes them.

use std::io::Read;

use service_kit::json_members::{Member, json_members};

use super::convert::{Converted, PriceRules, brief, order, order_from_fields, price, quoted};
use super::csv_rows::{CsvRows, Fields, Row};
use super::header::{Columns, FieldMap, separation};
use super::lines::{HEAD_BYTES, Lines, ROW_BYTES_MAX};
use super::parcels::{Closed, Parcels};
use super::{ImportSettings, ImportedRow, InputError, Message, RejectedRow, RowText, foreign};

/// Where rows go.
pub(super) struct Rows<'a> {
    pub(super) settings: &'a ImportSettings,
    parcels: &'a Parcels,
    /// Rows so far, with those that are skipped.
    rows: u64,
}

impl<'a> Rows<'a> {
    pub(super) fn new(settings: &'a ImportSettings, parcels: &'a Parcels) -> Self {
        Self { settings, parcels, rows: 0 }
    }

    /// The input is open and understood.
    fn opened(&self) -> Result<(), Closed> {
        self.parcels.put(Message::Opened, 0)?;
        self.parcels.dispatch()
    }

    fn input(&self) -> String {
        self.settings.input.to_string()
    }

    fn failed_read(&self, line: u64) -> impl FnOnce(std::io::Error) -> InputError {
        let input = self.input();
        // The line itself was not read to its end.
        move |source| InputError::Read { input, line: line.saturating_sub(1), source }
    }

    /// Sends the rows of a CSV file; returns early when nobody listens any more.
    pub(super) fn send_csv<R: Read>(mut self, mut lines: Lines<R>) -> Result<(), InputError> {
        self.refuse_foreign(&mut lines)?;
        let settings = self.settings;
        let separation = separation(&mut lines, settings.delimiter, &settings.map);
        let separation = separation.map_err(self.failed_read(1))?;
        let is_json = lines
            .ahead()
            .map_err(self.failed_read(1))?
            .trim_ascii_start()
            .first()
            .is_some_and(|byte| b"{[".contains(byte));
        let mut rows = CsvRows::new(lines, separation.delimiter);
        let mut fields = Fields::default();
        let columns = self.header(&mut rows, &mut fields, separation.better, is_json)?;
        if self.opened().is_err() {
            return Ok(());
        }
        loop {
            let line = rows.line();
            let row = rows.next(&mut fields).map_err(self.failed_read(line))?;
            let Some(Row { line, raw, broken, .. }) = row else { break };
            let convert = || match broken {
                Some(reason) => Err(reason),
                None => order_from_fields(&fields, &columns, settings.prices),
            };
            if self.send(RowText { line, raw }, convert).is_err() {
                return Ok(());
            }
        }
        self.check_skipped()
    }

    fn header<R: Read>(
        &self,
        rows: &mut CsvRows<R>,
        fields: &mut Fields,
        better: Option<u8>,
        is_json: bool,
    ) -> Result<Columns, InputError> {
        let line = rows.line();
        match rows.next(fields).map_err(self.failed_read(line))? {
            None => return Err(InputError::NoHeader { input: self.input() }),
            Some(Row { broken: Some(reason), .. }) => {
                return Err(InputError::BrokenHeader { input: self.input(), reason, is_json });
            }
            Some(_) => {}
        }
        rows.set_width(fields.len());
        Columns::find(fields, &self.settings.map).map_err(|source| InputError::Columns {
            input: self.input(),
            source,
            better,
            is_json,
        })
    }

    /// Sends the rows of a JSON Lines file; returns early when nobody listens any more.
    pub(super) fn send_jsonl<R: Read>(mut self, mut lines: Lines<R>) -> Result<(), InputError> {
        self.refuse_foreign(&mut lines)?;
        let mut is_opened = false;
        loop {
            let number = lines.number();
            let line = whole_line(&mut lines).map_err(self.failed_read(number))?;
            let Some((raw, is_whole)) = line else { break };
            if raw.trim_ascii().is_empty() {
                continue;
            }
            if !is_opened {
                self.refuse_other_json(&raw)?;
                is_opened = true;
                if self.opened().is_err() {
                    return Ok(());
                }
            }
            let settings = self.settings;
            let convert = |raw: &[u8]| match is_whole {
                true => order_from_json(raw, &settings.map, settings.prices),
                false => Err(format!("the row is longer than {ROW_BYTES_MAX} bytes")),
            };
            let converted = convert(&raw);
            if self.send(RowText { line: number, raw }, || converted).is_err() {
                return Ok(());
            }
        }
        if !is_opened && self.opened().is_err() {
            return Ok(());
        }
        self.check_skipped()
    }

    /// Sends one row, unless it is skipped.
    fn send(
        &mut self,
        row: RowText,
        convert: impl FnOnce() -> Result<Converted, String>,
    ) -> Result<(), Closed> {
        self.rows += 1;
        if self.rows <= self.settings.skip_rows {
            return Ok(());
        }
        let bytes = row.raw.len();
        let message = match convert() {
            Ok(Converted { order, loss }) => Message::Row(ImportedRow { order, row, loss }),
            Err(reason) => Message::Rejected(RejectedRow { line: row.line, reason, raw: row.raw }),
        };
        self.parcels.put(message, bytes)
    }

    fn check_skipped(&self) -> Result<(), InputError> {
        let (rows, skip) = (self.rows, self.settings.skip_rows);
        if rows < skip {
            return Err(InputError::TooFewRows { input: self.input(), rows, skip });
        }
        Ok(())
    }

    fn refuse_foreign<R: Read>(&self, lines: &mut Lines<R>) -> Result<(), InputError> {
        let start = lines.ahead().map_err(self.failed_read(1))?;
        match foreign::by_content(start) {
            None => Ok(()),
            Some(foreign::Foreign { what, advice }) => {
                Err(InputError::Foreign { input: self.input(), what, advice })
            }
        }
    }

    /// The first line tells JSON that is written in another form.
    fn refuse_other_json(&self, first: &[u8]) -> Result<(), InputError> {
        let text = first.trim_ascii();
        if text.starts_with(b"[") {
            return Err(InputError::JsonArray { input: self.input() });
        }
        if text.starts_with(b"{") && (text.ends_with(b"{") || text.ends_with(b",")) {
            return Err(InputError::JsonOverLines { input: self.input() });
        }
        Ok(())
    }
}

/// Reads one line; only its start if it is too long, and then false.
fn whole_line<R: Read>(lines: &mut Lines<R>) -> std::io::Result<Option<(Vec<u8>, bool)>> {
    let (mut raw, mut is_whole, mut is_there) = (Vec::new(), true, false);
    while let Some(piece) = lines.next()? {
        is_there = true;
        if is_whole && raw.len() + piece.bytes.len() > ROW_BYTES_MAX {
            is_whole = false;
            raw.extend_from_slice(&piece.bytes[..HEAD_BYTES.min(piece.bytes.len())]);
            raw.truncate(HEAD_BYTES);
            raw.shrink_to_fit();
        } else if is_whole {
            raw.extend_from_slice(piece.bytes);
        }
        if piece.line_end.is_some() {
            break;
        }
    }
    Ok(is_there.then_some((raw, is_whole)))
}

fn order_from_json(line: &[u8], map: &FieldMap, rules: PriceRules) -> Result<Converted, String> {
    let text = std::str::from_utf8(line.trim_ascii())
        .map_err(|_| "not a JSON object: it is not UTF-8".to_owned())?;
    let members = json_members(text).map_err(|error| format!("not a JSON object: {error}"))?;
    let order_id = match value(&members, "orderId", &map.order_id)? {
        id if id.starts_with('"') => string("orderId", id)?,
        id if id.parse::<i64>().is_ok() || id.parse::<u64>().is_ok() => id.to_owned(),
        other => {
            return Err(format!("orderId is neither a text nor an integer: {}", brief(other)));
        }
    };
    let product = match value(&members, "product", &map.product)? {
        product if product.starts_with('"') => string("product", product)?,
        other => return Err(format!("product is not a string: {}", brief(other))),
    };
    let price = match value(&members, "price", &map.price)? {
        text if text.starts_with('"') => price(&string("price", text)?, rules)?,
        // A number is written as JSON writes numbers, whatever the format of texts.
        number if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            price(number, PriceRules { format: orders::PriceFormat::Plain, ..rules })?
        }
        other => return Err(format!("price is not a number: {}", brief(other))),
    };
    order(order_id, product, price)
}

/// The one value of a key.
fn value<'a>(members: &[Member<'a>], field: &str, key: &str) -> Result<&'a str, String> {
    let mut found = members.iter().filter(|member| member.key == key);
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(format!("{field} occurs more than once (key {})", quoted(key))),
        (Some(member), None) if member.value != "null" => Ok(member.value),
        _ => Err(format!("{field} is missing (no key '{key}')")),
    }
}

fn string(field: &str, value: &str) -> Result<String, String> {
    serde_json::from_str(value).map_err(|error| format!("{field} is not a text: {error}"))
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
