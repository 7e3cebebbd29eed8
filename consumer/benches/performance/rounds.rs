//! Programs that read the same orders in turn, several rounds, each round in an order of its own.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::contender::Contender;
use crate::figures::{Figures, Round, Setting};
use crate::orders_log::OrdersLog;
use crate::output::number;

/// The short log has this part of the records of the whole one.
pub(crate) const SHORT_PART: u64 = 10;

/// Measures all contenders over both logs.
pub(crate) fn measure(
    contenders: &[Contender],
    whole: &OrdersLog,
    short: &OrdersLog,
    rounds: u64,
) -> Figures {
    let seed = number("BENCH_SEED", rand::random::<u32>().into());
    let what = format!(
        "{} orders (and {} for what start and end cost), {} products, {} partitions, order of the \
         programs shuffled",
        whole.records, short.records, whole.products, whole.pipeline.partitions
    );
    let mut figures = Figures::new(Setting::here(what, seed), contenders);
    let mut random = StdRng::seed_from_u64(seed);
    let mut turns: Vec<usize> = (0..contenders.len()).collect();
    for round in 1..=rounds.max(1) {
        turns.shuffle(&mut random);
        for &index in &turns {
            let contender = &contenders[index];
            let of_run = |log: &OrdersLog, length: &str| {
                contender.run(log, &format!("{}-{length}-{round}", contender.key))
            };
            let round_costs =
                Round { short: of_run(short, "short"), whole: of_run(whole, "whole") };
            eprintln!("round {round}: {}: {}", contender.name, round_costs.whole);
            figures.add(index, round_costs);
        }
    }
    figures
}
