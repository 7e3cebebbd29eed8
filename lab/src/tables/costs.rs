//! What it cost, and whether the generator was up to it.

use super::figures::named;
use super::{Entry, Table, findings, numbers, offered, words};
use crate::cells::Cell;
use crate::results::{Cost, Results, ServerInfo};
use crate::stats::Spread;
use crate::words::{mebibytes, number, percent};

/// Orders that costs are told for.
const PER_ORDERS: f64 = 10_000.0;

pub(super) fn costs(results: &Results, cells: &[Cell<'_>]) -> Table {
    let row = |cell: &Cell<'_>| {
        let costs: Vec<Cost> =
            cell.runs.iter().filter_map(|run| run.cost).filter(|c| c.orders > 0).collect();
        if costs.is_empty() {
            return None;
        }
        let struck = !cell.is_green();
        let median = |of: &dyn Fn(&Cost) -> f64| {
            Spread::of(costs.iter().map(of)).map(|spread| spread.median)
        };
        let per_orders = |of: &dyn Fn(&Cost) -> f64| {
            median(&|cost: &Cost| of(cost) * PER_ORDERS / cost.orders as f64)
        };
        let seconds = |value: f64| format!("{value:.1} s");
        let [workload, paradigm] = named(cell);
        Some(vec![
            workload,
            paradigm,
            offered(cell),
            Entry::of(per_orders(&|cost| cost.services_cpu_s), seconds).struck(struck),
            Entry::of(per_orders(&|cost| cost.brokers_cpu_s), seconds).struck(struck),
            Entry::of(median(&|cost| cost.services_peak_bytes as f64), mebibytes).struck(struck),
            Entry::of(median(&|cost| cost.brokers_peak_bytes as f64), mebibytes).struck(struck),
        ])
    };
    let columns = vec![
        words("workload"),
        words("paradigm"),
        numbers("offered per s"),
        numbers("services, CPU"),
        numbers("broker, CPU"),
        numbers("services, memory"),
        numbers("broker, memory"),
    ];
    let caption = format!(
        "Processor time for 10,000 orders, user and system. At low rates each order pays for a flush and a wake-up of its \
         own, at high rates many share one; what programs take for being there is in it. Memory is the resident size of \
         the processes at its peak in the run, of looks four times a second; a broker keeps what it once took, so that \
         its figure is that of the session so far, and not of the workload alone{}.",
        heaps(results)
    );
    let caption = findings::before(findings::costs(cells), &caption);
    Table {
        id: "cost",
        title: "Cost",
        caption,
        columns,
        rows: cells.iter().filter_map(row).collect(),
    }
}

/// What brokers may take, where the environment says so: ` (Apache Kafka: -Xmx768m)`.
fn heaps(results: &Results) -> String {
    let is_of_memory = |setting: &&String| {
        let setting = setting.to_lowercase();
        ["heap", "xmx", "memory"].iter().any(|word| setting.contains(word))
    };
    let of = |server: &ServerInfo| {
        let settings: Vec<&str> =
            server.settings.iter().filter(is_of_memory).map(String::as_str).collect();
        (!settings.is_empty()).then(|| format!("{}: {}", server.name, settings.join(", ")))
    };
    let all: Vec<String> = results.environment.servers.iter().filter_map(of).collect();
    if all.is_empty() { String::new() } else { format!(" ({})", all.join("; ")) }
}

pub(super) fn generator(cells: &[Cell<'_>]) -> Table {
    let row = |cell: &Cell<'_>| {
        let delays = cell.runs.iter().filter(|run| run.send_delay.count > 0);
        let delay = Spread::of(delays.map(|run| run.send_delay.p99_us as f64))?;
        let share = cell.runs.iter().filter_map(|run| {
            let lasted_s = run.length_s;
            run.cost.filter(|_| lasted_s > 0.0).map(|cost| cost.generator_cpu_s / lasted_s)
        });
        let [workload, paradigm] = named(cell);
        let voids = cell.voids();
        Some(vec![
            workload,
            paradigm,
            offered(cell),
            Entry::time(Some(delay)),
            Entry::of(Spread::of(share).map(|spread| spread.median), percent),
            Entry::of(Some(voids as f64), number),
        ])
    };
    let is_paced = |cell: &&Cell<'_>| {
        use crate::workload::Kind;
        matches!(cell.workload.kind, Kind::Load | Kind::Sweep)
    };
    let columns = vec![
        words("workload"),
        words("paradigm"),
        numbers("offered per s"),
        numbers("send delay, p99"),
        numbers("of one processor"),
        numbers("void runs"),
    ];
    let caption = "A run is void when 1 % of its requests began later than planned by a tenth of the shorter median, to \
                   acceptance or to outcome, or 2 ms where that is more. Times count from the planned moment in any case.";
    let caption = findings::before(Some(findings::voids(cells)), caption);
    let rows = cells.iter().filter(is_paced).filter_map(row).collect();
    Table { id: "generator", title: "The generator", caption, columns, rows }
}
