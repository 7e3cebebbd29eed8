//! Money by its decimal digits.

/// A valid price in ten-thousandths: the digits of its shortest decimal form, rounded to four
/// decimals, ties to the even digit.
///
/// # Panics
///
/// Panics for a price that is not a number or below zero.
pub fn ten_thousandths(price: f32) -> i128 {
    let text = format!("{}", price.abs()); // -0 counts as 0; never an exponent
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let (kept, cut) = fraction.split_at(fraction.len().min(4));
    let digits = format!("{whole}{kept:0<4}");
    let floor: i128 = digits.parse().unwrap_or_else(|_| panic!("{price} is no price"));
    let rounds_up = match cut.bytes().next() {
        None | Some(b'0'..=b'4') => false,
        Some(b'5') if cut[1..].bytes().all(|digit| digit == b'0') => floor % 2 == 1,
        Some(_) => true,
    };
    floor + i128::from(rounds_up)
}

/// Ten-thousandths as text with four decimals.
pub fn decimal4(ten_thousandths: i128) -> String {
    let digits = format!("{:05}", ten_thousandths.unsigned_abs());
    let (whole, fraction) = digits.split_at(digits.len() - 4);
    let sign = if ten_thousandths < 0 { "-" } else { "" };
    format!("{sign}{whole}.{fraction}")
}

/// The double nearest to `sum` ten-thousandths over `count`: long division by hand, then read
/// as a decimal number.
///
/// # Panics
///
/// Panics for a count of zero or a sum below zero.
pub fn nearest_average(sum: i128, count: u64) -> f64 {
    assert!(count > 0 && sum >= 0, "an average of {count} orders that make {sum}");
    let divisor = i128::from(count) * 10_000;
    let mut text = format!("{}.", sum / divisor);
    let mut rest = sum % divisor;
    for _ in 0..60 {
        rest *= 10;
        text.push(char::from(b'0' + u8::try_from(rest / divisor).expect("a digit")));
        rest %= divisor;
    }
    if rest > 0 {
        text.push('1'); // what is cut off is not nothing: it decides a tie
    }
    text.parse().expect("a decimal number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_taken_by_their_shortest_digits() {
        for (price, expected) in [
            (0.1, 1_000),
            (-0.0, 0),
            (19.99, 199_900),
            (0.000_05, 0),
            (0.000_15, 2),
            (0.000_150_01, 2),
            (0.000_249_9, 2),
            (16_777_216.0, 167_772_160_000),
            (1e9, 10_000_000_000_000),
            (1e-40, 0),
        ] {
            assert_eq!(ten_thousandths(price), expected, "{price}");
        }
    }

    #[test]
    fn sums_are_shown_with_four_decimals() {
        assert_eq!(decimal4(0), "0.0000");
        assert_eq!(decimal4(12), "0.0012");
        assert_eq!(decimal4(123_456_700), "12345.6700");
        assert_eq!(decimal4(-5), "-0.0005");
    }

    #[test]
    fn an_average_is_the_nearest_double() {
        assert_eq!(nearest_average(10_000, 3).to_bits(), (1.0_f64 / 3.0).to_bits());
        assert_eq!(nearest_average(123_457_000, 3).to_bits(), 4_115.233_333_333_334_f64.to_bits());
        assert_eq!(nearest_average(0, 5).to_bits(), 0.0_f64.to_bits());
    }
}
