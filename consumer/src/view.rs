//! What a terminal shows while the consumer runs: lines, made from values.

use std::time::Duration;

use relane::Snapshot;

use crate::averages::Total;
use service_kit::live::{Paint, Size, fill, fit};

use crate::products::{Products, apart_from};
use crate::rest::Rest;
use crate::statistics::ALL;
use crate::troubles::{Trouble, is_unavailability};

/// Condition of a consumer that is about to end.
const STOPPING: &str = "stopping";

/// Columns of the words before each line.
const LABEL_COLUMNS: usize = 14;

/// Least columns for sums, and for counts, beside the averages.
const COLUMNS_FOR_SUMS: usize = 64;
const COLUMNS_FOR_COUNTS: usize = 40;

/// Widest product name, in columns.
const NAME_COLUMNS_MAX: usize = 60;

/// Share of the rows that stays free for the log above, in rows of the terminal for each.
const ROWS_FOR_LOG: usize = 5;

/// Longest bar, in columns.
const BAR_COLUMNS_MAX: usize = 30;

/// Everything that is shown.
#[derive(Debug)]
pub(crate) struct Picture<'a> {
    pub(crate) now: &'a Snapshot,
    pub(crate) products: &'a Products,
    pub(crate) running_for: Duration,
    /// Orders of the main topic that are settled in a second.
    pub(crate) per_second: f64,
    pub(crate) troubles: &'a [Trouble],
    /// What is left, of a run that has an end.
    pub(crate) rest: Option<Rest>,
    pub(crate) now_ms: i64,
}

impl Picture<'_> {
    /// The lines of the view: at most as wide as the terminal, and less high.
    pub(crate) fn lines(&self, size: Size, paint: Paint) -> Vec<String> {
        let Size { columns, rows } = size;
        let height = rows.saturating_sub(1 + rows / ROWS_FOR_LOG).max(1);
        let mut lines = Vec::new();
        for (label, text, is_bad) in self.facts(columns) {
            let label = fill(label, LABEL_COLUMNS.min(columns));
            let text = fit(&text, columns.saturating_sub(LABEL_COLUMNS));
            let text = if is_bad { paint.red(&text) } else { text };
            lines.push(paint.dim(&label) + &text);
        }
        lines.truncate(height);
        // An empty line, the heads, one product and the total.
        let room = (height - lines.len()).saturating_sub(3);
        if room > 0 {
            lines.push(String::new());
            lines.extend(self.table(columns, room, paint));
        }
        lines
    }

    /// Label, text, and whether it is bad news.
    fn facts(&self, columns: usize) -> Vec<(&'static str, String, bool)> {
        let Snapshot { consumed, succeeded, duplicates, retried, waiting, .. } = self.now;
        let lag = self.now.lag.map_or("not known yet".to_owned(), grouped);
        let mut orders =
            format!("{} consumed, {} counted", grouped(*consumed), grouped(*succeeded));
        if *duplicates > 0 {
            orders += &format!(", {} duplicates", grouped(*duplicates));
        }
        let mut retries = format!("{} sent, {} waiting", grouped(*retried), grouped(*waiting));
        if let Some(due_at_ms) = self.now.next_due_at_ms.filter(|_| *waiting > 0) {
            retries += &format!(", {}", due(due_at_ms, self.now_ms));
        }
        let running = format!(
            "{} orders/s, lag {lag}, running for {}",
            rate(self.per_second),
            lasting(self.running_for)
        );
        let mut facts = vec![
            ("consumer", running, false),
            ("orders", orders, false),
            ("retries", retries, false),
            ("dead letters", self.dead_letters(), false),
        ];
        if let Some(rest) = &self.rest {
            let bar = bar(rest, (columns / 5).min(BAR_COLUMNS_MAX));
            facts.push(("to the end", format!("{bar} {}", rest.words(self.now_ms)), false));
        }
        let (ending, wrong): (Vec<_>, Vec<_>) =
            self.troubles.iter().partition(|trouble| trouble.condition == STOPPING);
        let (away, other): (Vec<_>, Vec<_>) =
            wrong.into_iter().partition(|trouble| is_unavailability(&trouble.condition));
        let told = |label, troubles: &[&Trouble]| {
            let words: Vec<String> = troubles.iter().map(|trouble| trouble.words()).collect();
            (label, words.join("; "), true)
        };
        if !away.is_empty() {
            facts.push(told("unavailable", &away));
        }
        if !other.is_empty() {
            facts.push(told("not ready", &other));
        }
        if !ending.is_empty() {
            let text = "finishing records in flight and reading the averages for the table";
            facts.push((STOPPING, text.to_owned(), false));
        }
        if self.troubles.is_empty() {
            facts.push(("unavailable", "nothing".to_owned(), false)); // the lines below stay where they are
        }
        facts
    }

    fn dead_letters(&self) -> String {
        let classes = self.now.dead_lettered.iter().filter(|(_, count)| *count > 0);
        let classes: Vec<String> = classes
            .map(|(class, count)| format!("{} {}", grouped(*count), class.as_str()))
            .collect();
        let all = grouped(self.now.dead_letters());
        if classes.is_empty() { all } else { format!("{all}: {}", classes.join(", ")) }
    }

    /// The heads, up to `room` products and the total; the busiest products, by name.
    fn table(&self, columns: usize, room: usize, paint: Paint) -> Vec<String> {
        let mut products: Vec<(&str, Total)> = self.products.counted().collect();
        let known = products.len();
        let (at_least, is_exact) = self.products.known_at_least();
        let has_more = at_least > room.min(known);
        if at_least > room {
            products.sort_by_key(|(name, (count, _))| (std::cmp::Reverse(*count), *name));
            products.truncate(room - 1);
            products.sort_unstable_by_key(|(name, _)| *name);
        }
        let shown = products.len();
        let longest = products.iter().map(|(name, _)| service_kit::live::width(name)).max();
        let row = Row::new(columns, longest.unwrap_or(0));
        let mut lines = vec![paint.bold(&row.heads())];
        lines.extend(products.iter().map(|(name, total)| row.line(&apart_from(ALL, name), *total)));
        if has_more {
            let least = if is_exact { "" } else { "at least " };
            let more = format!("… and {least}{} more", grouped((at_least - shown) as u64));
            lines.push(paint.dim(&fit(&more, columns)));
        }
        lines.push(paint.bold(&row.line(ALL, self.products.overall())));
        lines
    }
}

