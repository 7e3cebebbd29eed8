//! A plan for people.

use service_kit::table::{Side, Table};
use service_kit::terminal::one_line;

use super::plan::Plan;

/// Columns of a line.
const COLUMNS: usize = 80;

/// The page, without a line break at its end.
pub(super) fn page(plan: &Plan) -> String {
    let mut lines = vec![
        format!("group {} restarts at {}", one_line(&plan.group), one_line(&plan.to)),
        String::new(),
        table(plan),
        String::new(),
    ];
    let counted = plan.sum(|one| one.counted);
    let again = plan.sum(|one| one.read_again);
    let averages = match &plan.replay_id {
        None => format!("averages: {counted} orders would be removed, {again} would be read again"),
        Some(_) => format!("averages: {counted} orders were removed, {again} will be read again"),
    };
    lines.push(averages);
    let titled = |title: &'static str, texts: &[String]| -> Vec<String> {
        texts.iter().flat_map(|text| folded(title, text)).collect()
    };
    lines.extend(titled("note:", &plan.warnings));
    lines.extend(titled(if plan.partial { "accepted:" } else { "refused:" }, &plan.refused));
    lines.extend(titled("member:", &plan.members));
    lines.join("\n")
}

fn table(plan: &Plan) -> String {
    let names = ["PARTITION", "FROM", "TO", "READ AGAIN", "COUNTED", "WAITING", "DEAD LETTERS"];
    let mut table = Table::new(&names.map(|name| (name, Side::Right)));
    for one in &plan.partitions {
        let from = one.from.map_or("-".to_owned(), |from| from.to_string());
        let numbers = [one.read_again, one.counted, one.waiting, one.dead_letters];
        let cells = [one.partition.to_string(), from, one.to.to_string()];
        table.row(cells.into_iter().chain(numbers.map(|number| number.to_string())));
    }
    table.text()
}

/// A text behind its title, broken between words.
fn folded(title: &str, text: &str) -> Vec<String> {
    let indent = title.len() + 1;
    let mut lines = vec![title.to_owned()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is one");
        if last.chars().count() + 1 + word.chars().count() > COLUMNS && last.len() >= indent {
            lines.push(format!("{:width$}{word}", "", width = indent));
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use service_kit::live::width;

    use super::super::plan::PartitionPlan;
    use super::*;

    #[test]
    fn the_page_fits_80_columns_and_holds_what_is_refused_and_noted() {
        let mut plan = Plan {
            group: "order-consumer".to_owned(),
            to: "offset:4".to_owned(),
            refused: vec!["4 orders below the new start ".repeat(6)],
            warnings: vec!["12 dead letters stay where they are ".repeat(5)],
            members: vec!["consumer at 127.0.0.1 (consumer-1)".to_owned()],
            ..Plan::default()
        };
        plan.partitions.push(PartitionPlan {
            from: None,
            to: i64::from(u32::MAX),
            read_again: u64::from(u32::MAX),
            counted: u64::from(u32::MAX),
            ..PartitionPlan::default()
        });
        let text = page(&plan);
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
        for title in
            ["refused: 4 orders", "note: 12 dead", "member: consumer at", "would be removed"]
        {
            assert!(text.contains(title), "{title}: {text}");
        }
        (plan.partial, plan.replay_id) = (true, Some("id".to_owned()));
        let text = page(&plan);
        assert!(text.contains("accepted: 4 orders") && text.contains("were removed"), "{text}");
    }
}
