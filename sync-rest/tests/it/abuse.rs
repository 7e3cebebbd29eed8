//! Clients that are too slow or too many.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use testkit::http;
use testkit::order_flow::{burgers, problem};
use testkit::{machine, wait};

use crate::rig::{Rig, SOON, Service};

#[test]
fn clients_that_send_headers_or_bodies_slowly_are_cut_off_and_others_are_served() {
    let rig = Rig::start(&[
        "--http-header-timeout",
        "500ms",
        "--http-body-timeout",
        "500ms",
        "--http-max-in-flight",
        "2",
    ]);
    let mut slow: Vec<TcpStream> = (0..50)
        .map(|i| {
            let mut stream = TcpStream::connect(rig.address(Service::Order)).expect("a connection");
            stream.set_read_timeout(Some(SOON)).expect("a timeout");
            let head = "POST /order HTTP/1.1\r\nhost: x\r\n";
            let rest = if i % 2 == 0 { "content-ty" } else { "content-length: 99\r\n\r\n{\"user" };
            stream.write_all(format!("{head}{rest}").as_bytes()).expect("it is read");
            stream
        })
        .collect();
    assert_eq!(rig.post(&burgers(1)).status, 200, "they keep nobody away");
    for stream in &mut slow {
        let answer = http::read_answer(stream).expect("an answer");
        assert_eq!((answer.status, problem(&answer).as_str()), (408, "request-timeout"));
    }
    for (reason, expected) in [("header-timeout", 25.0), ("body-timeout", 25.0)] {
        let sample = format!("http_cut_off_total{{service=\"order\",reason=\"{reason}\"}}");
        assert_eq!(rig.metric(Service::Order, &sample), expected, "{reason}");
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let rig = Rig::start(&["--http-header-timeout", "300ms", "--http-idle-timeout", "300ms"]);
    let mut silent = TcpStream::connect(rig.address(Service::Order)).expect("a connection");
    let mut idle = TcpStream::connect(rig.address(Service::Order)).expect("a connection");
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").expect("it is read");
    for stream in [&mut silent, &mut idle] {
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("it is closed in time");
    }
}

#[test]
fn connections_beyond_the_cap_are_refused_and_idle_ones_make_room() {
    let rig = Rig::start(&["--http-max-connections", "20"]);
    let idle: Vec<TcpStream> = (0..60)
        .map(|_| TcpStream::connect(rig.address(Service::Order)).expect("the system accepts"))
        .collect();
    let refused = "http_cut_off_total{service=\"order\",reason=\"connections-max\"}";
    wait::is_true("the service to be reachable again", Duration::from_secs(30), || {
        http::get(&rig.address(Service::Order), "/metrics").is_ok_and(|answer| answer.status == 200)
    });
    assert!(rig.metric(Service::Order, refused) >= 40.0);
    drop(idle);
    assert_eq!(rig.post(&burgers(1)).status, 200);
}

/// These measure time.
mod alone {
    use super::*;

    #[test]
    fn beyond_its_limit_the_service_sheds_at_once_and_serves_those_it_took() {
        let _alone = machine::alone();
        let rig = Rig::start(&["--http-max-in-flight", "4", "--inventory-delay", "1s"]);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let one = |_| scope.spawn(|| rig.post(&burgers(1)));
            let clients: Vec<_> = (0..100).map(one).collect();
            clients.into_iter().map(|client| client.join().expect("a client").status).collect()
        });
        let count = |status| statuses.iter().filter(|found| **found == status).count();
        assert_eq!(count(200) + count(503), statuses.len(), "{statuses:?}");
        assert!(count(200) >= 4 && count(503) > 50, "{statuses:?}");
        let shed = rig.metric(Service::Order, "http_shed_total{service=\"order\"}");
        let fast = "http_shed_seconds_bucket{service=\"order\",le=\"0.005\"}";
        let shed_fast = rig.metric(Service::Order, fast);
        assert!(shed_fast >= shed * 0.95, "{shed_fast} of {shed} within 5 ms");
        assert!((shed - 50.0).abs() < 50.0 && shed >= count(503) as f64, "{shed}");
        assert_eq!(rig.taken("burger"), count(200) as u64, "what was shed was not begun");
        wait::is_true("room again", SOON, || rig.post(&burgers(1)).status == 200);
    }
}
