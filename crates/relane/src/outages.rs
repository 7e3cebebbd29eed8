//! Reports what the lanes of a pipeline find unavailable to the place that knows it for the process.

use std::time::Duration;

use codec::resolver::SchemaResolver;
use service_kit::unavailable::{Reporter, Thing, of_process};

use crate::clock::Instant;
use crate::settings::PipelineName;
use crate::shared::View;

/// Where schemas come from.
const REGISTRY: Thing = Thing { label: "schema-registry", name: "the schema registry" };
/// What a handler asks, where the program does not say what that is.
const DOWNSTREAM: &str = "the service that the handler calls";

/// Brokers are available again when all lanes have had answers for so long: between two requests
/// one may look well.
const CALM: Duration = Duration::from_millis(500);

/// A lane that has never had a writer is starting, which takes its time on a fresh cluster: its
/// coordinators load.
const STARTING_MAX: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Outages {
    broker: Reporter,
    registry: Reporter,
    downstream: Reporter,
    began_at: Instant,
    calm_since: Option<Instant>,
}

impl Outages {
    /// Their metrics begin with the pipeline's name. Messages call so what its handler asks.
    pub(crate) fn new(name: &PipelineName, downstream: Option<&str>) -> Self {
        let place = of_process();
        // Things have names for the life of the process, and a process has few pipelines.
        let called = downstream.map_or(DOWNSTREAM, |name| String::leak(name.to_owned()));
        let downstream = Thing { label: "downstream", name: called };
        let reporter = |thing, condition| place.reporter_as(name.as_str(), thing, condition);
        Self {
            broker: reporter(Thing::KAFKA, "broker"),
            registry: reporter(REGISTRY, "registry"),
            downstream: reporter(downstream, "downstream"),
            began_at: Instant::now(),
            calm_since: None,
        }
    }

    /// Reports what has changed since the last look.
    pub(crate) fn look<T>(&mut self, views: &[View<T>], resolver: &SchemaResolver) {
        self.look_at_brokers(views);
        note_registry(&self.registry, resolver);
        match views.iter().find_map(|view| view.outage.clone()) {
            Some(why) => self.downstream.unavailable(why),
            None if views.iter().any(|view| view.is_outage_forgotten) => self.downstream.forget(),
            None => self.downstream.available(),
        }
    }

    /// The lanes have ended: reports what was over by then.
    pub(crate) fn end<T>(&self, views: &[View<T>]) {
        if views.iter().all(|view| view.outage.is_none() && !view.is_outage_forgotten) {
            self.downstream.available();
        }
    }

    fn look_at_brokers<T>(&mut self, views: &[View<T>]) {
        let is_past_start = self.began_at.elapsed() >= STARTING_MAX;
        let mut lanes = views.iter().filter(|view| view.has_written || is_past_start);
        match lanes.find_map(View::brokers_away) {
            Some(why) => {
                self.calm_since = None;
                self.broker.unavailable(why);
            }
            None if self.calm_since.get_or_insert_with(Instant::now).elapsed() >= CALM => {
                self.broker.available();
            }
            None => {}
        }
    }
}

/// Reports whether the registry answers, as far as anybody asks.
fn note_registry(reporter: &Reporter, resolver: &SchemaResolver) {
    match resolver.is_away() {
        Some(why) => reporter.unavailable(why),
        None if resolver.has_unanswered() => reporter.forget(),
        None => reporter.available(),
    }
}
