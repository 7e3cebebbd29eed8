//! Verdicts: what was judged, what is wrong, what cannot be proven.

use std::fmt;

use serde::Serialize;
use service_kit::table::{Side, Table};
use service_kit::terminal::one_line;

/// Violations, and unprovable things, that a verdict names; the rest is counted.
pub const SHOWN_MAX: usize = 20;

/// An invariant that can be read from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(missing_docs, reason = "each is told by `Invariant::rule`")]
pub enum Invariant {
    I1,
    I2,
    I4,
    I5,
    I6,
    I8,
    I10,
}

impl Invariant {
    /// All of them, in order.
    pub const ALL: [Self; 7] =
        [Self::I1, Self::I2, Self::I4, Self::I5, Self::I6, Self::I8, Self::I10];

    /// What it says, in one line.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::I1 => "every settled order is counted, waits, or is a dead letter",
            Self::I2 => "nothing is counted, waits, or is dead-lettered twice",
            Self::I4 => "the averages are the exact fold over the counted orders",
            Self::I5 => "orders of one key end in the order in which they arrived",
            Self::I6 => "no committed offset is past an unsettled record",
            Self::I8 => "no transaction hangs; with --expect-drained nothing is left to do",
            Self::I10 => "retries and dead letters keep the order and its lineage",
        }
    }
}

/// Where something lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct At {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset; none where a whole partition is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)?;
        self.offset.map_or(Ok(()), |offset| write!(f, "@{offset}"))
    }
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The record, or partition, that shows it.
    #[serde(flatten)]
    pub at: At,
    /// The order that it is about, where that is another record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<At>,
    /// The product that it is about, where it is a sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at)?;
        if let Some(origin) = &self.origin {
            write!(f, " (order {origin})")?;
        }
        if let Some(product) = &self.product {
            write!(f, " {product:?}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// In one word, how it stands with an invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Judged, and it holds.
    Green,
    /// Judged, and it does not hold.
    Red,
    /// No violation was found, but a part cannot be judged.
    Unprovable,
    /// Not asked for, or what it needs was not named.
    NotJudged,
}

/// What the log says about one invariant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Which one.
    pub invariant: Invariant,
    /// False for violations only.
    pub ok: bool,
    /// In one word.
    pub state: State,
    /// Records, or sums, that were looked at for it.
    pub checked: u64,
    /// The first violations.
    pub violations: Vec<Violation>,
    /// All violations.
    pub violation_count: u64,
    /// What cannot be proven, the first ones.
    pub unprovable: Vec<String>,
    /// All of these.
    pub unprovable_count: u64,
    /// What is worth knowing and no violation.
    pub notes: Vec<String>,
    /// The rule in words.
    pub rule: &'static str,
}

/// How far the group is in one partition, and what became of its orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PartitionView {
    /// Partition.
    pub partition: i32,
    /// Committed offset on the main topic.
    pub committed: Option<i64>,
    /// End of the main topic at the cut.
    pub end: i64,
    /// Orders that are settled.
    pub settled: u64,
    /// Of them: counted into the averages.
    pub counted: u64,
    /// Of them: waiting in the retry topic.
    pub waiting: u64,
    /// Of them: dead letters.
    pub dead_lettered: u64,
    /// Of them: not counted since their id came before.
    pub duplicates: u64,
    /// Orders that are not settled.
    pub unsettled: u64,
    /// Records in the retry topic that are not settled.
    pub retry_depth: u64,
    /// Whether the group moved on while the partition was cut.
    pub moved: bool,
}

/// The outcome of an audit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// No violation was found.
    pub ok: bool,
    /// One for each invariant.
    pub verdicts: Vec<Verdict>,
    /// Nothing is left unproven.
    pub proven: bool,
    /// What was looked at.
    pub partitions: Vec<PartitionView>,
    /// Whether the outcome log was read, so that coordinates can be named.
    pub with_outcomes: bool,
}

impl Report {
    pub(crate) fn new(with_outcomes: bool, judges_order: bool) -> Self {
        let verdict = |invariant| Verdict {
            invariant,
            ok: true,
            state: State::Green,
            checked: 0,
            violations: Vec::new(),
            violation_count: 0,
            unprovable: Vec::new(),
            unprovable_count: 0,
            notes: Vec::new(),
            rule: Invariant::rule(invariant),
        };
        let verdicts = Invariant::ALL.map(verdict).to_vec();
        let mut report =
            Self { ok: true, verdicts, proven: true, partitions: Vec::new(), with_outcomes };
        if !judges_order {
            report.of(Invariant::I5).state = State::NotJudged;
            report.of(Invariant::I5).notes.push("judged with --order key".to_owned());
        }
        if !with_outcomes {
            let note = "without --outcomes-topic only sums per partition and product are compared: \
                        missing orders are counted, not identified";
            report.of(Invariant::I1).notes.push(note.to_owned());
        }
        report
    }

    /// The verdict of an invariant.
    pub fn verdict(&self, invariant: Invariant) -> &Verdict {
        let found = self.verdicts.iter().find(|verdict| verdict.invariant == invariant);
        found.expect("there is one for each")
    }

    pub(crate) fn of(&mut self, invariant: Invariant) -> &mut Verdict {
        let mut verdicts = self.verdicts.iter_mut();
        verdicts.find(|verdict| verdict.invariant == invariant).expect("there is one for each")
    }

    pub(crate) fn violation(&mut self, invariant: Invariant, violation: Violation) {
        self.ok = false;
        let verdict = self.of(invariant);
        (verdict.ok, verdict.state) = (false, State::Red);
        verdict.violation_count += 1;
        if verdict.violations.len() < SHOWN_MAX {
            verdict.violations.push(violation);
        }
    }

