//! Shows how a running push is doing: a view on a terminal, log lines elsewhere.

use std::time::{Duration, Instant};

use relane::Snapshot;
use service_kit::clock::now_ms;
use service_kit::health::Reason;
use service_kit::live::{Leave, Live, Paint, SHOW_EVERY, Size, fill, fit};
use service_kit::unavailable;

/// Without a terminal there is a line this often while something changes.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// And this often when nothing does.
const LINE_EVERY_WHEN_IDLE: Duration = Duration::from_secs(60);

/// Columns of the words before each line.
const LABEL_COLUMNS: usize = 14;

/// What runs.
#[derive(Debug)]
pub(crate) struct What {
    pub(crate) topic: String,
    pub(crate) service: String,
    /// It ends by itself, when all is settled.
    pub(crate) has_end: bool,
}

/// What is shown, and where.
pub(crate) struct Progress {
    what: What,
    live: Option<Live>,
    paint: Paint,
    shown_at: Instant,
    shown: Snapshot,
    said_at: Instant,
}

impl Progress {
    /// Shows nothing yet.
    pub(crate) fn new(what: What, live: Option<Live>) -> Self {
        let now = Instant::now();
        let paint = Paint::on_stderr();
        Self { what, live, paint, shown_at: now, shown: Snapshot::default(), said_at: now }
    }

    /// Shows what is seen now, if it is time to.
    pub(crate) fn look(&mut self, snapshot: impl FnOnce() -> Snapshot) {
        let every = if self.live.is_some() { SHOW_EVERY } else { LINE_EVERY };
        let passed = self.shown_at.elapsed();
        if passed < every {
            return;
        }
        let now = snapshot();
        let sent = now.consumed.saturating_sub(self.shown.consumed);
        let per_second = sent as f64 / passed.as_secs_f64();
        match &self.live {
            Some(live) => {
                let lines = lines(&self.what, &now, per_second, now_ms());
                live.show(painted(lines, live.size(), self.paint));
            }
            None => self.say(&now, per_second),
        }
        (self.shown, self.shown_at) = (now, Instant::now());
    }

    fn say(&mut self, now: &Snapshot, per_second: f64) {
        if now.is_idle_since(&self.shown) && self.said_at.elapsed() < LINE_EVERY_WHEN_IDLE {
            return;
        }
        self.said_at = Instant::now();
        let not_ready = troubles(now);
        let waits_for = left(&self.what, now);
        tracing::info!(
            records_per_second = (per_second * 10.0).round() / 10.0,
            consumed = now.consumed,
            succeeded = now.succeeded,
            retried = now.retried,
            dead_lettered = now.dead_letters(),
            waiting = now.waiting,
            lag = now.lag,
            not_ready,
            waits_for,
            "progress"
        );
    }

    /// Takes the view away.
    pub(crate) fn end(self, leave: Leave) {
        if let Some(live) = self.live {
            live.end(leave);
        }
    }
}

/// What keeps it from working, in words.
fn troubles(now: &Snapshot) -> Option<String> {
    let all = now.reasons.iter().map(|it| format!("{}: {}", it.condition, it.detail));
    let all: Vec<String> = all.collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// What a run that ends by itself still waits for, in words.
fn left(what: &What, now: &Snapshot) -> Option<String> {
    let Snapshot { waiting, main_left, .. } = now;
    let in_retry = match waiting {
        0 => None,
        1 => Some("1 record in retry".to_owned()),
        waiting => Some(format!("{waiting} records in retry")),
    };
    let in_main = main_left.filter(|left| *left > 0);
    let in_main = in_main.map(|left| format!("the last {left} offsets of {}", what.topic));
    let all: Vec<String> = in_main.into_iter().chain(in_retry).collect();
    (what.has_end && !all.is_empty()).then(|| all.join(", "))
}

/// Label, text, and whether it is bad news.
fn lines(
    what: &What,
    now: &Snapshot,
    per_second: f64,
    now_ms: i64,
) -> Vec<(&'static str, String, bool)> {
    let Snapshot { consumed, succeeded, duplicates, retried, waiting, .. } = now;
    let lag = now.lag.map_or_else(|| "not known yet".to_owned(), |lag| lag.to_string());
    let mut records = format!("{consumed} consumed, {succeeded} succeeded");
    if *duplicates > 0 {
        records += &format!(", {duplicates} duplicates");
    }
    let mut retries = format!("{retried} sent, {waiting} waiting");
    if let Some(due_at_ms) = now.next_due_at_ms.filter(|_| *waiting > 0) {
        let in_s = due_at_ms.saturating_sub(now_ms).max(0).unsigned_abs().div_ceil(1000);
        retries += &format!(", next due in {in_s} s");
    }
    let classes = now.dead_lettered.iter().filter(|(_, count)| *count > 0);
    let classes: Vec<String> =
        classes.map(|(class, count)| format!("{count} {}", class.as_str())).collect();
    let dead = if classes.is_empty() { "none".to_owned() } else { classes.join(", ") };
    let is_bad = !now.reasons.is_empty();
    let mut lines = vec![
        ("push", format!("{} to {}", what.topic, what.service), false),
        ("records", format!("{records}, {per_second:.0} a second, lag {lag}"), false),
        ("retries", retries, false),
        ("dead letters", dead, false),
    ];
    if !is_bad {
        lines.push(("ready", "yes".to_owned(), false));
    }
    lines.extend(now.reasons.iter().map(|reason| (label(reason), in_short(reason), true)));
    let left = left(what, now);
    lines.extend(left.map(|left| ("to the end", format!("waits for {left}"), is_bad)));
    lines
}

/// What stands before a reason why it is not ready.
fn label(reason: &Reason) -> &'static str {
    match reason.condition.as_str() {
        "downstream" => "service",
        "broker" => "Kafka",
        "registry" => "registry",
        _ => "not ready",
    }
}

