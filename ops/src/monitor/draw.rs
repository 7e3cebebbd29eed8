//! The whole screen as lines, and how tones look.

use ratatui::Frame;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use service_kit::live::{fill, fit, width};

use super::grid::{Pieces, Tone, grouped};
use super::pages;
use super::picture::{Picture, is_under_replicated};
use super::view::{Page, View};
use crate::dlq::Utc;
use crate::lag::report::GroupLag;

/// Lines above and below the page.
const FRAME_LINES: usize = 4;

/// Columns of the words before each fact.
const LABEL_COLUMNS: usize = 13;

/// Least rows that are worth a table: its heads and one row.
const TABLE_MIN: usize = 2;

/// Dead letters that are still to be counted and not told: records come at any time.
pub(super) const LEFT_TOLD_MIN: u64 = 5_000;

/// Most things that are named as unavailable.
const UNAVAILABLE_MAX: usize = 3;

const HELP: [(&str, &str); 11] = [
    ("1 … 6, Tab", "go to a page; Shift-Tab goes back"),
    ("s", "sort by the next column"),
    ("r", "reverse the order"),
    ("/", "show only rows with a text; Enter keeps the filter, Esc clears it"),
    ("↓ ↑, j k", "scroll; PageDown and PageUp by ten, Home to the start"),
    ("Ctrl-L", "redraw the screen"),
    ("?", "this page; any key leaves it"),
    ("q, Ctrl-C", "quit"),
    ("", ""),
    ("STATUS", "OK; WARN: the lag grows; STALLED: nothing is settled"),
    ("", "while records wait; ERROR: no member reads it, or no leader"),
];

/// Whether colors may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Palette {
    Colors,
    /// Bold, dim and reversed only (`NO_COLOR`).
    Plain,
}

impl Palette {
    const fn style(self, tone: Tone) -> Style {
        let style = Style::new();
        match (tone, self) {
            (Tone::Plain, _) => style,
            (Tone::Dim, _) => style.add_modifier(Modifier::DIM),
            (Tone::Head, _) => style.add_modifier(Modifier::BOLD),
            (Tone::Good, Self::Colors) => style.fg(Color::Green),
            (Tone::Good, Self::Plain) => style,
            (Tone::Warn, Self::Colors) => style.fg(Color::Yellow).add_modifier(Modifier::BOLD),
            (Tone::Warn, Self::Plain) => style.add_modifier(Modifier::BOLD),
            (Tone::Bad, Self::Colors) => style.fg(Color::Red).add_modifier(Modifier::BOLD),
            (Tone::Bad, Self::Plain) => {
                style.add_modifier(Modifier::BOLD).add_modifier(Modifier::REVERSED)
            }
        }
    }
}

/// Draws the picture as the view wants it.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture, view: &mut View, palette: Palette) {
    let area = frame.area();
    let lines = screen(picture, view, usize::from(area.width), usize::from(area.height));
    let line = |pieces: Pieces| {
        let spans = pieces.into_iter().map(|(text, tone)| Span::styled(text, palette.style(tone)));
        Line::from(spans.collect::<Vec<_>>())
    };
    frame.render_widget(Paragraph::new(lines.into_iter().map(line).collect::<Vec<_>>()), area);
}

/// All lines of the screen: at most `rows`, none wider than `columns`.
fn screen(picture: &Picture, view: &mut View, columns: usize, rows: usize) -> Vec<Pieces> {
    let height = rows.saturating_sub(FRAME_LINES);
    let mut lines = vec![title(picture, columns), tabs(view, columns), Pieces::new()];
    let body = if view.has_help {
        help(columns)
    } else {
        match pages::grid(view.page, picture) {
            None => overview(picture, view, columns, height),
            Some(mut grid) => {
                let mut body = troubles(picture, columns);
                grid.filter(&view.filter);
                grid.sort(view.sort());
                let room = height.saturating_sub(body.len());
                view.keep_within(grid.rows.len(), room);
                body.extend(grid.lines(columns, room, view.skip, Some(view.sort())));
                if grid.rows.is_empty() {
                    body.push(vec![(fit(&nothing(view), columns), Tone::Dim)]);
                }
                body
            }
        }
    };
    lines.extend(body.into_iter().take(height));
    lines.resize(rows.saturating_sub(1), Pieces::new());
    lines.push(foot(view, columns));
    lines.truncate(rows);
    lines
}