    pub(crate) fn unprovable(&mut self, invariant: Invariant, what: String) {
        self.proven = false;
        let verdict = self.of(invariant);
        if verdict.state != State::Red {
            verdict.state = State::Unprovable;
        }
        verdict.unprovable_count += 1;
        if verdict.unprovable.len() < SHOWN_MAX {
            verdict.unprovable.push(what);
        }
    }

    pub(crate) fn note(&mut self, invariant: Invariant, what: String) {
        let verdict = self.of(invariant);
        if verdict.notes.len() < SHOWN_MAX {
            verdict.notes.push(what);
        }
    }

    pub(crate) fn checked(&mut self, invariant: Invariant, count: u64) {
        self.of(invariant).checked += count;
    }

    /// Adds what was found in another part of the log.
    pub(crate) fn absorb(&mut self, other: Self) {
        for verdict in other.verdicts {
            let invariant = verdict.invariant;
            let hidden = verdict.violation_count - verdict.violations.len() as u64;
            verdict.violations.into_iter().for_each(|v| self.violation(invariant, v));
            self.of(invariant).violation_count += hidden;
            let hidden = verdict.unprovable_count - verdict.unprovable.len() as u64;
            verdict.unprovable.into_iter().for_each(|what| self.unprovable(invariant, what));
            self.of(invariant).unprovable_count += hidden;
            for note in verdict.notes {
                if !self.of(invariant).notes.contains(&note) {
                    self.note(invariant, note);
                }
            }
            self.checked(invariant, verdict.checked);
        }
        self.partitions.extend(other.partitions);
    }

    /// The report for people.
    pub fn table(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let mut line = |line: String| {
            text.push_str(&one_line(&line));
            text.push('\n');
        };
        line(format!("{:4}  {:10}  {:>12}  RULE", "", "VERDICT", "CHECKED"));
        for verdict in &self.verdicts {
            let word = match verdict.state {
                State::Green => "green",
                State::Red => "RED",
                State::Unprovable => "unprovable",
                State::NotJudged => "not judged",
            };
            let Verdict { invariant, checked, rule, .. } = verdict;
            line(format!("{:4}  {word:10}  {checked:>12}  {rule}", format!("{invariant:?}")));
            for violation in &verdict.violations {
                line(format!("      ! {violation}"));
            }
            let more = verdict.violation_count - verdict.violations.len() as u64;
            if more > 0 {
                line(format!("      ! and {more} more"));
            }
            for what in &verdict.unprovable {
                line(format!("      ? {what}"));
            }
            for note in &verdict.notes {
                line(format!("      - {note}"));
            }
        }
        let _ = writeln!(text, "\n{}", self.partition_table());
        let word = match (self.ok, self.proven) {
            (true, true) => "green: every order is accounted for",
            (true, false) => "no violation, but not everything can be proven",
            (false, _) => "RED: see docs/audit.md for what each violation means",
        };
        let _ = write!(text, "\n{word}");
        text
    }

    fn partition_table(&self) -> String {
        let head = ["PARTITION", "COMMITTED", "END", "COUNTED", "WAITING", "DEAD", "UNSETTLED"];
        let mut table = Table::new(&head.map(|word| (word, Side::Right)));
        for view in &self.partitions {
            let committed = view.committed.map_or("-".to_owned(), |offset| offset.to_string());
            table.row([
                view.partition.to_string(),
                committed,
                view.end.to_string(),
                view.counted.to_string(),
                view.waiting.to_string(),
                view.dead_lettered.to_string(),
                view.unsettled.to_string(),
            ]);
        }
        table.text()
    }
}

#[cfg(test)]
mod tests {
    use service_kit::fold::folded;
    use service_kit::live::width;

    use super::*;

    #[test]
    fn the_table_fits_80_columns_also_with_billions_of_orders_and_long_notes() {
        let mut report = Report::new(false, false);
        let at = At { topic: "orders-of-every-shop".to_owned(), partition: 11, offset: Some(7) };
        let what = "it is counted, and lies in the dead-letter topic as well".to_owned();
        let product = Some("a bicycle with a basket".to_owned());
        report.violation(
            Invariant::I2,
            Violation { at: at.clone(), origin: Some(at), product, what },
        );
        report.unprovable(Invariant::I1, "retention has taken records 0 to 4711 ".repeat(3));
        report.partitions = vec![PartitionView {
            partition: 11,
            committed: Some(9_876_543_210),
            end: 9_876_543_210,
            settled: 9_876_543_210,
            counted: 9_876_000_000,
            waiting: 1_234_567,
            dead_lettered: 543_210,
            unsettled: 1_000_000,
            ..PartitionView::default()
        }];
        let unfolded = report.partition_table();
        assert!(unfolded.lines().all(|line| width(line) <= 80), "{unfolded}");
        let text = folded(&report.table(), 80);
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
    }

    #[test]
    fn the_first_twenty_violations_are_shown_and_all_are_counted() {
        let at = |offset| At { topic: "orders".to_owned(), partition: 0, offset: Some(offset) };
        let violation =
            |offset| Violation { at: at(offset), origin: None, product: None, what: String::new() };
        let mut whole = Report::new(true, true);
        let mut part = Report::new(true, true);
        (0..15).for_each(|offset| whole.violation(Invariant::I1, violation(offset)));
        (15..40).for_each(|offset| part.violation(Invariant::I1, violation(offset)));
        whole.absorb(part);
        let verdict = whole.verdict(Invariant::I1);
        let shown: Vec<i64> =
            verdict.violations.iter().filter_map(|violation| violation.at.offset).collect();
        assert_eq!(shown, (0..20).collect::<Vec<_>>());
        assert_eq!(verdict.violation_count, 40);
        assert!(!whole.ok && whole.verdict(Invariant::I2).ok);
    }
}
