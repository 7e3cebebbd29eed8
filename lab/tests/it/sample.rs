//! Results that are made up, and always the same.

use lab::audit::Audit;
use lab::results::{
    Clocked, Cost, Drain, Environment, ParadigmInfo, Replayed, Results, Run, SCHEMA, ServerInfo,
    WarmUp, WorkloadInfo,
};
use lab::stats::Times;
use lab::timeline::{FaultTimes, Point};
use lab::workload::{Kind, Paradigm};

/// Microseconds that the fastest order takes by each paradigm.
const BASE_US: [u64; 3] = [4_000, 9_000, 14_000];

fn place(paradigm: Paradigm) -> usize {
    Paradigm::ALL.iter().position(|known| *known == paradigm).expect("one of them")
}

/// A distribution with a tail, `factor` times as long.
fn clocked(base_us: u64, factor: u64) -> Clocked {
    let mut times = Times::default();
    for n in 0..1_000_u64 {
        let tail = if n > 985 { (n - 985) * 2_500 } else { n * 4 };
        times.add((base_us + tail) * factor);
    }
    Clocked { quantiles: times.quantiles(), buckets: times.buckets() }
}

fn audit(planned: u64) -> Audit {
    Audit { planned, accepted: planned, done_once: planned, ..Audit::default() }
}

fn run(workload: &str, paradigm: Paradigm, round: u32, rate_per_s: f64) -> Run {
    let base_us = BASE_US[place(paradigm)] + u64::from(round) * 300;
    let accept_us = if paradigm == Paradigm::SyncRest { base_us } else { base_us / 3 };
    Run {
        length_s: 10.0,
        achieved_per_s: rate_per_s,
        accept: clocked(accept_us, 1),
        outcome: clocked(base_us, 1),
        send_delay: clocked(40, 1).quantiles,
        audit: Some(audit(1_000)),
        cost: Some(Cost {
            services_cpu_s: 1.5 + place(paradigm) as f64,
            brokers_cpu_s: place(paradigm) as f64 * 2.0,
            generator_cpu_s: 0.9,
            services_peak_bytes: 90 << 20,
            brokers_peak_bytes: (place(paradigm) as u64 * 300) << 20,
            orders: 1_000,
        }),
        ..Run::new(workload, paradigm, round, rate_per_s, 3.0)
    }
}

fn outage(paradigm: Paradigm) -> Run {
    let is_sync = paradigm == Paradigm::SyncRest;
    let mut all = run("inventory-away", paradigm, 0, 50.0);
    let point = |n: u64| {
        let is_down = (5..15).contains(&n);
        let is_after = (15..18).contains(&n);
        Point {
            at_s: n as f64,
            planned: 50,
            accepted: if is_sync && is_down { 0 } else { 50 },
            failed: if is_sync && is_down { 50 } else { 0 },
            p50_us: if is_sync && is_down { 0 } else { 9_000 },
            p99_us: if is_sync && is_down {
                0
            } else if is_down {
                1_000_000 * (15 - n)
            } else {
                30_000
            },
            waiting: if is_sync || !(is_down || is_after) {
                1
            } else if is_down {
                (n - 4) * 50
            } else {
                (18 - n) * 160
            },
            done: 50,
        }
    };
    all.timeline = (0..25).map(point).collect();
    let drained = if is_sync { 0.0 } else { 3.2 + place(paradigm) as f64 };
    all.fault = Some(FaultTimes {
        label: "inventory killed, started again after 10 s".to_owned(),
        from_s: 5.0,
        to_s: 15.0,
        recovered_after_s: if is_sync { 1.4 } else { 0.0 },
        drained_after_s: drained,
    });
    if is_sync {
        all.audit =
            Some(Audit { accepted: 500, done_once: 500, failed: 490, unknown: 10, ..audit(1_000) });
        all.failures =
            [("503 downstream-away".to_owned(), 490), ("504 deadline-exceeded".to_owned(), 10)]
                .into();
    }
    all
}

fn sweep(paradigm: Paradigm, rate_per_s: f64) -> Run {
    let is_over = rate_per_s > 100.0 * (place(paradigm) + 2) as f64;
    let all = run("sweep", paradigm, 0, rate_per_s);
    Run {
        is_saturated: is_over,
        outcome: clocked(BASE_US[place(paradigm)], if is_over { 60 } else { 1 }),
        ..all
    }
}

