//! Gauges of the products, computed from what all lanes tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::stage::Total;
use metrics::{describe_gauge, gauge};

/// Products that get a label of their own; the others are counted as `other`.
pub(crate) const PRODUCTS_MAX: usize = 100;

/// Describes the gauges.
pub(crate) fn describe() {
    describe_gauge!("orders_product_count", "orders counted by product");
    describe_gauge!("orders_product_sum", "sum of their prices by product");
    describe_gauge!("orders_average", "running average price by product");
}

/// Sets the gauges.
pub(crate) fn set(summaries: &[BTreeMap<Arc<str>, Total>]) {
    for (product, (count, sum)) in totals(summaries) {
        if let Some(average) = orders::average(sum, count) {
            let sum = sum.ten_thousandths() as f64 / 10_000.0;
            gauge!("orders_product_count", "product" => product.clone()).set(count as f64);
            gauge!("orders_product_sum", "product" => product.clone()).set(sum);
            gauge!("orders_average", "product" => product).set(average);
        }
    }
}

/// Totals by product over all lanes; those beyond the cap as `other`.
fn totals(summaries: &[BTreeMap<Arc<str>, Total>]) -> BTreeMap<String, Total> {
    let mut products: BTreeMap<String, Total> = BTreeMap::new();
    for (product, (count, sum)) in summaries.iter().flatten() {
        let is_known = products.contains_key(&**product);
        let name = if is_known || products.len() < PRODUCTS_MAX { &**product } else { "other" };
        let entry = products.entry(name.to_owned()).or_default();
        entry.0 += count;
        entry.1 += *sum;
    }
    products
}
