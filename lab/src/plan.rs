//! Which run comes when: rounds, in each of which every workload meets every paradigm once, shuffled. What drifts on
//! the machine while a comparison runs then meets all of them alike. Runs that restart a broker come after all rounds: a
//! broker that has just been started is slower, and whoever came after it would be measured on that.

use std::time::Duration;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::bench::warm::FLAT_AFTER;
use crate::progress::duration;
use crate::workload::{Fault, Kind, Paradigm, Workload, WorkloadFile};

/// One run to be made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Place of the workload in the file.
    pub workload: usize,
    /// Place of the rate among those of the workload.
    pub rate: usize,
    /// Who is measured.
    pub paradigm: Paradigm,
    /// From 0; from the number of rounds on, the same again for a round that was void.
    pub round: u32,
    /// Seed of this run. It is the same for all paradigms: they get the same orders at the same times.
    pub seed: u64,
}

/// Time for starting the servers, and for the report.
const SERVERS_START: Duration = Duration::from_secs(25);
/// Time for attempts that are made again after the last order.
const RETRIES: Duration = Duration::from_secs(3);
/// Orders per second that a batch or a backlog is worked on at: by the slower ones, on two cores.
const DRAINED_PER_S: f64 = 1_500.0;

/// All runs in their order. The same file gives the same plan.
#[must_use]
pub fn plan(file: &WorkloadFile) -> Vec<Cell> {
    let rounds = file.workloads.iter().map(|workload| workload.rounds).max().unwrap_or(0);
    let mut random = ChaCha8Rng::seed_from_u64(file.seed);
    let mut cells = Vec::new();
    for round in 0..rounds {
        let mut of_round = Vec::new();
        for (workload, is) in file.workloads.iter().enumerate().filter(|(_, w)| round < w.rounds) {
            for rate in 0..is.rates_per_s.len() {
                let seed = seed_of(file.seed, round, workload, rate);
                let meets = |paradigm: &&Paradigm| is.meets(rate, **paradigm);
                let cell = |&paradigm| Cell { workload, rate, paradigm, round, seed };
                of_round.extend(file.paradigms.iter().filter(meets).map(cell));
            }
        }
        of_round.shuffle(&mut random);
        // What is replayed must have been placed.
        of_round.sort_by_key(|cell| file.workloads[cell.workload].kind == Kind::Replay);
        cells.extend(of_round);
    }
    // The sort is stable: among themselves both kinds stay as they are.
    cells.sort_by_key(|cell| restarts_broker(file, cell));
    cells
}

/// Whether a run leaves a broker behind that was just started.
fn restarts_broker(file: &WorkloadFile, cell: &Cell) -> bool {
    matches!(file.workloads[cell.workload].fault, Some(Fault::BrokerRestart { .. }))
}

fn seed_of(seed: u64, round: u32, workload: usize, rate: usize) -> u64 {
    let parts = [u64::from(round), workload as u64, rate as u64];
    parts.into_iter().fold(seed, |seed, part| {
        (seed ^ part.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    })
}

/// The same run once more; nothing where this was that already.
#[must_use]
pub fn again(file: &WorkloadFile, cell: &Cell) -> Option<Cell> {
    let rounds = file.workloads[cell.workload].rounds;
    (cell.round < rounds).then(|| Cell { round: rounds + cell.round, ..*cell })
}

/// Where among all runs one that is made once more comes, after the run with this number: behind all others, and before
/// those that restart a broker.
#[must_use]
pub fn place_of_more(file: &WorkloadFile, cells: &[Cell], number: usize, more: &Cell) -> usize {
    let restarts = |place: &usize| restarts_broker(file, &cells[*place]);
    let first = (number + 1..cells.len()).find(restarts);
    first.filter(|_| !restarts_broker(file, more)).unwrap_or(cells.len())
}

/// Why a paradigm can never do this; nothing where it can.
#[must_use]
pub const fn never(workload: &Workload, paradigm: Paradigm) -> Option<&'static str> {
    match (workload.kind, workload.fault, paradigm) {
        (_, Some(Fault::BrokerRestart { .. }), Paradigm::SyncRest) => Some("it has no broker"),
        (Kind::Replay, _, Paradigm::SyncRest) => {
            Some("nothing is kept to be read again: a request is gone when it is answered")
        }
        (Kind::Replay, _, Paradigm::Rabbit) => Some(
            "a queue hands a message out and forgets it: what was acknowledged cannot be read again",
        ),
        _ => None,
    }
}