fn lots(paradigm: Paradigm) -> Vec<Run> {
    let is_sync = paradigm == Paradigm::SyncRest;
    let took_s = 20.0 + place(paradigm) as f64;
    let (orders, turned_away) = if is_sync { (0, 10_000) } else { (10_000, 0) };
    let backlog = Run {
        drain: Some(Drain { orders, turned_away, took_s, per_s: orders as f64 / took_s }),
        ..run("backlog", paradigm, 0, 800.0)
    };
    let replay = Run::new("replay", paradigm, 0, 0.0, 9.0);
    let replay = if paradigm == Paradigm::Streaming {
        Run {
            replayed: Some(Replayed { orders: 31_000, took_s: 2.5, is_same_again: true }),
            ..replay
        }
    } else {
        Run { not_possible: Some("nothing is kept to be read again".to_owned()), ..replay }
    };
    vec![backlog, replay]
}

/// The broker of RabbitMQ takes longer to come back; the run of Kafka is void.
fn restart(paradigm: Paradigm) -> Run {
    if paradigm == Paradigm::SyncRest {
        let not_possible = Some("it has no broker".to_owned());
        return Run { not_possible, ..Run::new("broker-restart", paradigm, 0, 50.0, 9.0) };
    }
    let (to_s, failed, drained_after_s) =
        if paradigm == Paradigm::Rabbit { (17.3, 60, 0.0) } else { (7.8, 14, 2.1) };
    let point = |n: u64| {
        let is_down = n >= 5 && (n as f64) < to_s;
        let (accepted, failed) = if is_down { (0, 5) } else { (5, 0) };
        let p50_us = if is_down { 0 } else { 9_000 };
        let at_s = n as f64;
        Point {
            at_s,
            planned: 5,
            accepted,
            failed,
            p50_us,
            p99_us: p50_us * 2,
            waiting: 0,
            done: accepted,
        }
    };
    let label = "broker stopped and started".to_owned();
    Run {
        void: (paradigm == Paradigm::Streaming).then(|| "the generator was late".to_owned()),
        timeline: (0..20).map(point).collect(),
        fault: Some(FaultTimes {
            label,
            from_s: 5.0,
            to_s,
            recovered_after_s: 0.9,
            drained_after_s,
        }),
        audit: Some(Audit {
            accepted: 100 - failed,
            done_once: 100 - failed,
            failed,
            ..audit(100)
        }),
        failures: [("503 broker-away".to_owned(), failed)].into(),
        ..run("broker-restart", paradigm, 0, 50.0)
    }
}

/// Ten times as many orders for 5 s: all take them, some later.
fn burst(paradigm: Paradigm) -> Run {
    let slow = place(paradigm) as u64;
    let point = |n: u64| {
        let is_burst = (5..10).contains(&n);
        let planned = if is_burst { 500 } else { 50 };
        let (p50_us, waiting) =
            if is_burst { (9_000 + slow * 20_000, 10 + slow * 30) } else { (8_000, 1) };
        let at_s = n as f64;
        Point {
            at_s,
            planned,
            accepted: planned,
            failed: 0,
            p50_us,
            p99_us: p50_us * 3,
            waiting,
            done: planned,
        }
    };
    Run { timeline: (0..15).map(point).collect(), ..run("burst", paradigm, 0, 50.0) }
}

/// Inventory refuses some: HTTP says so in its answer.
fn refused(paradigm: Paradigm) -> Run {
    let all = run("refused", paradigm, 0, 100.0);
    if paradigm != Paradigm::SyncRest {
        return all;
    }
    let audit = Some(Audit { accepted: 900, refused: 100, done_once: 900, ..audit(1_000) });
    Run { audit, failures: [("409 simulated".to_owned(), 100)].into(), ..all }
}

fn batch(paradigm: Paradigm) -> Run {
    let took_s = [5.4, 9.2, 0.8][place(paradigm)];
    let drain = Drain { orders: 10_000, turned_away: 0, took_s, per_s: 1e4 / took_s };
    Run { drain: Some(drain), ..run("batch", paradigm, 0, 0.0) }
}

