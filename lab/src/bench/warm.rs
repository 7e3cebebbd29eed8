//! Brokers that have worked before anything is measured. A JVM compiles what it runs often, which takes it the better
//! part of a minute: without, whoever comes first is measured on a slower broker than whoever comes last.

use super::{Bench, Home};
use crate::plan::Cell;
use crate::results::Run;
use crate::workload::Workload;

/// Orders per second while brokers warm up: above what most workloads offer.
const RATE_PER_S: f64 = 500.0;
/// No run of a plan has this round, and so none the same orders.
const ROUND: u32 = 1_000_000;

impl Bench {
    /// Sends orders through each broker of the lab's own, and forgets what came of them. Returns what did not work.
    pub fn warm_brokers(&mut self) -> Vec<String> {
        let length = self.file.broker_warm_up;
        if length.is_zero() || !matches!(self.home, Home::Own(..)) {
            return Vec::new();
        }
        let (mut failures, seed) = (Vec::new(), self.file.seed);
        let workload = Workload::plain("broker-warm-up", RATE_PER_S, length);
        for paradigm in self.file.brokered().collect::<Vec<_>>() {
            let cell = Cell { workload: 0, rate: 0, paradigm, round: ROUND, seed };
            let mut run = Run::new(&workload.name, paradigm, ROUND, RATE_PER_S, 0.0);
            if let Err(why) = self.load(&mut run, &workload, &cell) {
                failures.push(format!("{} was not warmed up: {why}", paradigm.title()));
            }
            self.last = None;
        }
        failures
    }
}
