//! What a figure on a clock finds: its caption, made of the run that it draws.

use super::timelines::Shown;
use crate::cells::{drained_after_s, missed_by, recovered_after_s};
use crate::results::Run;
use crate::stats::Spread;
use crate::timeline::Point;
use crate::words::{number, percent, time};
use crate::workload::Kind;

/// Faults that lasted this much longer by one than by another are told apart, in seconds.
const LASTED_APART_S: f64 = 1.0;

/// A stretch in which more orders come.
pub(super) struct Burst {
    factor: f64,
    pub(super) from_s: f64,
    pub(super) to_s: f64,
}

impl Burst {
    /// That of the workload that is shown, if it has one.
    pub(super) fn of(shown: &[Shown<'_, '_>]) -> Option<Self> {
        let (cell, _) = shown.first()?;
        let (factor, at, length) = cell.spec.as_ref()?.burst?;
        let (from_s, to_s) = (at.as_secs_f64(), (at + length).as_secs_f64());
        Some(Self { factor, from_s, to_s })
    }

    pub(super) fn words(&self) -> String {
        format!("{} times as many orders", number(self.factor))
    }

    /// The median time to outcome in the stretch, and before it.
    fn halves(&self, run: &Run) -> Option<[f64; 2]> {
        let half = |is: &dyn Fn(&Point) -> bool| {
            let points = run.timeline.iter().filter(|point| point.p50_us > 0 && is(point));
            Some(Spread::of(points.map(|point| point.p50_us as f64))?.median)
        };
        let during = half(&|point| point.at_s >= self.from_s && point.at_s < self.to_s)?;
        Some([during, half(&|point| point.at_s < self.from_s)?])
    }
}

/// The caption; `without` are words for panels that are left out.
pub(super) fn finding(shown: &[Shown<'_, '_>], without: &[&str]) -> String {
    let is_backlog = shown.first().is_some_and(|(cell, _)| cell.workload.kind == Kind::Backlog);
    let mut sentences = if is_backlog {
        vec![of_backlog(shown)]
    } else if shown.iter().any(|(_, run)| run.fault.is_some()) {
        of_fault(shown)
    } else {
        of_burst(shown)
    };
    sentences.extend(runs(shown));
    sentences.extend(without.iter().map(|words| format!("{words}: that panel is left out.")));
    sentences.join(" ")
}

/// Which runs are drawn where there were several, and which of them do not count.
fn runs(shown: &[Shown<'_, '_>]) -> Option<String> {
    let is_one_of_several =
        |(cell, run): &&Shown<'_, '_>| cell.runs.len() > 1 || run.void.is_some();
    let which = |(cell, _): &Shown<'_, '_>| format!("{} {}", cell.paradigm.title(), cell.which());
    let which: Vec<String> = shown.iter().filter(is_one_of_several).map(which).collect();
    let void = if shown.iter().any(|(_, run)| run.void.is_some()) {
        "; the times of a void run do not count"
    } else {
        ""
    };
    (!which.is_empty()).then(|| format!("Drawn: {}{void}.", which.join(", ")))
}

fn of_fault(shown: &[Shown<'_, '_>]) -> Vec<String> {
    let lasted: Vec<(&str, f64)> = shown
        .iter()
        .filter_map(|(cell, run)| {
            let fault = run.fault.as_ref()?;
            Some((cell.paradigm.title(), fault.to_s - fault.from_s))
        })
        .collect();
    let least = lasted.iter().map(|(_, s)| *s).fold(f64::INFINITY, f64::min);
    let is_apart = lasted.iter().any(|(_, s)| *s > least + LASTED_APART_S);
    let shaded = if is_apart {
        let each: Vec<String> =
            lasted.iter().map(|(title, s)| format!("{s:.1} s by {title}")).collect();
        format!("The fault is shaded, lighter where not all had it: it lasted {}.", each.join(", "))
    } else {
        "The fault is shaded.".to_owned()
    };
    let parts: Vec<String> = shown
        .iter()
        .filter(|(_, run)| run.fault.is_some())
        .map(|(cell, run)| {
            let refused = match missed_by(run).zip(recovered_after_s(run)) {
                Some((missed, last_s)) => format!(
                    "turned {} of the orders away, the last one {last_s:.1} s after its end",
                    percent(missed)
                ),
                None => "turned nobody away".to_owned(),
            };
            let waited = drained_after_s(run).map_or_else(
                || "let none wait".to_owned(),
                |after_s| format!("had all done {after_s:.1} s after it"),
            );
            format!("{} {refused}, and {waited}", cell.paradigm.title())
        })
        .collect();
    vec![shaded, format!("{}.", parts.join("; "))]
}

fn of_burst(shown: &[Shown<'_, '_>]) -> Vec<String> {
    let each = |of: &dyn Fn(&Run) -> Option<String>| -> Vec<String> {
        let one =
            |(cell, run): &Shown<'_, '_>| Some(format!("{} {}", cell.paradigm.title(), of(run)?));
        shown.iter().filter_map(one).collect()
    };
    let away = each(&|run| missed_by(run).filter(|missed| *missed > 0.0).map(percent));
    let burst = Burst::of(shown);
    let with = burst.as_ref().map_or_else(String::new, |burst| format!("With {} ", burst.words()));
    let turned = if away.is_empty() {
        "no order was turned away".to_owned()
    } else {
        format!("so many were turned away: {}", away.join(", "))
    };
    let mut sentences = vec![capital(&format!("{with}{turned}."))];
    let halves = each(&|run| {
        let [during, before] = burst.as_ref()?.halves(run)?;
        Some(format!("{} (before it {})", time(during), time(before)))
    });
    if !halves.is_empty() {
        sentences.push(format!("Meanwhile half of them took at most: {}.", halves.join(", ")));
    }
    let most = each(&|run| {
        let most = run.timeline.iter().map(|point| point.waiting).max()?;
        Some(number(most as f64))
    });
    sentences.push(format!("At most so many waited: {}.", most.join(", ")));
    sentences
}

/// A sentence with a capital at its begin.
fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn of_backlog(shown: &[Shown<'_, '_>]) -> String {
    let parts: Vec<String> = shown
        .iter()
        .filter_map(|(cell, run)| {
            let drain = run.drain?;
            let title = cell.paradigm.title();
            Some(if drain.orders == 0 {
                format!("{title} let nothing wait: it turned all {} away", number(drain.turned_away as f64))
            } else {
                format!(
                    "{title} let {} wait, and had all of them done {:.1} s after the start of inventory, {} a second",
                    number(drain.orders as f64),
                    drain.took_s,
                    number(drain.per_s)
                )
            })
        })
        .collect();
    format!("{}.", parts.join("; "))
}
