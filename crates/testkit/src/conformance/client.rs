//! A client of a flow.

use std::time::Duration;

use serde_json::Value;

use super::flow::{Flow, Service};
use crate::http::{self, HttpAnswer};
use crate::order_flow::order_id_of;
use crate::process::Finished;
use crate::wait;

/// Longest wait for anything that should happen soon, on a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(60);

impl dyn Flow + '_ {
    /// Address of a service: the same before and after it was killed or stopped.
    pub(super) fn address(&self, service: Service) -> String {
        self.services().address(service.name())
    }

    /// Kills a service.
    pub(super) fn kill_9(&mut self, service: Service) {
        self.services_mut().process(service.name()).kill_9();
    }

    /// Asks a service to stop, and returns how it ended.
    #[track_caller]
    pub(super) fn stop(&mut self, service: Service) -> Finished {
        self.services_mut().stop(service.name())
    }

    /// Asks a service for a path.
    #[track_caller]
    pub(super) fn get(&self, service: Service, path: &str) -> HttpAnswer {
        self.ask(service, "GET", path, &[], b"")
    }

    /// Asks a service for anything.
    #[track_caller]
    pub(super) fn ask(
        &self,
        service: Service,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> HttpAnswer {
        let answer = http::request(&self.address(service), method, path, headers, body);
        let answer = answer.expect("an answer");
        if path == "/order" && method == "POST" {
            self.describes()(method, path, &answer);
        }
        answer
    }

    /// Places an order under a key.
    #[track_caller]
    pub(super) fn post(&self, key: &str, body: &str) -> HttpAnswer {
        self.post_with(&[("idempotency-key", key)], body)
    }

    /// Places an order with headers.
    #[track_caller]
    pub(super) fn post_with(&self, headers: &[(&str, &str)], body: &str) -> HttpAnswer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.ask(Service::Order, "POST", "/order", &all, body.as_bytes())
    }

    /// Places an order under a key, which is accepted; returns its id.
    #[track_caller]
    pub(super) fn place(&self, key: &str, body: &str) -> String {
        let answer = self.post(key, body);
        assert_eq!(answer.status, self.kind().accepted_status(), "{answer:?}");
        order_id_of(key)
    }

    /// As [`Self::place`], as soon as the flow takes orders again.
    #[track_caller]
    pub(super) fn place_when_ready(&self, key: &str, body: &str) -> String {
        let accepted = self.kind().accepted_status();
        wait::is_true(&format!("{key} being accepted"), SOON, || {
            let answer = self.post(key, body);
            assert!([accepted, 503].contains(&answer.status), "{answer:?}");
            answer.status == accepted
        });
        order_id_of(key)
    }

    /// What is known of an order, if anything.
    #[track_caller]
    pub(super) fn known(&self, order_id: &str) -> Option<Value> {
        let answer = self.get(Service::Order, &format!("/orders/{order_id}"));
        (answer.status == 200).then(|| answer.json())
    }

    /// What is known of an order, when it has its outcome.
    #[track_caller]
    pub(super) fn settled(&self, order_id: &str) -> Value {
        wait::until(&format!("the outcome of {order_id}"), SOON, || {
            self.known(order_id).filter(|order| order["status"] != "pending")
        })
    }

    /// Waits until an order is confirmed.
    #[track_caller]
    pub(super) fn confirmed(&self, order_id: &str) {
        let order = self.settled(order_id);
        assert_eq!(order["status"], "confirmed", "{order}");
    }

    /// How many of an item inventory says it gave away.
    #[track_caller]
    pub(super) fn reserved(&self, item: &str) -> u64 {
        let path = format!("/stock/{}", item.replace(' ', "%20"));
        let answer = self.get(Service::Inventory, &path);
        answer.json()["reserved"].as_u64().expect("a number")
    }

    /// As [`Self::reserved`], when inventory has nothing to do.
    #[track_caller]
    pub(super) fn reserved_at_rest(&mut self, item: &str) -> u64 {
        self.wait_until_idle();
        self.reserved(item)
    }

    /// Waits until inventory says that it gave so many away: what it says may be a moment old.
    #[track_caller]
    pub(super) fn wait_reserved(&self, item: &str, pieces: u64) {
        let what = format!("{pieces} of {item} given away");
        wait::is_true(&what, SOON, || self.reserved(item) == pieces);
    }

    /// Waits until an order's customer was told, and checks that it was once.
    #[track_caller]
    pub(super) fn told_once(&self, order_id: &str) {
        let told = wait::until("the customer being told", SOON, || {
            Some(self.told(order_id)).filter(|told| *told > 0)
        });
        assert_eq!(told, 1, "{order_id}");
    }

    /// One sample of the metrics of a service; 0 where there is none.
    #[track_caller]
    pub(super) fn metric(&self, service: Service, sample: &str) -> f64 {
        let page = self.get(service, "/metrics").body;
        let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Whether a service says that it is ready.
    pub(super) fn is_ready(&self, service: Service) -> bool {
        let answer = http::get(&self.address(service), "/readyz");
        answer.is_ok_and(|answer| answer.status == 200)
    }
}
