//! The figures about times: percentiles, and throughput against latency.

use super::plot::{Line, Note, Plot, Scale};
use crate::cells::{Cell, baseline, of_kind};
use crate::knee::{highest_kept, kept_words, knee, limit_words, slower_words};
use crate::words::{number, time};
use crate::workload::{Kind, Paradigm};

/// A figure: what it finds stands below it.
pub(super) struct Figure {
    pub(super) title: String,
    pub(super) finding: String,
    pub(super) svg: String,
}

/// Orders beyond a percentile without which it says little: a spectrum ends where fewer are left.
const BEYOND_MIN: u64 = 10;

pub(super) fn time_tick(us: f64) -> String {
    match us {
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.0} s", us / 1e6),
    }
}

/// The place of a percentile: how many of its kind there is one of.
fn one_in(quantile: f64) -> f64 {
    1.0 / (1.0 - quantile)
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

/// The rarest percentile that so many times say something of, as one in how many.
fn one_in_max(count: u64) -> f64 {
    (count as f64 / BEYOND_MIN as f64).max(1.0)
}

/// Percentiles of the first plain workload.
pub(super) fn spectrum(cells: &[Cell<'_>]) -> Option<Figure> {
    let of = baseline(cells);
    let first = of.first()?;
    let mut lines = Vec::new();
    for cell in &of {
        for (times, is_second) in [(cell.outcomes(), false), (cell.accepts(), true)] {
            if is_second && cell.paradigm.answers_when_done() {
                continue;
            }
            let end = one_in_max(times.count());
            let points: Vec<(f64, f64)> = times
                .spectrum()
                .into_iter()
                .map(|(quantile, us)| (one_in(quantile), us as f64))
                .filter(|(one_in, _)| *one_in <= end)
                .collect();
            if !points.is_empty() {
                lines.push(Line {
                    paradigm: cell.paradigm,
                    points,
                    has_marks: false,
                    is_second,
                    is_void: false,
                    step_max: f64::INFINITY,
                });
            }
        }
    }
    let rarest = lines.iter().filter_map(|line| line.points.last()).map(|point| point.0);
    let rarest = rarest.reduce(f64::max)?;
    let finding = of_spectrum(&of);
    let y = Scale::log_over(lines.iter().flat_map(|line| line.points.iter().map(|point| point.1)));
    let plot = Plot {
        height: 360.0,
        x: Scale::Log { from: 1.0, to: rarest.max(10.0) },
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
    let rounds = match rounds_of(&of) {
        (1, 1) => "one round".to_owned(),
        (least, most) if least == most => format!("all {most} rounds in one"),
        (least, most) => format!("all {least} to {most} rounds in one"),
    };
    let title = format!("Percentiles, {}, {rounds}", first.workload.name);
    Some(Figure { title, finding, svg: plot.svg() })
}

/// Rounds that count, of the paradigm with the fewest and of that with the most.
fn rounds_of(of: &[&Cell<'_>]) -> (usize, usize) {
    let rounds = || of.iter().map(|cell| cell.valid().count());
    (rounds().min().unwrap_or(0), rounds().max().unwrap_or(0))
}

/// What the spectrum finds: the rarest of two percentiles that all of them can tell.
fn of_spectrum(of: &[&Cell<'_>]) -> String {
    let orders = of.iter().map(|cell| cell.outcomes().count()).min().unwrap_or(0);
    let (share, words) = if one_in_max(orders) >= 100.0 {
        (0.99, "Of 100 orders 99 are done within")
    } else {
        (0.9, "Of 10 orders 9 are done within")
    };
    let tails: Vec<String> = of
        .iter()
        .filter_map(|cell| {
            let times = cell.outcomes();
            (times.count() > 0)
                .then(|| format!("{} {}", cell.paradigm.title(), time(times.at(share) as f64)))
        })
        .collect();
    let added = if rounds_of(of).1 > 1 {
        " The curves are all rounds added up; the table has the medians of the rounds, which differ a little."
    } else {
        ""
    };
    let rate = of.first().map_or(0.0, |cell| cell.rate_per_s);
    format!(
        "{words}: {}. Thick lines go to the outcome, thin ones to the acceptance (HTTP has one clock); {} orders a second.{added} \
         A curve ends where fewer than {BEYOND_MIN} orders are left beyond it.",
        tails.join(", "),
        number(rate)
    )
}

/// Throughput against latency, the knee marked.
pub(super) fn sweep(cells: &[Cell<'_>]) -> Option<Figure> {
    let (mut lines, mut notes) = (Vec::new(), Vec::new());
    let (mut found, mut slower) = (Vec::new(), Vec::new());
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
        slower.extend(slower_words(&sweep).map(|what| format!("{} {what}", paradigm.title())));
        let line = |points, is_second: bool| Line {
            paradigm,
            points,
            has_marks: !is_second,
            is_second,
            is_void: false,
            step_max: f64::INFINITY,
        };
        lines.extend([line(p99, false), line(p50, true)]);
    }
    if lines.is_empty() {
        return None;
    }
    let besides = if slower.is_empty() {
        String::new()
    } else {
        format!(" Not saturated, but slower than that: {}.", slower.join(", "))
    };
    let finding = format!(
        "The highest offered rate that was kept, with 99 of 100 done within {}: {}.{besides} Thick lines are the 99th \
         percentile to the outcome, thin ones the median; at a rate that is saturated times are those of a queue that grows.",
        limit_words(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Clocked, Run, WorkloadInfo};
    use crate::stats::Times;

    fn info() -> WorkloadInfo {
        let (name, words) = ("a".to_owned(), String::new());
        WorkloadInfo { name, kind: Kind::Load, words, rounds: 2 }
    }

    fn run(orders: u64) -> Run {
        let mut times = Times::default();
        (1..=orders).for_each(|n| times.add(n * 10));
        let outcome = Clocked { quantiles: times.quantiles(), buckets: times.buckets() };
        Run { outcome, ..Run::new("a", Paradigm::SyncRest, 0, 100.0, 0.0) }
    }

    #[test]
    fn a_percentile_is_told_only_where_ten_orders_are_left_beyond_it() {
        assert_eq!(one_in_max(4_000), 400.0);
        let (info, many, few) = (info(), run(1_000), run(999));
        let of = |run| of_spectrum(&[&Cell::of_one(&info, run)]);
        assert!(of(&many).starts_with("Of 100 orders 99 are done within: HTTP 9.90 ms"));
        assert!(of(&few).starts_with("Of 10 orders 9 are done within: HTTP 9.0"));
    }

    #[test]
    fn a_spectrum_of_several_rounds_says_that_it_adds_them_up() {
        let (info, one) = (info(), run(1_000));
        let alone = Cell::of_one(&info, &one);
        let both = Cell { runs: vec![&one, &one], ..alone.clone() };
        let [alone, both] = [alone, both].map(|cell| spectrum(&[cell]).unwrap());
        assert!(alone.title.ends_with("one round") && !alone.finding.contains("added up"));
        assert!(both.title.ends_with("all 2 rounds in one") && both.finding.contains("added up"));
    }
}
