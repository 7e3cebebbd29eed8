//! The average of exact amounts as the nearest double.

use crate::Amount;

/// Ten-thousandths in one unit of currency.
const PER_UNIT: u128 = 10_000;
/// Bits of a double's significand, the hidden one included.
const SIGNIFICAND_BITS: u32 = 53;
/// The quotient is worked out to this many bits at least; what is left becomes the sticky
/// rest. Two more than the significand, so that rounding happens once and exactly.
const QUOTIENT_BITS: u32 = SIGNIFICAND_BITS + 2;
/// Up to here every whole number is a double.
const WHOLE_MAX: u64 = 1 << SIGNIFICAND_BITS;
/// Bits added per step of the long division. The divisor is below 2^78 (2^64 × 10^4), so a
/// rest shifted by this stays below 2^126.
const STEP_BITS: u32 = 48;

/// The double nearest to `sum / count`, ties to even; `None` for a count of 0.
pub fn average(sum: Amount, count: u64) -> Option<f64> {
    if count == 0 {
        return None;
    }
    let magnitude =
        nearest_quotient(sum.ten_thousandths().unsigned_abs(), u128::from(count) * PER_UNIT);
    Some(if sum < Amount::ZERO { -magnitude } else { magnitude })
}

/// `numerator / divisor`, rounded once.
fn nearest_quotient(numerator: u128, divisor: u128) -> f64 {
    if let (Ok(numerator @ ..=WHOLE_MAX), Ok(divisor @ ..=WHOLE_MAX)) =
        (u64::try_from(numerator), u64::try_from(divisor))
    {
        // Both are exact, so that the division is all that rounds: to the nearest, ties to even.
        #[expect(clippy::cast_precision_loss, reason = "at most 2^53, hence exact")]
        return numerator as f64 / divisor as f64;
    }
    by_long_division(numerator, divisor)
}

fn by_long_division(numerator: u128, divisor: u128) -> f64 {
    if numerator == 0 {
        return 0.0;
    }
    let (mut quotient, mut rest) = (numerator / divisor, numerator % divisor);
    let mut exponent = 0;
    while bits(quotient) < QUOTIENT_BITS {
        let shifted = rest << STEP_BITS;
        quotient = (quotient << STEP_BITS) | (shifted / divisor);
        rest = shifted % divisor;
        exponent -= i32::try_from(STEP_BITS).expect("a small constant");
    }
    round_to_double(quotient, rest != 0, exponent)
}

/// `(quotient + something below 1 if sticky) × 2^exponent`, ties to even.
///
/// The quotient has at least [`QUOTIENT_BITS`] bits. Neither end of the exponent range is
/// near: the smallest quotient is above 2^-78, the largest below 2^128.
fn round_to_double(quotient: u128, is_sticky: bool, exponent: i32) -> f64 {
    let dropped_bits = bits(quotient) - SIGNIFICAND_BITS;
    let kept = u64::try_from(quotient >> dropped_bits).expect("53 bits are left");
    let dropped = quotient & ((1 << dropped_bits) - 1);
    let half = 1_u128 << (dropped_bits - 1);
    let rounds_up = dropped > half || (dropped == half && (is_sticky || kept % 2 == 1));
    let scale = exponent + i32::try_from(dropped_bits).expect("at most 128");
    // At most 2^53: exact as a double, and so is its product with a power of two.
    #[expect(clippy::cast_precision_loss, reason = "at most 2^53, hence exact")]
    let significand = (kept + u64::from(rounds_up)) as f64;
    significand * power_of_two(scale)
}

const fn bits(value: u128) -> u32 {
    u128::BITS - value.leading_zeros()
}

