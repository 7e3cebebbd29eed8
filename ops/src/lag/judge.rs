//! How a partition does, judged over a window of looks, as Burrow does it: not by a number that somebody
//! has to choose, but by whether records are settled while others wait.
//!
//! | first rule that holds | word |
//! |---|---|
//! | the partition has no leader | ERROR |
//! | the commit position went back within the window | ERROR |
//! | there is lag, and the group has no member | ERROR |
//! | a look found no lag | OK |
//! | the lag fell between two looks | OK |
//! | the looks do not reach over the window yet | not judged |
//! | nothing was settled over the window | STALLED |
//! | the lag grew over the window | WARN |
//! | else: it keeps pace | OK |

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// Most looks that are kept of one partition; above, every second one between the first and the last goes.
const LOOKS_MAX: usize = 128;

/// A window counts as covered when this share of it, in percent, lies between first and last look: looks
/// are not on time to the millisecond.
const COVERED_PERCENT: i64 = 90;

/// How a partition, or a group, does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Word {
    /// Nothing waits, or what waits gets less or stays the same while records are settled.
    Ok,
    /// Records are settled, but more come than that.
    Warn,
    /// Records wait and none is settled, though the group has members.
    Stalled,
    /// Records wait and nobody reads them, or a rule of reading is broken.
    Error,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Stalled => "STALLED",
            Self::Error => "ERROR",
        })
    }
}

/// A word and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// None where the looks do not reach over the window yet.
    pub word: Option<Word>,
    /// Why, in words; nothing for OK.
    pub why: Option<String>,
}

impl Verdict {
    fn of(word: Word) -> Self {
        Self { word: Some(word), why: None }
    }

    fn because(word: Word, why: String) -> Self {
        Self { word: Some(word), why: Some(why) }
    }
}

/// What one look found of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// When, in epoch milliseconds.
    pub at_ms: i64,
    /// The commit position; -1 where nothing was committed.
    pub position: i64,
    /// Offsets above the position that are settled.
    pub settled_above: i64,
    /// Records that could be settled and are not; none where the partition has no leader.
    pub lag: Option<u64>,
}

impl Observation {
    const fn settled(&self) -> i64 {
        self.position + self.settled_above
    }
}

/// The looks at one partition, within a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    window_ms: i64,
    looks: VecDeque<Observation>,
}

impl History {
    /// A history that reaches as far back as the window.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        Self { window_ms, looks: VecDeque::new() }
    }

    /// Takes in one more look, and forgets those that lie before the window.
    pub fn add(&mut self, look: Observation) {
        self.looks.push_back(look);
        // The one before the window's start stays: the looks reach over the window with it.
        let start_ms = look.at_ms.saturating_sub(self.window_ms);
        while self.looks.get(1).is_some_and(|second| second.at_ms <= start_ms) {
            self.looks.pop_front();
        }
        if self.looks.len() > LOOKS_MAX {
            let (last, mut index) = (self.looks.len() - 1, 0);
            self.looks.retain(|_| {
                index += 1;
                index % 2 == 1 || index > last
            });
        }
    }

    /// Lags in the order of the looks; 0 where it was not known.
    pub fn lags(&self) -> impl Iterator<Item = u64> {
        self.looks.iter().map(|look| look.lag.unwrap_or(0))
    }

    /// How the partition does, where the group has so many members.
    #[must_use]
    pub fn judge(&self, members: usize) -> Verdict {
        let (Some(first), Some(last)) = (self.looks.front(), self.looks.back()) else {
            return Verdict::default();
        };
        let Some(lag) = last.lag else {
            return Verdict::because(Word::Error, "the partition has no leader".to_owned());
        };
        if let Some((from, to)) = self.pairs().find(|(a, b)| b.position < a.position) {
            let why =
                format!("the commit position went back from {} to {}", from.position, to.position);
            return Verdict::because(Word::Error, why);
        }
        if lag > 0 && members == 0 {
            let why = format!("{} and the group has no member", waiting(lag));
            return Verdict::because(Word::Error, why);
        }
        let fell = self.pairs().any(|(a, b)| b.lag < a.lag);
        if fell || self.lags().any(|lag| lag == 0) {
            return Verdict::of(Word::Ok);
        }
        let seen_ms = last.at_ms - first.at_ms;
        if self.window_ms == 0 || seen_ms < self.window_ms / 100 * COVERED_PERCENT {
            return Verdict::default();
        }
        #[expect(clippy::cast_precision_loss, reason = "a window is short")]
        let seconds = seen_ms as f64 / 1000.0;
        if last.settled() == first.settled() {
            let why = format!("{} and none was settled for {seconds:.1} s", waiting(lag));
            return Verdict::because(Word::Stalled, why);
        }
        let before = first.lag.unwrap_or(0);
        if lag > before {
            let why = format!("the lag grew from {before} to {lag} within {seconds:.1} s");
            return Verdict::because(Word::Warn, why);
        }
        Verdict::of(Word::Ok)
    }

    fn pairs(&self) -> impl Iterator<Item = (&Observation, &Observation)> {
        self.looks.iter().zip(self.looks.iter().skip(1))
    }
}

