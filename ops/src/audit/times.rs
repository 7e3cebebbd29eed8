//! Times that a program has noted: whether they can be right.

use pipeline::record::Timestamp;

/// Clocks of a program and a broker differ by less.
const CLOCKS_DIFFER_MS: i64 = 3_600_000;

/// Whether a time can have been noted before the record was written that carries it.
pub(crate) const fn is_possible(noted_ms: i64, written: Timestamp) -> bool {
    noted_ms > 0 && (written.ms < 0 || noted_ms <= written.ms.saturating_add(CLOCKS_DIFFER_MS))
}

#[cfg(test)]
mod tests {
    use pipeline::record::TimestampType;

    use super::*;

    #[test]
    fn what_is_noted_lies_before_what_is_written() {
        let written = |ms| Timestamp { ms, kind: TimestampType::CreateTime };
        let now = 1_790_000_000_000;
        for (noted, expected) in [(now, true), (now + 60_000, true), (now - 1_000_000, true)] {
            assert_eq!(is_possible(noted, written(now)), expected, "{noted}");
        }
        for noted in [0, -1, i64::MAX, now + 86_400_000] {
            assert!(!is_possible(noted, written(now)), "{noted}");
        }
        assert!(is_possible(now, written(-1)), "a record may have no time");
    }
}
