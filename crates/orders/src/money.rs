//! Money as an exact integer.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use crate::order::{InvalidOrder, PRICE_MAX};

/// Decimal places that an amount keeps.
pub(crate) const SCALE: i32 = 4;
/// Ten-thousandths in one unit of currency.
const PER_UNIT: u128 = 10_u128.pow(SCALE.unsigned_abs());

/// An amount of money in 1/10000 of the currency unit; sums of amounts are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Wraps a count of 1/10000 units.
    pub const fn from_ten_thousandths(ten_thousandths: i128) -> Self {
        Self(ten_thousandths)
    }

    /// Returns the count of 1/10000 units.
    pub const fn ten_thousandths(self) -> i128 {
        self.0
    }

    /// Takes a float price for its shortest decimal form that reads back to the same float,
    /// rounded half-even to four decimals. Allocates nothing.
    ///
    /// # Errors
    ///
    /// If the price is not finite, below zero or above [`PRICE_MAX`].
    #[inline]
    pub fn from_price(price: f32) -> Result<Self, InvalidOrder> {
        if !price.is_finite() {
            return Err(InvalidOrder::PriceNotFinite);
        }
        if price < 0.0 {
            return Err(InvalidOrder::NegativePrice);
        }
        if price > PRICE_MAX {
            return Err(InvalidOrder::PriceTooLarge);
        }
        Ok(Self(by_arithmetic(price).map_or_else(|| by_decimal(price), i128::from)))
    }
}

/// What a valid price is worth, by the decimal text that it stands for.
fn by_decimal(price: f32) -> i128 {
    let mut buffer = ryu::Buffer::new();
    let (digits, exponent) = shortest_decimal(buffer.format_finite(price.abs()));
    scale_half_even(digits, exponent + SCALE)
}

/// The same without a text, where that is certain: for nearly all prices below 1,024, and below 131,072 for those
/// with two decimals. `tests::all_floats` compares them.
///
/// The shortest text lies between the neighbours of a float, at most half a step from it. So it is known what the
/// text is rounded to where all numbers that close are rounded to the same one. It is also known where exactly one
/// number of two decimals is that close: a text with more digits would be longer.
fn by_arithmetic(price: f32) -> Option<i64> {
    let (bits, price) = (price.abs().to_bits(), f64::from(price.abs()));
    let exponent = (bits >> (f32::MANTISSA_DIGITS - 1)).max(1);
    // Half the step to the next float, 2^(exponent - 151): each product and each difference below is exact, or
    // so close to a half that it decides nothing.
    let half_step = f64::from_bits(u64::from(exponent + 872) << (f64::MANTISSA_DIGITS - 1));
    let (nearest, distance) = nearest(price * 1e4);
    if distance + half_step * 1e4 < 0.5 {
        return Some(nearest);
    }
    // The step below a power of two is smaller.
    let is_power_of_two = bits.trailing_zeros() >= f32::MANTISSA_DIGITS - 1;
    let (cents, distance) = self::nearest(price * 1e2);
    let is_the_one = distance < half_step * 1e2 && half_step * 1e2 < 0.5;
    (is_the_one && (!is_power_of_two || distance == 0.0)).then_some(cents * 100)
}

/// The nearest whole number, and how far it is.
#[expect(clippy::cast_possible_truncation, reason = "no price is above 10^13 of what is counted")]
fn nearest(number: f64) -> (i64, f64) {
    let nearest = (number + 0.5) as i64;
    (nearest, (number - nearest as f64).abs())
}

/// Reads ryu's text as `digits × 10^exponent`; at most nine significant digits.
pub(crate) fn shortest_decimal(text: &str) -> (u64, i32) {
    let (mut digits, mut exponent) = (0_u64, 0_i32);
    let mut bytes = text.bytes();
    let mut is_fraction = false;
    for byte in bytes.by_ref() {
        match byte {
            b'0'..=b'9' => {
                digits = digits * 10 + u64::from(byte - b'0');
                exponent -= i32::from(is_fraction);
            }
            b'.' => is_fraction = true,
            _ => break, // `e`: the rest is the exponent
        }
    }
    (digits, exponent + signed_integer(bytes))
}

/// Reads the rest of an exponent, `-7`; nothing is 0.
fn signed_integer(bytes: impl Iterator<Item = u8>) -> i32 {
    let (mut value, mut sign) = (0, 1);
    for byte in bytes {
        match byte {
            b'-' => sign = -1,
            digit => value = value * 10 + i32::from(digit - b'0'),
        }
    }
    sign * value
}

/// `digits × 10^exponent` as an integer, ties to the even one.
fn scale_half_even(digits: u64, exponent: i32) -> i128 {
    let digits = i128::from(digits);
    let power = exponent.unsigned_abs();
    if exponent >= 0 {
        return digits * 10_i128.pow(power);
    }
    // Beyond this the divisor is more than twice any u64, so the quotient rounds to 0.
    let Some(divisor) = 10_i128.checked_pow(power) else { return 0 };
    let (quotient, twice_rest) = (digits / divisor, digits % divisor * 2);
    let rounds_up = twice_rest > divisor || (twice_rest == divisor && quotient % 2 == 1);
    quotient + i128::from(rounds_up)
}

impl fmt::Display for Amount {
    /// Writes units, a point and exactly four decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:04}", magnitude / PER_UNIT, magnitude % PER_UNIT)
    }
}

impl Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Amount {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl SubAssign for Amount {
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(price: f32, expected: &str) {
        assert_eq!(Amount::from_price(price).unwrap().to_string(), expected, "price {price}");
    }

