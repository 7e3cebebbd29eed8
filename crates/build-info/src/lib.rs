//! Which commit a program was built from.
//!
//! ```
//! let commit: &str = build_info::commit!();
//! assert!(!commit.is_empty());
//! ```

/// Digits of a commit that are kept.
const DIGITS: usize = 12;

/// The beginning of a commit's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    digits: [u8; DIGITS],
}

impl Commit {
    /// Name of a commit that is not known.
    pub const UNKNOWN: &'static str = "unknown";

    const NONE: Self = Self { digits: [0; DIGITS] };

    /// The commit with this name; not known if it is not that of a commit.
    #[must_use]
    pub const fn named(name: &[u8]) -> Self {
        let mut digits = [0; DIGITS];
        let mut at = 0;
        while at < DIGITS {
            if at >= name.len() || !name[at].is_ascii_hexdigit() {
                return Self::NONE;
            }
            digits[at] = name[at].to_ascii_lowercase();
            at += 1;
        }
        Self { digits }
    }

    /// The commit that a repository's `logs/HEAD` ends with. Each of its lines is
    /// `BEFORE AFTER who and when`.
    #[must_use]
    pub const fn of_log(log: &[u8]) -> Self {
        let mut end = log.len();
        while end > 0 && log[end - 1] == b'\n' {
            end -= 1;
        }
        let mut at = end;
        while at > 0 && log[at - 1] != b'\n' {
            at -= 1;
        }
        while at < end && log[at] != b' ' {
            at += 1;
        }
        if at + 1 >= end {
            return Self::NONE;
        }
        let (_, after) = log.split_at(at + 1);
        Self::named(after)
    }

    /// Its name, or [`Self::UNKNOWN`].
    #[must_use]
    pub const fn as_str(&self) -> &str {
        match std::str::from_utf8(&self.digits) {
            Ok(name) if self.digits[0] != 0 => name,
            _ => Self::UNKNOWN,
        }
    }
}

include!(concat!(env!("OUT_DIR"), "/commit.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn the_commit_is_the_last_one_of_the_log() {
        let log = format!(
            "{A} {A} me <me@here> 1 +0000\tcommit: one\n{A} {B} me <me@here> 2 +0000\tcommit: two\n"
        );
        assert_eq!(Commit::of_log(log.as_bytes()).as_str(), "0123456789ab");
        assert_eq!(Commit::of_log(log.trim_end().as_bytes()).as_str(), "0123456789ab");
    }

    #[test]
    fn what_is_no_commit_is_not_known() {
        for log in ["", "\n", "a", "a ", " \n \n", "a b c", "0123456789ab\n"] {
            assert_eq!(Commit::of_log(log.as_bytes()).as_str(), Commit::UNKNOWN, "{log:?}");
        }
        assert_eq!(Commit::named(b"").as_str(), Commit::UNKNOWN);
        assert_eq!(Commit::named(b"v1.0-rc-number-1").as_str(), Commit::UNKNOWN);
        assert_eq!(Commit::named(B.to_uppercase().as_bytes()).as_str(), "0123456789ab");
    }
}
