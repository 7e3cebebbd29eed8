use std::sync::Arc;

use kafka_io::cluster::{Group, GroupMember, Layout, PartitionLayout};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};

use super::*;
use crate::lag::report::tests::{partition, retry};
use crate::lag::waiting::Left;
use crate::lag::{Verdict, Word};
use crate::monitor::brokers::Seen;
use crate::monitor::dead::OfClass;
use crate::monitor::picture::Unavailable;
use crate::monitor::view::Press;

const AT_MS: i64 = 1_795_256_952_843;

/// A cluster with a group that stands still, one that is fine, and names that nobody should have.
pub(in crate::monitor) fn picture() -> Picture {
    let held = |partition, in_sync: &[i32]| PartitionLayout {
        partition,
        leader: in_sync.first().copied(),
        replicas: vec![1, 2],
        in_sync: in_sync.to_vec(),
    };
    let mut layout = Layout::default();
    layout.topics.insert("orders".to_owned(), vec![held(0, &[1, 2]), held(1, &[2]), held(2, &[])]);
    layout.topics.insert("orders-dlq".to_owned(), vec![held(0, &[1, 2])]);
    layout.topics.insert("evil\u{1b}[2J日本茶".to_owned(), vec![held(0, &[1, 2])]);
    layout.topics.insert("__consumer_offsets".to_owned(), vec![held(0, &[1, 2])]);
    let mut stalled = partition("orders", 0, 9_876_543_210, 9_876_555_555);
    stalled.oldest_ms = Some(75_300);
    stalled.verdict = Verdict { word: Some(Word::Stalled), why: None };
    let mut waits =
        retry(0, Left { waiting: 133, next_due_at_ms: Some(AT_MS + 1_200), ..Left::default() });
    waits.verdict.word = Some(Word::Ok);
    let member = GroupMember {
        id: "consumer-1-uuid".to_owned(),
        client_id: "consumer-lane-0".to_owned(),
        host: "127.0.0.1".to_owned(),
        owned: [("orders".to_owned(), vec![0, 1, 2])].into(),
    };
    let group = |name: &str, members: Vec<GroupMember>| Group {
        name: name.to_owned(),
        state: if members.is_empty() { "Empty" } else { "Stable" }.to_owned(),
        members,
    };
    let groups = vec![
        GroupLag { group: group("idle", vec![]), partitions: vec![], word: Some(Word::Ok) },
        GroupLag {
            group: group("order-consumer", vec![member]),
            partitions: vec![stalled.clone(), waits],
            word: Some(Word::Stalled),
        },
    ];
    let mut picture = Picture {
        servers: "kafka-1.example.com:9092,kafka-2.example.com:9092".to_owned(),
        at_ms: AT_MS,
        layout: Arc::new(layout),
        dead_topic: "orders-dlq".to_owned(),
        groups,
        ..Picture::default()
    };
    for (id, missing_since_ms) in [(1, None), (2, None), (3, Some(AT_MS - 7_000))] {
        let address = format!("kafka-{id}.example.com:9092");
        picture.brokers.push(Seen { id, address, missing_since_ms });
    }
    picture.unavailable.push(Unavailable {
        what: "broker 3 at kafka-3.example.com:9092".to_owned(),
        since_ms: AT_MS - 7_000,
        why: "the other brokers no longer list it".to_owned(),
    });
    picture.dead.classes.insert("invalid".to_owned(), OfClass { count: 15, last_ms: Some(AT_MS) });
    picture.dead.classes.insert("transient".to_owned(), OfClass { count: 30, last_ms: None });
    for (at_ms, end) in [(0, 0), (1_000, 100), (2_000, 150)] {
        let ends = [(("orders".to_owned(), 0), end), (("orders-dlq".to_owned(), 0), 45)];
        picture.ends = ends.into_iter().collect();
        picture.rates.add(&picture.ends, at_ms);
    }
    picture.group_trends.insert("order-consumer".to_owned(), vec![1, 5, 9, 12_345]);
    picture.trends.insert(("g".to_owned(), stalled.place()), vec![1, 5, 9]);
    picture
}

fn drawn(view: &mut View, columns: u16, rows: u16, palette: Palette) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let picture = picture();
    terminal.draw(|frame| draw(frame, &picture, view, palette)).unwrap();
    terminal
}

fn text(terminal: &Terminal<TestBackend>) -> Vec<String> {
    let buffer = terminal.backend().buffer();
    let columns = usize::from(buffer.area.width);
    let rows = buffer.content.chunks(columns);
    let row = |cells: &[ratatui::buffer::Cell]| {
        cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
    };
    rows.map(row).collect()
}

fn on(page: char, columns: u16, rows: u16) -> Vec<String> {
    let mut view = View::default();
    view.press(Press::Char(page));
    text(&drawn(&mut view, columns, rows, Palette::Colors))
}