fn nothing(view: &View) -> String {
    if view.filter.is_empty() {
        format!("no {} yet", view.page.name())
    } else {
        format!("no row contains '{}': Esc shows all", view.filter)
    }
}

fn title(picture: &Picture, columns: usize) -> Pieces {
    let time = format!("{} UTC", Utc(Some(picture.at_ms)).to_the_second());
    let left = columns.saturating_sub(width(&time) + 2);
    let name = "orders monitor";
    let servers = fill(&picture.servers, left.saturating_sub(name.len() + 2));
    vec![
        (fit(name, columns), Tone::Head),
        (format!("  {servers}  "), Tone::Plain),
        (time, Tone::Dim),
    ]
}

fn tabs(view: &View, columns: usize) -> Pieces {
    let mut pieces = Pieces::new();
    let mut left = columns;
    for (number, page) in (1..).zip(Page::ALL) {
        let is_shown = page == view.page && !view.has_help;
        let text = if is_shown {
            format!("[{number} {}] ", page.name())
        } else {
            format!("{number} {}  ", page.name())
        };
        let text = fit(&text, left);
        left = left.saturating_sub(width(&text));
        pieces.push((text, if is_shown { Tone::Head } else { Tone::Plain }));
    }
    pieces
}

fn foot(view: &View, columns: usize) -> Pieces {
    if view.is_typing {
        return vec![(
            fit(&format!("/{}▏  Enter keeps, Esc clears", view.filter), columns),
            Tone::Head,
        )];
    }
    let filter = if view.filter.is_empty() {
        String::new()
    } else {
        format!("  showing rows with '{}'", view.filter)
    };
    let keys = "? keys  / filter  s sort  r reverse  q quit";
    vec![(fit(&format!("{keys}{filter}"), columns), Tone::Dim)]
}

fn help(columns: usize) -> Vec<Pieces> {
    let line = |(keys, what): &(&str, &str)| {
        let keys = fill(keys, LABEL_COLUMNS.min(columns));
        vec![(keys, Tone::Head), (fit(what, columns.saturating_sub(LABEL_COLUMNS)), Tone::Plain)]
    };
    HELP.iter().map(line).collect()
}

fn fact(label: &str, text: &str, tone: Tone, columns: usize) -> Pieces {
    let label = fill(label, LABEL_COLUMNS.min(columns));
    vec![(label, Tone::Dim), (fit(text, columns.saturating_sub(LABEL_COLUMNS)), tone)]
}

/// What is unavailable, and since when.
fn troubles(picture: &Picture, columns: usize) -> Vec<Pieces> {
    let told = picture.unavailable.iter().take(UNAVAILABLE_MAX).map(|away| {
        let since = Utc(Some(away.since_ms)).to_the_second();
        let seconds = (picture.at_ms - away.since_ms).max(0) / 1000;
        let since = since.split(' ').next_back().unwrap_or_default();
        let text = format!("{} since {since} ({seconds} s): {}", away.what, away.why);
        fact("unavailable", &text, Tone::Bad, columns)
    });
    told.collect()
}

