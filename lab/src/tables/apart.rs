//! When two figures differ by more than rounds of the same differ by themselves.

use crate::stats::Spread;

/// Share by which a figure has to differ where one of the two has a single round: rounds of one workload differ by as much.
pub(crate) const ONE_ROUND_MARGIN: f64 = 1.0 / 3.0;

/// Whether `more` is above `less` beyond doubt: no round of one reaches into those of the other. `rounds` are those of the
/// one that has fewer; a single one says that only by a third.
#[must_use]
pub(crate) fn is_apart(less: Spread, more: Spread, rounds: usize) -> bool {
    if rounds > 1 {
        more.min > less.max
    } else {
        more.median > less.median * (1.0 + ONE_ROUND_MARGIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_apart_when_rounds_do_not_overlap_and_a_single_one_differs_by_a_third() {
        let of = |min, median, max| Spread { median, min, max };
        let low = of(40.0, 44.0, 46.0);
        assert!(!is_apart(low, of(45.0, 90.0, 95.0), 5), "a round was as good as one before");
        assert!(is_apart(low, of(46.5, 47.0, 48.0), 2));
        let once = |value| of(value, value, value);
        assert!(!is_apart(once(90.0), once(119.0), 1) && is_apart(once(90.0), once(121.0), 1));
        assert!(!is_apart(once(0.0), once(0.0), 1), "a tie is none");
    }
}
