//! Orders at a rate, and orders that wait for a service that is away.

use std::time::Duration;

use super::{BEHIND, Bench, Rig, label_of};
use crate::asked::{Asks, Shares};
use crate::client::ANSWER_MAX;
use crate::generator::drive;
use crate::measure::{Window, measure};
use crate::plan::Cell;
use crate::priority;
use crate::results::{Drain, Run};
use crate::schedule::planned_us;
use crate::timeline::{recovery, seconds, timeline};
use crate::workload::{Paradigm, Segment, Workload};

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Bench {
    /// Sends orders at a rate; a fault happens meanwhile.
    pub(super) fn load(
        &mut self,
        run: &mut Run,
        workload: &Workload,
        cell: &Cell,
    ) -> Result<(), String> {
        let rate_per_s = run.rate_per_s;
        let warm_up = Segment { rate_per_s, length: self.file.warm_up };
        let segments = [&[warm_up][..], &workload.segments(rate_per_s)].concat();
        let planned = planned_us(&segments, workload.arrivals, cell.seed);
        let shares = Shares { poison: workload.poison, again: workload.duplicates };
        let asks = Asks::new(&self.name_of(cell), &planned, &self.items, shares, cell.seed);
        let mut rig = self.rig(workload, cell, asks)?;
        let watch = rig.processes.watch().map_err(|error| error.to_string())?;
        let from_us = us(self.file.warm_up);
        let to_us = from_us + us(workload.length);
        let fault = self.drive_and_break(workload, from_us, cell.paradigm, &mut rig)?;
        let window = Window { from_us, to_us, fault };
        self.settle(&rig, workload, cell.paradigm, run);
        let cost = watch.end(rig.book.so_far().2);
        self.fill_in(run, &mut rig, cell.paradigm, window);
        run.cost = rig.services.is_some().then_some(cost);
        let (traces, _) = rig.book.read();
        if let (Some(fault), Some((begin_us, end_us))) = (workload.fault, fault) {
            run.fault = Some(recovery(&traces, &label_of(fault), begin_us, end_us, from_us));
        }
        let is_steady = workload.fault.is_none() && workload.burst.is_none();
        if !is_steady || workload.simulate_failures > 0.0 {
            // What fails or piles up then says nothing of the rate.
            run.is_saturated = false;
        }
        if !is_steady {
            run.timeline = timeline(&traces, from_us);
        }
        Ok(())
    }

    fn drive_and_break(
        &mut self,
        workload: &Workload,
        zero_us: u64,
        paradigm: Paradigm,
        rig: &mut Rig,
    ) -> Result<Option<(u64, u64)>, String> {
        let (asks, book, client) = (rig.asks.clone(), rig.book.clone(), rig.client.clone());
        let (runtime, stop) = (self.runtime.clone(), self.stop.clone());
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || {
                let _ = priority::raise(); // what came of it stands in the results
                drive(&asks, &book, &client, &runtime, &stop, ANSWER_MAX);
            });
            let broken =
                workload.fault.map(|fault| self.break_and_mend(fault, zero_us, paradigm, rig));
            sending.join().map_err(|_panic| "the generator has failed".to_owned())?;
            broken.transpose()
        })
    }

    /// Asks for what only the services know, and measures.
    pub(super) fn fill_in(
        &mut self,
        run: &mut Run,
        rig: &mut Rig,
        paradigm: Paradigm,
        window: Window,
    ) {
        if paradigm == Paradigm::SyncRest {
            self.ask_who_was_told(rig);
        }
        let dead_letters = self.dead_letters_since(rig, paradigm);
        rig.listener = None;
        let (traces, others) = rig.book.read();
        measure(run, &traces, &others, dead_letters, window);
        self.last = Some((rig.asks.clone(), traces));
    }

    /// Lets orders wait for inventory, and has it come back.
    pub(super) fn backlog(
        &mut self,
        run: &mut Run,
        workload: &Workload,
        cell: &Cell,
    ) -> Result<(), String> {
        let lasts = Duration::from_secs_f64(f64::from(workload.orders) / run.rate_per_s);
        let segment = Segment { rate_per_s: run.rate_per_s, length: lasts };
        let planned = planned_us(&[segment], workload.arrivals, cell.seed);
        let asks =
            Asks::new(&self.name_of(cell), &planned, &self.items, Shares::default(), cell.seed);
        let mut rig = self.rig(workload, cell, asks)?;
        let services = rig.services.as_mut().ok_or("the services are not the lab's")?;
        services.end(BEHIND, false);
        let watch = rig.processes.watch().map_err(|error| error.to_string())?;
        drive(&rig.asks, &rig.book, &rig.client, &self.runtime, &self.stop, ANSWER_MAX);
        let begin_us = rig.book.clock().now_us();
        let services = rig.services.as_mut().ok_or("the services are not the lab's")?;
        services.start_again(BEHIND)?;
        self.settle(&rig, workload, cell.paradigm, run);
        let cost = watch.end(rig.book.so_far().2);
        let window = Window { from_us: 0, to_us: begin_us, fault: None };
        self.fill_in(run, &mut rig, cell.paradigm, window);
        (run.cost, run.is_saturated, run.void) = (Some(cost), false, None);
        run.notes.extend(not_sent(run));
        let (traces, _) = rig.book.read();
        run.timeline = timeline(&traces, 0);
        run.drain = Some(drain_of(run, &traces, begin_us));
        Ok(())
    }
}

/// What is to be known of a run whose times do not count, and whose numbers of orders do.
fn not_sent(run: &Run) -> Option<String> {
    let not_sent = run.audit.map_or(0, |audit| audit.not_sent);
    (not_sent > 0).then(|| format!("{not_sent} orders were not sent: the generator had no room"))
}

/// How what waited was worked on from `begin_us` on.
pub(super) fn drain_of(run: &Run, traces: &[crate::book::Trace], begin_us: u64) -> Drain {
    let audit = run.audit.unwrap_or_default();
    let last_us = traces.iter().filter_map(|trace| trace.outcome_us).max().unwrap_or(begin_us);
    let took_s = seconds(last_us.saturating_sub(begin_us));
    let done =
        traces.iter().filter(|trace| trace.outcome_us.is_some_and(|us| us >= begin_us)).count();
    let per_s = if took_s > 0.0 { done as f64 / took_s } else { 0.0 };
    let turned_away = audit.sent() - audit.accepted;
    Drain { orders: audit.accepted, turned_away, took_s, per_s }
}
