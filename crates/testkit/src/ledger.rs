//! The clients' book against what the services know in the end: the same audit for orders over
//! HTTP, RabbitMQ and Kafka.
//!
//! ```text
//! client ─► note(order, answer) ─► Ledger ─┐
//!                                          ├─► audit ─► violations, in words
//! final state: outcomes, notifications, stock ┘
//! ```
//!
//! *Accepted* means exactly one outcome and one notification; *rejected* means none; *unknown* may
//! be either, and never two. Nobody has an outcome that the book knows nothing of. What was
//! reserved is missing from the stock, piece by piece.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use crate::http::HttpAnswer;

/// Most violations that a report spells out.
const SHOWN_MAX: usize = 20;

/// What a client knows of its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The service took it: 200 or 202.
    Accepted,
    /// The service said that nothing was, or will be, done.
    Rejected,
    /// No answer, or one that does not know.
    Unknown,
}

impl Verdict {
    /// What an answer to `POST /order` tells its client.
    pub fn of(answer: &std::io::Result<HttpAnswer>) -> Self {
        match answer {
            Ok(answer) if answer.status == 200 || answer.status == 202 => Self::Accepted,
            Ok(answer) if answer.body.contains("\"outcome\":\"unknown\"") => Self::Unknown,
            // Its first try is still being worked on.
            Ok(answer) if answer.body.contains("in-progress") => Self::Unknown,
            Ok(_) => Self::Rejected,
            Err(_) => Self::Unknown,
        }
    }
}

/// What a client wanted, and what it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was ordered.
    pub item: String,
    /// How many.
    pub quantity: u32,
    /// What the last answer said.
    pub verdict: Verdict,
}

/// The book: one entry per order id or idempotency key. Threads share it.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<BTreeMap<String, Entry>>,
}

/// How an outcome of inventory ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The pieces are the order's.
    Reserved,
    /// It got nothing.
    Failed,
}

/// What the services, topics or queues say of one order in the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Final {
    /// All outcomes that were found; a repeated message with the same meaning under the same id,
    /// which its readers drop, is one.
    pub outcomes: Vec<Ended>,
    /// How often its customer was told; `None` where the paradigm has no notifications.
    pub notifications: Option<usize>,
}

/// Stock of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockEnd {
    /// The item.
    pub item: String,
    /// Pieces that there were; `None` for unlimited.
    pub initial: Option<u64>,
    /// Pieces that inventory says it gave away.
    pub reserved: u64,
    /// Pieces that are left; `None` for unlimited.
    pub left: Option<u64>,
}

/// Whether an order without a known answer may have been left in the middle: reserved, and its
/// customer not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknowns {
    /// Somebody finishes what was begun.
    AreSettled,
    /// Only the client's retry does.
    MayBeHalfDone,
}

/// One rule broken by one order or item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The order, or the item.
    pub subject: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.what)
    }
}

