//! Reports when the schema registry is unavailable, as far as anybody asks it.

use std::time::Duration;

use codec::resolver::SchemaResolver;
use service_kit::shutdown::Shutdown;
use service_kit::unavailable::{Thing, of_process};

/// Where the schemas of framed orders and messages come from.
const REGISTRY: Thing = Thing { label: "schema-registry", name: "the schema registry" };

/// Time between two looks at what is known; nobody is asked.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Reports what these find until `stop`.
pub async fn watch_registry(resolvers: Vec<SchemaResolver>, stop: Shutdown) {
    let reporter = of_process().reporter(REGISTRY, "schema-registry");
    while !stop.is_requested() {
        match resolvers.iter().find_map(SchemaResolver::is_away) {
            Some(why) => reporter.unavailable(why),
            None if resolvers.iter().any(SchemaResolver::has_unanswered) => reporter.forget(),
            None => reporter.available(),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.requested() => {}
        }
    }
}
