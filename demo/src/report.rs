//! The texts around the story: what runs, what it came to, what to try next.

use std::fmt::Write as _;

use consumer::Statistics;
use service_kit::units::DurationArg;

use crate::dead_letters::{DeadLetters, Example, Group};
use crate::screen::{Color, Screen};
use crate::servers::DEAD_LETTERS;
use crate::story::{ORDERS, ORDERS_PER_SECOND, RETRY_DELAY, Story};

/// What runs here, and what does not.
pub(crate) fn introduction(screen: &Screen, story: &Story) -> String {
    let title = screen.paint("An order pipeline on Kafka, in one process.", Color::Bold);
    let delay = DurationArg::from(RETRY_DELAY);
    let Story { seed, failure_rate, max_retries } = story;
    let percent = failure_rate * 100.0;
    format!(
        "{title}
Kafka is librdkafka's in-process mock and the schema registry is in memory:
nothing to install, nothing left behind. The mock has no real transactions, so
the consumer runs in at-least-once mode here; exactly-once is shown on real
servers: make test

  producer --> orders --> consumer --> orders-averages   of what was counted
                           |  ^ |
                   failed  v  | +----> orders-dlq        dead letters
                     orders-retry      again after {delay}, at most {max_retries} times

{ORDERS} orders, {ORDERS_PER_SECOND} a second; {percent:.0} % of the attempts fail on request (--seed {seed})
"
    )
}

/// Averages, the balance, and the dead letters.
pub(crate) fn ending(
    screen: &Screen,
    sent: u64,
    statistics: &Statistics,
    letters: &DeadLetters,
) -> String {
    let mut text = String::new();
    let Statistics { retried, dead_lettered, overall, .. } = statistics;
    let heading = |text: &str| screen.paint(text, Color::Bold);
    let _ = writeln!(text, "\n{}\n", heading("Averages, read back from orders-averages"));
    let _ = writeln!(text, "{}\n", statistics.table(screen.columns()));
    let balance = format!(
        "{sent} sent = {} counted + {dead_lettered} dead-lettered, after {retried} retries",
        overall.count
    );
    let _ = writeln!(text, "{}", screen.paint(&balance, Color::Green));
    let _ = writeln!(text, "\n{}\n", heading(&format!("{DEAD_LETTERS}, grouped by cause")));
    let _ = writeln!(text, "{:<10} {:<15} {:>5}  FOR EXAMPLE", "CLASS", "REASON", "COUNT");
    for ((class, reason), Group { count, example }) in letters {
        let class = screen.paint(&format!("{class:<10}"), Color::Red);
        let Example { at: (partition, offset), origin, key, detail } = example;
        let at = format!("{DEAD_LETTERS}/{partition}@{offset} from {origin} ({key})");
        let _ = writeln!(text, "{class} {reason:<15} {count:>5}  {at}");
        let _ = writeln!(text, "           {}", screen.paint(detail, Color::Dim));
    }
    text
}

/// Commands to go on with.
pub(crate) fn next_steps(screen: &Screen) -> String {
    let heading = screen.paint("Next, the same exactly-once on real servers", Color::Bold);
    format!(
        "{heading}

  cargo run --bin stack -- up --only kafka,registry
  . .stack/env
  cargo run --bin consumer -- --create-topics --simulate-failures 0.25

and in a second terminal

  . .stack/env
  cargo run --bin producer -- --count 1000 --rate 100/s --negative-rate 0.02
  kcat -b \"$KAFKA_BOOTSTRAP_SERVERS\" -C -e -t orders-dlq -f '%t/%p@%o %k %h\\n'
  cargo run --bin stack -- down"
    )
}