impl Ledger {
    /// An empty book.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().expect("no client panicked")
    }

    /// Notes what a client knows of its order now. What was accepted once stays so; any other
    /// verdict is replaced by the next one, except that a rejected retry of an order that may have
    /// been taken leaves it unknown.
    pub fn note(&self, id: &str, item: &str, quantity: u32, verdict: Verdict) {
        let mut entries = self.lock();
        let before = entries.get(id).map(|entry| entry.verdict);
        let verdict = match (before, verdict) {
            (Some(Verdict::Accepted), _) => Verdict::Accepted,
            (Some(Verdict::Unknown), Verdict::Rejected) => Verdict::Unknown,
            (_, verdict) => verdict,
        };
        entries.insert(id.to_owned(), Entry { item: item.to_owned(), quantity, verdict });
    }

    /// Notes the answer to `POST /order`.
    pub fn note_answer(
        &self,
        id: &str,
        item: &str,
        quantity: u32,
        answer: &std::io::Result<HttpAnswer>,
    ) -> Verdict {
        let verdict = Verdict::of(answer);
        self.note(id, item, quantity, verdict);
        verdict
    }

    /// Number of orders.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing was ordered.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Number of orders of this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.lock().values().filter(|entry| entry.verdict == verdict).count()
    }

    /// All entries, by id.
    pub fn entries(&self) -> BTreeMap<String, Entry> {
        self.lock().clone()
    }

    /// Compares the book with the final state. `finals` holds what is known of each order, by the
    /// ledger's id; an order that is missing there has no outcome and no notification.
    pub fn audit(
        &self,
        finals: &BTreeMap<String, Final>,
        stock: &[StockEnd],
        unknowns: Unknowns,
    ) -> Vec<Violation> {
        let entries = self.entries();
        let mut violations = Vec::new();
        let mut reserved: BTreeMap<&str, u64> = BTreeMap::new();
        for (id, entry) in &entries {
            let found = finals.get(id).cloned().unwrap_or_default();
            if let Some(what) = fault(entry.verdict, &found, unknowns) {
                violations.push(Violation { subject: id.clone(), what });
            }
            let pieces = found.outcomes.iter().filter(|ended| **ended == Ended::Reserved).count();
            *reserved.entry(&entry.item).or_default() += pieces as u64 * u64::from(entry.quantity);
        }
        let strangers = finals.iter().filter(|(id, found)| {
            !entries.contains_key(*id)
                && (!found.outcomes.is_empty() || found.notifications.is_some_and(|n| n > 0))
        });
        for (id, _) in strangers {
            let what = "it has an outcome, and nobody ordered it".to_owned();
            violations.push(Violation { subject: id.clone(), what });
        }
        for level in stock {
            let expected = reserved.get(level.item.as_str()).copied().unwrap_or(0);
            violations.extend(stock_faults(level, expected));
        }
        violations
    }

    /// As [`Ledger::audit`], for a test.
    ///
    /// # Panics
    ///
    /// Panics with the violations, if there are any.
    #[track_caller]
    pub fn assert_right(
        &self,
        finals: &BTreeMap<String, Final>,
        stock: &[StockEnd],
        unknowns: Unknowns,
    ) {
        let violations = self.audit(finals, stock, unknowns);
        let shown: Vec<String> =
            violations.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
        assert!(
            violations.is_empty(),
            "{} of {} orders and items are wrong:\n{}",
            violations.len(),
            self.len(),
            shown.join("\n")
        );
    }
}

/// What is wrong with the end of one order.
fn fault(verdict: Verdict, found: &Final, unknowns: Unknowns) -> Option<String> {
    let outcomes = found.outcomes.len();
    // Who is told, and how often, follows from the outcome.
    let told_too_often = found.notifications.is_some_and(|told| told > 1);
    let is_told_once = found.notifications.is_none_or(|told| told == 1);
    let is_told = found.notifications.is_some_and(|told| told > 0);
    match (verdict, outcomes) {
        (_, 2..) => Some(format!("{outcomes} outcomes")),
        _ if told_too_often => Some(format!("told {} times", found.notifications.unwrap_or(0))),
        (Verdict::Accepted, 0) => Some("accepted, and has no outcome".to_owned()),
        (Verdict::Accepted, _) if !is_told_once => {
            Some("accepted, and its customer was not told".to_owned())
        }
        (Verdict::Rejected, 1) => Some("rejected, and has an outcome".to_owned()),
        (Verdict::Rejected, _) if is_told => Some("rejected, and its customer was told".to_owned()),
        (Verdict::Unknown, 0) if is_told => {
            Some("its customer was told, and it has no outcome".to_owned())
        }
        (Verdict::Unknown, 1) if !is_told_once && unknowns == Unknowns::AreSettled => {
            Some("it has an outcome, and its customer was not told".to_owned())
        }
        _ => None,
    }
}

fn stock_faults(level: &StockEnd, expected: u64) -> Vec<Violation> {
    let mut faults = Vec::new();
    if level.reserved != expected {
        faults.push(format!("{} pieces are given away, {expected} were reserved", level.reserved));
    }
    if let (Some(initial), Some(left)) = (level.initial, level.left)
        && initial.checked_sub(level.reserved) != Some(left)
    {
        faults.push(format!("of {initial} pieces {} went and {left} are left", level.reserved));
    }
    let violation = |what| Violation { subject: format!("item {}", level.item), what };
    faults.into_iter().map(violation).collect()
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
