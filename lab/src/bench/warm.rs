//! Brokers that have worked before anything is measured. A JVM compiles what it runs often, which takes it the better
//! part of a minute or two: without, whoever comes first is measured on a slower broker than whoever comes last. Orders are
//! sent until what one of them costs the broker no longer falls.

use std::time::{Duration, Instant};

use service_kit::shutdown::Shutdown;

use super::{Bench, Home, Rig};
use crate::asked::{Asks, Shares};
use crate::client::ANSWER_MAX;
use crate::generator::send;
use crate::plan::Cell;
use crate::priority;
use crate::proc::Part;
use crate::results::{Run, WarmUp};
use crate::schedule::planned_us;
use crate::workload::{Paradigm, Workload};

/// Orders per second while brokers warm up: above what most workloads offer.
const RATE_PER_S: f64 = 500.0;
/// No run of a plan has this round, and so none the same orders.
const ROUND: u32 = 1_000_000;
/// Time between two looks at what orders cost.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Looks that are compared with as many before them. The first one never counts: what is only needed once is in it.
const LOOKS: usize = 3;
/// What the later ones must be more than of the earlier ones.
const FALL_MIN: f64 = 0.95;
/// Orders that costs are told for.
const PER_ORDERS: f64 = 10_000.0;
/// Shortest time until a broker counts as warm: that of one which never was cold.
pub(crate) const FLAT_AFTER: Duration =
    Duration::from_secs((2 * LOOKS as u64 + 1) * LOOK_EVERY.as_secs());

impl Bench {
    /// The paradigms whose brokers are to work before the first run: those of the lab's own.
    #[must_use]
    pub fn to_warm(&self) -> Vec<Paradigm> {
        let has_own = matches!(self.home, Home::Own(..)) && !self.file.broker_warm_up.is_zero();
        if has_own { self.file.brokered().collect() } else { Vec::new() }
    }

    /// Sends orders through the broker of a paradigm until it is warm, and forgets what came of them.
    ///
    /// # Errors
    ///
    /// Fails with what did not work.
    pub fn warm(&mut self, paradigm: Paradigm) -> Result<WarmUp, String> {
        let (longest, seed) = (self.file.broker_warm_up, self.file.seed);
        let workload = Workload::plain("broker-warm-up", RATE_PER_S, longest);
        let cell = Cell { workload: 0, rate: 0, paradigm, round: ROUND, seed };
        let began_s = self.began.elapsed().as_secs_f64();
        let planned = planned_us(&workload.segments(RATE_PER_S), workload.arrivals, seed);
        let (name, shares) = (self.name_of(&cell), Shares::default());
        let asks = Asks::new(&name, &planned, &self.items, shares, seed);
        let rig = self.rig(&workload, &cell, asks)?;
        let begun = Instant::now();
        let broker_cpu_s = self.work_until_flat(&rig, longest)?;
        let took_s = begun.elapsed().as_secs_f64();
        let mut run = Run::new(&workload.name, paradigm, cell.round, RATE_PER_S, began_s);
        self.settle(&rig, &workload, paradigm, &mut run);
        let is_flat = is_flat(&broker_cpu_s);
        if run.gave_up.is_none() {
            // Files that cannot be removed are in nobody's way.
            let _ = std::fs::remove_dir_all(self.logs_of(&cell));
        }
        Ok(WarmUp { paradigm, began_s, took_s, is_flat, broker_cpu_s })
    }

    /// Sends until the broker is warm, but not longer than `longest`; returns what orders cost it, look by look.
    fn work_until_flat(&self, rig: &Rig, longest: Duration) -> Result<Vec<f64>, String> {
        let enough = Shutdown::new();
        let (asks, book, client) = (&rig.asks, &rig.book, &rig.client);
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let _ = priority::raise(); // what came of it stands in the results
                send(asks, book, client, &self.runtime, &enough)
            });
            let costs = self.look_until_flat(rig, longest);
            enough.request();
            let under_way = sending.join().map_err(|_panic| "the generator has failed")?;
            under_way.answered(&self.runtime, &self.stop, ANSWER_MAX);
            Ok(costs)
        })
    }

    fn look_until_flat(&self, rig: &Rig, longest: Duration) -> Vec<f64> {
        let look = || (rig.processes.cpu_s(Part::Broker), rig.book.so_far().2);
        let (mut costs, mut before, deadline) = (Vec::new(), look(), Instant::now() + longest);
        while !is_flat(&costs) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stop.wait(left.min(LOOK_EVERY)) {
                break;
            }
            let now = look();
            let orders = now.1.saturating_sub(before.1);
            if orders > 0 {
                costs.push((now.0 - before.0) * PER_ORDERS / orders as f64);
            }
            before = now;
        }
        costs
    }
}

/// Whether what orders cost no longer falls: their mean over the last looks is hardly below that of as many before them.
fn is_flat(costs: &[f64]) -> bool {
    let Some((before, last)) = costs.last_chunk::<{ 2 * LOOKS }>().map(|both| both.split_at(LOOKS))
    else {
        return false;
    };
    // The first look of all does not count.
    costs.len() > 2 * LOOKS && last.iter().sum::<f64>() > before.iter().sum::<f64>() * FALL_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_warm_when_what_orders_cost_it_no_longer_falls() {
        let cold = [160.0, 110.0, 85.0, 70.0, 60.0, 54.0, 50.0, 47.0, 45.0];
        assert!((1..=cold.len()).all(|looks| !is_flat(&cold[..looks])));
        let warm = [&cold[..], &[44.0, 43.5, 43.0, 43.0]].concat();
        assert!(is_flat(&warm), "129.5 is more than 19 twentieths of 136");
    }

    #[test]
    fn one_that_never_was_cold_is_warm_after_the_seventh_look() {
        assert!(!is_flat(&[]) && !is_flat(&[40.0; 6]));
        assert!(is_flat(&[40.0; 7]));
        assert_eq!(FLAT_AFTER, 7 * LOOK_EVERY);
    }

    #[test]
    fn looks_that_are_out_of_line_do_not_matter_and_what_rises_is_warm() {
        assert!(is_flat(&[80.0, 41.0, 36.0, 42.0, 39.0, 37.0, 43.0]));
        assert!(is_flat(&[80.0, 36.0, 36.0, 42.0, 49.0, 47.0, 43.0]));
    }
}
