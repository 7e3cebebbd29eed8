//! Numbers and workloads in words.

use std::time::Duration;

use crate::results::{GaveUp, Run, WarmUp};
use crate::workload::{Arrivals, Fault, Kind, Workload};

/// Microseconds as people write them: three digits, with a unit.
#[must_use]
pub(crate) fn time(us: f64) -> String {
    match us {
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us if us < 9_995.0 => format!("{:.2} ms", us / 1e3),
        us if us < 99_950.0 => format!("{:.1} ms", us / 1e3),
        us if us < 999_500.0 => format!("{:.0} ms", us / 1e3),
        us if us < 9_995_000.0 => format!("{:.2} s", us / 1e6),
        us => format!("{:.1} s", us / 1e6),
    }
}

/// A number with commas: `12,345`; one below 10 with a digit behind the point.
#[must_use]
pub(crate) fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 10.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// Seconds with at most one digit behind the point.
#[must_use]
pub(crate) fn seconds(time: Duration) -> String {
    let text = format!("{:.1}", time.as_secs_f64());
    format!("{} s", text.strip_suffix(".0").unwrap_or(&text))
}

/// Bytes in MiB.
#[must_use]
pub(crate) fn mebibytes(bytes: f64) -> String {
    format!("{} MiB", number((bytes / f64::from(1 << 20)).round()))
}

/// A share as a percentage.
#[must_use]
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// What came of a run, on a line.
#[must_use]
pub(crate) fn of_run(run: &Run) -> String {
    if let Some(why) = &run.not_possible {
        return format!("not possible: {why}");
    }
    if let Some(replayed) = &run.replayed {
        return format!("{} decisions counted again in {:.1} s", replayed.orders, replayed.took_s);
    }
    let mut words = Vec::new();
    let outcome = run.outcome.quantiles;
    match &run.drain {
        Some(drain) if drain.orders > 0 => {
            words.push(format!("{} done in {:.1} s", drain.orders, drain.took_s))
        }
        Some(drain) => words.push(format!("{} turned away", drain.turned_away)),
        None if outcome.count > 0 => words.push(format!(
            "to outcome p50 {}, p99 {}",
            time(outcome.p50_us as f64),
            time(outcome.p99_us as f64)
        )),
        None => words.push("no outcome".to_owned()),
    }
    if let Some(audit) = run.audit {
        if audit.missed() > 0 {
            words.push(format!("{} of {} not accepted", audit.missed(), audit.sent()));
        }
        words.extend(audit.findings().into_iter().map(|finding| format!("AUDIT: {finding}")));
    }
    if let Some(GaveUp { why, open }) = &run.gave_up {
        words.push(format!("no longer waited for {open} orders when {why}"));
    }
    if run.is_saturated {
        words.push("saturated".to_owned());
    }
    words.extend(run.void.iter().map(|why| format!("VOID: {why}")));
    words.join(", ")
}

/// How a broker was warmed up, on a line.
#[must_use]
pub(crate) fn of_warm_up(warm_up: &WarmUp) -> String {
    let costs = &warm_up.broker_cpu_s;
    let fell = match (costs.first(), costs.last()) {
        (Some(first), Some(last)) => format!(
            ": 10,000 orders cost it {first:.1} s of a processor at first and {last:.1} s at last, {}",
            if warm_up.is_flat { "which no longer falls" } else { "which may still fall" }
        ),
        _ => String::new(),
    };
    format!("the broker of {} worked for {:.0} s{fell}", warm_up.paradigm.title(), warm_up.took_s)
}

