//! The promises of all three flows, as this one keeps them.

use std::time::Duration;

use order_schemas::Notification;
use orders::Order;
use testkit::conformance::{DeadLetter, Flow, Kind, Scene, Service as Shared, Staged};
use testkit::{Cluster, Finished, HttpAnswer, Input, Ledger, Process, Services, lone_broker, wait};

use crate::rig::{Rig, SOON, Service, decode_all};

testkit::conformance_suite!(Rig);

/// Longest run of a program that should end at once.
const ENDS_IN: Duration = Duration::from_secs(60);

/// Topics through which an order goes.
const TOPICS: [&str; 3] = ["order-events", "inventory-events", "notification-events"];

/// A static member comes back without waiting for its session to end.
const STATIC: [&str; 2] = ["--instance-id", "i"];

impl From<Shared> for Service {
    fn from(shared: Shared) -> Self {
        match shared {
            Shared::Order => Self::Order,
            Shared::Inventory => Self::Inventory,
            Shared::Notification => Self::Notification,
        }
    }
}

impl Staged for Rig {
    const KIND: Kind = Kind::Streaming;

    fn start(scene: Scene) -> Self {
        let cluster = match scene {
            Scene::ServerIsAway => Cluster::own_kafka(&[]),
            _ => Cluster::shared(),
        };
        let mut rig = Self::on(cluster);
        rig.start_services(&Shared::ALL.map(Service::from), &[scene.args(), &STATIC].concat());
        rig
    }

    fn stage(scene: Scene, act: &mut dyn FnMut()) {
        match scene {
            Scene::ServerIsAway => lone_broker::play(act),
            _ => act(),
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

    fn start_again(&mut self, service: Shared) {
        self.restart(service.into());
    }

    fn set_args(&mut self, args: &[&str]) {
        self.set_args(&[args, &STATIC].concat());
    }

    fn launch(&self, folder: &str, args: &[&str]) -> Process {
        let mut all = self.common_args_with("--data-dir", &self.folder(folder));
        all.splice(0..0, args.iter().chain(&STATIC).map(|arg| (*arg).to_owned()));
        Process::start("streaming", &all, &[])
    }

    fn run_without_servers(&self, nobody: &str) -> Vec<(&'static str, Finished)> {
        let run = |flag: &'static str, value: &str| {
            let mut args = vec!["all".to_owned()];
            args.extend(self.common_args_with(flag, value));
            for service in ["order", "inventory", "analytics", "notification"] {
                args.extend([format!("--{service}-listen"), "127.0.0.1:0".to_owned()]);
            }
            (flag, Process::start("streaming", &args, &[]).wait(ENDS_IN))
        };
        let registry = format!("http://{nobody}");
        vec![run("--bootstrap-server", nobody), run("--schema-registry-url", &registry)]
    }

    fn told(&self, order_id: &str) -> usize {
        let messages = decode_all::<Notification>(&self.records("notification-events"));
        messages.iter().filter(|message| message.order_id == order_id).count()
    }

    fn steps(&mut self, request_id: &str) -> Vec<String> {
        let records = TOPICS.into_iter().flat_map(|topic| self.records(topic));
        let of_request =
            records.filter(|record| record.header("x-request-id") == Some(request_id.as_bytes()));
        of_request.map(|record| record.header_text("traceparent").to_owned()).collect()
    }

    fn framed(&self, order: &Order) -> Vec<u8> {
        self.inventory.orders_v2().encode(order)
    }

    /// All orders of an item stand in one partition: where earlier ones are.
    fn hand_over(&mut self, order: &Order) -> Option<HttpAnswer> {
        let key = order.product.as_bytes();
        let records = self.records("order-events");
        let earlier = records.iter().find(|record| record.key.as_deref() == Some(key));
        let partition = earlier.map_or(0, |record| record.partition);
        let value = self.framed(order);
        let input = Input::new(partition, Some(key), Some(&value));
        self.inventory.send(&self.name("order-events"), &[input]);
        None
    }

    fn hand_over_bytes(&mut self, _: &str, bytes: &[u8]) -> Option<HttpAnswer> {
        let input = Input::new(0, Some(b"burger"), Some(bytes));
        self.inventory.send(&self.name("order-events"), &[input]);
        None
    }

    fn wait_until_idle(&mut self) {
        self.wait_until_drained();
        self.settled_stock();
    }

    fn dead_letters(&mut self) -> Vec<DeadLetter> {
        let dead = self.records("order-events-dlq").into_iter().map(|record| {
            let header = |name: &str| record.header_text(name).to_owned();
            let (class, reason) = (header("x-failure-class"), header("x-failure-reason"));
            let attempt = header("x-attempt");
            DeadLetter { value: record.value.unwrap_or_default(), class, reason, attempt }
        });
        dead.collect()
    }

    fn redrive(&mut self, order_id: &str) -> u64 {
        let sent = |rig: &Self| rig.records("order-events-retry").len() as u64;
        let before = sent(self);
        let group = self.name("inventory");
        let which = ["--group-id", &group, "--order-id", order_id, "--execute"];
        self.dlq_command("redrive", &which);
        wait::is_true("nothing left to do", SOON, || self.inventory.lag() == 0);
        sent(self) - before
    }

    fn audit(&mut self, ledger: &Ledger) {
        Rig::audit(self, ledger);
    }

    fn kill_server(&mut self) {
        self.cluster.kill_kafka();
    }

    fn restart_server(&mut self) {
        self.cluster.restart_kafka();
        lone_broker::expect_markers(self.cluster.kafka());
    }
}
