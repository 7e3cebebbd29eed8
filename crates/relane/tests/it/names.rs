//! What is named after a pipeline outside of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    set_global_recorder,
};
use relane::{HandleError, Kafka, Pipeline, ReasonName, Record, payload};
use testkit::machine;

use crate::rig::{FINE, Rig, text};

const NO_URL: ReasonName = ReasonName::of("no-url");

/// Notes the names of all metrics of the process.
#[derive(Debug, Clone, Default)]
struct Names(Arc<Mutex<BTreeSet<String>>>);

impl Names {
    fn note(&self, key: &Key) {
        self.0.lock().expect("no panic while held").insert(key.name().to_owned());
    }

    /// What follows the prefix in the names that begin with it.
    fn below(&self, prefix: &str) -> Vec<String> {
        let names = self.0.lock().expect("no panic while held");
        names.iter().filter_map(|name| name.strip_prefix(prefix).map(str::to_owned)).collect()
    }
}

impl Recorder for Names {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.note(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.note(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.note(key);
        Histogram::noop()
    }
}

async fn refuse_the_empty(click: Record<Option<Box<[u8]>>>) -> Result<(), HandleError> {
    match click.value.as_deref() {
        Some([]) | None => Err(HandleError::permanent(NO_URL, "a click has an address")),
        Some(_) => FINE,
    }
}

#[test]
fn metrics_and_class_names_begin_with_the_name_of_their_pipeline_and_with_no_other() {
    let _machine = machine::shared();
    let names = Names::default();
    set_global_recorder(names.clone()).expect("no other test of this process has a recorder");
    let rig = Rig::new(1);
    rig.send(["/tea", ""]);
    let builder = rig.builder().name("click_index");
    let report = builder.run(payload::raw(), refuse_the_empty).expect("it ends well");
    assert_eq!((report.succeeded, report.dead_lettered), (1, 1));
    let own = names.below("click_index_");
    for metric in ["consumed_total", "dead_lettered_total", "retry_waiting", "unavailable"] {
        assert!(own.iter().any(|name| name == metric), "{metric} is not among {own:?}");
    }
    assert_eq!(names.below("orders_"), Vec::<String>::new());
    let letters = rig.topics.records(&rig.topics.dlq);
    assert_eq!(text(letters[0].header("kafka_dlt-exception-fqcn")), "click_index.refused");
}

#[test]
fn a_name_that_prometheus_does_not_take_is_refused_before_anything_is_done() {
    let kafka = Kafka::new("127.0.0.1:1", []).expect("a broker is named");
    let builder = Pipeline::builder("clicks", kafka).name("click-index");
    let error = builder.run(payload::raw(), refuse_the_empty);
    let error = error.expect_err("a hyphen");
    assert!(error.is_setting && error.message.contains("\"click-index\""), "{error}");
}
