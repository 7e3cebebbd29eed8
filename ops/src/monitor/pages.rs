//! What stands in the tables of the pages.

use service_kit::live::fit;

use super::grid::{Cell, Column, Grid, Sort, Tone, grouped, trend};
use super::picture::{Picture, is_under_replicated};
use super::view::Page;
use crate::dlq::Utc;
use crate::lag::Word;
use crate::lag::report::{GroupLag, PartitionLag};

/// Widest name of a topic, group or member.
const NAME_MAX: usize = 40;

/// Columns of a trend.
const TREND: usize = 8;

const TOPICS: &[Column] = &[
    Column::left("TOPIC", 0),
    Column::right("REC/S", 0),
    Column::left("TREND", 3),
    Column::right("WRITTEN", 1),
    Column::right("PARTS", 2),
    Column::right("UNDER-REPL", 4),
    Column::right("NO LEADER", 5),
];

const PARTITIONS: &[Column] = &[
    Column::left("TOPIC", 0),
    Column::right("PART", 0),
    Column::right("LEADER", 1),
    Column::left("REPLICAS", 3),
    Column::left("IN SYNC", 4),
    Column::right("END", 5),
    Column::left("STATE", 2),
];

const GROUPS: &[Column] = &[
    Column::left("GROUP", 0),
    Column::left("STATE", 2),
    Column::left("MEMBER", 1),
    Column::left("HOST", 4),
    Column::left("OWNS", 0),
];

const LAG: &[Column] = &[
    Column::left("GROUP", 3),
    Column::left("TOPIC", 0),
    Column::right("PART", 0),
    Column::left("STATUS", 0),
    Column::right("LAG", 0),
    Column::right("SECS", 1),
    Column::left("TREND", 5),
    Column::right("WAIT", 4),
    Column::right("DUE IN", 6),
    Column::right("COMMITTED", 7),
    Column::right("END", 8),
    Column::left("OWNER", 9),
];

const DEAD: &[Column] = &[
    Column::left("CLASS", 0),
    Column::right("COUNT", 0),
    Column::right("SHARE", 1),
    Column::left("LAST (UTC)", 2),
];

/// Groups in short, on the overview.
const GROUPS_IN_SHORT: &[Column] = &[
    Column::left("GROUP", 0),
    Column::left("STATUS", 0),
    Column::right("LAG", 0),
    Column::right("SECS", 2),
    Column::left("TREND", 3),
    Column::right("WAIT", 1),
    Column::right("DUE IN", 4),
    Column::right("MEMBERS", 5),
    Column::left("STATE", 6),
];

/// The columns of a page, as far as it is one table.
pub(super) const fn columns(page: Page) -> &'static [Column] {
    match page {
        Page::Overview => &[],
        Page::Topics => TOPICS,
        Page::Partitions => PARTITIONS,
        Page::Groups => GROUPS,
        Page::Lag => LAG,
        Page::Dead => DEAD,
    }
}

/// How a page is sorted at first: what needs to be looked at stands above.
pub(super) const fn sort_at_first(page: Page) -> Sort {
    match page {
        Page::Topics | Page::Dead => Sort { column: 1, is_falling: true },
        Page::Lag => Sort { column: 3, is_falling: true },
        Page::Overview | Page::Partitions | Page::Groups => Sort { column: 0, is_falling: false },
    }
}

/// The table of a page, in the order of names; none for the overview, which has several.
pub(super) fn grid(page: Page, picture: &Picture) -> Option<Grid> {
    let rows = match page {
        Page::Overview => return None,
        Page::Topics => topics(picture),
        Page::Partitions => partitions(picture),
        Page::Groups => picture.groups.iter().flat_map(members).collect(),
        Page::Lag => lag(picture),
        Page::Dead => dead(picture),
    };
    Some(Grid { columns: columns(page), rows })
}

fn name(name: &str) -> Cell {
    Cell::text(fit(name, NAME_MAX))
}

/// A number that is bad news unless it is 0.
fn bad_count(count: usize) -> Cell {
    let tone = if count > 0 { Tone::Bad } else { Tone::Dim };
    Cell::count(Some(count as u64)).tone(tone)
}

