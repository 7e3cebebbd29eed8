//! Tests of the admin server, over real sockets.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::health::Conditions;
use crate::metrics_recorder::unregistered;

const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const LIMIT: Duration = Duration::from_secs(20);

async fn started(conditions: &Conditions) -> SocketAddr {
    let (recorder, metrics) = unregistered();
    metrics::with_local_recorder(&recorder, || metrics::counter!("orders_x_total").increment(1));
    let health = Arc::new(conditions.clone());
    serve(Listen::Explicit(ANY_PORT), metrics, health).await.expect("port 0 is always free")
}

/// Sends `request` and returns everything the server answers until it closes the connection.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let whole = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    timeout(LIMIT, whole).await.expect("the server closes the connection")
}

async fn get(address: SocketAddr, path: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await
}

#[test]
fn a_program_whose_port_is_taken_leaves_the_ports_of_the_others_alone() {
    for (program, own) in PORTS_OF_PROGRAMS {
        assert_eq!(Listen::default_of(program), Listen::Default(([127, 0, 0, 1], own).into()));
        let ports: Vec<u16> = ports_from(own).collect();
        assert_eq!(ports[0], own, "{program}");
        assert!(ports.len() > 90, "{program}: {ports:?}");
        for (other, port) in PORTS_OF_PROGRAMS {
            assert_eq!(ports.contains(&port), other == program, "{program} takes that of {other}");
        }
    }
    assert_eq!(ports_from(u16::MAX).collect::<Vec<_>>(), [u16::MAX]);
}

#[tokio::test]
async fn metrics_are_served_as_prometheus_text() {
    let answer = get(started(&Conditions::new()).await, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("orders_x_total 1"), "{answer}");
}

#[tokio::test]
async fn readiness_follows_the_conditions_and_gives_its_reasons() {
    let conditions = Conditions::new();
    let address = started(&conditions).await;
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    conditions.fail("registry", "connection refused");
    let answer = get(address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let expected = serde_json::json!({
        "status": "failing",
        "reasons": [{ "condition": "registry", "detail": "connection refused" }],
    });
    assert_eq!(body, expected);
    assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn health_tells_a_process_that_waits_from_one_that_hangs() {
    let conditions = Conditions::new();
    let address = started(&conditions).await;
    let answer = get(address, "/health").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""status":"ok""#), "{answer}");
    conditions.fail("registry", "connection refused");
    let answer = get(address, "/health").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("degraded"), "{answer}");
    let _silent = conditions.heartbeat("lane-0", Duration::ZERO);
    let hangs = async {
        while !get(address, "/health").await.starts_with("HTTP/1.1 503") {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, hangs).await.expect("a silent heartbeat is noticed");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let address = started(&Conditions::new()).await;
    let body = "x".repeat(1 << 20);
    let post = |path: &str| {
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    for request in [post("/secret"), post("/metrics/"), "GET /secret HTTP/1.1\r\n\r\n".into()] {
        let answer = exchange(address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("GET /metrics"), "{answer}");
    }
    for request in [post("/metrics"), post("/readyz"), post("/")] {
        let answer = exchange(address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
        assert!(answer.contains("allow: GET, HEAD"), "{answer}");
    }
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off() {
    let address = started(&Conditions::new()).await;
    let answer = exchange(address, "GET /metrics HTTP/1.1\r\nHost: ").await;
    assert!(!answer.contains("200 OK"), "{answer}");
}

#[tokio::test]
async fn silent_connections_do_not_lock_others_out_for_ever() {
    let (_, metrics) = unregistered();
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = listener.local_addr().unwrap();
    let admin = Admin::new(metrics, Arc::new(Conditions::new()));
    tokio::spawn(accept_loop(listener, Arc::new(admin), 2));
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_taken_default_port_moves_on_and_a_taken_explicit_one_is_an_error() {
    let taken = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = taken.local_addr().unwrap();
    let moved = bind(Listen::Default(address)).await.unwrap().local_addr().unwrap();
    assert!(moved.port() > address.port(), "{moved} after {address}");
    let error = bind(Listen::Explicit(address)).await.unwrap_err();
    assert_eq!(error.status().code(), 1);
    assert!(error.message().contains(&address.to_string()), "{error}");
    assert!(error.hint_text().unwrap().contains("--metrics-addr"));
}
