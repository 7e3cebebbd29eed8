//! The texts of a row to an order.

use orders::{Order, Price, PriceError, PriceFormat};

use super::csv_rows::Fields;
use super::header::{Columns, ORDER_ID, PRICE, PRODUCT};

/// Longest product name, in bytes: the consumer counts none that is longer.
const PRODUCT_BYTES_MAX: usize = 400_000;
/// Longest id and product together, in bytes: what Kafka takes by default, less frame and headers.
const TEXT_BYTES_MAX: usize = 999_000;

/// How prices are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PriceRules {
    /// How the input writes them.
    pub format: PriceFormat,
    /// A price that the record cannot carry as it is makes its row a rejected one.
    pub is_strict: bool,
}

/// An order, and what becomes of a price that the record cannot carry as it is.
#[derive(Debug, PartialEq)]
pub(super) struct Converted {
    pub(super) order: Order,
    pub(super) loss: Option<String>,
}

pub(super) fn order_from_fields(
    fields: &Fields,
    columns: &Columns,
    rules: PriceRules,
) -> Result<Converted, String> {
    let text = |field: &str, index: usize| {
        let bytes = fields.get(index).ok_or_else(|| format!("{field} is missing"))?;
        std::str::from_utf8(bytes).map_err(|_| format!("{field} is not UTF-8"))
    };
    let order_id = text(ORDER_ID, columns.order_id)?;
    let product = text(PRODUCT, columns.product)?;
    let price = price(text(PRICE, columns.price)?, rules)?;
    order(order_id.to_owned(), product.to_owned(), price)
}

/// A price, and what becomes of it if that is another one.
pub(super) type ReadPrice = (f32, Option<String>);

/// Only a text that is a number becomes a price; a finite number that a float cannot hold does not
/// become infinity. What a price may be is the consumer's business.
pub(super) fn price(text: &str, rules: PriceRules) -> Result<ReadPrice, String> {
    let price = Price::parse(text, rules.format).map_err(|error| match error {
        PriceError::Empty => error.to_string(),
        PriceError::TooLarge => format!("{error}: {}", quoted(text.trim())),
        PriceError::NotANumber => {
            format!("{error}: {}{}", quoted(text.trim()), other_formats(text, rules.format))
        }
    })?;
    let loss = (!price.is_exact).then(|| price.loss(text));
    match loss {
        Some(loss) if rules.is_strict => Err(format!("{loss} (--strict-prices)")),
        loss => Ok((price.value, loss)),
    }
}

/// Says which formats would read the text, and as what.
fn other_formats(text: &str, format: PriceFormat) -> String {
    const NAMED: [(PriceFormat, &str); 3] = [
        (PriceFormat::Plain, "plain"),
        (PriceFormat::Currency, "currency"),
        (PriceFormat::Comma, "comma"),
    ];
    let reads: Vec<String> = NAMED
        .iter()
        .filter(|(other, _)| *other != format)
        .filter_map(|(other, name)| Some((name, Price::parse(text, *other).ok()?)))
        .filter(|(_, price)| price.value.is_finite())
        .map(|(name, price)| format!("--price-format {name} reads {}", price.value))
        .collect();
    match reads.is_empty() {
        true => String::new(),
        false => format!(" ({})", reads.join(", ")),
    }
}

pub(super) fn order(
    order_id: String,
    product: String,
    (price, loss): ReadPrice,
) -> Result<Converted, String> {
    if product.len() > PRODUCT_BYTES_MAX {
        let bytes = product.len();
        return Err(format!("product has {bytes} bytes, more than {PRODUCT_BYTES_MAX}"));
    }
    let bytes = order_id.len() + product.len();
    if bytes > TEXT_BYTES_MAX {
        return Err(format!("orderId and product have {bytes} bytes, more than {TEXT_BYTES_MAX}"));
    }
    Ok(Converted { order: Order::new(order_id, product, price), loss })
}

/// The start of a value for an error message.
pub(super) fn brief(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The start of a text for an error message, in quotes.
pub(super) fn quoted(text: &str) -> String {
    brief(&serde_json::Value::from(text).to_string())
}