/// The plan in words: a line for each workload, with its runs and how long they take.
#[must_use]
pub fn outline(file: &WorkloadFile, cells: &[Cell]) -> String {
    let took = |cells: &[&Cell]| cells.iter().map(|cell| expected(file, cell)).sum::<Duration>();
    let all: Vec<&Cell> = cells.iter().collect();
    let mut text =
        format!("lab: {} runs, {} in all", all.len(), duration(before_all(file) + took(&all)));
    let width = file.workloads.iter().map(|workload| workload.name.len()).max().unwrap_or(0);
    for (place, workload) in file.workloads.iter().enumerate() {
        let of: Vec<&Cell> = cells.iter().filter(|cell| cell.workload == place).collect();
        let (name, runs, took) = (&workload.name, of.len(), duration(took(&of)));
        text.push_str(&format!("\n  {name:width$}  {runs:>3} runs  {took}"));
    }
    text
}

/// Time until the first run.
fn before_all(file: &WorkloadFile) -> Duration {
    SERVERS_START + file.brokered().map(|paradigm| warming(file, paradigm)).sum::<Duration>()
}

/// How long a broker is expected to be warmed up.
fn warming(file: &WorkloadFile, paradigm: Paradigm) -> Duration {
    let longest = file.broker_warm_up;
    let took = match paradigm {
        Paradigm::SyncRest => return Duration::ZERO,
        // Its code is compiled when it is loaded.
        Paradigm::Rabbit => longest.min(FLAT_AFTER),
        Paradigm::Streaming => longest,
    };
    if took.is_zero() { took } else { took + around(paradigm) }
}

/// How long all of a plan is expected to take, the start of the servers included.
#[must_use]
pub fn expected_in_all(file: &WorkloadFile) -> Duration {
    before_all(file) + plan(file).iter().map(|cell| expected(file, cell)).sum::<Duration>()
}

/// How long a run is expected to take.
#[must_use]
pub fn expected(file: &WorkloadFile, cell: &Cell) -> Duration {
    let workload = &file.workloads[cell.workload];
    if never(workload, cell.paradigm).is_some() {
        return Duration::ZERO;
    }
    let sent = match workload.kind {
        Kind::Load | Kind::Sweep => file.warm_up + workload.length,
        Kind::Backlog => Duration::from_secs_f64(backlog_s(workload)),
        Kind::Batch => Duration::from_secs_f64(f64::from(workload.orders) / DRAINED_PER_S),
        Kind::Replay => Duration::ZERO,
    };
    let after = match workload.fault {
        Some(Fault::ServiceDown { length, .. }) => length / 10,
        Some(Fault::BrokerRestart { .. }) => Duration::from_secs(3),
        None => Duration::ZERO,
    };
    // The last attempts of those that fail.
    let is_retried = workload.simulate_failures > 0.0 && cell.paradigm != Paradigm::SyncRest;
    let retries = if is_retried { RETRIES } else { Duration::ZERO };
    sent + after + retries + around(cell.paradigm)
}

/// Time for starting and stopping services, by measurement on two cores: it only serves to say how long is left.
const fn around(paradigm: Paradigm) -> Duration {
    match paradigm {
        Paradigm::SyncRest => Duration::from_millis(500),
        Paradigm::Rabbit => Duration::from_millis(1_250),
        Paradigm::Streaming => Duration::from_millis(2_500),
    }
}

