//! A plot as inline SVG: axes with ticks, lines, shaded stretches. It reads without colour: each paradigm has dashes, a
//! mark and its name at the end of its line.

use std::fmt::Write as _;

use crate::workload::Paradigm;

/// Width of every plot, in its own units.
pub(super) const WIDTH: f64 = 760.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 92.0;
/// The same where names of void runs stand.
const RIGHT_OF_VOID: f64 = 132.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;
/// Least distance of two names at the ends of lines.
const NAMES_APART: f64 = 15.0;

/// How numbers become places.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scale {
    Linear { from: f64, to: f64 },
    Log { from: f64, to: f64 },
}

impl Scale {
    /// A logarithmic one over these numbers, from a power of ten to another.
    pub(super) fn log_over(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = ends(values.into_iter().filter(|value| *value > 0.0));
        let (from, to) = (10_f64.powf(low.log10().floor()), 10_f64.powf(high.log10().ceil()));
        Self::Log { from, to: if to > from { to } else { from * 10.0 } }
    }

    /// One from 0 to a round number above all of these.
    pub(super) fn from_zero(values: impl IntoIterator<Item = f64>) -> Self {
        let (_, high) = ends(values.into_iter());
        let step = round_step(high.max(1e-9) / 4.0);
        Self::Linear { from: 0.0, to: (high / step).ceil().max(1.0) * step }
    }

    fn share(self, value: f64) -> f64 {
        match self {
            Self::Linear { from, to } => (value - from) / (to - from),
            Self::Log { from, to } => (value.max(from) / from).ln() / (to / from).ln(),
        }
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { from, to } => {
                let step = round_step((to - from) / 5.0);
                let count = ((to - from) / step + 1e-9).floor();
                (0..=64)
                    .map(f64::from)
                    .take_while(|n| *n <= count)
                    .map(|n| from + n * step)
                    .collect()
            }
            Self::Log { from, to } => {
                let decades = ((to / from).log10() + 1e-9).floor();
                (0..=12)
                    .map(f64::from)
                    .take_while(|n| *n <= decades)
                    .map(|n| from * 10_f64.powf(n))
                    .collect()
            }
        }
    }
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    if low.is_finite() { (low, high) } else { (1.0, 10.0) }
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|n| n * power)
        .find(|step| *step >= least)
        .unwrap_or(10.0 * power)
}

/// A line.
pub(super) struct Line {
    pub(super) paradigm: Paradigm,
    pub(super) points: Vec<(f64, f64)>,
    /// Whether each point has a mark.
    pub(super) has_marks: bool,
    /// Whether it is the lighter one of two of a paradigm, which has no name of its own.
    pub(super) is_second: bool,
    /// Whether it is of a run whose times do not count.
    pub(super) is_void: bool,
    /// Longest way along the x axis from a point to the next: beyond it there is nothing to draw.
    pub(super) step_max: f64,
}

/// A stretch of the x axis that is shaded, and what it is.
pub(super) struct Shade {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) label: String,
    /// Whether it is the part of a stretch that not all lines have: it is lighter.
    pub(super) is_longer: bool,
}

/// A point with words.
pub(super) struct Note {
    pub(super) paradigm: Paradigm,
    pub(super) at: (f64, f64),
    pub(super) words: String,
}

/// A plot.
pub(super) struct Plot {
    pub(super) height: f64,
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) x_title: String,
    pub(super) y_title: String,
    pub(super) x_tick: fn(f64) -> String,
    pub(super) y_tick: fn(f64) -> String,
    pub(super) lines: Vec<Line>,
    pub(super) shades: Vec<Shade>,
    pub(super) notes: Vec<Note>,
    /// What it shows, for those who cannot see it.
    pub(super) label: String,
}

/// Class of a paradigm, which gives colour and dashes.
pub(super) const fn class(paradigm: Paradigm) -> &'static str {
    match paradigm {
        Paradigm::SyncRest => "http",
        Paradigm::Rabbit => "rabbit",
        Paradigm::Streaming => "kafka",
    }
}