fn waiting(lag: u64) -> String {
    if lag == 1 { "1 record waits".to_owned() } else { format!("{lag} records wait") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(3);

    /// Looks a second apart: position, settled above, lag.
    fn history(looks: &[(i64, i64, Option<u64>)]) -> History {
        let mut history = History::new(WINDOW);
        for (at_ms, (position, settled_above, lag)) in (0..).step_by(1000).zip(looks) {
            let (position, settled_above, lag) = (*position, *settled_above, *lag);
            history.add(Observation { at_ms, position, settled_above, lag });
        }
        history
    }

    #[test]
    fn the_first_rule_that_holds_gives_the_word() {
        use Word::{Error, Ok, Stalled, Warn};
        type Looks<'a> = &'a [(i64, i64, Option<u64>)];
        let table: &[(&str, Looks<'_>, usize, Option<Word>)] = &[
            ("nothing was seen", &[], 1, None),
            ("nothing waits", &[(9, 0, Some(0))], 0, Some(Ok)),
            ("one look with lag says nothing", &[(9, 0, Some(4))], 1, None),
            ("nobody reads what waits", &[(9, 0, Some(4))], 0, Some(Error)),
            (
                "nobody reads, and it was empty before",
                &[(9, 0, Some(0)), (9, 0, Some(1))],
                0,
                Some(Error),
            ),
            ("no leader", &[(9, 0, Some(4)), (9, 0, None)], 1, Some(Error)),
            ("it went back", &[(9, 0, Some(4)), (3, 0, Some(10))], 1, Some(Error)),
            (
                "it was empty once in the window",
                &[(9, 0, Some(4)), (13, 0, Some(0)), (13, 0, Some(5)), (13, 0, Some(9))],
                1,
                Some(Ok),
            ),
            ("it falls: no window is needed", &[(9, 0, Some(4)), (11, 0, Some(2))], 1, Some(Ok)),
            (
                "nothing is settled, and the lag stays",
                &[(9, 0, Some(4)), (9, 0, Some(4)), (9, 0, Some(4)), (9, 0, Some(4))],
                1,
                Some(Stalled),
            ),
            (
                "nothing is settled while records arrive",
                &[(9, 0, Some(4)), (9, 0, Some(6)), (9, 0, Some(6)), (9, 0, Some(8))],
                1,
                Some(Stalled),
            ),
            (
                "nothing was ever committed",
                &[(-1, 0, Some(4)), (-1, 0, Some(4)), (-1, 0, Some(4)), (-1, 0, Some(4))],
                1,
                Some(Stalled),
            ),
            ("so far nothing is settled", &[(9, 0, Some(4)), (9, 0, Some(6))], 1, None),
            (
                "what is settled above the position is settled",
                &[(9, 0, Some(4)), (9, 1, Some(4)), (9, 2, Some(4)), (9, 3, Some(4))],
                1,
                Some(Ok),
            ),
            (
                "it is behind more and more",
                &[(9, 0, Some(4)), (10, 0, Some(6)), (11, 0, Some(6)), (12, 0, Some(9))],
                1,
                Some(Warn),
            ),
            (
                "it keeps pace",
                &[(9, 0, Some(4)), (10, 0, Some(4)), (11, 0, Some(4)), (12, 0, Some(4))],
                1,
                Some(Ok),
            ),
        ];
        for (what, looks, members, expected) in table {
            let verdict = history(looks).judge(*members);
            assert_eq!(verdict.word, *expected, "{what}: {verdict:?}");
            let needs_words = expected.is_some_and(|word| word != Ok);
            assert_eq!(verdict.why.is_some(), needs_words, "{what}: {verdict:?}");
        }
    }

    #[test]
    fn what_lies_before_the_window_is_forgotten() {
        let mut looks = vec![(9, 0, Some(0)); 2];
        looks.extend([(9, 0, Some(5)); 5]);
        let history = history(&looks);
        assert_eq!(history.judge(1).word, Some(Word::Stalled), "{history:?}");
        let many = vec![(9, 0, Some(5)); 1000];
        let mut long = History::new(Duration::from_secs(100_000));
        for (at_ms, look) in (0..).zip(many) {
            long.add(Observation { at_ms, position: look.0, settled_above: 0, lag: look.2 });
        }
        assert!(long.lags().count() <= LOOKS_MAX);
    }

    #[test]
    fn a_long_window_is_judged_from_few_looks() {
        let mut history = History::new(Duration::from_secs(300));
        for at_ms in (0..=300_000).step_by(1000) {
            history.add(Observation { at_ms, position: 9, settled_above: 0, lag: Some(4) });
        }
        assert!(history.lags().count() <= LOOKS_MAX);
        assert_eq!(history.judge(1).word, Some(Word::Stalled), "{history:?}");
    }

    #[test]
    fn without_a_window_nothing_but_certain_things_is_said() {
        let mut history = History::new(Duration::ZERO);
        history.add(Observation { at_ms: 0, position: 9, settled_above: 0, lag: Some(4) });
        assert_eq!(history.judge(1).word, None);
        assert_eq!(history.judge(0).word, Some(Word::Error));
    }

    #[test]
    fn words_are_in_the_order_of_what_is_worse() {
        let words = [Word::Ok, Word::Warn, Word::Stalled, Word::Error];
        assert!(words.is_sorted());
        assert_eq!(words.map(|word| word.to_string()), ["OK", "WARN", "STALLED", "ERROR"]);
    }
}