fn topics(picture: &Picture) -> Vec<Vec<Cell>> {
    let row = |(topic, partitions): (&String, &Vec<_>)| {
        let rate = picture.rates.rate(topic);
        let count = |is: fn(&kafka_io::cluster::PartitionLayout) -> bool| {
            partitions.iter().filter(|partition| is(partition)).count()
        };
        vec![
            name(topic),
            Cell::number(rate.unwrap_or(-1.0), rate.map_or("-".to_owned(), per_second)),
            Cell::text(trend(&picture.rates.trend(topic), TREND)),
            Cell::count(Some(picture.written(topic, partitions))),
            Cell::count(Some(partitions.len() as u64)),
            bad_count(count(is_under_replicated)),
            bad_count(count(|partition| partition.leader.is_none())),
        ]
    };
    picture.topics().map(row).collect()
}

/// A rate as people read it.
pub(super) fn per_second(rate: f64) -> String {
    if rate > 0.0 && rate < 9.95 {
        return format!("{rate:.1}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
    grouped(rate.max(0.0).round() as u64)
}

fn ids(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn partitions(picture: &Picture) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for (topic, partitions) in picture.topics() {
        for found in partitions {
            let end = picture.ends.get(&(topic.clone(), found.partition));
            let (state, tone) = match found.leader {
                None => ("no leader", Tone::Bad),
                Some(_) if is_under_replicated(found) => ("under-replicated", Tone::Bad),
                Some(_) => ("ok", Tone::Good),
            };
            let leader = found.leader.map_or("-".to_owned(), |leader| leader.to_string());
            rows.push(vec![
                name(topic),
                Cell::number(f64::from(found.partition), found.partition.to_string()),
                Cell::number(f64::from(found.leader.unwrap_or(-1)), leader),
                Cell::text(ids(&found.replicas)),
                Cell::text(ids(&found.in_sync)),
                Cell::count(end.and_then(|end| u64::try_from(*end).ok())),
                Cell::text(state).tone(tone),
            ]);
        }
    }
    rows
}

/// A row for each member of a group, or one for a group without any.
fn members(group: &GroupLag) -> Vec<Vec<Cell>> {
    let state = || {
        let is_steady = matches!(group.group.state.as_str(), "Stable" | "Empty");
        Cell::text(fit(&group.group.state, NAME_MAX)).tone(if is_steady {
            Tone::Plain
        } else {
            Tone::Warn
        })
    };
    if group.group.members.is_empty() {
        let nothing = || Cell::text("-").tone(Tone::Dim);
        return vec![vec![name(&group.group.name), state(), nothing(), nothing(), nothing()]];
    }
    let row = |member: &kafka_io::cluster::GroupMember| {
        let of = |(topic, partitions): (&String, &Vec<i32>)| {
            format!("{} {}", fit(topic, NAME_MAX), spans(partitions))
        };
        let owned = member.owned.iter().map(of).collect::<Vec<_>>().join("; ");
        let owned = if owned.is_empty() { "nothing".to_owned() } else { owned };
        vec![
            name(&group.group.name),
            state(),
            name(&member.client_id),
            name(&member.host),
            Cell::text(owned),
        ]
    };
    group.group.members.iter().map(row).collect()
}

/// Numbers in short: `0-3,7`.
fn spans(numbers: &[i32]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let mut spans: Vec<(i32, i32)> = Vec::new();
    for number in sorted {
        match spans.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => spans.push((number, number)),
        }
    }
    let text = |(first, last): &(i32, i32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    spans.iter().map(text).collect::<Vec<_>>().join(",")
}

/// A word is sorted by how bad it is.
fn word(word: Option<Word>) -> Cell {
    let (weight, text, tone) = match word {
        None => (0.5, "-".to_owned(), Tone::Dim),
        Some(Word::Ok) => (0.0, "OK".to_owned(), Tone::Good),
        Some(word @ Word::Warn) => (1.0, word.to_string(), Tone::Warn),
        Some(word @ Word::Stalled) => (2.0, word.to_string(), Tone::Bad),
        Some(word @ Word::Error) => (3.0, word.to_string(), Tone::Bad),
    };
    Cell::number(weight, text).tone(tone)
}

fn seconds(seconds: Option<f64>) -> Cell {
    let text = seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.1}"));
    Cell::number(seconds.unwrap_or(-1.0), text)
}

/// Time to the next due record, or how long it is due.
pub(super) fn due_in(due_at_ms: Option<i64>, now_ms: i64) -> Cell {
    let Some(due_at_ms) = due_at_ms else { return Cell::number(f64::MAX, "-").tone(Tone::Dim) };
    #[expect(clippy::cast_precision_loss, reason = "a wait has fewer digits")]
    let wait = (due_at_ms - now_ms).max(0) as f64 / 1000.0;
    Cell::number(wait, if wait < 100.0 { format!("{wait:.1} s") } else { format!("{wait:.0} s") })
}

fn lag(picture: &Picture) -> Vec<Vec<Cell>> {
    let row = |found: &PartitionLag| {
        let trends = picture.trends.get(&(found.group.clone(), found.place()));
        let offset = |offset: Option<i64>| Cell::count(offset.and_then(|o| u64::try_from(o).ok()));
        vec![
            name(&found.group),
            name(&found.topic),
            Cell::number(f64::from(found.partition), found.partition.to_string()),
            word(found.verdict.word),
            Cell::count(found.lag()),
            seconds(found.lag_seconds()),
            Cell::text(trend(trends.map_or(&[][..], Vec::as_slice), TREND)),
            Cell::count(found.waiting()),
            due_in(found.next_due_ms(), picture.at_ms),
            offset(found.committed),
            offset(found.end),
            name(found.owner.as_deref().unwrap_or("-")),
        ]
    };
    picture.groups.iter().flat_map(|group| &group.partitions).map(row).collect()
}

fn dead(picture: &Picture) -> Vec<Vec<Cell>> {
    let all = picture.dead.count();
    let row = |(class, of): (&String, &super::dead::OfClass)| {
        #[expect(clippy::cast_precision_loss, reason = "a share is for people")]
        let share = of.count as f64 * 100.0 / all.max(1) as f64;
        vec![
            name(class),
            Cell::count(Some(of.count)),
            Cell::number(share, format!("{share:.1} %")),
            Cell::text(Utc(of.last_ms).to_the_second()),
        ]
    };
    picture.dead.classes.iter().map(row).collect()
}

/// The groups with what counts about each, the worst ones first.
pub(super) fn groups_in_short(picture: &Picture) -> Grid {
    let row = |group: &GroupLag| {
        let trends = picture.group_trends.get(&group.group.name);
        let oldest = group.partitions.iter().filter_map(PartitionLag::lag_seconds);
        let waits = group.partitions.iter().any(|found| found.waiting().is_some());
        vec![
            name(&group.group.name),
            word(group.word),
            Cell::count(Some(group.lag())),
            seconds(oldest.reduce(f64::max)),
            Cell::text(trend(trends.map_or(&[][..], Vec::as_slice), 2 * TREND)),
            Cell::count(waits.then(|| group.waiting())),
            due_in(group.next_due_ms(), picture.at_ms),
            Cell::count(Some(group.group.members.len() as u64)),
            Cell::text(fit(&group.group.state, NAME_MAX)),
        ]
    };
    let mut grid =
        Grid { columns: GROUPS_IN_SHORT, rows: picture.groups.iter().map(row).collect() };
    grid.sort(Sort { column: 2, is_falling: true });
    grid.sort(Sort { column: 1, is_falling: true });
    grid
}

/// The fastest topics first.
pub(super) fn topics_in_short(picture: &Picture) -> Grid {
    let mut grid = Grid { columns: TOPICS, rows: topics(picture) };
    grid.sort(sort_at_first(Page::Topics));
    grid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_written_in_short() {
        for (numbers, expected) in
            [(&[][..], ""), (&[4], "4"), (&[2, 0, 1, 7, 9, 8], "0-2,7-9"), (&[1, 3], "1,3")]
        {
            assert_eq!(spans(numbers), expected);
        }
    }

    #[test]
    fn words_are_sorted_by_how_bad_they_are() {
        let words =
            [Some(Word::Ok), None, Some(Word::Warn), Some(Word::Stalled), Some(Word::Error)];
        let weights = words.map(|of| match word(of).key {
            super::super::grid::Key::Number(weight) => weight,
            super::super::grid::Key::Text(_) => panic!("a number"),
        });
        assert!(weights.is_sorted(), "{weights:?}");
    }

    #[test]
    fn times_and_rates_are_short() {
        for (rate, expected) in [(0.0, "0"), (0.25, "0.2"), (9.96, "10"), (12_345.6, "12,346")] {
            assert_eq!(per_second(rate), expected);
        }
        for (due_at_ms, expected) in
            [(None, "-"), (Some(2_500), "1.5 s"), (Some(500), "0.0 s"), (Some(301_000), "300 s")]
        {
            assert_eq!(due_in(due_at_ms, 1_000).text, expected);
        }
    }
}