#[track_caller]
fn expect_all(lines: &[String], parts: &[&str]) {
    for part in parts {
        assert!(lines.iter().any(|line| line.contains(part)), "{part}:\n{}", lines.join("\n"));
    }
}

#[test]
fn the_overview_tells_the_most_important_at_both_sizes() {
    for (columns, rows) in [(80, 24), (200, 50)] {
        let lines = on('1', columns, rows);
        expect_all(
            &lines,
            &[
                "orders monitor",
                "2026-11-21 10:29:12 UTC",
                "[1 overview]",
                "unavailable  broker 3 at kafka-3.example.com:9092 since 10:29:05 (7 s)",
                "brokers      2: 1 at kafka-1.example.com:9092",
                "partitions   6 in 4 topics, 2 under-replicated, 1 without a leader",
                "retry        133 wait for their due time, the next is due in 1.2 s",
                "dead letters 45 in orders-dlq: 30 transient, 15 invalid",
                "? keys  / filter  s sort",
            ],
        );
        let group = lines.iter().find(|line| line.starts_with("order-consumer")).expect("a row");
        for part in ["STALLED", "12,345", "75.3", "133"] {
            assert!(group.contains(part), "{columns}: {part}: {group}");
        }
        let topic = lines[1..].iter().find(|line| line.starts_with("orders ")).expect("a row");
        assert!(topic.contains(" 75 "), "records a second: {topic}");
    }
}

#[test]
fn every_page_shows_what_it_is_for_at_both_sizes() {
    let pages: [(char, &[&str]); 5] = [
        ('2', &["TOPIC", "REC/S↓", "WRITTEN", "orders-dlq", "UNDER-REPL"]),
        ('3', &["LEADER", "IN SYNC", "under-replicated", "no leader"]),
        ('4', &["MEMBER", "consumer-lane-0", "orders 0-2", "idle"]),
        ('5', &["STATUS↓", "LAG", "SECS", "WAIT", "STALLED", "12,345"]),
        ('6', &["CLASS", "COUNT↓", "66.7 %", "transient"]),
    ];
    for (columns, rows) in [(80, 24), (200, 50)] {
        for (page, parts) in pages {
            expect_all(&on(page, columns, rows), parts);
        }
    }
    expect_all(&on('5', 200, 50), &["OWNER", "COMMITTED", "9,876,543,210"]);
}

#[test]
fn no_size_and_no_name_breaks_the_screen() {
    for columns in [1, 5, 13, 20, 40, 79, 80, 300] {
        for rows in [1, 2, 4, 5, 8, 12, 24, 100] {
            for page in '1'..='6' {
                let lines = on(page, columns, rows);
                assert_eq!(lines.len(), usize::from(rows));
                let text = lines.concat();
                assert!(!text.contains('\u{1b}'), "{columns}x{rows}: {text}");
            }
        }
    }
}

#[test]
fn bad_news_is_seen_with_colors_and_without() {
    for (palette, has_colors) in [(Palette::Colors, true), (Palette::Plain, false)] {
        let terminal = drawn(&mut View::default(), 80, 24, palette);
        let buffer = terminal.backend().buffer();
        let colored = buffer.content.iter().any(|cell| cell.fg != Color::Reset);
        assert_eq!(colored, has_colors, "{palette:?}");
        let lines = text(&terminal);
        let row = lines.iter().position(|line| line.starts_with("order-consumer")).expect("a row");
        let line = &lines[row];
        let at = line[..line.find("STALLED").expect("the word")].chars().count();
        let cell = &buffer[(u16::try_from(at).unwrap(), u16::try_from(row).unwrap())];
        assert!(cell.modifier.contains(Modifier::BOLD), "{palette:?}");
        assert_eq!(cell.modifier.contains(Modifier::REVERSED), !has_colors, "{palette:?}");
    }
}

#[test]
fn a_filter_is_shown_and_leaves_the_rows_that_hold_it() {
    let mut view = View::default();
    for press in "3/dlq".chars().map(Press::Char).chain([Press::Enter]) {
        view.press(press);
    }
    let lines = text(&drawn(&mut view, 80, 24, Palette::Colors));
    expect_all(&lines, &["orders-dlq", "showing rows with 'dlq'"]);
    assert!(!lines[1..].iter().any(|line| line.starts_with("orders ")), "{}", lines.join("\n"));
    for press in "/zzz".chars().map(Press::Char) {
        view.press(press);
    }
    let lines = text(&drawn(&mut view, 80, 24, Palette::Colors));
    expect_all(&lines, &["no row contains 'dlqzzz'", "/dlqzzz"]);
}

#[test]
fn help_names_the_keys() {
    let mut view = View::default();
    view.press(Press::Char('?'));
    let lines = text(&drawn(&mut view, 80, 24, Palette::Colors));
    expect_all(&lines, &["sort by the next column", "q, Ctrl-C", "PageDown", "STALLED"]);
}