/// Text that is safe in HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Plot {
    /// Where the axes end on the right.
    fn right(&self) -> f64 {
        let has_void = self.lines.iter().any(|line| line.is_void);
        WIDTH - if has_void { RIGHT_OF_VOID } else { RIGHT }
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let right = self.right();
        let across = LEFT + self.x.share(x) * (right - LEFT);
        let bottom = self.height - BOTTOM;
        let up = bottom - self.y.share(y).clamp(-0.02, 1.04) * (bottom - TOP);
        (across, up)
    }

    /// The plot as SVG.
    pub(super) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\">\n",
            self.height,
            escape(&self.label)
        );
        self.shade(&mut svg);
        self.axes(&mut svg);
        for line in &self.lines {
            self.line(&mut svg, line);
        }
        self.names(&mut svg);
        for note in &self.notes {
            let (x, y) = self.place(note.at);
            let (class, words) = (class(note.paradigm), escape(&note.words));
            let (anchor, dx) =
                if x > self.right() - 120.0 { ("end", -8.0) } else { ("start", 8.0) };
            let _ = writeln!(
                svg,
                "<circle class=\"{class} knee\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"7\"/><text class=\"note\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{words}</text>",
                x + dx,
                y - 9.0
            );
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// The stretches, and above all of them their words.
    fn shade(&self, svg: &mut String) {
        let height = self.height - BOTTOM - TOP;
        for shade in &self.shades {
            let ((from, _), (to, _)) = (self.place((shade.from, 0.0)), self.place((shade.to, 0.0)));
            let width = (to - from).max(1.5);
            let longer = if shade.is_longer { " longer" } else { "" };
            let _ = writeln!(
                svg,
                "<rect class=\"fault{longer}\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            );
        }
        for shade in self.shades.iter().filter(|shade| !shade.label.is_empty()) {
            let (from, _) = self.place((shade.from, 0.0));
            let _ = writeln!(
                svg,
                "<text class=\"note\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                from + 4.0,
                TOP + height - 7.0,
                escape(&shade.label)
            );
        }
    }

    fn axes(&self, svg: &mut String) {
        let (right, bottom) = (self.right(), self.height - BOTTOM);
        for tick in self.y.ticks() {
            let (_, y) = self.place((0.0, tick));
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 7.0,
                y + 4.0,
                (self.y_tick)(tick)
            );
        }
        for tick in self.x.ticks() {
            let (x, _) = self.place((tick, 0.0));
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/><text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 16.0,
                (self.x_tick)(tick)
            );
        }
        let middle = LEFT + (right - LEFT) / 2.0;
        let height = f64::midpoint(TOP, bottom);
        let _ = writeln!(
            svg,
            "<text class=\"axis\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n<text class=\"axis\" transform=\"translate(13 {height:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            self.height - 5.0,
            escape(&self.x_title),
            escape(&self.y_title)
        );
    }

    fn line(&self, svg: &mut String, line: &Line) {
        let mut path = String::new();
        let mut before = None;
        for point in &line.points {
            let (x, y) = self.place(*point);
            let is_next = before.is_some_and(|before| point.0 - before <= line.step_max);
            let _ = write!(path, "{}{x:.1} {y:.1}", if is_next { "L" } else { "M" });
            before = Some(point.0);
        }
        let second = if line.is_second { " second" } else { "" };
        let void = if line.is_void { " void" } else { "" };
        let class = class(line.paradigm);
        let _ = writeln!(svg, "<path class=\"{class} line{second}{void}\" d=\"{path}\"/>");
        let marks = if line.has_marks { &line.points[..] } else { &[] };
        for point in marks {
            let (x, y) = self.place(*point);
            svg.push_str(&mark(line.paradigm, x, y));
        }
    }

    /// Names at the ends of lines, moved apart where they would meet.
    fn names(&self, svg: &mut String) {
        let named = self.lines.iter().filter(|line| !line.is_second);
        let mut names: Vec<(f64, f64, &Line)> = named
            .filter_map(|line| {
                let (x, y) = self.place(*line.points.last()?);
                Some((y, x, line))
            })
            .collect();
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut last = f64::NEG_INFINITY;
        for (y, x, line) in names {
            let at = y.max(last + NAMES_APART);
            last = at;
            let (x, class) = (x.min(self.right()) + 8.0, class(line.paradigm));
            let void = if line.is_void { ", void" } else { "" };
            let _ = writeln!(
                svg,
                "<text class=\"{class} name\" x=\"{x:.1}\" y=\"{:.1}\">{}{void}</text>",
                at + 4.0,
                line.paradigm.title()
            );
        }
    }
}

