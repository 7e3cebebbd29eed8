//! What docs/performance.md says, measured on a real Kafka.
//!
//! ```text
//! make bench
//! cargo run --bin stack -- up && . .stack/env && cargo bench -p consumer
//! ```
//!
//! Programs that are compared read the same topic to its end, in turn, several rounds: what else the machine does then
//! hits all of them. What counts is the ratio within a round. A run counts only if what it has counted and written is
//! right; but for `quick`, nothing is asserted about time.
//!
//! | variable | |
//! |---|---|
//! | `BENCH_PART` | what is measured: `quick`, or a name in `PARTS`; `cpu` where it is not set |
//! | `BENCH_RECORDS`, `BENCH_ROUNDS`, `BENCH_SECONDS`, `BENCH_PRODUCTS` | the size |
//! | `BENCH_ONLY` | contenders of `cpu` besides the floor, such as `exactly,java` |
//! | `BENCH_CONSUMER` | another build of the consumer, measured as well |
//! | `BENCH_AS_BUILT` | nothing is built |
//! | `BENCH_SEED` | the order of the programs in each round |
//! | `BENCH_JSON` | the file of all figures; `target/bench-PART.json` where it is not set |
//! | `BENCH_PAGE` | the page that is given the part's table |

mod audit;
mod bars;
mod contender;
mod cpu;
mod dlq;
mod figures;
mod growth;
mod latency;
mod live;
mod orders_log;
mod output;
mod producer;
mod program;
mod push;
mod recovery;
mod rivals;
mod rounds;
mod variants;

use std::process::ExitCode;

/// What can be measured. `quick` is the short form of the first.
const PARTS: [(&str, fn()); 9] = [
    ("cpu", cpu::run),
    ("latency", latency::run),
    ("growth", growth::run),
    ("variants", variants::run),
    ("push", push::run),
    ("recovery", recovery::run),
    ("producer", producer::run),
    ("audit", audit::run),
    ("dlq", dlq::run),
];

fn main() -> ExitCode {
    let part = std::env::var("BENCH_PART").unwrap_or_else(|_| "cpu".to_owned());
    if part == "quick" {
        return cpu::quick();
    }
    let Some((_, measure)) = PARTS.iter().find(|(name, _)| *name == part) else {
        let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        eprintln!("BENCH_PART={part} is not known: quick, {}", names.join(", "));
        return ExitCode::from(2);
    };
    measure();
    ExitCode::SUCCESS
}
