//! A workload as it is written, and what is wrong with it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use service_kit::units::DurationArg;

use super::{Arrivals, Fault, Kind, ORDERS_MAX, Paradigm, Segment, Service, Workload};

/// Highest rate that one generator is trusted with, per second.
const RATE_MAX: f64 = 20_000.0;
const ROUNDS_MAX: u32 = 100;

/// A workload as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawWorkload {
    pub(super) name: String,
    #[serde(default)]
    kind: Kind,
    rate: Option<f64>,
    rates: Option<Vec<f64>>,
    rate_of: Option<BTreeMap<Paradigm, f64>>,
    r#for: Option<DurationArg>,
    arrivals: Option<Arrivals>,
    rounds: Option<u32>,
    orders: Option<u32>,
    inventory_delay: Option<DurationArg>,
    inventory_failure_rate: Option<f64>,
    simulate_failures: Option<f64>,
    burst_factor: Option<f64>,
    burst_at: Option<DurationArg>,
    burst_for: Option<DurationArg>,
    down: Option<Service>,
    down_at: Option<DurationArg>,
    down_for: Option<DurationArg>,
    broker_restart_at: Option<DurationArg>,
    poison: Option<f64>,
    duplicates: Option<f64>,
    order_replicas: Option<u32>,
    quick: Option<bool>,
}

/// Checks how often something is to be run.
pub(super) fn rounds_of(rounds: u32) -> Result<u32, String> {
    let is_fine = (1..=ROUNDS_MAX).contains(&rounds);
    is_fine.then_some(rounds).ok_or_else(|| format!("rounds is {rounds}: give 1 to {ROUNDS_MAX}"))
}

/// Checks how many nodes a broker's cluster has.
pub(super) fn size_of(name: &str, given: Option<u16>) -> Result<u16, String> {
    let size = given.unwrap_or(1);
    matches!(size, 1 | 3).then_some(size).ok_or_else(|| format!("{name} is {size}: give 1 or 3"))
}

/// Checks a name that folders and files are made of.
pub(crate) fn name_of(name: &str) -> Result<(), String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(is_part) {
        return Err("a name has lower-case letters, digits and '-'".to_owned());
    }
    Ok(())
}

fn share(name: &str, given: Option<f64>) -> Result<f64, String> {
    let share = given.unwrap_or(0.0);
    let is_share = (0.0..=1.0).contains(&share);
    is_share.then_some(share).ok_or_else(|| format!("{name} is {share}: give 0.0 to 1.0"))
}

/// Checks a workload; `rounds` and `warm_up` are the file's.
pub(super) fn check(raw: RawWorkload, rounds: u32, warm_up: Duration) -> Result<Workload, String> {
    name_of(&raw.name)?;
    if !matches!(raw.kind, Kind::Load | Kind::Sweep)
        && (raw.poison.is_some() || raw.duplicates.is_some())
    {
        return Err("'poison' and 'duplicates' are for the kinds load and sweep".to_owned());
    }
    let rates_per_s = rates(&raw)?;
    let length = raw.r#for.map_or(Duration::ZERO, DurationArg::get);
    let needs_length = matches!(raw.kind, Kind::Load | Kind::Sweep);
    if needs_length == length.is_zero() {
        let word = if needs_length { "needs" } else { "has no" };
        return Err(format!("this kind {word} 'for', the time for which orders are sent"));
    }
    let orders = raw.orders.unwrap_or(0);
    if matches!(raw.kind, Kind::Backlog | Kind::Batch) != (orders > 0) {
        return Err("'orders' is for the kinds backlog and batch, and both need it".to_owned());
    }
    let burst = burst_of(&raw, length)?;
    let fault = fault_of(&raw, length)?;
    let workload = Workload {
        rounds: raw.rounds.map_or(Ok(rounds), rounds_of)?,
        arrivals: raw.arrivals.unwrap_or_default(),
        inventory_delay: raw.inventory_delay.map_or(Duration::ZERO, DurationArg::get),
        inventory_failure_rate: share("inventory-failure-rate", raw.inventory_failure_rate)?,
        simulate_failures: share("simulate-failures", raw.simulate_failures)?,
        poison: share("poison", raw.poison)?,
        duplicates: share("duplicates", raw.duplicates)?,
        order_replicas: raw.order_replicas.unwrap_or(1),
        is_quick: raw.quick.unwrap_or(true),
        name: raw.name,
        kind: raw.kind,
        rates_per_s,
        rate_of: raw.rate_of.unwrap_or_default(),
        length,
        burst,
        orders,
        fault,
    };
    if workload.poison > 0.0 && workload.fault.is_some() {
        return Err("'poison' and a fault do not go together: a service that is killed forgets how many it has \
                    dead-lettered"
            .to_owned());
    }
    if !(1..=4).contains(&workload.order_replicas) {
        return Err(format!("order-replicas is {}: give 1 to 4", workload.order_replicas));
    }
    let most = workload.rates_per_s.iter().fold(0.0_f64, |most, &rate_per_s| {
        let of = |s: &Segment| s.rate_per_s * s.length.as_secs_f64();
        let is_warmed_up = matches!(workload.kind, Kind::Load | Kind::Sweep);
        let before = if is_warmed_up { rate_per_s * warm_up.as_secs_f64() } else { 0.0 };
        most.max(before + workload.segments(rate_per_s).iter().map(of).sum::<f64>())
    });
    if most.max(f64::from(orders)) > ORDERS_MAX {
        return Err(format!(
            "a run has more than {ORDERS_MAX} orders, its warm-up included; lower 'rate' or 'for'"
        ));
    }
    Ok(workload)
}

