//! What an answer says of its record.
//!
//! | answer | what becomes of the record |
//! |---|---|
//! | 2xx | done |
//! | 408, 425, 429, 5xx | tried again; `Retry-After` moves its due time |
//! | any other 4xx | refused: a dead letter of class `refused`, with the reason `http-` and the status |
//! | 3xx | not followed: refused in the same way |
//! | any other status | as 5xx: no service answers so |

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use relane::ReasonName;
use reqwest::{StatusCode, Url};
use service_kit::terminal::one_line;

use crate::retry_after;

/// Longest title of a problem that is kept, in bytes.
const TITLE_BYTES_MAX: usize = 1024;

/// The statuses that refuse a record.
const REFUSALS: std::ops::Range<u16> = 300..500;

/// `http-404` and its like, for each status that refuses a record.
static REASONS: LazyLock<Vec<ReasonName>> = LazyLock::new(|| {
    REFUSALS.map(|status| ReasonName::of(String::leak(format!("http-{status}")))).collect()
});

/// An answer, as far as it counts.
#[derive(Debug, Clone)]
pub(crate) struct Answer<'a> {
    /// Status.
    pub(crate) status: StatusCode,
    /// `Retry-After`.
    pub(crate) retry_after: Option<&'a str>,
    /// `Location`.
    pub(crate) location: Option<&'a str>,
    /// Title of the problem, if the answer has one.
    pub(crate) title: Option<String>,
}

/// Whom an answer speaks of that says that the service is not well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// The service, or what stands before it, of itself: it has too much to do, or is away.
    OfItself,
    /// Perhaps of this request alone.
    OfTheRequest,
}

/// What is to become of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is done.
    Done,
    /// It is given up.
    Refused {
        /// The status.
        reason: ReasonName,
        /// In words.
        detail: String,
    },
    /// It is tried again.
    Unavailable {
        /// In words.
        detail: String,
        /// Not before so long.
        wait: Option<Duration>,
        /// Whom it speaks of.
        speaks: Speaks,
    },
    /// There was no connection: no record is at fault.
    Unreachable {
        /// In words.
        detail: String,
    },
}

/// Judges an answer.
pub(crate) fn judge(answer: &Answer<'_>, asked: &Url, now: SystemTime) -> Verdict {
    let Answer { status, retry_after, location, ref title } = *answer;
    let words = || words(status, title.as_deref());
    match status.as_u16() {
        200..300 => Verdict::Done,
        code @ (408 | 425 | 429) => unavailable(code, words(), retry_after, now),
        code if REFUSALS.contains(&code) => {
            let detail = match code {
                300..400 => redirect(status, location, asked),
                _ => words(),
            };
            Verdict::Refused { reason: reason(code), detail }
        }
        code => unavailable(code, words(), retry_after, now),
    }
}

fn unavailable(code: u16, detail: String, retry_after: Option<&str>, now: SystemTime) -> Verdict {
    let wait = retry_after.and_then(|text| retry_after::wait(text, now));
    let detail = match wait {
        Some(wait) if !wait.is_zero() => format!("{detail}, to be asked again in {wait:?}"),
        _ => detail,
    };
    let speaks = match code {
        429 | 502..=504 => Speaks::OfItself,
        _ => Speaks::OfTheRequest,
    };
    Verdict::Unavailable { detail, wait, speaks }
}

/// The reason of a status among [`REFUSALS`].
fn reason(code: u16) -> ReasonName {
    REASONS[usize::from(code - REFUSALS.start)]
}

/// The title of the problem, if the answer has one, and the status.
fn words(status: StatusCode, title: Option<&str>) -> String {
    match title {
        Some(title) => format!("{title} ({})", shown(status)),
        None => shown(status),
    }
}

fn shown(status: StatusCode) -> String {
    let mut text = status.as_str().to_owned();
    if let Some(phrase) = status.canonical_reason() {
        let _ = write!(text, " {phrase}"); // memory takes everything
    }
    text
}

/// `title` of a problem as RFC 9457 has it, at most [`TITLE_BYTES_MAX`] of it.
pub(crate) fn title(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Problem {
        title: String,
    }
    let problem: Problem = serde_json::from_slice(body).ok()?;
    shown_title(&problem.title)
}

