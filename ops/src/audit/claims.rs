//! What the outcome log claims of one order: eight bytes. Each claim is checked against the topic
//! that it speaks of.

use order_schemas::Outcome;

use super::forwarded::Letter;
use super::table::{ATTEMPT_MAX, is_saturated, low_half};

/// Everything that the outcome log says of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Claims(u64);

/// One claim, or something that is wrong with the entries themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Claim {
    /// There is an entry.
    Any = 1 << 56,
    /// It was counted.
    Counted = 1 << 57,
    /// It was dead-lettered.
    Dead = 1 << 58,
    /// Its id had come before.
    Duplicate = 1 << 59,
    /// An attempt has no entry.
    Skipped = 1 << 60,
    /// It was dead-lettered with the attempt of the entry before.
    Untried = 1 << 61,
    /// Entries call it by different names.
    Differ = 1 << 62,
    /// An entry calls it by a name.
    Named = 1 << 63,
}

const NAMES_MASK: u64 = 0xffff_ffff;
const ATTEMPT_AT: u32 = 32;
const DEATHS_AT: u32 = 38;
const DEATHS_MAX: u32 = 15;
const MIX_AT: u32 = 42;
const MIX_MASK: u32 = 0x3fff;

/// What an entry adds, beside the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) attempt: u32,
    pub(crate) outcome: Outcome,
    /// Place of the class in the contract's order.
    pub(crate) class: u8,
}

/// What was there a second time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repeat(pub(crate) String);

impl Claims {
    pub(crate) const fn has(self, claim: Claim) -> bool {
        self.0 & claim as u64 != 0
    }

    const fn set(&mut self, claim: Claim) {
        self.0 |= claim as u64;
    }

    const fn clear(&mut self, claim: Claim) {
        self.0 &= !(claim as u64);
    }

    const fn part(self, at: u32, mask: u32) -> u32 {
        low_half(self.0 >> at) & mask
    }

    fn put(&mut self, at: u32, mask: u32, value: u32) {
        self.0 = (self.0 & !(u64::from(mask) << at)) | (u64::from(value & mask) << at);
    }

    /// The last attempt that is told of.
    pub(crate) const fn attempt(self) -> u32 {
        self.part(ATTEMPT_AT, ATTEMPT_MAX)
    }

    /// How many dead letters are told of; fifteen stands for more as well.
    pub(crate) const fn deaths(self) -> u32 {
        self.part(DEATHS_AT, DEATHS_MAX)
    }

    /// Whether it has come to an end.
    pub(crate) const fn has_ended(self) -> bool {
        self.has(Claim::Counted) || self.has(Claim::Dead) || self.has(Claim::Duplicate)
    }

    /// Whether it went on after it was dead-lettered.
    pub(crate) const fn has_come_back(self) -> bool {
        self.deaths() > 1 || (self.deaths() == 1 && !self.has(Claim::Dead))
    }

    /// Takes a short hash of id, product and key.
    pub(crate) fn note_names(&mut self, names: u32) {
        if self.has(Claim::Named) && self.0 & NAMES_MASK != u64::from(names) {
            self.set(Claim::Differ);
        }
        self.set(Claim::Named);
        self.0 = (self.0 & !NAMES_MASK) | u64::from(names);
    }

    /// Whether every entry that names an order names this one.
    pub(crate) fn are_of(self, names: u32) -> bool {
        !self.has(Claim::Named)
            || (!self.has(Claim::Differ) && self.0 & NAMES_MASK == u64::from(names))
    }

    /// Takes an entry, in the order of the log. `may_come_back` says that it may have been
    /// redriven, `first_is_known` that the records that brought it back are all there.
    pub(crate) fn note(
        &mut self,
        entry: Entry,
        may_come_back: bool,
        first_is_known: bool,
    ) -> Result<(), Repeat> {
        let Entry { attempt, outcome, class } = entry;
        self.set(Claim::Any);
        let comes_back = self.has(Claim::Dead) && may_come_back;
        if comes_back {
            self.clear(Claim::Dead);
            self.clear(Claim::Untried);
            self.put(ATTEMPT_AT, ATTEMPT_MAX, 0);
        }
        let last = self.attempt();
        let is_untried = outcome == Outcome::DeadLettered && attempt == last;
        let repeat = if self.has_ended() {
            Err(Repeat("the outcome log has an entry after its end".to_owned()))
        } else if attempt <= last && !is_untried && !is_saturated(attempt) {
            Err(Repeat(format!("attempt {attempt} is logged twice")))
        } else {
            Ok(())
        };
        if attempt.min(ATTEMPT_MAX) > last + 1 && (first_is_known || !comes_back) {
            self.set(Claim::Skipped);
        }
        match outcome {
            Outcome::Succeeded => self.set(Claim::Counted),
            Outcome::Duplicate => self.set(Claim::Duplicate),
            Outcome::DeadLettered => {
                self.set(Claim::Dead);
                if is_untried {
                    self.set(Claim::Untried);
                }
                let letter = Letter { redrives: self.deaths(), attempt, class };
                self.put(MIX_AT, MIX_MASK, self.part(MIX_AT, MIX_MASK).wrapping_add(mix(letter)));
                self.put(DEATHS_AT, DEATHS_MAX, (self.deaths() + 1).min(DEATHS_MAX));
            }
            Outcome::Retried | Outcome::Unknown => {}
        }
        self.put(ATTEMPT_AT, ATTEMPT_MAX, attempt.max(last).min(ATTEMPT_MAX));
        repeat
    }

