//! The promises of all three flows, as this one keeps them.

use std::time::Duration;

use lapin::BasicProperties;
use orders::Order;
use stack::Server as _;
use testkit::conformance::{DeadLetter, Flow, Kind, Scene, Service, Staged};
use testkit::{Finished, HttpAnswer, Ledger, Process, Services, wait};

use crate::rig::{Rig, SOON, variable};

testkit::conformance_suite!(Rig);

/// Longest run of a program that should end at once.
const ENDS_IN: Duration = Duration::from_secs(60);

impl Staged for Rig {
    const KIND: Kind = Kind::Rabbit;

    fn start(scene: Scene) -> Self {
        let rig = match scene {
            Scene::ServerIsAway => Rig::with_own_broker(scene.args(), &[]),
            Scene::ServicesAreKilled => Rig::start(&["--prefetch", "16"]),
            Scene::AllIsWell | Scene::TroubleOnRequest | Scene::AttemptsFail => {
                Rig::start(scene.args())
            }
        };
        rig.listen();
        rig
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
        let (folder, menu) = (self.path(folder), self.menu());
        let registry = variable("SCHEMA_REGISTRY_URL");
        let servers = ["--rabbitmq-url", &self.url, "--schema-registry-url", &registry];
        let files = ["--prefix", &self.prefix, "--data-dir", &folder, "--menu", &menu];
        Process::start("rabbit", &[args, &servers, &files].concat(), &[])
    }

    fn run_without_servers(&self, nobody: &str) -> Vec<(&'static str, Finished)> {
        let (folder, menu) = (self.path("elsewhere"), self.menu());
        let broker = format!("amqp://me:secret@{nobody}/%2f");
        let registry = format!("http://{nobody}");
        let (prefix, real) = (format!("{}-nobody", self.prefix), variable("SCHEMA_REGISTRY_URL"));
        let all = ["all", "--prefix", &prefix, "--data-dir", &folder, "--menu", &menu];
        let listen = ["--order-listen", "--inventory-listen", "--notification-listen"];
        let listen: Vec<&str> = listen.iter().flat_map(|flag| [flag, "127.0.0.1:0"]).collect();
        let run = |url: &str, registry: &str| {
            let servers = ["--rabbitmq-url", url, "--schema-registry-url", registry];
            Process::start("rabbit", &[&all[..], &listen, &servers].concat(), &[]).wait(ENDS_IN)
        };
        let looks = ["dlq", "list", "--rabbitmq-url", broker.as_str()];
        vec![
            ("--rabbitmq-url", run(&broker, &real)),
            ("--schema-registry-url", run(&self.url, &registry)),
            ("--rabbitmq-url", Process::start("rabbit", &looks, &[]).wait(ENDS_IN)),
        ]
    }

    fn told(&self, order_id: &str) -> usize {
        let messages = self.seen("notifications");
        let ids = messages.iter().filter_map(|message| message.properties.message_id().as_ref());
        ids.filter(|id| id.as_str() == order_id).count()
    }

    /// Those of what inventory and notification have sent.
    fn steps(&mut self, request_id: &str) -> Vec<String> {
        let messages = ["audit", "notifications"].map(|queue| self.seen(queue)).concat();
        let of_request = messages
            .iter()
            .filter(|seen| seen.header("x-request-id").as_deref() == Some(request_id));
        of_request.filter_map(|seen| seen.header("traceparent")).collect()
    }

    fn framed(&self, order: &Order) -> Vec<u8> {
        self.framed("order.placed", order)
    }

    fn hand_over(&mut self, order: &Order) -> Option<HttpAnswer> {
        self.publish(&self.prefix, "order.placed", &self.framed("order.placed", order));
        None
    }

    fn hand_over_bytes(&mut self, order_id: &str, bytes: &[u8]) -> Option<HttpAnswer> {
        let about = BasicProperties::default().with_message_id(order_id.into());
        self.publish_with(&self.prefix, "order.placed", bytes, &about);
        None
    }

    fn wait_until_idle(&mut self) {
        let idle = "rabbit_deliveries_in_hand{queue=\"inventory\"} 0";
        wait::is_true("an idle inventory", SOON, || {
            self.depth("inventory") == 0
                && self.get(Service::Inventory, "/metrics").body.lines().any(|line| line == idle)
        });
    }

    fn dead_letters(&mut self) -> Vec<DeadLetter> {
        let dead = self.look("inventory.dlq").into_iter().map(|seen| {
            let header = |name: &str| seen.header(name).unwrap_or_default();
            let (class, reason) = (header("x-failure-class"), header("x-failure-reason"));
            DeadLetter { attempt: header("x-attempt"), value: seen.body, class, reason }
        });
        dead.collect()
    }

    fn redrive(&mut self, order_id: &str) -> u64 {
        let args = ["dlq", "redrive", "--message-id", order_id, "--execute", "-o", "json"];
        let finished = self.command(&args);
        finished.expect_code(0).stats()["redrive"]["count"].as_u64().expect("a number")
    }

    fn audit(&mut self, ledger: &Ledger) {
        self.wait_until_drained(ledger);
        Rig::audit(self, ledger);
    }

    fn kill_server(&mut self) {
        self.server().kill_9();
    }

    fn restart_server(&mut self) {
        self.server().restart().expect("the broker starts again");
    }
}
