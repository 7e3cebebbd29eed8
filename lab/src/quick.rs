//! A quick run of a workload file: every workload once, and cut short. It shows that all works, not how fast it is.

use std::time::Duration;

use crate::workload::{Fault, Kind, WorkloadFile};

/// Longest measured part.
const LENGTH_MAX: Duration = Duration::from_secs(2);
const WARM_UP_MAX: Duration = Duration::from_millis(500);
const BROKER_WARM_UP_MAX: Duration = Duration::from_secs(2);
const ORDERS_MAX: u32 = 500;

impl WorkloadFile {
    /// The same, cut short.
    #[must_use]
    pub fn quickened(mut self) -> Self {
        self.warm_up = self.warm_up.min(WARM_UP_MAX);
        self.broker_warm_up = self.broker_warm_up.min(BROKER_WARM_UP_MAX);
        self.workloads.retain(|workload| workload.is_quick);
        for workload in &mut self.workloads {
            workload.rounds = 1;
            workload.orders = workload.orders.min(ORDERS_MAX);
            // Of a sweep the lowest and the highest rate.
            let rates = &mut workload.rates_per_s;
            if workload.kind == Kind::Sweep && rates.len() > 2 {
                *rates = vec![rates[0], rates[rates.len() - 1]];
            }
            if workload.length <= LENGTH_MAX {
                continue;
            }
            let factor = LENGTH_MAX.as_secs_f64() / workload.length.as_secs_f64();
            let cut = |time: Duration| time.mul_f64(factor);
            workload.length = LENGTH_MAX;
            workload.burst = workload.burst.map(|(by, at, length)| (by, cut(at), cut(length)));
            workload.fault = workload.fault.map(|fault| match fault {
                Fault::ServiceDown { service, at, length } => {
                    Fault::ServiceDown { service, at: cut(at), length: cut(length) }
                }
                Fault::BrokerRestart { at } => Fault::BrokerRestart { at: cut(at) },
            });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_has_each_workload_once_and_cut_to_scale() {
        let text = "name = 'x'\nrounds = 5\nwarm-up = '5s'\n[[workload]]\nname = 'a'\nrate = 10\nfor = '40s'\n\
                    down = 'inventory'\ndown-at = '10s'\ndown-for = '20s'\n[[workload]]\nname = 'b'\n\
                    kind = 'backlog'\nrate = 10\norders = 10000\nquick = false\n[[workload]]\nname = 'c'\n\
                    kind = 'sweep'\nrates = [1, 2, 3, 4, 5, 6]\nfor = '1s'\n";
        let file = WorkloadFile::parse(text).unwrap().quickened();
        assert_eq!(file.warm_up, WARM_UP_MAX);
        let [a, c] = &file.workloads[..] else { panic!("{:?}", file.workloads) };
        assert_eq!((a.rounds, a.length), (1, LENGTH_MAX));
        let Some(Fault::ServiceDown { at, length, .. }) = a.fault else { panic!("{a:?}") };
        assert_eq!((at.as_millis(), length.as_millis()), (500, 1_000));
        assert_eq!(c.rates_per_s, [1.0, 6.0]);
    }
}