/// A mark that tells paradigms apart by its form.
fn mark(paradigm: Paradigm, x: f64, y: f64) -> String {
    let class = class(paradigm);
    match paradigm {
        Paradigm::SyncRest => {
            format!("<circle class=\"{class} mark\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>\n")
        }
        Paradigm::Rabbit => {
            let (x, y) = (x - 3.5, y - 3.5);
            format!(
                "<rect class=\"{class} mark\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"7\" height=\"7\"/>\n"
            )
        }
        Paradigm::Streaming => {
            let (a, b, c) = ((x, y - 4.5), (x - 4.2, y + 3.2), (x + 4.2, y + 3.2));
            format!(
                "<path class=\"{class} mark\" d=\"M{:.1} {:.1}L{:.1} {:.1}L{:.1} {:.1}Z\"/>\n",
                a.0, a.1, b.0, b.1, c.0, c.1
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_round_ends_and_few_ticks() {
        let Scale::Linear { to, .. } = Scale::from_zero([3.0, 97.0]) else { panic!() };
        assert_eq!(to, 100.0);
        assert_eq!(Scale::from_zero([97.0]).ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let log = Scale::log_over([2_500.0, 81_000.0]);
        assert_eq!(log.ticks(), [1_000.0, 10_000.0, 100_000.0]);
        assert!((log.share(10_000.0) - 0.5).abs() < 1e-9);
        assert_eq!(Scale::log_over([]).ticks().len(), 2);
        let cut = Scale::Log { from: 1.0, to: 400.0 };
        assert_eq!(cut.ticks(), [1.0, 10.0, 100.0], "none beyond the end");
    }

    /// The path of a line through four points, two of which are four apart from the others.
    fn path_of(step_max: f64) -> String {
        let line = Line {
            paradigm: Paradigm::SyncRest,
            points: vec![(0.0, 1.0), (1.0, 1.0), (5.0, 1.0), (6.0, 1.0)],
            has_marks: false,
            is_second: false,
            is_void: false,
            step_max,
        };
        let plot = Plot {
            height: 190.0,
            x: Scale::Linear { from: 0.0, to: 10.0 },
            y: Scale::Linear { from: 0.0, to: 2.0 },
            x_title: String::new(),
            y_title: String::new(),
            x_tick: |_| String::new(),
            y_tick: |_| String::new(),
            lines: vec![line],
            shades: Vec::new(),
            notes: Vec::new(),
            label: String::new(),
        };
        let svg = plot.svg();
        let path = svg.lines().find_map(|line| line.split_once(" d=\"")).expect("a line");
        path.1.to_owned()
    }

    #[test]
    fn a_line_begins_with_a_move_and_is_broken_where_points_are_missing() {
        for (step_max, moves) in [(1.5, 2), (f64::INFINITY, 1)] {
            let path = path_of(step_max);
            assert!(path.starts_with('M'), "without it nothing is drawn: {path}");
            let counts = (path.matches('M').count(), path.matches('L').count());
            assert_eq!(counts, (moves, 4 - moves), "{path}");
        }
    }

    #[test]
    fn what_is_foreign_is_no_markup() {
        assert_eq!(escape("<b a=\"x\">&"), "&lt;b a=&quot;x&quot;&gt;&amp;");
    }
}
