//! Figures on a clock: outages, bursts, and a backlog that is worked on.

use super::charts::{Figure, time_tick};
use super::plot::{Line, Plot, Scale, Shade};
use crate::cells::Cell;
use crate::results::Run;
use crate::timeline::{FaultTimes, Point};
use crate::words::{number, percent};
use crate::workload::{Kind, Paradigm};

/// Height of a panel; several stand one below another on one clock.
const PANEL: f64 = 190.0;

/// One of the panels of an outage.
struct Panel {
    title: &'static str,
    /// What a point says, given its width in seconds.
    of: fn(&Point, f64) -> Option<f64>,
    is_log: bool,
    tick: fn(f64) -> String,
}

const ACCEPTED: &str = "accepted, %";
const WAITING: &str = "waiting";
const FAILED: &str = "failed per s";

const PANELS: [Panel; 4] = [
    Panel { title: ACCEPTED, of: accepted, is_log: false, tick: number },
    Panel { title: "to outcome, p99", of: p99, is_log: true, tick: time_tick },
    Panel { title: WAITING, of: waiting, is_log: false, tick: number },
    Panel { title: FAILED, of: failed, is_log: false, tick: number },
];

fn accepted(point: &Point, _: f64) -> Option<f64> {
    let asked = point.accepted + point.failed;
    (asked > 0).then(|| 100.0 * point.accepted as f64 / asked as f64)
}

fn p99(point: &Point, _: f64) -> Option<f64> {
    (point.p99_us > 0).then_some(point.p99_us as f64)
}

fn waiting(point: &Point, _: f64) -> Option<f64> {
    Some(point.waiting as f64)
}

fn failed(point: &Point, width_s: f64) -> Option<f64> {
    Some(point.failed as f64 / width_s)
}

/// The figures of all workloads that have a timeline.
pub(super) fn timelines(cells: &[Cell<'_>]) -> Vec<Figure> {
    let mut names: Vec<&str> = cells
        .iter()
        .filter(|cell| cell.runs.iter().any(|run| !run.timeline.is_empty()))
        .map(|cell| cell.workload.name.as_str())
        .collect();
    names.dedup();
    let of = |name: &str| -> Vec<&Cell<'_>> {
        cells.iter().filter(|cell| cell.workload.name == name).collect()
    };
    names.into_iter().filter_map(|name| figure(&of(name))).collect()
}