fn backlog_s(workload: &Workload) -> f64 {
    let orders = f64::from(workload.orders);
    orders / workload.rates_per_s[0] + orders / DRAINED_PER_S
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TEXT: &str = "name = 'x'\nrounds = 4\n[[workload]]\nname = 'a'\nrate = 10\nfor = '2s'\n\
                        [[workload]]\nname = 'b'\nkind = 'sweep'\nrates = [1, 2]\nfor = '1s'\nrounds = 2\n\
                        [[workload]]\nname = 'c'\nkind = 'replay'\nrounds = 1\n";

    #[test]
    fn every_workload_meets_every_paradigm_once_in_each_of_its_rounds() {
        let cells = plan(&WorkloadFile::parse(TEXT).unwrap());
        assert_eq!(cells.len(), 3 * (4 + 2 * 2 + 1));
        let met: BTreeSet<_> =
            cells.iter().map(|c| (c.round, c.workload, c.rate, c.paradigm)).collect();
        assert_eq!(met.len(), cells.len());
        assert!(cells.is_sorted_by_key(|cell| cell.round));
        assert!(
            cells[..10].iter().position(|cell| cell.workload == 2) >= Some(7),
            "replay is last"
        );
    }

    const RESTARTING: &str = "name = 'x'\nrounds = 2\n[[workload]]\nname = 'r'\nrate = 10\nfor = '9s'\n\
                              broker-restart-at = '2s'\n[[workload]]\nname = 'a'\nrate = 10\nfor = '2s'\n\
                              [[workload]]\nname = 'c'\nkind = 'replay'\n";

    #[test]
    fn runs_that_restart_a_broker_come_after_all_rounds_of_all_others() {
        let cells = plan(&WorkloadFile::parse(RESTARTING).unwrap());
        let (others, restarts) = cells.split_at(2 * 2 * 3);
        assert!(others.iter().all(|cell| cell.workload != 0), "{others:?}");
        assert_eq!(restarts.len(), 2 * 3);
        assert!(restarts.iter().all(|cell| cell.workload == 0), "{restarts:?}");
        assert!(others.is_sorted_by_key(|cell| cell.round));
        assert!(restarts.is_sorted_by_key(|cell| cell.round));
    }

    #[test]
    fn a_run_that_is_made_once_more_comes_before_those_that_restart_a_broker() {
        let file = WorkloadFile::parse(RESTARTING).unwrap();
        let mut cells = plan(&file);
        for (number, place) in [(0, 12), (3, 13)] {
            let more = again(&file, &cells[number]).unwrap();
            assert_eq!(place_of_more(&file, &cells, number, &more), place);
            cells.insert(place, more);
        }
        let more = again(&file, &cells[14]).unwrap();
        assert_eq!(place_of_more(&file, &cells, 14, &more), cells.len());
        let plain = WorkloadFile::parse(TEXT).unwrap();
        let cells = plan(&plain);
        let more = again(&plain, &cells[0]).unwrap();
        assert_eq!(place_of_more(&plain, &cells, 0, &more), cells.len());
    }

    #[test]
    fn a_rate_of_its_own_is_run_by_that_paradigm_alone() {
        let text = "name = 'x'\n[[workload]]\nname = 'a'\nfor = '2s'\n\
                    rate-of = { sync-rest = 30, rabbit = 10, streaming = 30 }\n";
        let file = WorkloadFile::parse(text).unwrap();
        let mut met: Vec<(Paradigm, f64)> = plan(&file)
            .iter()
            .map(|cell| (cell.paradigm, file.workloads[0].rates_per_s[cell.rate]))
            .collect();
        met.sort_by_key(|(paradigm, _)| *paradigm);
        let [http, rabbit, kafka] = Paradigm::ALL;
        assert_eq!(met, [(http, 30.0), (rabbit, 10.0), (kafka, 30.0)]);
    }

    #[test]
    fn the_order_of_a_round_is_shuffled_and_the_same_again_for_the_same_seed() {
        let file = WorkloadFile::parse(TEXT).unwrap();
        assert_eq!(plan(&file), plan(&file));
        let other = WorkloadFile { seed: 7, ..file.clone() };
        let order = |file| plan(file).iter().map(|c| (c.workload, c.paradigm)).collect::<Vec<_>>();
        assert_ne!(order(&file), order(&other));
        let rounds: BTreeSet<Vec<_>> = (2..4)
            .map(|round| {
                plan(&file).iter().filter(|c| c.round == round).map(|c| c.paradigm).collect()
            })
            .collect();
        assert!(rounds.len() > 1 || plan(&other)[..3] != plan(&file)[..3]);
    }

    #[test]
    fn the_standard_comparison_takes_less_than_25_minutes_and_a_quick_one_less_than_3() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/workloads/standard.toml");
        let file = WorkloadFile::read(std::path::Path::new(path)).unwrap();
        let standard = expected_in_all(&file);
        assert!(standard <= Duration::from_mins(24), "{standard:?}");
        let quick = expected_in_all(&file.quickened());
        assert!(quick < Duration::from_secs(170), "{quick:?}");
    }

    #[test]
    fn the_plan_names_every_workload_with_its_runs_and_their_time() {
        let file = WorkloadFile::parse(TEXT).unwrap();
        let text = outline(&file, &plan(&file));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("lab: 27 runs, 3 min in all"), "{text}");
        assert_eq!(lines[1], "  a   12 runs  65 s", "2 s warm-up, 2 s, 4.25 s around all three");
        // Two of three paradigms can replay nothing, which takes no time.
        assert_eq!(lines[3], "  c    3 runs  2 s");
    }

    #[test]
    fn a_run_is_made_once_more_at_most_under_a_number_that_no_other_has() {
        let file = WorkloadFile::parse(TEXT).unwrap();
        let cells = plan(&file);
        let more: Vec<Cell> = cells.iter().filter_map(|cell| again(&file, cell)).collect();
        assert_eq!(more.len(), cells.len());
        let key = |c: &Cell| (c.round, c.workload, c.rate, c.paradigm);
        let keys: BTreeSet<_> = cells.iter().chain(&more).map(key).collect();
        assert_eq!(keys.len(), 2 * cells.len());
        assert!(more.iter().all(|cell| again(&file, cell).is_none()), "never a third time");
    }

    #[test]
    fn paradigms_get_the_same_orders_at_the_same_times() {
        let cells = plan(&WorkloadFile::parse(TEXT).unwrap());
        let key = |cell: &Cell| (cell.round, cell.workload, cell.rate);
        for (a, b) in cells.iter().flat_map(|a| cells.iter().map(move |b| (a, b))) {
            assert_eq!(a.seed == b.seed, key(a) == key(b), "{a:?} {b:?}");
        }
    }
}