/// Which columns a row has room for.
struct Row {
    columns: usize,
    name_columns: usize,
    has_counts: bool,
    has_sums: bool,
}

impl Row {
    fn new(columns: usize, longest: usize) -> Self {
        let (has_counts, has_sums) = (columns >= COLUMNS_FOR_COUNTS, columns >= COLUMNS_FOR_SUMS);
        let numbers = 16 + if has_counts { 14 } else { 0 } + if has_sums { 22 } else { 0 };
        let room = columns.saturating_sub(numbers).clamp(1, NAME_COLUMNS_MAX);
        Self { columns, name_columns: longest.max(7).min(room), has_counts, has_sums }
    }

    fn heads(&self) -> String {
        self.text("PRODUCT", "COUNT", "SUM", "AVERAGE")
    }

    fn line(&self, name: &str, (count, sum): Total) -> String {
        let average = orders::average(sum, count);
        let average = average.map_or("-".to_owned(), |average| format!("{average:.4}"));
        self.text(name, &count.to_string(), &sum.to_string(), &average)
    }

    fn text(&self, name: &str, count: &str, sum: &str, average: &str) -> String {
        let mut line = fill(name, self.name_columns);
        if self.has_counts {
            line += &format!("  {count:>12}");
        }
        if self.has_sums {
            line += &format!("  {sum:>20}");
        }
        fit(&format!("{line}  {average:>14}"), self.columns)
    }
}

fn bar(rest: &Rest, columns: usize) -> String {
    let share = rest.share();
    let inner = columns.saturating_sub(2);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0.0 to 1.0")]
    let (full, percent) =
        ((share * inner as f64).floor() as usize, (share * 100.0).floor() as usize);
    format!("[{}{}] {percent:>3} %", "=".repeat(full), " ".repeat(inner - full.min(inner)))
}

fn due(due_at_ms: i64, now_ms: i64) -> String {
    let in_ms = due_at_ms.saturating_sub(now_ms);
    if in_ms > 0 {
        let whole = u64::try_from(in_ms).unwrap_or(0).div_ceil(1000);
        return format!("next due in {}", lasting(Duration::from_secs(whole)));
    }
    match u64::try_from(-in_ms).unwrap_or(0) / 1000 {
        0 => "next due now".to_owned(),
        late => format!("next overdue for {}", lasting(Duration::from_secs(late))),
    }
}

/// A number as people read it: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate as people read it.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 9.95 {
        return format!("{per_second:.1}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
    grouped(per_second.round() as u64)
}

/// A time span as people read it, in whole seconds: `75 s`, `12 min 5 s`, `3 h 12 min`.
pub(crate) fn lasting(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// The time of day in UTC: `14:21:38Z`.
pub(crate) fn time_of_day(at_ms: i64) -> String {
    let seconds = at_ms.div_euclid(1000).rem_euclid(24 * 3600);
    format!("{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
