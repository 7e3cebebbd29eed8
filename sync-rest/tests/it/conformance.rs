//! The promises of all three flows, as this one keeps them.

use std::collections::BTreeMap;
use std::time::Duration;

use codec::encode::Encoder;
use codec::registry::{Registration, Registry, RegistrySettings};
use order_schemas::OrderRecord;
use orders::Order;
use serde_json::{Value, json};
use testkit::conformance::{DeadLetter, Describes, Flow, Kind, Scene, Service, Staged};
use testkit::http::{self, HttpAnswer};
use testkit::ledger::{Ended, Final, Ledger, Unknowns};
use testkit::order_flow::{self, order_id_of};
use testkit::{Finished, Process, Services, wait};

use crate::rig::{Rig, is_described};

testkit::conformance_suite!(Rig);

/// Longest wait for what is seen to in the background.
const SETTLED_IN: Duration = Duration::from_secs(60);

/// The registry that the tests of this run share.
pub(crate) fn registry_url() -> String {
    std::env::var("SCHEMA_REGISTRY_URL")
        .expect("SCHEMA_REGISTRY_URL names a registry; see CONTRIBUTING.md")
}

/// An order in a frame.
pub(crate) fn framed(order: &Order) -> Vec<u8> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let registry = RegistrySettings::new(&registry_url()).expect("a URL");
    let registry = Registry::new(registry).expect("a client");
    let subject = "sync-rest-tests-value";
    let encoder = Encoder::<OrderRecord>::connect(&registry, subject, Registration::Register);
    let encoder = runtime.block_on(encoder).expect("it registers");
    let mut bytes = Vec::new();
    encoder.encode_into(&mut bytes, order);
    bytes
}

impl Staged for Rig {
    const KIND: Kind = Kind::SyncRest;

    fn start(scene: Scene) -> Self {
        match scene {
            Scene::AllIsWell => {
                let url = registry_url();
                Rig::start(&["--log-format", "json", "--schema-registry-url", &url])
            }
            Scene::ServicesAreKilled => Rig::start(&["--deadline", "2s"]),
            Scene::TroubleOnRequest => Rig::start(scene.args()),
            // It has no flags for what it does not do.
            Scene::AttemptsFail | Scene::ServerIsAway => Rig::start(&[]),
        }
    }
}

impl Flow for Rig {
    fn kind(&self) -> Kind {
        Self::KIND
    }

    fn services(&self) -> &Services {
        &self.services
    }

    fn services_mut(&mut self) -> &mut Services {
        &mut self.services
    }

    fn start_again(&mut self, service: Service) {
        self.restart(service);
    }

    fn set_args(&mut self, args: &[&str]) {
        self.set_args(args);
    }

    fn launch(&self, folder: &str, args: &[&str]) -> Process {
        let (folder, menu) = (self.path(folder).display().to_string(), self.menu());
        let all = [args, &["--data-dir", &folder, "--menu", &menu]].concat();
        Process::start("sync-rest", &all, &[])
    }

    fn run_without_servers(&self, _: &str) -> Vec<(&'static str, Finished)> {
        Vec::new()
    }

    fn told(&self, order_id: &str) -> usize {
        usize::from(self.is_notified(order_id))
    }

    /// What the services log at the end of each request.
    fn steps(&mut self, request_id: &str) -> Vec<String> {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let span = |log: String| {
            let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let spans = events.map(|event| event["span"].clone());
            let span = spans.into_iter().find(|span| span["request_id"] == request_id)?;
            Some(format!("{}-{}", text(&span["trace_id"]), text(&span["span_id"])))
        };
        let logs = Service::ALL.map(|service| self.process(service).log());
        logs.into_iter().filter_map(span).collect()
    }

    fn framed(&self, order: &Order) -> Vec<u8> {
        framed(order)
    }

    fn hand_over(&mut self, order: &Order) -> Option<HttpAnswer> {
        let body = json!({ "item": order.product, "quantity": order.quantity }).to_string();
        self.hand_over_bytes(&order.order_id, body.as_bytes())
    }

    fn hand_over_bytes(&mut self, order_id: &str, bytes: &[u8]) -> Option<HttpAnswer> {
        let path = format!("/reservations/{order_id}");
        let headers = [("content-type", "application/json")];
        let answer =
            http::request(&self.address(Service::Inventory), "PUT", &path, &headers, bytes);
        let answer = answer.expect("an answer");
        is_described("/reservations/{order_id}", "put", &answer);
        Some(answer)
    }

    fn wait_until_idle(&mut self) {}

    fn dead_letters(&mut self) -> Vec<DeadLetter> {
        Vec::new()
    }

    fn redrive(&mut self, _: &str) -> u64 {
        0
    }

    /// Waits until what is seen to in the background is done, then compares.
    fn audit(&mut self, ledger: &Ledger) {
        wait::is_true("nothing unfinished", SETTLED_IN, || {
            self.metric(Service::Order, "sync_orders_unfinished") == 0.0
        });
        let look = || {
            let keys = ledger.entries().into_keys();
            let finals: BTreeMap<String, Final> =
                keys.map(|key| (key.clone(), self.final_of(&key))).collect();
            let stock = self.get(Service::Inventory, "/stock", "/stock");
            (finals, order_flow::stock(&stock))
        };
        let unknowns = Unknowns::AreSettled;
        wait::within(SETTLED_IN, || {
            let (finals, stock) = look();
            ledger.audit(&finals, &stock, unknowns).is_empty()
        });
        let (finals, stock) = look();
        ledger.assert_right(&finals, &stock, unknowns);
        for (key, entry) in ledger.entries() {
            let is_confirmed = self.is_confirmed(&order_id_of(&key));
            let has_outcome = !finals[&key].outcomes.is_empty();
            assert!(is_confirmed == has_outcome, "{key}: {entry:?}");
        }
    }

    fn kill_server(&mut self) {
        unreachable!("there is none");
    }

    fn restart_server(&mut self) {
        unreachable!("there is none");
    }

    fn describes(&self) -> Describes {
        |method, path, answer| is_described(path, &method.to_ascii_lowercase(), answer)
    }
}

impl Rig {
    /// What the services know of an order. One that was refused, or released, has no outcome: its client was told that
    /// there is none.
    fn final_of(&self, key: &str) -> Final {
        let id = order_id_of(key);
        let is_reserved = self.reservation_of(&id).as_deref() == Some("reserved");
        let outcomes = if is_reserved { vec![Ended::Reserved] } else { Vec::new() };
        Final { outcomes, notifications: Some(usize::from(self.is_notified(&id))) }
    }
}
