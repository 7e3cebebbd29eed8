//! What a store has counted by country, as metrics: its own numbers, read now and then. A number that this process added
//! up would not show what the store has lost, or what other instances have counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use service_kit::shutdown::Shutdown;
use tokio::time::{MissedTickBehavior, interval};

use crate::limits::SHOW_EVERY;
use crate::metrics;
use crate::store::Store;

/// Shows the counts of a store every [`SHOW_EVERY`] until `stop`. While the store is unavailable, the last ones stay.
pub(crate) async fn show_counts(store: Arc<Store>, stop: Shutdown) {
    let mut ticks = interval(SHOW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = BTreeSet::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.requested() => return,
        }
        match store.countries().await {
            Ok(counts) => {
                // A country that the store has forgotten is shown with 0, and not with what it once had.
                shown.extend(counts.keys().copied());
                for country in &shown {
                    let count = counts.get(country).copied().unwrap_or(0);
                    metrics::country(store.brand(), *country, count);
                }
            }
            Err(error) => tracing::debug!(%error, "the counts by country were not read"),
        }
    }
}
