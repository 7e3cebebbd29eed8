//! Figures on a clock: outages, bursts, and a backlog that is worked on.

use super::charts::{Figure, time_tick};
use super::plot::{Line, Plot, Scale, Shade};
use super::timeline_words::{Burst, finding};
use crate::cells::{Cell, drained_after_s, recovered_after_s};
use crate::results::Run;
use crate::timeline::{FaultTimes, Point};
use crate::words::number;
use crate::workload::{Kind, Paradigm};

/// Height of a panel; several stand one below another on one clock.
const PANEL: f64 = 190.0;
/// Faults whose ends are nearer to each other than this are one stretch, in seconds.
const SAME_END_S: f64 = 0.5;

/// A cell, and the run of it that is drawn.
pub(super) type Shown<'c, 'a> = (&'c Cell<'a>, &'c Run);

/// One of the panels of an outage.
struct Panel {
    title: &'static str,
    /// What a point says, given its width in seconds.
    of: fn(&Point, f64) -> Option<f64>,
    is_log: bool,
    tick: fn(f64) -> String,
    /// What is said instead of the panel where all of it is zero.
    none: Option<&'static str>,
}

const ACCEPTED: &str = "accepted, %";
const WAITING: &str = "waiting";
const FAILED: &str = "failed per s";

const PANELS: [Panel; 4] = [
    Panel { title: ACCEPTED, of: accepted, is_log: false, tick: number, none: None },
    Panel { title: "to outcome, p99", of: p99, is_log: true, tick: time_tick, none: None },
    Panel {
        title: WAITING,
        of: waiting,
        is_log: false,
        tick: number,
        none: Some("No order waited"),
    },
    Panel { title: FAILED, of: failed, is_log: false, tick: number, none: Some("No order failed") },
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
    let has_line = |run: &&Run| !run.timeline.is_empty();
    let shown: Vec<Shown<'_, '_>> =
        cells.iter().filter_map(|cell| Some((*cell, cell.typical().filter(has_line)?))).collect();
    let (first, _) = shown.first()?;
    let is_backlog = first.workload.kind == Kind::Backlog;
    let panels: &[Panel] = if is_backlog { &PANELS[2..3] } else { &PANELS };
    let is_zero = |panel: &&Panel| {
        let all = || shown.iter().flat_map(|(_, run)| values(panel, run));
        panel.none.is_some() && all().all(|(_, value)| value == 0.0)
    };
    let (left_out, drawn): (Vec<&Panel>, Vec<&Panel>) = panels.iter().partition(is_zero);
    let without: Vec<&str> = left_out.iter().filter_map(|panel| panel.none).collect();
    let finding = finding(&shown, &without);
    let end = shown
        .iter()
        .flat_map(|(_, run)| run.timeline.last())
        .map(|point| point.at_s)
        .fold(1.0, f64::max);
    let svg = drawn.iter().map(|panel| draw(panel, &shown, end, &finding)).collect();
    let title = format!("{}: {}", first.workload.name, first.workload.words);
    Some(Figure { title, finding, svg })
}

/// Width of a run's points, in seconds.
fn width_s(run: &Run) -> f64 {
    match &run.timeline[..] {
        [first, second, ..] => second.at_s - first.at_s,
        _ => 1.0,
    }
}

/// The points of a panel.
fn values(panel: &Panel, run: &Run) -> Vec<(f64, f64)> {
    let width_s = width_s(run);
    let point = |point: &Point| Some((point.at_s, (panel.of)(point, width_s)?));
    run.timeline.iter().filter_map(point).collect()
}

fn draw(panel: &Panel, shown: &[Shown<'_, '_>], end: f64, label: &str) -> String {
    let line = |(cell, run): &Shown<'_, '_>| {
        let points = values(panel, run);
        (!points.is_empty()).then_some(Line {
            paradigm: cell.paradigm,
            points,
            has_marks: false,
            is_second: false,
            is_void: run.void.is_some(),
            // While nothing is accepted there is no time to draw.
            step_max: 1.5 * width_s(run),
        })
    };
    let lines: Vec<Line> = shown.iter().filter_map(line).collect();
    let values = || lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
    let y = if panel.is_log { Scale::log_over(values()) } else { Scale::from_zero(values()) };
    let plot = Plot {
        height: PANEL,
        x: Scale::Linear { from: 0.0, to: end },
        y,
        x_title: "seconds".to_owned(),
        y_title: panel.title.to_owned(),
        x_tick: number,
        y_tick: panel.tick,
        shades: shades(panel, shown),
        lines,
        notes: Vec::new(),
        label: format!("{}: {label}", panel.title),
    };
    plot.svg()
}

/// The stretches in which something was broken, or more came than before. Each paradigm's broker takes its own time to
/// start: the first stretch is one that all had, and what others had beyond it is lighter.
fn shades(panel: &Panel, shown: &[Shown<'_, '_>]) -> Vec<Shade> {
    if let Some(burst) = Burst::of(shown) {
        let label = if panel.title == ACCEPTED { burst.words() } else { String::new() };
        return vec![Shade { from: burst.from_s, to: burst.to_s, label, is_longer: false }];
    }
    let mut faults: Vec<&FaultTimes> =
        shown.iter().filter_map(|(_, run)| run.fault.as_ref()).collect();
    faults.sort_by(|a, b| a.to_s.total_cmp(&b.to_s));
    let Some((first, others)) = faults.split_first() else { return Vec::new() };
    let label = shade_label(panel, first, shown);
    let mut shades = vec![Shade { from: first.from_s, to: first.to_s, label, is_longer: false }];
    let mut from = first.to_s;
    for fault in others.iter().filter(|fault| fault.to_s > first.to_s + SAME_END_S) {
        shades.push(Shade { from, to: fault.to_s, label: String::new(), is_longer: true });
        from = fault.to_s;
    }
    shades
}

/// What is written into the shaded stretch of a panel: the fault, and how long after its end all was well again.
fn shade_label(panel: &Panel, fault: &FaultTimes, shown: &[Shown<'_, '_>]) -> String {
    let each = |of: fn(&Run) -> Option<f64>| -> Vec<String> {
        let one = |(cell, run): &Shown<'_, '_>| {
            Some(format!("{} {:.1} s", cell.paradigm.title(), of(run)?))
        };
        shown.iter().filter_map(one).collect()
    };
    let (words, times) = match panel.title {
        ACCEPTED => return fault.label.clone(),
        WAITING => ("all done after its end", each(drained_after_s)),
        FAILED => ("last failure after its end", each(recovered_after_s)),
        _ => return String::new(),
    };
    if times.is_empty() { String::new() } else { format!("{words}: {}", times.join(", ")) }
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