/// A title as the detail has it; `None` for one that says nothing.
pub(crate) fn shown_title(title: &str) -> Option<String> {
    let title = one_line(title.trim());
    let title = &title[..title.floor_char_boundary(TITLE_BYTES_MAX)];
    (!title.is_empty()).then(|| title.to_owned())
}

fn redirect(status: StatusCode, location: Option<&str>, asked: &Url) -> String {
    let to = location.and_then(|to| asked.join(to).ok()).map(|to| shown_address(&to));
    let to = to.map(|to| format!(" to {to}")).unwrap_or_default();
    format!("{}: a redirect{to} is not followed; give --to where the service is", shown(status))
}

/// An address without what may be secret in it.
pub(crate) fn shown_address(address: &Url) -> String {
    let mut address = address.clone();
    address.set_query(None);
    address.set_fragment(None);
    // Both only fail for addresses without a host, which have no user either.
    let _ = (address.set_username(""), address.set_password(None));
    one_line(address.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, retry_after: Option<&str>, body: &str) -> Verdict {
        let asked = Url::parse("http://a:1/hook").unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        let location = Some("https://me:secret@b/new?key=secret#x");
        let answer = Answer { status, retry_after, location, title: title(body.as_bytes()) };
        judge(&answer, &asked, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn each_status_has_one_meaning() {
        use Speaks::{OfItself, OfTheRequest};
        for status in 100..1000 {
            let expected = match status {
                200..=299 => None,
                408 | 425 => Some(Err(OfTheRequest)),
                429 | 502 | 503 | 504 => Some(Err(OfItself)),
                300..=499 => Some(Ok(format!("http-{status}"))),
                _ => Some(Err(OfTheRequest)),
            };
            match (judged(status, None, ""), expected) {
                (Verdict::Done, None) => {}
                (Verdict::Refused { reason, .. }, Some(Ok(name))) => {
                    assert_eq!(reason.as_str(), name);
                }
                (Verdict::Unavailable { speaks, wait: None, .. }, Some(Err(of))) => {
                    assert_eq!(speaks, of, "{status}");
                }
                (found, expected) => panic!("{status}: {found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn a_wait_is_taken_from_each_answer_that_says_later() {
        for status in [408, 425, 429, 500, 503, 599] {
            let Verdict::Unavailable { wait, .. } = judged(status, Some("30"), "") else {
                panic!("{status} is not refused")
            };
            assert_eq!(wait, Some(Duration::from_secs(30)), "{status}");
        }
        let Verdict::Unavailable { wait, .. } = judged(503, Some("soon"), "") else { panic!() };
        assert_eq!(wait, None);
    }

    fn detail(verdict: Verdict) -> String {
        match verdict {
            Verdict::Refused { detail, .. } | Verdict::Unavailable { detail, .. } => detail,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_detail_is_the_title_of_the_problem_and_the_status() {
        let long = "x".repeat(TITLE_BYTES_MAX + 1);
        let in_two = format!("{}\u{e9}", "x".repeat(TITLE_BYTES_MAX - 1));
        let problem = |title: &str| serde_json::json!({"title": title, "detail": "s3cret"});
        for (body, told) in [
            (String::new(), "422 Unprocessable Entity".to_owned()),
            ("<html>".to_owned(), "422 Unprocessable Entity".to_owned()),
            ("[1]".to_owned(), "422 Unprocessable Entity".to_owned()),
            (r#"{"title": 7}"#.to_owned(), "422 Unprocessable Entity".to_owned()),
            (problem(" ").to_string(), "422 Unprocessable Entity".to_owned()),
            (problem("No such user").to_string(), "No such user (422 Unprocessable Entity)".into()),
            (problem(&long).to_string(), format!("{} (422 Unprocessable Entity)", &long[1..])),
            (
                problem(&in_two).to_string(),
                format!("{} (422 Unprocessable Entity)", &in_two[..TITLE_BYTES_MAX - 1]),
            ),
        ] {
            assert_eq!(detail(judged(422, None, &body)), told, "{body}");
        }
        let lines = problem("a\nb\u{1b}[31m").to_string();
        assert!(!detail(judged(500, None, &lines)).contains(char::is_control));
    }

    #[test]
    fn a_redirect_says_where_the_service_may_be_and_no_secret() {
        for status in [301, 302, 303, 307, 308] {
            let told = detail(judged(status, None, ""));
            assert!(told.contains("to https://b/new is not followed; give --to"), "{told}");
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