fn figure(cells: &[&Cell<'_>]) -> Option<Figure> {
    let shown: Vec<(&Cell<'_>, &Run)> =
        cells.iter().filter_map(|cell| Some((*cell, cell.typical()?))).collect();
    let (first, _) = shown.first()?;
    let finding = match first.workload.kind {
        Kind::Backlog => of_backlog(&shown),
        _ if shown.iter().any(|(_, run)| run.fault.is_some()) => of_fault(&shown),
        _ => of_burst(&shown),
    };
    let panels: &[Panel] =
        if first.workload.kind == Kind::Backlog { &PANELS[2..3] } else { &PANELS };
    let end = shown
        .iter()
        .flat_map(|(_, run)| run.timeline.last())
        .map(|point| point.at_s)
        .fold(1.0, f64::max);
    let mut svg = String::new();
    for panel in panels {
        svg.push_str(&draw(panel, &shown, end, &finding));
    }
    let title = format!("{}: {}", first.workload.name, first.workload.words);
    Some(Figure { title, finding, svg })
}

fn draw(panel: &Panel, shown: &[(&Cell<'_>, &Run)], end: f64, label: &str) -> String {
    let line = |(cell, run): &(&Cell<'_>, &Run)| {
        let width_s = match &run.timeline[..] {
            [first, second, ..] => second.at_s - first.at_s,
            _ => 1.0,
        };
        let point = |point: &Point| Some((point.at_s, (panel.of)(point, width_s)?));
        let points: Vec<(f64, f64)> = run.timeline.iter().filter_map(point).collect();
        (!points.is_empty()).then_some(Line {
            paradigm: cell.paradigm,
            points,
            has_marks: false,
            is_second: false,
        })
    };
    let lines: Vec<Line> = shown.iter().filter_map(line).collect();
    let values = || lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
    let y = if panel.is_log { Scale::log_over(values()) } else { Scale::from_zero(values()) };
    // Each paradigm's broker takes its own time to start: the shortest fault is one that all had.
    let faults = shown.iter().filter_map(|(_, run)| run.fault.as_ref());
    let shades = faults.min_by(|a, b| a.to_s.total_cmp(&b.to_s)).map(|fault| Shade {
        from: fault.from_s,
        to: fault.to_s,
        label: shade_label(panel, fault, shown),
    });
    let plot = Plot {
        height: PANEL,
        x: Scale::Linear { from: 0.0, to: end },
        y,
        x_title: "seconds".to_owned(),
        y_title: panel.title.to_owned(),
        x_tick: number,
        y_tick: panel.tick,
        lines,
        shades: shades.into_iter().collect(),
        notes: Vec::new(),
        label: format!("{}: {label}", panel.title),
    };
    plot.svg()
}

/// What is written into the shaded stretch of a panel: the fault, and how long after its end all was well again.
fn shade_label(panel: &Panel, fault: &FaultTimes, shown: &[(&Cell<'_>, &Run)]) -> String {
    let each = |of: &dyn Fn(&Cell<'_>, &FaultTimes) -> Option<f64>| -> Vec<String> {
        let one = |(cell, run): &(&Cell<'_>, &Run)| {
            let after_s = of(cell, run.fault.as_ref()?)?;
            Some(format!("{} {after_s:.1} s", cell.paradigm.title()))
        };
        shown.iter().filter_map(one).collect()
    };
    let (words, times) = match panel.title {
        ACCEPTED => return fault.label.clone(),
        WAITING => ("all done after its end", each(&|_, fault| Some(fault.drained_after_s))),
        FAILED => {
            let has_failed = |cell: &Cell<'_>| cell.missed().is_some_and(|missed| missed > 0.0);
            let last = |cell: &Cell<'_>, fault: &FaultTimes| {
                has_failed(cell).then_some(fault.recovered_after_s)
            };
            ("last failure after its end", each(&last))
        }
        _ => return String::new(),
    };
    if times.is_empty() { String::new() } else { format!("{words}: {}", times.join(", ")) }
}

fn of_fault(shown: &[(&Cell<'_>, &Run)]) -> String {
    let parts: Vec<String> = shown
        .iter()
        .filter_map(|(cell, run)| {
            let fault = run.fault.as_ref()?;
            let missed = cell.missed().unwrap_or(0.0);
            let title = cell.paradigm.title();
            let refused = if missed > 0.0 {
                format!(
                    "turned {} of the orders away, the last one {:.1} s after its end",
                    percent(missed),
                    fault.recovered_after_s
                )
            } else {
                "turned nobody away".to_owned()
            };
            Some(format!(
                "{title} {refused}, and had all done {:.1} s after it",
                fault.drained_after_s
            ))
        })
        .collect();
    format!("The fault is shaded. {}.", parts.join("; "))
}

fn of_burst(shown: &[(&Cell<'_>, &Run)]) -> String {
    let parts: Vec<String> = shown
        .iter()
        .map(|(cell, run)| {
            let most = run.timeline.iter().map(|point| point.waiting).max().unwrap_or(0);
            let missed = percent(cell.missed().unwrap_or(0.0));
            format!(
                "{} let {} orders wait at most and turned {missed} away",
                cell.paradigm.title(),
                number(most as f64)
            )
        })
        .collect();
    format!("{}.", parts.join("; "))
}

fn of_backlog(shown: &[(&Cell<'_>, &Run)]) -> String {
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

/// The key to what lines look like.
pub(super) fn legend(paradigms: &[Paradigm]) -> String {
    let one = |paradigm: &Paradigm| {
        let class = super::plot::class(*paradigm);
        format!(
            "<span class=\"key\"><svg viewBox=\"0 0 40 10\" aria-hidden=\"true\"><path class=\"{class} line\" d=\"M0 5L40 5\"/></svg>{}</span>",
            paradigm.title()
        )
    };
    format!("<p class=\"legend\">{}</p>\n", paradigms.iter().map(one).collect::<String>())
}
