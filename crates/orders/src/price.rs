//! Prices as people write them, read once to the float of the record.

use std::str::FromStr as _;

use crate::money::{SCALE, shortest_decimal};

/// Significant digits of a text that are compared; of those behind them it only counts whether all
/// are zero.
const DIGITS_COMPARED_MAX: u32 = 38;
/// Characters of a text that are repeated in a message.
const TEXT_CHARS_MAX: usize = 40;
/// Signs of currencies that may stand beside a price.
const CURRENCY_SIGNS: &str = "$€£¥₩₹₽₺₴₪₫₱₦₡₵₸₼₾฿₲₭₮";
/// Letters that may stand beside a price: currencies of ISO 4217, and what people write for them.
const CURRENCY_NAMES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD \
    BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP \
    ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK \
    JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK \
    MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG \
    QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT \
    TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW \
    kr kr. Kč zł Fr. Fr Rs Rs. lei лв";

/// How a text writes a price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PriceFormat {
    /// Digits and a point, as programs write them: `1234.5`, `-2`, `1e3`.
    #[default]
    Plain,
    /// A point before the decimals, commas between thousands, a currency beside it: `$1,234.50`.
    Currency,
    /// A comma before the decimals, points or spaces between thousands, a currency beside it:
    /// `1.234,50 €`.
    Comma,
}

/// A price as the record carries it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// The float nearest to the text.
    pub value: f32,
    /// It is worth what the text says, to four decimals.
    pub is_exact: bool,
}

/// Why a text is no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// There is nothing but white space.
    #[error("price is empty")]
    Empty,
    /// It does not write a number in this way.
    #[error("price is not a number")]
    NotANumber,
    /// It is a finite number beyond all floats.
    #[error("price does not fit a float")]
    TooLarge,
}

impl Price {
    /// Reads a price. The decimal text becomes the nearest float in one step, so that a price is the
    /// same whichever file it stands in. What a price may be is not looked at: see
    /// [`validate`](crate::validate).
    ///
    /// # Errors
    ///
    /// If the text is empty, writes no number in this format, or a finite one beyond all floats.
    pub fn parse(text: &str, format: PriceFormat) -> Result<Self, PriceError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(PriceError::Empty);
        }
        match format {
            PriceFormat::Plain => Self::parse_plain(text),
            PriceFormat::Currency => Self::parse_plain(&plain(text, '.', &[',', '\'', '’'])?),
            PriceFormat::Comma => Self::parse_plain(&plain(
                text,
                ',',
                &['.', ' ', '\u{a0}', '\u{202f}', '\u{2009}', '\''],
            )?),
        }
    }

    fn parse_plain(text: &str) -> Result<Self, PriceError> {
        let value = f32::from_str(text).map_err(|_| PriceError::NotANumber)?;
        if value.is_finite() {
            return Ok(Self { value, is_exact: is_exact(text, value) });
        }
        // A number that a float cannot hold does not become infinity.
        if text.contains(|c: char| c.is_ascii_digit()) {
            return Err(PriceError::TooLarge);
        }
        Ok(Self { value, is_exact: true })
    }

    /// Says what becomes of a price that is not exact.
    #[must_use]
    pub fn loss(&self, text: &str) -> String {
        let text = text.trim();
        let shown = match text.char_indices().nth(TEXT_CHARS_MAX) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        };
        loss(&shown, self.value)
    }
}

/// Says that a price becomes another one in the record.
pub(crate) fn loss(exact: &str, value: f32) -> String {
    format!("price {exact} becomes {value}: the record's price is a float of 32 bits")
}

/// A number as `digits × 10^exponent`, without zeros at its end, rounded to what an amount keeps.
#[derive(Debug, PartialEq, Eq)]
struct Rounded {
    digits: u128,
    exponent: i64,
}

/// Whether a float is worth what the number in `text` is, which reads back to it.
fn is_exact(text: &str, value: f32) -> bool {
    let mut buffer = ryu::Buffer::new();
    let (digits, exponent) = shortest_decimal(buffer.format_finite(value.abs()));
    let of_float = rounded(u128::from(digits), i64::from(exponent), false);
    let (digits, exponent, has_more) = decimal(text);
    of_float == rounded(digits, exponent, has_more)
}

/// Reads a number that the standard library has read before: its first digits, their exponent, and
/// whether the digits after them are more than zeros.
fn decimal(text: &str) -> (u128, i64, bool) {
    /// Beyond it a number is zero, or no float.
    const EXPONENT_MAX: i64 = 1_000_000_000;
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (is_negative, exponent_digits) = match exponent.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    // Only too many digits can be wrong with it.
    let magnitude = exponent_digits.parse().unwrap_or(EXPONENT_MAX).min(EXPONENT_MAX);
    let mut exponent = if is_negative { -magnitude } else { magnitude };
    let (mut digits, mut kept, mut has_more, mut is_fraction) = (0_u128, 0, false, false);
    for byte in mantissa.bytes() {
        let digit = match byte {
            b'0'..=b'9' => u128::from(byte - b'0'),
            b'.' => {
                is_fraction = true;
                continue;
            }
            _ => continue, // the sign
        };
        if kept < DIGITS_COMPARED_MAX {
            digits = digits * 10 + digit;
            kept += u32::from(digits > 0);
            exponent -= i64::from(is_fraction);
        } else {
            has_more |= digit > 0;
            exponent += i64::from(!is_fraction);
        }
    }
    (digits, exponent, has_more)
}

