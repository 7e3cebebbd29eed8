//! What the program measures, beside the metrics of its pipeline, of RabbitMQ and of HTTP.

use std::time::Duration;

use crate::country::Country;
use crate::place::Brand;

/// Reports that were sent to a front, by what came of them.
pub(crate) const REPORTS: &str = "weather_reports_total";
/// Reports that were handed to a broker, by what came of them.
pub(crate) const PUBLISHED: &str = "weather_published_total";
/// Writes to a store, by what came of them.
pub(crate) const WRITES: &str = "weather_writes_total";
/// How long they took.
const WRITE_SECONDS: &str = "weather_write_seconds";
/// What a store has counted, by country: a closed set of 249.
const COUNTRY_REPORTS: &str = "weather_country_reports";

/// What came of a report at a front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// Both brokers have confirmed it.
    Published,
    /// It breaks a rule.
    Refused,
    /// A broker, or the publisher, did not confirm it.
    Unconfirmed,
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// The report is counted.
    Counted,
    /// It was counted before.
    Duplicate,
    /// The store did not answer as one.
    Unavailable,
}

impl Came {
    const ALL: [Self; 3] = [Self::Published, Self::Refused, Self::Unconfirmed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Refused => "refused",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

impl Wrote {
    const ALL: [Self; 3] = [Self::Counted, Self::Duplicate, Self::Unavailable];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Duplicate => "duplicate",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Begins the counters of a front at 0. `front` is the service's name.
pub(crate) fn begin_front(front: &'static str) {
    metrics::describe_counter!(REPORTS, "reports sent to a front, by result");
    for came in Came::ALL {
        let labels = [("front", front), ("result", came.as_str())];
        metrics::counter!(REPORTS, &labels).increment(0);
    }
}

/// Begins the counters of the publisher at 0.
pub(crate) fn begin_publisher() {
    metrics::describe_counter!(PUBLISHED, "reports handed to a broker, by broker and result");
    for broker in ["kafka", "rabbitmq"] {
        for result in ["confirmed", "unconfirmed"] {
            let labels = [("broker", broker), ("result", result)];
            metrics::counter!(PUBLISHED, &labels).increment(0);
        }
    }
}

/// Begins the counters of a store at 0.
pub(crate) fn begin_store(brand: Brand) {
    metrics::describe_counter!(WRITES, "writes to a store, by store and result");
    metrics::describe_histogram!(WRITE_SECONDS, "time of a write to a store");
    metrics::describe_gauge!(COUNTRY_REPORTS, "reports that a store has counted, by country");
    for wrote in Wrote::ALL {
        let labels = [("store", brand.label()), ("result", wrote.as_str())];
        metrics::counter!(WRITES, &labels).increment(0);
    }
}

/// Counts a report at a front.
pub(crate) fn came(front: &'static str, came: Came) {
    metrics::counter!(REPORTS, "front" => front, "result" => came.as_str()).increment(1);
}

/// Counts a report at a broker.
pub(crate) fn published(broker: &'static str, is_confirmed: bool) {
    let result = if is_confirmed { "confirmed" } else { "unconfirmed" };
    metrics::counter!(PUBLISHED, "broker" => broker, "result" => result).increment(1);
}

/// Counts a write.
pub(crate) fn wrote(brand: Brand, wrote: Wrote, took: Duration) {
    let labels = [("store", brand.label()), ("result", wrote.as_str())];
    metrics::counter!(WRITES, &labels).increment(1);
    metrics::histogram!(WRITE_SECONDS, "store" => brand.label()).record(took);
}

/// Shows what a store has counted of a country.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 reports")]
pub(crate) fn country(brand: Brand, country: Country, reports: u64) {
    let labels = [("store", brand.label()), ("country", country.as_str())];
    metrics::gauge!(COUNTRY_REPORTS, &labels).set(reports as f64);
}
