//! The figures about times: percentiles, and throughput against latency.

use super::plot::{Line, Note, Plot, Scale};
use crate::cells::{Cell, baseline, highest_kept, kept_words, knee, of_kind};
use crate::words::{number, time};
use crate::workload::{Kind, Paradigm};

/// A figure: what it finds stands below it.
pub(super) struct Figure {
    pub(super) title: String,
    pub(super) finding: String,
    pub(super) svg: String,
}

/// Share of a distribution that the spectrum shows at most: one in ten thousand.
const SPECTRUM_MAX: f64 = 0.9999;

pub(super) fn time_tick(us: f64) -> String {
    match us {
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.0} s", us / 1e6),
    }
}

/// The place of a percentile: how many of its kind there is one of.
fn one_in(quantile: f64) -> f64 {
    1.0 / (1.0 - quantile.min(SPECTRUM_MAX))
}

fn percentile_tick(one_in: f64) -> String {
    let percent = 100.0 * (1.0 - 1.0 / one_in);
    match one_in {
        n if n < 1.5 => "0 %".to_owned(),
        n if n < 99.0 => format!("{percent:.0} %"),
        n if n < 999.0 => "99 %".to_owned(),
        n if n < 9_999.0 => "99.9 %".to_owned(),
        _ => "99.99 %".to_owned(),
    }
}

/// Percentiles of the first plain workload.
pub(super) fn spectrum(cells: &[Cell<'_>]) -> Option<Figure> {
    let of = baseline(cells);
    let first = of.first()?;
    let mut lines = Vec::new();
    for cell in &of {
        let is_one_clock = cell.paradigm == Paradigm::SyncRest;
        for (times, is_second) in [(cell.outcomes(), false), (cell.accepts(), true)] {
            if is_second && is_one_clock {
                continue;
            }
            let points: Vec<(f64, f64)> = times
                .spectrum()
                .into_iter()
                .filter(|(quantile, _)| *quantile <= SPECTRUM_MAX)
                .map(|(quantile, us)| (one_in(quantile), us as f64))
                .collect();
            if !points.is_empty() {
                lines.push(Line { paradigm: cell.paradigm, points, has_marks: false, is_second });
            }
        }
    }
    if lines.is_empty() {
        return None;
    }
    let tails: Vec<String> = of
        .iter()
        .filter_map(|cell| {
            let times = cell.outcomes();
            (times.count() > 0)
                .then(|| format!("{} {}", cell.paradigm.title(), time(times.at(0.99) as f64)))
        })
        .collect();
    let finding = format!(
        "Of 100 orders 99 are done within: {}. Thick lines go to the outcome, thin ones to the acceptance (HTTP has one \
         clock); {} orders a second, all rounds together.",
        tails.join(", "),
        number(first.rate_per_s)
    );
    let y = Scale::log_over(lines.iter().flat_map(|line| line.points.iter().map(|point| point.1)));
    let plot = Plot {
        height: 360.0,
        x: Scale::Log { from: 1.0, to: 10_000.0 },
        y,
        x_title: "percentile, so that each step is a tenth of the rest".to_owned(),
        y_title: "time from the planned moment".to_owned(),
        x_tick: percentile_tick,
        y_tick: time_tick,
        lines,
        shades: Vec::new(),
        notes: Vec::new(),
        label: finding.clone(),
    };
    let title = format!("Percentiles, {}", first.workload.name);
    Some(Figure { title, finding, svg: plot.svg() })
}

/// Throughput against latency, the knee marked.
pub(super) fn sweep(cells: &[Cell<'_>]) -> Option<Figure> {
    let (mut lines, mut notes, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for paradigm in Paradigm::ALL {
        let sweep = of_kind(cells, Kind::Sweep, paradigm);
        let points = |of: fn(&crate::stats::Quantiles) -> u64| -> Vec<(f64, f64)> {
            let point = |cell: &&Cell<'_>| Some((cell.rate_per_s, cell.outcome(of)?.median));
            sweep.iter().filter_map(point).collect()
        };
        let (p99, p50) = (points(|q| q.p99_us), points(|q| q.p50_us));
        if p99.is_empty() {
            continue;
        }
        let knee = knee(&sweep);
        let per_s = if highest_kept(&sweep).is_some() { " a second" } else { "" };
        found.push(format!("{}{per_s} by {}", kept_words(&sweep), paradigm.title()));
        if let Some(at) = p99.iter().copied().find(|point| Some(point.0) == knee) {
            notes.push(Note { paradigm, at, words: format!("{} knee", paradigm.title()) });
        }
        lines.push(Line { paradigm, points: p99, has_marks: true, is_second: false });
        lines.push(Line { paradigm, points: p50, has_marks: false, is_second: true });
    }
    if lines.is_empty() {
        return None;
    }
    let finding = format!(
        "The highest offered rate that was kept: {}. Thick lines are the 99th percentile to the outcome, thin ones the \
         median; behind the knee times are those of a queue that grows.",
        found.join(", ")
    );
    let all = || lines.iter().flat_map(|line| line.points.iter());
    let plot = Plot {
        height: 360.0,
        x: Scale::from_zero(all().map(|point| point.0)),
        y: Scale::log_over(all().map(|point| point.1)),
        x_title: "orders offered per second".to_owned(),
        y_title: "time to outcome".to_owned(),
        x_tick: number,
        y_tick: time_tick,
        lines,
        shades: Vec::new(),
        notes,
        label: finding.clone(),
    };
    Some(Figure { title: "Throughput against latency".to_owned(), finding, svg: plot.svg() })
}
