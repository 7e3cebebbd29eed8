//! Failures that can be predicted: a pure function of order, attempt and seed.

/// Shares of one failure rate unit: rates count in 1/10000.
const RATE_UNITS: u32 = 10_000;
/// Most decimal digits of a `u64`.
const DIGITS_MAX: usize = 20;

/// Whether attempt `attempt` (the first is 1) of the order fails at `rate` (0 to 1).
///
/// `crc32_ieee(utf8("{order_id}:{attempt}:{seed}")) mod 10_000 < round(rate × 10_000)`; after
/// the r-th redrive, r > 0, the text is `"{order_id}:{attempt}:{seed}:{r}"`. Allocates nothing.
pub fn fails(order_id: &str, attempt: u32, seed: u64, redrive_count: u32, rate: f64) -> bool {
    let limit = limit(rate);
    if limit == 0 {
        return false;
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(order_id.as_bytes());
    update_number(&mut crc, u64::from(attempt));
    update_number(&mut crc, seed);
    if redrive_count > 0 {
        update_number(&mut crc, u64::from(redrive_count));
    }
    crc.finalize() % RATE_UNITS < limit
}

/// `round(rate × 10_000)`; nothing below 0, NaN included, and nothing above 10,000.
fn limit(rate: f64) -> u32 {
    let units = (rate * f64::from(RATE_UNITS)).round().clamp(0.0, f64::from(RATE_UNITS));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number between 0 and 10,000; NaN becomes 0"
    )]
    let units = units as u32;
    units
}

/// Adds `:` and the decimal digits of `number`.
fn update_number(crc: &mut crc32fast::Hasher, mut number: u64) {
    let mut text = [b':'; DIGITS_MAX + 1];
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] = b'0' + u8::try_from(number % 10).expect("one digit");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    crc.update(&text[start - 1..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The formula as the contract spells it, with a bitwise checksum.
    fn by_the_book(id: &str, attempt: u32, seed: u64, redrive_count: u32, rate: f64) -> bool {
        let text = match redrive_count {
            0 => format!("{id}:{attempt}:{seed}"),
            r => format!("{id}:{attempt}:{seed}:{r}"),
        };
        let crc = !text.bytes().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
            })
        });
        f64::from(crc % 10_000) < (rate * 10_000.0).round()
    }

    proptest! {
        #[test]
        fn a_failure_follows_the_published_formula(
            id in ".{0,40}", attempt in 1_u32.., seed: u64, redrive_count in 0_u32..4, rate in 0.0..=1.0,
        ) {
            prop_assert_eq!(
                fails(&id, attempt, seed, redrive_count, rate),
                by_the_book(&id, attempt, seed, redrive_count, rate)
            );
        }
    }

    #[test]
    fn rate_zero_never_fails_and_rate_one_always_does() {
        for attempt in 0..1_000 {
            assert!(!fails("o", attempt, 42, 0, 0.0));
            assert!(!fails("o", attempt, 42, 0, f64::NAN));
            assert!(fails("o", attempt, 42, 0, 1.0));
        }
    }

    #[test]
    fn known_attempts_fail_as_computed_by_hand() {
        // python3: zlib.crc32(b"order-17:1:42") % 10000, and with ":1" appended
        let (first, redriven) = (0.9193, 0.3038);
        let one_more = 0.0001;
        assert!(!fails("order-17", 1, 42, 0, first));
        assert!(fails("order-17", 1, 42, 0, first + one_more));
        assert!(!fails("order-17", 1, 42, 1, redriven));
        assert!(fails("order-17", 1, 42, 1, redriven + one_more));
    }
}