fn rates(raw: &RawWorkload) -> Result<Vec<f64>, String> {
    if let Some(rate_of) = &raw.rate_of {
        if raw.kind != Kind::Load || raw.rate.is_some() || raw.rates.is_some() {
            return Err("'rate-of' is for the kind load, in the place of 'rate'".to_owned());
        }
        let mut rates: Vec<f64> = rate_of.values().copied().collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        return all_fine(rates);
    }
    let rates = match (raw.kind, raw.rate, raw.rates.clone()) {
        (Kind::Sweep, None, Some(rates)) if rates.len() >= 2 => rates,
        (Kind::Sweep, ..) => return Err("a sweep needs 'rates', two or more".to_owned()),
        (_, _, Some(_)) => return Err("'rates' is for the kind sweep; give 'rate'".to_owned()),
        (Kind::Load | Kind::Backlog, Some(rate), None) => vec![rate],
        (Kind::Load | Kind::Backlog, None, None) => return Err("it needs 'rate'".to_owned()),
        (Kind::Batch | Kind::Replay, None, None) => vec![0.0],
        (Kind::Batch | Kind::Replay, Some(_), None) => {
            return Err("this kind has no 'rate': all comes at once".to_owned());
        }
    };
    let is_timed = matches!(raw.kind, Kind::Load | Kind::Backlog | Kind::Sweep);
    if is_timed { all_fine(rates) } else { Ok(rates) }
}

fn all_fine(rates: Vec<f64>) -> Result<Vec<f64>, String> {
    let is_rate = |rate: &f64| *rate > 0.0 && *rate <= RATE_MAX;
    match rates.iter().find(|rate| !is_rate(rate)) {
        Some(rate) => Err(format!("a rate is {rate}: give more than 0, at most {RATE_MAX}")),
        None if rates.is_empty() => Err("'rate-of' names no paradigm".to_owned()),
        None => Ok(rates),
    }
}

fn burst_of(
    raw: &RawWorkload,
    length: Duration,
) -> Result<Option<(f64, Duration, Duration)>, String> {
    let (Some(factor), Some(at), Some(lasts)) = (raw.burst_factor, raw.burst_at, raw.burst_for)
    else {
        let has_part =
            raw.burst_factor.is_some() || raw.burst_at.is_some() || raw.burst_for.is_some();
        let words = "burst-factor, burst-at and burst-for go together";
        return if has_part { Err(words.to_owned()) } else { Ok(None) };
    };
    let is_fine = raw.kind == Kind::Load && factor >= 1.0 && at.get() + lasts.get() <= length;
    let words =
        "a burst is part of the kind load, ends within 'for', and has a factor of 1 or more";
    is_fine.then_some(Some((factor, at.get(), lasts.get()))).ok_or_else(|| words.to_owned())
}

fn fault_of(raw: &RawWorkload, length: Duration) -> Result<Option<Fault>, String> {
    let fault = match (raw.down, raw.down_at, raw.down_for, raw.broker_restart_at) {
        (None, None, None, None) => return Ok(None),
        (Some(service), Some(at), Some(lasts), None) => {
            Fault::ServiceDown { service, at: at.get(), length: lasts.get() }
        }
        (None, None, None, Some(at)) => Fault::BrokerRestart { at: at.get() },
        _ => {
            return Err("give down, down-at and down-for, or broker-restart-at alone".to_owned());
        }
    };
    let end = match fault {
        Fault::ServiceDown { at, length, .. } => at + length,
        Fault::BrokerRestart { at } => at,
    };
    let is_fine = raw.kind == Kind::Load && end < length;
    let words = "a fault is part of the kind load, and ends within 'for'";
    is_fine.then_some(Some(fault)).ok_or_else(|| words.to_owned())
}