    /// Whether the dead letters that are there have the attempts and classes that are told.
    /// They must be as many.
    pub(crate) fn fit(self, letters: impl Iterator<Item = Letter>) -> bool {
        let found = letters.fold(0_u32, |sum, letter| sum.wrapping_add(mix(letter)));
        self.deaths() == DEATHS_MAX || self.part(MIX_AT, MIX_MASK) == found & MIX_MASK
    }
}

/// A number that differs for dead letters of another attempt, class or redrive.
fn mix(letter: Letter) -> u32 {
    let Letter { redrives, attempt, class } = letter;
    let packed = redrives.min(DEATHS_MAX) | attempt.min(ATTEMPT_MAX) << 8 | u32::from(class) << 16;
    let wide = (packed | 1 << 24).wrapping_mul(0x9e37_79b1);
    wide >> 18
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASS: u8 = 4;

    fn entry(attempt: u32, outcome: Outcome) -> Entry {
        Entry { attempt, outcome, class: CLASS }
    }

    fn told(entries: &[(u32, Outcome)], may_come_back: bool) -> (Claims, Vec<String>) {
        let mut claims = Claims::default();
        let notes = entries
            .iter()
            .filter_map(|(attempt, outcome)| {
                claims.note(entry(*attempt, *outcome), may_come_back, true).err().map(|r| r.0)
            })
            .collect();
        (claims, notes)
    }

    #[test]
    fn each_attempt_is_told_once_and_in_its_turn() {
        use Outcome::{DeadLettered as D, Retried as R, Succeeded as S};
        let (good, repeats) = told(&[(1, R), (2, R), (3, S)], false);
        assert!(good.has(Claim::Counted) && !good.has(Claim::Skipped) && repeats.is_empty());
        assert_eq!(good.attempt(), 3);
        assert!(told(&[(2, S)], false).0.has(Claim::Skipped));
        assert!(told(&[(1, R), (3, S)], false).0.has(Claim::Skipped));
        assert_eq!(told(&[(1, R), (1, R)], false).1, ["attempt 1 is logged twice"]);
        assert_eq!(
            told(&[(1, S), (2, R)], false).1,
            ["the outcome log has an entry after its end"]
        );
        assert!(told(&[(0, D)], false).1.is_empty(), "it was given up untried");
        assert!(told(&[(1, R), (1, D)], false).0.has(Claim::Untried));
    }

    #[test]
    fn an_order_that_comes_back_begins_again() {
        use Outcome::{DeadLettered as D, Retried as R, Succeeded as S};
        let (claims, repeats) = told(&[(1, D), (1, R), (2, S)], true);
        assert!(claims.has(Claim::Counted) && !claims.has(Claim::Dead) && repeats.is_empty());
        assert_eq!((claims.deaths(), claims.attempt()), (1, 2));
    }

    #[test]
    fn dead_letters_fit_by_redrive_attempt_and_class() {
        let (claims, _) = told(&[(1, Outcome::DeadLettered), (2, Outcome::DeadLettered)], true);
        let letter = |redrives, attempt, class| Letter { redrives, attempt, class };
        let (first, second) = (letter(0, 1, CLASS), letter(1, 2, CLASS));
        assert!(claims.fit([second, first].into_iter()));
        for wrong in [letter(1, 3, CLASS), letter(1, 2, 0), letter(0, 2, CLASS)] {
            assert!(!claims.fit([first, wrong].into_iter()), "{wrong:?}");
        }
    }

    #[test]
    fn names_are_of_one_order() {
        let mut claims = Claims::default();
        assert!(claims.are_of(7), "nothing names it");
        claims.note_names(7);
        assert!(claims.are_of(7) && !claims.are_of(8));
        claims.note_names(8);
        assert!(!claims.are_of(8), "one of two entries is of another order");
    }
}