/// `2^exponent` for an exponent in the range of normal doubles.
fn power_of_two(exponent: i32) -> f64 {
    let biased = u64::try_from(exponent + 1023).expect("a normal double");
    f64::from_bits(biased << 52)
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(sum: i128, count: u64, expected: f64) {
        let found = average(Amount::from_ten_thousandths(sum), count).unwrap();
        assert_eq!(found.to_bits(), expected.to_bits(), "{sum} / {count}: {found}");
    }

    #[test]
    fn nothing_has_no_average() {
        assert_eq!(average(Amount::ZERO, 0), None);
    }

    #[test]
    fn an_average_is_the_double_that_its_decimal_text_reads_as() {
        check(0, 7, 0.0);
        check(123_456, 1, 12.3456);
        check(-123_456, 1, -12.3456);
        check(1, 1, 0.0001);
        check(10_000, 3, 1.0 / 3.0);
        check(370_368, 3, 12.3456);
        check(1, u64::MAX, 1e-4 / 18_446_744_073_709_551_615.0);
    }

    #[test]
    fn ties_go_to_the_even_significand() {
        let two_53 = 1_i128 << 53;
        check((two_53 + 1) * 10_000, 1, 9_007_199_254_740_992.0);
        check((two_53 + 3) * 10_000, 1, 9_007_199_254_740_996.0);
        check((two_53 + 1) * 10_000 + 1, 1, 9_007_199_254_740_994.0);
    }

    /// A natural number of any size, little-endian 32-bit digits: enough to compare
    /// `numerator × 2^a` with `double × divisor × 2^b` without a rounding.
    #[derive(PartialEq, Eq)]
    struct Natural(Vec<u32>);

    impl Natural {
        fn new(mut value: u128) -> Self {
            let mut digits = Vec::new();
            while value > 0 {
                digits.push((value & 0xffff_ffff) as u32);
                value >>= 32;
            }
            Self(digits)
        }

        fn times(&self, factor: &Self) -> Self {
            let mut digits = vec![0_u32; self.0.len() + factor.0.len()];
            for (i, a) in self.0.iter().enumerate() {
                let mut carry = 0_u64;
                for (j, b) in factor.0.iter().enumerate() {
                    let sum = u64::from(*a) * u64::from(*b) + u64::from(digits[i + j]) + carry;
                    digits[i + j] = (sum & 0xffff_ffff) as u32;
                    carry = sum >> 32;
                }
                digits[i + factor.0.len()] = u32::try_from(carry).unwrap();
            }
            while digits.last() == Some(&0) {
                digits.pop();
            }
            Self(digits)
        }

        fn shifted(&self, bits: u32) -> Self {
            let mut power = vec![0; (bits / 32) as usize];
            power.push(1 << (bits % 32));
            self.times(&Self(power))
        }

        fn compare(&self, other: &Self) -> Ordering {
            let (a, b) = (&self.0, &other.0);
            a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev()))
        }
    }

    /// Compares the exact `numerator / divisor` with the middle of two neighbouring doubles.
    fn against_middle(numerator: u128, divisor: u128, below: f64) -> Ordering {
        // below = m × 2^e, the next one (m+1) × 2^e, the middle (2m+1) × 2^(e-1).
        let exponent = i32::try_from(below.to_bits() >> 52).unwrap() - 1023 - 52 - 1;
        let significand = below.to_bits() & ((1 << 52) - 1) | (1 << 52);
        let middle = Natural::new(u128::from(2 * significand + 1)).times(&Natural::new(divisor));
        let numerator = Natural::new(numerator);
        match u32::try_from(exponent) {
            Ok(up) => numerator.compare(&middle.shifted(up)),
            Err(_) => numerator.shifted(exponent.unsigned_abs()).compare(&middle),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn the_division_of_doubles_says_what_the_long_one_says(
            sum in (0..=u128::from(WHOLE_MAX), 0_u32..53).prop_map(|(sum, shift)| sum >> shift),
            count in (1..=u128::from(WHOLE_MAX) / PER_UNIT, 0_u32..40)
                .prop_map(|(count, shift)| (count >> shift).max(1)),
        ) {
            let divisor = count * PER_UNIT;
            let (short, long) = (nearest_quotient(sum, divisor), by_long_division(sum, divisor));
            prop_assert_eq!(short.to_bits(), long.to_bits());
        }

        #[test]
        fn no_neighbouring_double_is_nearer(
            sum in (1_u128..1 << 127, 0_u32..127).prop_map(|(sum, shift)| (sum >> shift).max(1)),
            count in (1_u64.., 0_u32..64).prop_map(|(count, shift)| (count >> shift).max(1)),
        ) {
            let sum_signed = i128::try_from(sum).unwrap();
            let found = average(Amount::from_ten_thousandths(sum_signed), count).unwrap();
            let divisor = u128::from(count) * PER_UNIT;
            let is_even = found.to_bits().is_multiple_of(2);
            let above = against_middle(sum, divisor, found);
            prop_assert!(above == Ordering::Less || (above == Ordering::Equal && is_even));
            let below = against_middle(sum, divisor, found.next_down());
            prop_assert!(below == Ordering::Greater || (below == Ordering::Equal && is_even));
        }
    }
}
