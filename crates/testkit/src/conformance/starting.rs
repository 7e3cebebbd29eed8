//! Before the first order: settings, addresses, servers.

use std::net::TcpListener;
use std::time::Duration;

use super::client::SOON;
use super::flow::{Flow, Kind, Service};
use crate::order_flow::{burgers, order_id_of};
use crate::process::Process;
use crate::{http, wait};

/// Longest time until a program says that a server is not there: 5 s by the contract, on a busy machine.
const SAID_MAX: Duration = Duration::from_secs(10);

pub(super) fn wrong_settings(flow: &mut dyn Flow) {
    let no_service = flow.kind().no_service();
    for (args, named) in [
        (&["all", "--inventory-failure-rate", "1.5"][..], "--inventory-failure-rate"),
        (&["all", "--http-max-in-flight", "0"], "--http-max-in-flight"),
        (&["all", "--menu", "nothing.toml"], "nothing.toml"),
        (&["all", "--listen", "127.0.0.1:0"], "--listen"),
        (&["inventory", "--processing-delay", "5x"], "5x"),
        (&["everything"], no_service),
    ] {
        ends_with_2(flow, args, named);
    }
}

pub(super) fn in_use(flow: &mut dyn Flow) {
    let address = flow.address(Service::Order);
    let finished = flow.launch("elsewhere", &["order", "--listen", &address]).wait(SOON);
    let said = &finished.expect_code(1).stderr;
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
    let finished = flow.launch("data", &["order", "--listen", "127.0.0.1:0"]).wait(SOON);
    let said = &finished.expect_code(1).stderr;
    assert!(said.contains("another process") && said.contains("--data-dir"), "{said}");
    assert_eq!(flow.get(Service::Order, "/livez").status, 200, "the first one goes on");
}

pub(super) fn servers_are_not_there(flow: &mut dyn Flow) {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = free.local_addr().expect("bound").to_string();
    drop(free);
    let ends = flow.run_without_servers(&nobody);
    assert!(!ends.is_empty());
    for (flag, finished) in ends {
        let said = &finished.expect_code(1).stderr;
        assert!(finished.elapsed < SAID_MAX, "{flag}: {:?}", finished.elapsed);
        assert!(said.contains(&nobody) && said.contains(flag), "{flag}: {said}");
        assert!(!said.contains("secret"), "{flag}: {said}");
    }
}

/// The services of the flow have ended.
pub(super) fn all_in_one_process(flow: &mut dyn Flow) {
    let mut args = vec!["all", "--log-format", "json"];
    for flag in ["--order-listen", "--inventory-listen", "--notification-listen"] {
        args.extend([flag, "127.0.0.1:0"]);
    }
    if flow.kind() == Kind::Streaming {
        args.extend(["--analytics-listen", "127.0.0.1:0"]);
    }
    let mut all = flow.launch("data", &args);
    let address = all.address_of("order");
    let headers = [("idempotency-key", "all-in-one")];
    let answer = http::post_json(&address, "/order", &headers, &burgers(1)).expect("an answer");
    assert_eq!(answer.status, flow.kind().accepted_status(), "{answer:?}");
    let path = format!("/orders/{}", order_id_of("all-in-one"));
    wait::is_true("the order being confirmed", SOON, || {
        let answer = http::get(&address, &path).expect("an answer");
        answer.status == 200 && answer.json()["status"] == "confirmed"
    });
    let finished = all.stop();
    for line in finished.expect_code(0).stderr.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    // Streaming prints its report before the table.
    assert_eq!(finished.stdout.matches("OUTCOME ").count(), 1, "{}", finished.stdout);
}

/// A subcommand that only streaming has.
pub(super) fn analytics_is_no_service(flow: &mut dyn Flow) {
    ends_with_2(flow, &["analytics"], flow.kind().no_service());
}

/// Flags of the others' servers.
pub(super) fn no_server_between(flow: &mut dyn Flow) {
    ends_with_2(flow, &["all", "--rabbitmq-url", "amqp://127.0.0.1"], "--rabbitmq-url");
    ends_with_2(flow, &["all", "--bootstrap-server", "127.0.0.1:9092"], "--bootstrap-server");
}

/// The program refuses these arguments, and names what is wrong with them.
pub(super) fn ends_with_2(flow: &dyn Flow, args: &[&str], named: &str) {
    let finished = Process::start(flow.kind().name(), args, &[]).wait(SOON);
    finished.expect_code(2);
    assert!(finished.stderr.contains(named), "{args:?}: {}", finished.stderr);
}
