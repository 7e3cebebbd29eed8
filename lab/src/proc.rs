//! What processes cost, as the kernel counts it: processor time and memory, of services and brokers apart.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use service_kit::shutdown::Shutdown;

use crate::results::Cost;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Ticks of a second in `/proc`, the same on every Linux that runs programs of today.
const TICKS_PER_S: f64 = 100.0;
/// Bytes of a page on the machines that this runs on.
const PAGE_BYTES: u64 = 4096;

/// What a process is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// One of the flow's services.
    Service,
    /// The broker of the flow.
    Broker,
}

#[derive(Debug, Default)]
struct Seen {
    /// Part, ticks at the first look, ticks at the last one.
    ticks: HashMap<u32, (Part, u64, u64)>,
    peak_bytes: HashMap<Part, u64>,
}

type Watched = Arc<Mutex<HashMap<u32, (Part, bool)>>>;

/// Which processes there are; it is told of those that start in the middle of a run.
#[derive(Debug, Clone, Default)]
pub struct Processes(Watched);

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Processes {
    /// Adds one. What it used before the first look does not count, unless it `is_new` in this run.
    pub fn add(&self, pid: u32, part: Part, is_new: bool) {
        lock(&self.0).insert(pid, (part, is_new));
    }

    /// Processor time that the processes of a part have used since they were started, in seconds.
    #[must_use]
    pub fn cpu_s(&self, part: Part) -> f64 {
        let watched = lock(&self.0);
        let of_part = watched.iter().filter(|(_, (of, _))| *of == part);
        let ticks = of_part.filter_map(|(pid, _)| ticks_of(&format!("/proc/{pid}/stat")));
        ticks.sum::<u64>() as f64 / TICKS_PER_S
    }

    /// Begins to look.
    ///
    /// # Errors
    ///
    /// Fails if no thread can be started.
    pub fn watch(&self) -> std::io::Result<Watch> {
        let (watched, stop) = (Arc::clone(&self.0), Shutdown::new());
        let generator = own_ticks();
        let stopped = stop.clone();
        let look = move || {
            let mut seen = Seen::default();
            loop {
                seen.look(&lock(&watched));
                if stopped.wait(LOOK_EVERY) {
                    seen.look(&lock(&watched));
                    return seen;
                }
            }
        };
        let thread = std::thread::Builder::new().name("processes".to_owned()).spawn(look)?;
        Ok(Watch { thread, stop, generator })
    }
}

/// Looks until it is ended.
#[derive(Debug)]
pub struct Watch {
    thread: JoinHandle<Seen>,
    stop: Shutdown,
    generator: u64,
}

impl Watch {
    /// Ends it, and returns what was seen; `orders` were done meanwhile.
    #[must_use]
    pub fn end(self, orders: u64) -> Cost {
        self.stop.request();
        let seen = self.thread.join().unwrap_or_default();
        let cpu_s = |part: Part| {
            let of_part = seen.ticks.values().filter(|(of, ..)| *of == part);
            of_part.map(|(_, first, last)| last.saturating_sub(*first)).sum::<u64>() as f64
                / TICKS_PER_S
        };
        let peak = |part: Part| seen.peak_bytes.get(&part).copied().unwrap_or(0);
        Cost {
            services_cpu_s: cpu_s(Part::Service),
            brokers_cpu_s: cpu_s(Part::Broker),
            generator_cpu_s: own_ticks().saturating_sub(self.generator) as f64 / TICKS_PER_S,
            services_peak_bytes: peak(Part::Service),
            brokers_peak_bytes: peak(Part::Broker),
            orders,
        }
    }
}

impl Seen {
    fn look(&mut self, watched: &HashMap<u32, (Part, bool)>) {
        let mut bytes: HashMap<Part, u64> = HashMap::new();
        for (&pid, &(part, is_new)) in watched {
            let Some(ticks) = ticks_of(&format!("/proc/{pid}/stat")) else { continue };
            let entry =
                self.ticks.entry(pid).or_insert((part, if is_new { 0 } else { ticks }, ticks));
            entry.2 = ticks;
            *bytes.entry(part).or_default() += resident_bytes(pid).unwrap_or(0);
        }
        for (part, bytes) in bytes {
            let peak = self.peak_bytes.entry(part).or_default();
            *peak = bytes.max(*peak);
        }
    }
}

fn own_ticks() -> u64 {
    ticks_of("/proc/self/stat").unwrap_or(0)
}

/// User and system time, from a `stat` file.
fn ticks_of(path: &str) -> Option<u64> {
    const USER_AT: usize = 11;
    let stat = fs::read_to_string(path).ok()?;
    // The command's name may hold spaces and parentheses: what counts stands behind the last one.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(USER_AT);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_this_process_uses_is_seen_and_charged_to_its_part() {
        let processes = Processes::default();
        processes.add(std::process::id(), Part::Broker, false);
        let watch = processes.watch().unwrap();
        let begun = Instant::now();
        let mut work = 0_u64;
        while begun.elapsed() < Duration::from_millis(300) {
            work = std::hint::black_box(work.wrapping_add(1));
        }
        assert!(processes.cpu_s(Part::Broker) > 0.02 && processes.cpu_s(Part::Service) == 0.0);
        let cost = watch.end(7);
        assert!(cost.brokers_cpu_s > 0.02 && cost.generator_cpu_s > 0.02, "{cost:?}");
        assert!(cost.brokers_peak_bytes > 1 << 20, "{cost:?}");
        assert_eq!((cost.services_cpu_s, cost.services_peak_bytes, cost.orders), (0.0, 0, 7));
    }

    #[test]
    fn a_process_that_is_gone_costs_what_it_had_cost() {
        let processes = Processes::default();
        processes.add(u32::MAX, Part::Service, true);
        let cost = processes.watch().unwrap().end(0);
        assert_eq!(cost.services_cpu_s, 0.0);
    }
}
