//! Three services as three processes, and clients that check each answer against the API's
//! description.

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
pub(crate) use testkit::conformance::Service;
use testkit::http::{self, HttpAnswer};
use testkit::order_flow::MENU;
use testkit::{Process, Services, wait};

/// Longest wait for anything that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The three services, each a process that can be killed and started anew where it was.
pub(crate) struct Rig {
    dir: TempDir,
    args: Vec<String>,
    pub(crate) services: Services,
}

impl Rig {
    /// Starts all three with these arguments.
    #[track_caller]
    pub(crate) fn start(args: &[&str]) -> Self {
        let dir = TempDir::with_prefix("sync-rest-").expect("a directory");
        std::fs::write(dir.path().join("menu.toml"), MENU).expect("a file");
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut rig = Self { dir, args, services: Services::default() };
        for service in Service::ALL {
            rig.start_service(service, "127.0.0.1:0");
        }
        rig
    }

    /// The menu's file.
    pub(crate) fn menu(&self) -> String {
        self.path("menu.toml").display().to_string()
    }

    /// Where the services store what survives.
    pub(crate) fn data_dir(&self) -> String {
        self.path("data").display().to_string()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    #[track_caller]
    fn start_service(&mut self, service: Service, at: &str) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let process = self.spawn(service, at, &self.data_dir(), &args);
        self.services.put(service.name(), process);
    }

    /// Starts another instance with a folder of its own.
    #[track_caller]
    pub(crate) fn start_beside(
        &self,
        service: Service,
        at: &str,
        folder: &str,
        args: &[&str],
    ) -> (Process, String) {
        let data_dir = self.path(folder).display().to_string();
        let mut process = self.spawn(service, at, &data_dir, args);
        let address = process.address_of(service.name());
        (process, address)
    }

    /// Starts another instance with the same folder, which waits for its turn.
    #[track_caller]
    pub(crate) fn stand_by(&self, service: Service, at: &str) -> Process {
        self.spawn(service, at, &self.data_dir(), &["--standby"])
    }

    #[track_caller]
    fn spawn(&self, service: Service, at: &str, data_dir: &str, more: &[&str]) -> Process {
        let mut args = vec![service.name().to_owned(), "--listen".to_owned(), at.to_owned()];
        args.extend(["--data-dir".to_owned(), data_dir.to_owned()]);
        args.extend(["--menu".to_owned(), self.menu()]);
        if service == Service::Order {
            for other in [Service::Inventory, Service::Notification] {
                let flag = format!("--{}-url", other.name());
                args.extend([flag, format!("http://{}", self.address(other))]);
            }
        }
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        let logged = [("RUST_LOG", "info,service_kit::http=debug")];
        Process::start("sync-rest", &args, &logged)
    }

    /// Address of a service: the same before and after it was killed.
    pub(crate) fn address(&self, service: Service) -> String {
        self.services.address(service.name())
    }

    /// The process of a service.
    pub(crate) fn process(&mut self, service: Service) -> &mut Process {
        self.services.process(service.name())
    }

    /// Arguments of what is started from now on.
    pub(crate) fn set_args(&mut self, args: &[&str]) {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
    }

    /// Kills a service; its address stays known.
    pub(crate) fn kill_9(&mut self, service: Service) {
        self.process(service).kill_9();
    }

    /// Starts a service where it was, having killed it if it runs.
    #[track_caller]
    pub(crate) fn restart(&mut self, service: Service) {
        let at = self.services.end(service.name());
        self.start_service(service, &at);
    }

    /// Places an order.
    pub(crate) fn post(&self, body: &str) -> HttpAnswer {
        self.post_with(&[], body).expect("an answer")
    }

    /// Places an order under a key.
    pub(crate) fn post_keyed(&self, key: &str, body: &str) -> io::Result<HttpAnswer> {
        self.post_with(&[("idempotency-key", key)], body)
    }

    /// Places an order with headers.
    pub(crate) fn post_with(&self, headers: &[(&str, &str)], body: &str) -> io::Result<HttpAnswer> {
        let answer = http::post_json(&self.address(Service::Order), "/order", headers, body)?;
        is_described("/order", "post", &answer);
        Ok(answer)
    }

    /// Asks a service for a path; `described` is the path in the API's description.
    #[track_caller]
    pub(crate) fn get(&self, service: Service, path: &str, described: &str) -> HttpAnswer {
        let answer = http::get(&self.address(service), path).expect("an answer");
        is_described(described, "get", &answer);
        answer
    }

    /// What became of an order: its status, or nothing.
    pub(crate) fn status_of(&self, order_id: &str) -> Option<String> {
        let answer = self.get(Service::Order, &format!("/orders/{order_id}"), "/orders/{order_id}");
        word(&answer, "status")
    }

    /// Whether an order was placed.
    pub(crate) fn is_confirmed(&self, order_id: &str) -> bool {
        self.status_of(order_id).as_deref() == Some("confirmed")
    }

    /// What inventory knows of an order.
    pub(crate) fn reservation_of(&self, order_id: &str) -> Option<String> {
        let path = format!("/reservations/{order_id}");
        let answer = self.get(Service::Inventory, &path, "/reservations/{order_id}");
        word(&answer, "status")
    }

    /// Whether the user was told of an order.
    pub(crate) fn is_notified(&self, order_id: &str) -> bool {
        let path = format!("/notifications/{order_id}");
        self.get(Service::Notification, &path, "/notifications/{order_id}").status == 200
    }

    /// How many of an item are taken.
    pub(crate) fn taken(&self, item: &str) -> u64 {
        let path = format!("/stock/{}", item.replace(' ', "%20"));
        let answer = self.get(Service::Inventory, &path, "/stock/{item}");
        answer.json()["reserved"].as_u64().expect("a number")
    }

    /// One sample of a service's metrics; 0 where it has none yet.
    pub(crate) fn metric(&self, service: Service, sample: &str) -> f64 {
        let text = http::get(&self.address(service), "/metrics").expect("an answer").body;
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Waits until the order service can reach both others.
    #[track_caller]
    pub(crate) fn wait_ready(&self) {
        wait::is_true("being ready", SOON, || {
            self.get(Service::Order, "/readyz", "/readyz").status == 200
        });
    }
}

/// Id of the order that an answer speaks of.
#[track_caller]
pub(crate) fn order_id(answer: &HttpAnswer) -> String {
    word(answer, "order_id").unwrap_or_else(|| panic!("{answer:?} names no order"))
}

fn word(answer: &HttpAnswer, member: &str) -> Option<String> {
    let body: Value = serde_json::from_str(&answer.body).ok()?;
    // The status of a problem is a number.
    body.get(member)?.as_str().map(str::to_owned)
}

/// The API's description.
pub(crate) fn openapi() -> &'static Value {
    static TEXT: &str = include_str!("../../openapi.json");
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(TEXT).expect("the description is JSON"))
}

/// Checks that the API's description knows of this answer.
#[track_caller]
pub(crate) fn is_described(path: &str, method: &str, answer: &HttpAnswer) {
    let responses = &openapi()["paths"][path][method]["responses"];
    let response = &responses[answer.status.to_string()];
    assert!(response.is_object(), "{method} {path} → {} is not described", answer.status);
    let form = answer.header("content-type").expect("answers have a form");
    let form = form.split(';').next().expect("a first part");
    assert!(response["content"][form].is_object(), "{method} {path} → {form} is not described");
    let described_retry = !response["headers"]["Retry-After"].is_null();
    if described_retry && path != "/readyz" {
        assert!(answer.header("retry-after").is_some(), "{method} {path} has no Retry-After");
    }
}
