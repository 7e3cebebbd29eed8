//! Gauges that are computed from the views of all lanes, twice a second.

use std::collections::BTreeMap;

use metrics::gauge;
use orders::Amount;

use crate::metrics::PRODUCTS_MAX;
use crate::shared::View;

/// Every label of `orders_partitions_paused`.
const REASONS: [&str; 3] = ["waiting", "retention-gap", "missing-partition"];

/// Sets the gauges.
pub(crate) fn set(views: &[View], registry_is_away: bool) {
    let waiting: usize = views.iter().map(|view| view.waiting).sum();
    gauge!("orders_retry_waiting").set(waiting as f64);
    let overdue_ms = views.iter().map(|view| view.oldest_overdue_ms).max().unwrap_or(0);
    gauge!("orders_retry_oldest_overdue_seconds").set(overdue_ms as f64 / 1000.0);
    for reason in REASONS {
        gauge!("orders_partitions_paused", "reason" => reason).set(paused(views, reason) as f64);
    }
    let unresolved: usize = views.iter().map(|view| view.unresolved).sum();
    gauge!("orders_unresolved_records").set(unresolved as f64);
    let is_away = registry_is_away || views.iter().any(|view| view.away.is_some());
    gauge!("orders_breaker_open").set(f64::from(u8::from(is_away)));
    for (product, (count, sum)) in products(views) {
        if let Some(average) = orders::average(sum, count) {
            let sum = sum.ten_thousandths() as f64 / 10_000.0;
            gauge!("orders_product_count", "product" => product.clone()).set(count as f64);
            gauge!("orders_product_sum", "product" => product.clone()).set(sum);
            gauge!("orders_average", "product" => product).set(average);
        }
    }
}

fn paused(views: &[View], reason: &str) -> usize {
    let of = |view: &View| match reason {
        "waiting" if view.crowded => view.owned.len(),
        "waiting" => 0,
        other => view.stopped.iter().filter(|(_, label, _)| *label == other).count(),
    };
    views.iter().map(of).sum()
}

/// Totals by product over all lanes; those beyond the cap as `other`.
fn products(views: &[View]) -> BTreeMap<String, (u64, Amount)> {
    let mut products: BTreeMap<String, (u64, Amount)> = BTreeMap::new();
    for (product, (count, sum)) in views.iter().flat_map(|view| &view.products) {
        let is_known = products.contains_key(&**product);
        let name = if is_known || products.len() < PRODUCTS_MAX { &**product } else { "other" };
        let entry = products.entry(name.to_owned()).or_default();
        entry.0 += count;
        entry.1 += *sum;
    }
    products
}