/// The workload file, of which some is told in tables.
const FILE: &str = r#"name = "sample" # <b>
[[workload]]
name = "baseline"
rate = 100
for = "10s"
rounds = 3
[[workload]]
name = "burst"
rate = 50
for = "15s"
burst-factor = 10
burst-at = "5s"
burst-for = "5s"
[[workload]]
name = "two-order-services"
rate = 100
for = "10s"
order-replicas = 2
"#;

fn workload(name: &str, kind: Kind, words: &str, rounds: u32) -> WorkloadInfo {
    WorkloadInfo { name: name.to_owned(), kind, words: words.to_owned(), rounds }
}

fn environment() -> Environment {
    Environment {
        version: "0.2.0".to_owned(),
        commit: "0123456789ab".to_owned(),
        profile: "release".to_owned(),
        cpu: "A processor".to_owned(),
        cores: 2,
        memory_bytes: 8 << 30,
        kernel: "Linux 6".to_owned(),
        storage: "ext4".to_owned(),
        load_before: 0.25,
        is_generator_first: true,
        servers: vec![ServerInfo {
            name: "Apache Kafka".to_owned(),
            version: "4.3.1".to_owned(),
            settings: vec!["1 broker, KRaft".to_owned(), "-Xmx768m".to_owned()],
            is_mock: false,
        }],
        warm_ups: vec![WarmUp {
            paradigm: Paradigm::Streaming,
            began_s: 0.5,
            took_s: 45.0,
            is_flat: true,
            broker_cpu_s: vec![160.0, 90.0, 42.0, 40.0, 41.0],
        }],
    }
}

/// All of it; one run is void and one lost an order.
pub(crate) fn results() -> Results {
    let mut runs = Vec::new();
    for paradigm in Paradigm::ALL {
        runs.extend((0..3).map(|round| run("baseline", paradigm, round, 100.0)));
        runs.push(run("poison", paradigm, 0, 100.0));
        runs.push(outage(paradigm));
        runs.extend([50.0, 100.0, 200.0, 300.0, 400.0, 600.0].map(|rate| sweep(paradigm, rate)));
        runs.extend(lots(paradigm));
        runs.push(run("two-order-services", paradigm, 0, 100.0));
        runs.extend([restart, burst, refused, batch].map(|of| of(paradigm)));
    }
    runs[0].void = Some("the generator was the bottleneck: <late>".to_owned());
    let red =
        runs.iter_mut().find(|run| run.workload == "poison" && run.paradigm == Paradigm::Rabbit);
    red.expect("it is there").audit = Some(Audit { lost: 1, done_once: 999, ..audit(1_000) });
    let noted = runs.iter_mut().find(|run| run.workload == "inventory-away");
    noted.expect("it is there").notes =
        vec!["1 orders were done once more after the run had ended".to_owned()];
    let promise =
        |paradigm| ParadigmInfo { paradigm, durability: vec!["what it promises".to_owned()] };
    Results {
        schema: SCHEMA.to_owned(),
        name: "sample".to_owned(),
        started_at: "2026-11-30T04:00:00Z".to_owned(),
        ended_at: "2026-11-30T04:20:00Z".to_owned(),
        is_complete: true,
        is_quick: false,
        seed: 42,
        command: "cargo run --release --bin lab -- run config/workloads/standard.toml --seed 42"
            .to_owned(),
        workload_file: FILE.to_owned(),
        environment: environment(),
        paradigms: Paradigm::ALL.map(promise).into(),
        workloads: vec![
            workload("baseline", Kind::Load, "100 orders a second for 10 s", 3),
            workload("poison", Kind::Load, "100 orders a second for 6 s", 1),
            workload("inventory-away", Kind::Load, "50 orders a second for 25 s", 1),
            workload("broker-restart", Kind::Load, "the broker is stopped and started", 1),
            workload("burst", Kind::Load, "10 times as many for 5 s", 1),
            workload("refused", Kind::Load, "10 % are refused by inventory", 1),
            workload("two-order-services", Kind::Load, "2 order services", 1),
            workload("sweep", Kind::Sweep, "several rates", 1),
            workload("backlog", Kind::Backlog, "10,000 orders", 1),
            workload("batch", Kind::Batch, "10,000 orders at once", 1),
            workload("replay", Kind::Replay, "all again", 1),
        ],
        runs,
    }
}