    #[test]
    fn a_price_is_its_shortest_decimal_form_and_not_its_binary_value() {
        // The float nearest to 0.1 is 0.100000001490116…
        check(0.1, "0.1000");
        check(19.99, "19.9900");
        check(16_777_216.0, "16777216.0000");
        // Shortest form 1.2345679e8, although the float is 123456792.
        check(123_456_792.0, "123456790.0000");
        check(0.3e-3, "0.0003");
        check(1e-45, "0.0000");
    }

    #[test]
    fn a_price_is_rounded_half_even_to_four_decimals() {
        check(0.00005, "0.0000");
        check(0.00015, "0.0002");
        check(0.00025, "0.0002");
        check(0.000_250_01, "0.0003");
        check(1.00005, "1.0000");
        check(1.00015, "1.0002");
        check(5e-5, "0.0000");
        check(5.000_001e-5, "0.0001");
    }

    #[test]
    fn an_amount_prints_units_and_four_decimals() {
        assert_eq!(Amount::from_ten_thousandths(123_456_700).to_string(), "12345.6700");
        assert_eq!(Amount::from_ten_thousandths(-1).to_string(), "-0.0001");
        assert_eq!(Amount::from_ten_thousandths(i128::MIN).to_string().len(), 41);
    }

    #[test]
    fn of_two_equally_short_forms_the_even_digit_counts() {
        // 2766142.25 lies in the middle of .2 and .3; both read back.
        check(11_064_569.0 / 4.0, "2766142.2000");
    }

    #[test]
    fn amounts_add_up_exactly() {
        let tenth = Amount::from_price(0.1).unwrap();
        let sum: Amount = std::iter::repeat_n(tenth, 1_000_000).sum();
        assert_eq!(sum.to_string(), "100000.0000");
    }

    /// Independent of the code above: the fewest digits that read back to the same float,
    /// as the standard library rounds them (ties to even), moved by text.
    fn by_text(price: f32) -> i128 {
        let shortest = (0..9)
            .map(|decimals| format!("{price:.decimals$e}"))
            .find(|text| text.parse() == Ok(price))
            .expect("nine digits tell every float apart");
        let (digits, exponent) = shortest.split_once('e').unwrap();
        let (unit, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        // Zeros on both sides, so that the point can move by text alone.
        let text = format!("{:0>60}{unit}{decimals}{:0<60}", "", "");
        let point = 61 + exponent.parse::<isize>().unwrap();
        let (kept, rest) = text.split_at(usize::try_from(point + 4).unwrap());
        let value: i128 = kept.trim_start_matches('0').parse().unwrap_or(0);
        let rest_is_half = rest.starts_with('5') && rest[1..].bytes().all(|b| b == b'0');
        let rounds_up = rest.as_bytes()[0] >= b'5' && (!rest_is_half || value % 2 == 1);
        value + i128::from(rounds_up)
    }

    /// Compares both ways for every float of a range.
    fn compare(floats: impl Iterator<Item = u32>) -> (u64, u64) {
        let (mut all, mut certain) = (0, 0);
        for bits in floats {
            let price = f32::from_bits(bits);
            if let Some(worth) = by_arithmetic(price) {
                assert_eq!(i128::from(worth), by_decimal(price), "price {price}, bits {bits:#x}");
                certain += 1;
            }
            all += 1;
        }
        (all, certain)
    }

    #[test]
    fn arithmetic_says_what_the_text_says_for_a_sample_of_all_floats() {
        // A prime, so that every digit of the mantissa changes.
        let (all, certain) = compare((0..=PRICE_MAX.to_bits()).step_by(1_009));
        assert!(certain * 2 > all, "{certain} of {all} are certain: it is of no use");
    }

    #[test]
    fn arithmetic_says_what_the_text_says_around_every_tie_and_power_of_two() {
        for n in 0..400_000_u32 {
            let tie = (f64::from(n) * 0.00005).to_string().parse::<f32>().unwrap().to_bits();
            compare(tie.saturating_sub(2)..=tie + 2);
        }
        for exponent in 1..=PRICE_MAX.to_bits() >> 23 {
            let power = exponent << 23;
            compare(power - 3..=power + 3);
        }
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "the nearest float is meant")]
    fn all_prices_in_cents_below_100_000_are_certain() {
        for cents in 0..10_000_000_u32 {
            let price = (f64::from(cents) / 100.0) as f32;
            assert_eq!(by_arithmetic(price), Some(i64::from(cents) * 100), "price {price}");
        }
    }

    /// Every float that is a price: `make test-all` has it read all of them, in some minutes.
    #[test]
    fn all_floats() {
        let step: usize = match std::env::var("PRICES_STEP") {
            Ok(step) => step.parse().expect("a number"),
            Err(_) => 100_003,
        };
        let last = PRICE_MAX.to_bits();
        let middle = last / 2;
        std::thread::scope(|scope| {
            scope.spawn(|| compare((0..middle).step_by(step)));
            compare((middle..=last).step_by(step));
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_valid_float_rounds_as_its_decimal_text_does(bits in 0..=PRICE_MAX.to_bits()) {
            let price = f32::from_bits(bits);
            // At a power of two the neighbours are unevenly far, which `by_text` does not know.
            prop_assume!(bits & 0x007f_ffff != 0);
            prop_assert_eq!(Amount::from_price(price).unwrap().ten_thousandths(), by_text(price));
        }

        #[test]
        fn prices_near_a_tie_round_as_their_decimal_text_does(n in 0_u32..200_000) {
            #[expect(clippy::cast_possible_truncation, reason = "the nearest float is wanted")]
            let price = (f64::from(n) * 0.00005) as f32;
            prop_assert_eq!(Amount::from_price(price).unwrap().ten_thousandths(), by_text(price));
        }
    }
}
