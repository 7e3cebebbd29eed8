//! Lag as a table for people.

use service_kit::live::fit;
use service_kit::table::{Side, Table};

use super::report::{GroupLag, PartitionLag};

/// Columns where no terminal says how wide it is.
pub(super) const COLUMNS_ELSEWHERE: usize = 120;

/// Columns from which on the owner has a column.
const COLUMNS_FOR_OWNER: usize = 100;

/// Widest name of a topic, without and with an owner beside it, and of that.
const NAME_MAX: usize = 20;
const WIDE_NAME_MAX: usize = 32;

/// A heading and a table for each group, and why partitions are not OK.
pub(super) fn text(groups: &[GroupLag], columns: usize) -> String {
    let mut text = String::new();
    for group in groups {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&fit(&heading(group), columns));
        text.push('\n');
        if !group.partitions.is_empty() {
            text.push_str(&table(group, columns));
            text.push('\n');
        }
        for found in &group.partitions {
            if let (Some(word), Some(why)) = (found.verdict.word, &found.verdict.why) {
                let line = format!("  {}/{} {word}: {why}", found.topic, found.partition);
                text.push_str(&fit(&line, columns));
                text.push('\n');
            }
        }
    }
    text
}

fn heading(group: &GroupLag) -> String {
    let members = match group.group.members.len() {
        1 => "1 member".to_owned(),
        count => format!("{count} members"),
    };
    let word = group.word.map_or("not judged".to_owned(), |word| word.to_string());
    let mut text = format!("{}: {word}, {members}, {}", group.group.name, group.group.state);
    text.push_str(&format!(", lag {}", group.lag()));
    if group.waiting() > 0 {
        text.push_str(&format!(", {} waiting for a retry", group.waiting()));
    }
    text
}

fn table(group: &GroupLag, columns: usize) -> String {
    let has_owner = columns >= COLUMNS_FOR_OWNER;
    let mut heads = vec![
        ("TOPIC", Side::Left),
        ("PART", Side::Right),
        ("STATUS", Side::Left),
        ("LAG", Side::Right),
        ("SECS", Side::Right),
        ("WAIT", Side::Right),
        ("IN", Side::Right),
        ("COMMITTED", Side::Right),
        ("END", Side::Right),
    ];
    if has_owner {
        heads.push(("OWNER", Side::Left));
    }
    let mut table = Table::new(&heads);
    for found in &group.partitions {
        table.row(row(found, has_owner));
    }
    let text = table.text();
    text.lines().map(|line| fit(line, columns)).collect::<Vec<_>>().join("\n")
}

fn row(found: &PartitionLag, has_owner: bool) -> Vec<String> {
    let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
    let least = if found.left.is_some_and(|left| left.is_at_least) { ">" } else { "" };
    let count =
        |count: Option<u64>| count.map_or("-".to_owned(), |count| format!("{least}{count}"));
    let mut cells = vec![
        fit(&found.topic, if has_owner { WIDE_NAME_MAX } else { NAME_MAX }),
        found.partition.to_string(),
        found.verdict.word.map_or("-".to_owned(), |word| word.to_string()),
        count(found.lag()),
        found.lag_seconds().map_or("-".to_owned(), |seconds| format!("{seconds:.1}")),
        count(found.waiting()),
        found.waits_for().map_or("-".to_owned(), |seconds| format!("{seconds:.1} s")),
        number(found.committed),
        number(found.end),
    ];
    if has_owner {
        cells.push(fit(found.owner.as_deref().unwrap_or("-"), WIDE_NAME_MAX));
    }
    cells
}

#[cfg(test)]
mod tests {
    use kafka_io::cluster::Group;
    use service_kit::live::width;

    use super::super::judge::{Verdict, Word};
    use super::super::report::tests::{partition, retry};
    use super::super::waiting::Left;
    use super::*;

    #[test]
    fn a_table_fits_80_columns_and_says_why_a_partition_is_not_ok() {
        let mut stalled = partition("orders", 11, 9_876_543_210, 9_876_555_555);
        stalled.oldest_ms = Some(75_300);
        let why = "12345 records wait and none was settled for 3.0 s";
        stalled.verdict = Verdict { word: Some(Word::Stalled), why: Some(why.to_owned()) };
        let mut waits =
            retry(0, Left { waiting: 38, next_due_at_ms: Some(11_200), ..Left::default() });
        waits.verdict.word = Some(Word::Ok);
        let group = Group {
            name: "order-consumer".to_owned(),
            state: "Stable".to_owned(),
            members: vec![Default::default()],
        };
        let group = GroupLag { group, partitions: vec![stalled, waits], word: Some(Word::Stalled) };
        let text = super::text(&[group], 80);
        let expected =
            "order-consumer: STALLED, 1 member, Stable, lag 12345, 38 waiting for a retry
TOPIC         PART  STATUS     LAG  SECS  WAIT     IN   COMMITTED         END
orders          11  STALLED  12345  75.3     -      -  9876543210  9876555555
orders-retry     0  OK           0   0.0    38  1.2 s          10          20
  orders/11 STALLED: 12345 records wait and none was settled for 3.0 s
";
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
    }

    #[test]
    fn names_of_others_do_not_move_the_cursor() {
        let evil = partition("evil\u{1b}[2J", 0, 0, 0);
        let group = Group { name: "a\u{1b}[31m".to_owned(), ..Group::default() };
        let text = super::text(&[GroupLag { group, partitions: vec![evil], word: None }], 120);
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