/// A workload in a sentence.
#[must_use]
pub(crate) fn of_workload(workload: &Workload) -> String {
    let length = seconds(workload.length);
    let rate = number(workload.rates_per_s[0]);
    let mut words = match workload.kind {
        Kind::Load if !workload.rate_of.is_empty() => {
            let of_each = workload.rate_of.iter();
            let rates: Vec<String> =
                of_each.map(|(by, rate)| format!("{} by {}", number(*rate), by.title())).collect();
            format!("orders for {length}, a second: {}", rates.join(", "))
        }
        Kind::Load => format!("{rate} orders a second for {length}"),
        Kind::Sweep => {
            let rates: Vec<String> =
                workload.rates_per_s.iter().map(|rate| number(*rate)).collect();
            format!("{} orders a second, {length} each", rates.join(", "))
        }
        Kind::Backlog => format!(
            "{} orders at {rate} a second while inventory is stopped, which then starts",
            number(f64::from(workload.orders))
        ),
        Kind::Batch => format!("{} orders at once", number(f64::from(workload.orders))),
        Kind::Replay => "every decision so far is read and counted again".to_owned(),
    };
    if matches!(workload.kind, Kind::Load | Kind::Sweep) && workload.arrivals == Arrivals::Constant
    {
        words.push_str(", evenly spaced");
    }
    if let Some((factor, at, length)) = workload.burst {
        let (at, length, factor) = (seconds(at), seconds(length), number(factor));
        words.push_str(&format!(", {factor} times as many from {at} on for {length}"));
    }
    match workload.fault {
        Some(Fault::ServiceDown { service, at, length }) => words.push_str(&format!(
            "; {} is killed after {} and started again {} later",
            service.name(),
            seconds(at),
            seconds(length)
        )),
        Some(Fault::BrokerRestart { at }) => {
            let at = seconds(at);
            words.push_str(&format!("; the broker is stopped and started after {at}"));
        }
        None => {}
    }
    if !workload.inventory_delay.is_zero() {
        let delay = time(workload.inventory_delay.as_micros() as f64);
        words.push_str(&format!("; inventory waits {delay} before each decision"));
    }
    for (share, what) in [
        (workload.inventory_failure_rate, "of the orders are refused by inventory"),
        (workload.simulate_failures, "of the attempts of inventory fail"),
        (workload.poison, "as many invalid messages in addition"),
        (workload.duplicates, "of the requests are repeated under the same key"),
    ] {
        if share > 0.0 {
            words.push_str(&format!("; {} {what}", percent(share)));
        }
    }
    if workload.order_replicas > 1 {
        words.push_str(&format!("; {} instances of the order service", workload.order_replicas));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Paradigm;

    #[test]
    fn a_workload_is_told_with_its_rates_and_its_trouble() {
        let text = "name = 'x'\n[[workload]]\nname = 'a'\nfor = '8s'\nsimulate-failures = 0.01\n\
                    order-replicas = 2\nrate-of = { sync-rest = 1500, streaming = 200 }\n";
        let file = crate::workload::WorkloadFile::parse(text).unwrap();
        assert_eq!(
            of_workload(&file.workloads[0]),
            "orders for 8 s, a second: 1,500 by HTTP, 200 by Kafka; 1.0 % of the attempts of inventory fail; \
             2 instances of the order service"
        );
    }

    #[test]
    fn a_warm_up_is_told_with_what_orders_cost_at_its_begin_and_its_end() {
        let (paradigm, broker_cpu_s) = (Paradigm::Streaming, vec![161.0, 80.0, 24.04]);
        let warm_up = WarmUp { paradigm, began_s: 9.0, took_s: 55.1, is_flat: true, broker_cpu_s };
        assert_eq!(
            of_warm_up(&warm_up),
            "the broker of Kafka worked for 55 s: 10,000 orders cost it 161.0 s of a processor at first and 24.0 s at \
             last, which no longer falls"
        );
        let short = WarmUp { is_flat: false, broker_cpu_s: Vec::new(), ..warm_up };
        assert_eq!(of_warm_up(&short), "the broker of Kafka worked for 55 s");
    }

    #[test]
    fn times_and_numbers_have_the_digits_that_matter() {
        let times = [5.0, 1_234.0, 12_345.0, 123_456.0, 1_234_567.0, 61_000_000.0].map(time);
        assert_eq!(times, ["5 µs", "1.23 ms", "12.3 ms", "123 ms", "1.23 s", "61.0 s"]);
        let numbers = [0.0, 1.25, 3.0, 999.0, 1_000.0, 1_234_567.0].map(number);
        assert_eq!(numbers, ["0", "1.2", "3", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.011, 0.5].map(percent), ["0 %", "1.1 %", "50 %"]);
    }
}
