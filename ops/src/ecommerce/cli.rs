//! `orders ecommerce`: flags, and what is printed.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::{note, result};
use service_kit::table::{Side, Table};
use service_kit::terminal::{one_line, tame_json};

use super::events::of_purchases;
use super::exchange::{Exchange, Placement};
use super::verdict::Verdict;
use crate::topics::{Connection, Output};

/// Orders of a run where nothing else is said.
const ORDERS: u32 = 60;

/// Most orders of a run: all that is published and read is kept until the end.
const ORDERS_MAX: u32 = 5_000;

/// What `orders ecommerce --help` says last.
pub(crate) const EXAMPLES: &str = "Examples:
  orders topics apply ecommerce.orders ecommerce.payments \\
    ecommerce.inventory --execute
  orders ecommerce
  orders ecommerce --spread          # what breaks without keys: exit 4

Exit codes: 0 each key was read from one partition and in order, 1 failed,
2 usage or configuration, 4 a key was not";

/// Flags of `ecommerce`.
#[derive(Debug, Args)]
pub struct EcommerceFlags {
    /// Number of orders to place, up to 5000 [default: 60]
    #[arg(long, value_name = "N", help_heading = "Run",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(ORDERS_MAX)))]
    orders: Option<u32>,
    /// Prefix of the names of the three topics [default: ecommerce]
    #[arg(long, value_name = "NAME", help_heading = "Run")]
    prefix: Option<String>,
    /// Place records round-robin instead of by key, to see what breaks
    #[arg(long, help_heading = "Run")]
    spread: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Serialize)]
struct Told<'a> {
    run: &'a str,
    prefix: &'a str,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

/// Publishes events of purchases, reads them with a worker per partition, and judges what these have seen.
///
/// # Errors
///
/// Fails for wrong settings (2), and for brokers and topics that are not there (1).
pub fn command(flags: &EcommerceFlags) -> Result<ExitStatus, AppError> {
    let (kafka, format) = flags.connection.load(flags.output.output)?;
    let prefix = flags.prefix.as_deref().unwrap_or("ecommerce");
    let exchange = Exchange::open(&kafka, prefix)?;
    let events = of_purchases(flags.orders.unwrap_or(ORDERS));
    let run = run_id();
    let placement = if flags.spread { Placement::InTurns } else { Placement::ByKey };
    let placed = exchange.publish(&run, &events, placement)?;
    let partitions = exchange.partitions();
    note(&format!(
        "orders: published {} events; {} workers read them, one for each partition",
        events.len(),
        partitions.len()
    ));
    let seen = exchange.consume(&run, &events, &placed)?;
    let verdict = Verdict::of(&events, &partitions, &seen);
    match format {
        OutputFormat::Table => result(&page(&verdict, prefix))?,
        OutputFormat::Json | OutputFormat::Jsonl => {
            let told = Told { run: &run, prefix, verdict: &verdict };
            let line = serde_json::to_string(&told).map_err(|error| {
                AppError::failed(format!("the result cannot be written as JSON: {error}"))
            })?;
            result(&(tame_json(line) + "\n"))?;
        }
    }
    Ok(if verdict.ok { ExitStatus::Done } else { ExitStatus::Finding })
}

fn page(verdict: &Verdict, prefix: &str) -> String {
    let mut table = Table::new(&[
        ("TOPIC", Side::Left),
        ("KEYED BY", Side::Left),
        ("PARTITION", Side::Right),
        ("WORKER", Side::Right),
        ("EVENTS", Side::Right),
        ("KEYS", Side::Right),
        ("IN ORDER", Side::Left),
    ]);
    for (worker, row) in (1..).zip(&verdict.partitions) {
        table.row([
            one_line(&row.topic.name(prefix)).to_string(),
            row.topic.key().to_owned(),
            row.partition.to_string(),
            i32::to_string(&worker),
            row.events.to_string(),
            row.keys.to_string(),
            if row.in_order { "yes" } else { "no" }.to_owned(),
        ]);
    }
    let mut page = table.text() + "\n\n";
    for violation in &verdict.violations {
        let name = one_line(&violation.topic.name(prefix)).to_string();
        let (key, word) = (one_line(&violation.key), violation.topic.key());
        page.push_str(&format!("{name}, {word} {key}: {}\n", violation.what));
    }
    let more = verdict.violation_count - verdict.violations.len();
    if more > 0 {
        page.push_str(&format!("and {more} more\n"));
    }
    let Verdict { events, keys, broken_keys, .. } = verdict;
    page.push_str(&match verdict.ok {
        true => format!(
            "right: {events} events of {keys} keys, each key in one partition and in its order\n"
        ),
        false => format!(
            "wrong: no worker has read all events of {broken_keys} of {keys} keys in their order\n"
        ),
    });
    page
}

/// Names a run: when it began, and its process.
fn run_id() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", since.as_millis(), std::process::id())
}

#[cfg(test)]
mod tests {
    use service_kit::live::width;

    use super::*;
    use crate::ecommerce::events::Topic;
    use crate::ecommerce::verdict::Seen;

    #[test]
    fn the_page_has_a_row_for_each_worker_and_ends_with_the_verdict() {
        let events = of_purchases(4);
        let seen: Vec<Seen> = events
            .iter()
            .map(|event| Seen {
                topic: event.topic,
                partition: 0,
                key: event.key.clone(),
                number: event.number,
            })
            .collect();
        let partitions = Topic::ALL.map(|topic| (topic, 0));
        let right = page(&Verdict::of(&events, &partitions, &seen), "ecommerce");
        assert!(right.lines().all(|line| width(line) <= 80), "{right}");
        assert!(right.contains("ecommerce.inventory  product"), "{right}");
        assert!(
            right.trim_end().ends_with("each key in one partition and in its order"),
            "{right}"
        );
        let wrong = page(&Verdict::of(&events, &partitions, &seen[1..]), "ecommerce");
        assert!(wrong.contains("ecommerce.orders, customer c-0: 1 of its records were not read"));
        let last = "wrong: no worker has read all events of 1 of 13 keys in their order";
        assert_eq!(wrong.lines().last(), Some(last), "{wrong}");
    }
}