fn overview(picture: &Picture, view: &View, columns: usize, height: usize) -> Vec<Pieces> {
    let mut lines = facts(picture, columns);
    let dead = dead_letters(picture, columns);
    // Blank lines between the parts, and the dead letters below.
    let room = height.saturating_sub(lines.len() + dead.len() + 3);
    let mut groups = pages::groups_in_short(picture);
    let mut topics = pages::topics_in_short(picture);
    groups.filter(&view.filter);
    topics.filter(&view.filter);
    let (wants_groups, wants_topics) = (groups.rows.len() + 1, topics.rows.len() + 1);
    let for_groups = wants_groups.min((room / 2).max(room.saturating_sub(wants_topics)));
    let for_topics = wants_topics.min(room.saturating_sub(for_groups));
    for (grid, rows) in [(groups, for_groups), (topics, for_topics)] {
        if rows >= TABLE_MIN {
            lines.push(Pieces::new());
            lines.extend(grid.lines(columns, rows, 0, None));
        }
    }
    lines.push(Pieces::new());
    lines.extend(dead);
    let left = height.saturating_sub(lines.len() + 1);
    if let Some(mut worst) = pages::grid(Page::Lag, picture).filter(|_| left > TABLE_MIN) {
        worst.filter(&view.filter);
        worst.sort(pages::sort_at_first(Page::Lag));
        lines.push(Pieces::new());
        lines.extend(worst.lines(columns, left, 0, None));
    }
    lines
}

/// What holds for the whole cluster.
fn facts(picture: &Picture, columns: usize) -> Vec<Pieces> {
    let mut lines = troubles(picture, columns);
    let there = picture.brokers.iter().filter(|broker| broker.missing_since_ms.is_none());
    let there: Vec<String> =
        there.map(|broker| format!("{} at {}", broker.id, broker.address)).collect();
    let brokers = match there.len() {
        0 => "none".to_owned(),
        count => format!("{count}: {}", there.join(", ")),
    };
    lines.push(fact("brokers", &brokers, Tone::Plain, columns));
    let all = picture.partitions().count();
    let under = picture.partitions().filter(|partition| is_under_replicated(partition)).count();
    let leaderless = picture.partitions().filter(|partition| partition.leader.is_none()).count();
    let text = format!(
        "{} in {} topics, {under} under-replicated, {leaderless} without a leader",
        grouped(all as u64),
        picture.layout.topics.len(),
    );
    let tone = if under + leaderless > 0 { Tone::Bad } else { Tone::Plain };
    lines.push(fact("partitions", &text, tone, columns));
    let rates = picture.topics().filter_map(|(topic, _)| picture.rates.rate(topic));
    let text = format!("{} records/s written to all topics", pages::per_second(rates.sum()));
    lines.push(fact("throughput", &text, Tone::Plain, columns));
    lines.push(fact("retry", &retry(&picture.groups, picture.at_ms), Tone::Plain, columns));
    lines
}

fn retry(groups: &[GroupLag], now_ms: i64) -> String {
    let waiting: u64 = groups.iter().map(GroupLag::waiting).sum();
    let next = groups.iter().filter_map(GroupLag::next_due_ms).min();
    let mut text = format!("{} wait for their due time", grouped(waiting));
    if waiting > 0 && next.is_some() {
        text.push_str(&format!(", the next is due in {}", pages::due_in(next, now_ms).text));
    }
    text
}

fn dead_letters(picture: &Picture, columns: usize) -> Vec<Pieces> {
    let mut classes: Vec<(&String, u64)> =
        picture.dead.classes.iter().map(|(class, of)| (class, of.count)).collect();
    classes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let classes: Vec<String> =
        classes.iter().map(|(class, count)| format!("{} {class}", grouped(*count))).collect();
    let mut text = format!("{} in {}", grouped(picture.dead.count()), picture.dead_topic);
    if picture.dead.left > LEFT_TOLD_MIN {
        text.push_str(&format!(" so far, {} more to count", grouped(picture.dead.left)));
    }
    if !classes.is_empty() {
        text.push_str(&format!(": {}", classes.join(", ")));
    }
    vec![fact("dead letters", &text, Tone::Plain, columns)]
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;

#[cfg(test)]
pub(super) use tests::picture as tests_picture;
