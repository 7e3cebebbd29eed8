//! The picture as a few lines, where there is no terminal.

use service_kit::terminal::one_line;

use super::draw::LEFT_TOLD_MIN;
use super::grid::grouped;
use super::pages;
use super::picture::{Picture, is_under_replicated};
use crate::dlq::Utc;
use crate::lag::report::{GroupLag, PartitionLag};

/// Most groups and topics that have a line each.
const LINES_MAX: usize = 50;

/// Lines with the time before each, so that they can be told apart in a file.
pub(super) fn lines(picture: &Picture) -> Vec<String> {
    let mut lines = Vec::new();
    for away in &picture.unavailable {
        let since = Utc(Some(away.since_ms));
        lines.push(format!("unavailable {} since {since}: {}", away.what, away.why));
    }
    let there = picture.brokers.iter().filter(|broker| broker.missing_since_ms.is_none()).count();
    let under = picture.partitions().filter(|found| is_under_replicated(found)).count();
    let leaderless = picture.partitions().filter(|found| found.leader.is_none()).count();
    lines.push(format!(
        "brokers {there}, partitions {}, under-replicated {under}, without a leader {leaderless}",
        picture.partitions().count()
    ));
    lines.extend(picture.groups.iter().take(LINES_MAX).map(|found| group(found, picture.at_ms)));
    for (topic, _) in picture.topics().take(LINES_MAX) {
        if let Some(rate) = picture.rates.rate(topic).filter(|rate| *rate > 0.0) {
            lines.push(format!("topic {topic} {} records/s", pages::per_second(rate)));
        }
    }
    let classes = picture.dead.classes.iter();
    let classes: Vec<String> =
        classes.map(|(class, of)| format!("{} {class}", grouped(of.count))).collect();
    let classes =
        if classes.is_empty() { String::new() } else { format!(": {}", classes.join(", ")) };
    let (count, topic) = (grouped(picture.dead.count()), &picture.dead_topic);
    let more = match picture.dead.left {
        0..=LEFT_TOLD_MIN => String::new(),
        left => format!(" so far, {} more to count", grouped(left)),
    };
    lines.push(format!("dead letters {count} in {topic}{more}{classes}"));
    let time = Utc(Some(picture.at_ms)).to_the_second();
    lines.into_iter().map(|line| one_line(&format!("{time} {line}"))).collect()
}

fn group(group: &GroupLag, now_ms: i64) -> String {
    let word = group.word.map_or("not judged".to_owned(), |word| word.to_string());
    let oldest = group.partitions.iter().filter_map(PartitionLag::lag_seconds).reduce(f64::max);
    let mut line = format!("group {} {word} lag {}", group.group.name, group.lag());
    if let Some(seconds) = oldest.filter(|seconds| *seconds > 0.0) {
        line.push_str(&format!(" ({seconds:.1} s)"));
    }
    if group.waiting() > 0 {
        let due = pages::due_in(group.next_due_ms(), now_ms).text;
        line.push_str(&format!(", {} wait for a retry, the next is due in {due}", group.waiting()));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::draw::tests_picture;
    use super::*;

    #[test]
    fn each_line_has_its_time_and_nothing_that_drives_a_terminal() {
        let lines = lines(&tests_picture());
        for part in ["group order-consumer STALLED lag 12,345", "topic orders ", "dead letters 45"]
        {
            let part = part.replace("12,345", "12345");
            assert!(lines.iter().any(|line| line.contains(&part)), "{part}: {lines:#?}");
        }
        assert!(lines.iter().all(|line| line.starts_with("2026-11-21 10:29:12 ")), "{lines:#?}");
        assert!(!lines.concat().contains('\u{1b}'));
    }
}