/// The reason, with what is of most use first: a narrow terminal cuts the rest.
fn in_short(reason: &Reason) -> String {
    match label(reason) {
        "not ready" => format!("{}: {}", reason.condition, reason.detail),
        _ => unavailable::in_short(&reason.detail).to_owned(),
    }
}

/// The lines as a terminal of this size shows them.
fn painted(lines: Vec<(&'static str, String, bool)>, size: Size, paint: Paint) -> Vec<String> {
    let columns = size.columns;
    let line = |(label, text, is_bad): (&str, String, bool)| {
        let label = fill(label, LABEL_COLUMNS.min(columns));
        let text = fit(&text, columns.saturating_sub(LABEL_COLUMNS));
        paint.dim(&label) + &if is_bad { paint.red(&text) } else { text }
    };
    lines.into_iter().map(line).take(size.rows.saturating_sub(1).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use relane::FailureClass;

    use super::*;

    fn snapshot() -> Snapshot {
        let reason = Reason {
            condition: "downstream".to_owned(),
            detail: "the service a:80 has been unavailable for 20 s: 503".to_owned(),
        };
        Snapshot {
            consumed: 12,
            succeeded: 9,
            retried: 2,
            dead_lettered: vec![(FailureClass::Invalid, 0), (FailureClass::Refused, 1)],
            waiting: 1,
            next_due_at_ms: Some(2_500),
            lag: Some(3),
            main_left: Some(3),
            reasons: vec![reason],
            ..Snapshot::default()
        }
    }

    #[test]
    fn the_view_has_a_line_for_each_part_of_the_path() {
        let mut what =
            What { topic: "payments".to_owned(), service: "http://a".to_owned(), has_end: false };
        let lines_of = |what: &What| lines(what, &snapshot(), 4.0, 1_000);
        let lines = lines_of(&what);
        let text: Vec<String> =
            lines.iter().map(|(label, it, _)| format!("{label}: {it}")).collect();
        assert_eq!(
            text,
            [
                "push: payments to http://a",
                "records: 12 consumed, 9 succeeded, 4 a second, lag 3",
                "retries: 2 sent, 1 waiting, next due in 2 s",
                "dead letters: 1 refused",
                "service: unavailable for 20 s: 503",
            ]
        );
        let ready = Snapshot { reasons: Vec::new(), ..snapshot() };
        let last = super::lines(&what, &ready, 4.0, 1_000).pop();
        assert_eq!(last, Some(("ready", "yes".to_owned(), false)));
        what.has_end = true;
        let (label, left, is_bad) = lines_of(&what).pop().expect("there are some");
        assert_eq!((label, is_bad), ("to the end", true));
        assert_eq!(left, "waits for the last 3 offsets of payments, 1 record in retry");
    }

    #[test]
    fn nothing_has_happened_where_only_words_differ() {
        let before = snapshot();
        let mut later = before.clone();
        later.reasons[0].detail = "for 9 s".to_owned();
        assert!(later.is_idle_since(&before));
        assert!(!Snapshot { waiting: 2, ..before.clone() }.is_idle_since(&before));
        assert!(!Snapshot { reasons: Vec::new(), ..before.clone() }.is_idle_since(&before));
    }
}