/// Rounds half-even to the decimals of an amount; `None` for what no float is the shortest form of.
fn rounded(mut digits: u128, mut exponent: i64, has_more: bool) -> Option<Rounded> {
    let scale = i64::from(SCALE);
    if exponent >= -scale {
        if has_more {
            return None;
        }
    } else {
        let power = u32::try_from(-scale - exponent).unwrap_or(u32::MAX);
        digits = match 10_u128.checked_pow(power) {
            Some(divisor) => {
                let (quotient, twice_rest) = (digits / divisor, digits % divisor * 2);
                let is_tie = twice_rest == divisor && !has_more;
                let rounds_up = match is_tie {
                    true => quotient % 2 == 1,
                    false => twice_rest >= divisor,
                };
                quotient + u128::from(rounds_up)
            }
            // The divisor is more than ten times the number.
            None => 0,
        };
        exponent = -scale;
    }
    if digits == 0 {
        return Some(Rounded { digits: 0, exponent: 0 });
    }
    while digits.is_multiple_of(10) {
        digits /= 10;
        exponent += 1;
    }
    Some(Rounded { digits, exponent })
}

/// Rewrites a price of another format as a plain one.
fn plain(text: &str, point: char, separators: &[char]) -> Result<String, PriceError> {
    let (is_negative, rest) = sign(text);
    let (has_currency, rest) = currency_before(rest, point)?;
    let (is_negative, rest) = if is_negative.is_none() { sign(rest) } else { (is_negative, rest) };
    let rest = if has_currency { rest } else { currency_behind(rest)? };
    let (whole, part) = match rest.split_once(point) {
        Some((whole, part)) => (whole, Some(part)),
        None => (rest, None),
    };
    let is_part = part.is_none_or(|part| !part.is_empty() && is_digits(part));
    let whole = ungrouped(whole, separators).ok_or(PriceError::NotANumber)?;
    if !is_part || (whole.is_empty() && part.is_none()) {
        return Err(PriceError::NotANumber);
    }
    let sign = if is_negative == Some(true) { "-" } else { "" };
    Ok(format!("{sign}{whole}.{}", part.unwrap_or("0")))
}

/// Takes a sign: whether it is a minus, and what follows.
fn sign(text: &str) -> (Option<bool>, &str) {
    let mut characters = text.chars();
    match characters.next() {
        Some('-' | '\u{2212}') => (Some(true), characters.as_str().trim_start()),
        Some('+') => (Some(false), characters.as_str().trim_start()),
        _ => (None, text),
    }
}

fn currency_before(text: &str, point: char) -> Result<(bool, &str), PriceError> {
    let starts = |c: char| c.is_ascii_digit() || c == '-' || c == '+' || c == '\u{2212}';
    let start = text.find(starts).ok_or(PriceError::NotANumber)?;
    let before = text[..start].trim();
    if before.is_empty() || is_currency(before) {
        return Ok((!before.is_empty(), &text[start..]));
    }
    // A number may begin with its point: `$.99`.
    let start = text[..start].strip_suffix(point).map(str::len).ok_or(PriceError::NotANumber)?;
    match text[..start].trim() {
        "" => Ok((false, &text[start..])),
        before if is_currency(before) => Ok((true, &text[start..])),
        _ => Err(PriceError::NotANumber),
    }
}

fn currency_behind(text: &str) -> Result<&str, PriceError> {
    let end = text.rfind(|c: char| c.is_ascii_digit()).ok_or(PriceError::NotANumber)? + 1;
    let (number, behind) = text.split_at(end);
    match behind.trim() {
        "" => Ok(number),
        behind if is_currency(behind) => Ok(number),
        _ => Err(PriceError::NotANumber),
    }
}

/// `€`, `EUR`, `US$`, `kr`.
fn is_currency(text: &str) -> bool {
    let letters = text.trim_end_matches(|c| CURRENCY_SIGNS.contains(c));
    let signs = text[letters.len()..].chars().count();
    match (letters, signs) {
        ("", 1) => true,
        (letters, 0) => CURRENCY_NAMES.split_whitespace().any(|name| name == letters),
        (letters, 1) => letters.len() <= 3 && letters.bytes().all(|b| b.is_ascii_uppercase()),
        _ => false,
    }
}

/// Takes the separators out of a whole number. Groups that are not thousands make it none: `1,50`
/// is not 150.
fn ungrouped(whole: &str, separators: &[char]) -> Option<String> {
    let Some(separator) = whole.chars().find(|c| separators.contains(c)) else {
        return is_digits(whole).then(|| whole.to_owned());
    };
    let mut groups = whole.split(separator);
    let first = groups.next()?;
    let is_first = (1..=3).contains(&first.len()) && is_digits(first) && !first.starts_with('0');
    let are_groups = groups.all(|group| group.len() == 3 && is_digits(group));
    (is_first && are_groups).then(|| whole.replace(separator, ""))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
#[path = "price_tests.rs"]
mod tests;
