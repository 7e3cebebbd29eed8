//! What is said at the end of an import, besides the numbers.

use std::path::Path;

use crate::send::Summary;

/// So many ranges of lines are listed.
const RANGES_LISTED_MAX: usize = 20;

/// Returns the lines for the user: prices that became others, rows that were not delivered, and where
/// to go on. `skipped` rows were left out at the start.
#[must_use]
pub fn of_import(
    summary: &Summary,
    skipped: u64,
    is_cut_short: bool,
    rejects: Option<&Path>,
) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(inexact) = &summary.inexact {
        let (count, line, first) = (inexact.count, inexact.first_line, &inexact.first);
        let subject = if count == 1 { "1 price was" } else { &format!("{count} prices were") };
        lines.push(format!(
            "warning: {subject} not representable; the first is in line {line}: {first}. \
             --strict-prices rejects such rows"
        ));
    }
    let failed = summary.totals.counts.failed;
    if failed > 0 {
        let ranges = ranges(&summary.undelivered_lines);
        let advice = match rejects {
            Some(path) => format!("they are in {}, each with its reason", path.display()),
            None => "send them again separately; --rejects FILE would keep them".to_owned(),
        };
        lines.push(format!("{failed} rows were not delivered, in the lines {ranges}: {advice}"));
    }
    if is_cut_short {
        let taken = skipped + summary.taken;
        lines.push(format!(
            "the import stopped after {taken} rows; to continue after them, add --skip-rows {taken}"
        ));
    } else if summary.taken == 0 {
        lines.push(match skipped {
            0 => "the input has no rows".to_owned(),
            _ => format!("the input has no rows after the {skipped} skipped ones"),
        });
    }
    lines
}

/// `2, 5 to 9`, of numbers in ascending order.
fn ranges(lines: &[u64]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &line in lines {
        match ranges.last_mut() {
            Some((_, last)) if line <= *last + 1 => *last = line,
            _ => ranges.push((line, line)),
        }
    }
    let more = if ranges.len() > RANGES_LISTED_MAX { " and more" } else { "" };
    let written = |&(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    };
    let listed: Vec<String> = ranges.iter().take(RANGES_LISTED_MAX).map(written).collect();
    format!("{}{more}", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use kafka_io::publisher::Counts;

    use super::*;
    use crate::send::{InexactPrices, Totals};

    fn said(summary: &Summary, skipped: u64, is_cut_short: bool) -> String {
        of_import(summary, skipped, is_cut_short, None).join("\n")
    }

    #[test]
    fn prices_that_became_others_are_said_once_with_count_and_first_line() {
        let first = "price 1.23456789e8 becomes 123456790".to_owned();
        let inexact = Some(InexactPrices { count: 2, first_line: 7, first });
        let text = said(&Summary { taken: 9, inexact, ..Summary::default() }, 0, false);
        assert!(text.starts_with("warning: 2 prices were not representable"), "{text}");
        assert!(text.contains("line 7: price 1.23456789e8 becomes"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_stopped_import_says_where_to_go_on_counted_from_the_first_row_of_the_input() {
        let text = said(&Summary { taken: 9, ..Summary::default() }, 20, true);
        assert!(text.contains("--skip-rows 29"), "{text}");
        assert_eq!(said(&Summary { taken: 9, ..Summary::default() }, 20, false), "");
    }

    #[test]
    fn an_input_without_rows_is_said() {
        assert_eq!(said(&Summary::default(), 0, false), "the input has no rows");
        assert!(said(&Summary::default(), 4, false).contains("after the 4"));
    }

    #[test]
    fn rows_that_were_not_delivered_are_named_by_their_lines() {
        let counts = Counts { sent: 9, acknowledged: 4, failed: 5 };
        let totals = Totals { counts, rejected: 0 };
        let undelivered_lines = vec![2, 4, 5, 6, 9];
        let text =
            said(&Summary { totals, taken: 9, undelivered_lines, ..Summary::default() }, 0, false);
        assert!(text.contains("5 rows were not delivered, in the lines 2, 4 to 6, 9"), "{text}");
        assert!(ranges(&(0..100).map(|n| n * 2).collect::<Vec<_>>()).ends_with("38 and more"));
    }
}
