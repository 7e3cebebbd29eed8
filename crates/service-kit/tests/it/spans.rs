//! Spans of requests, where tracing is on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use service_kit::admin_http::Admin;
use service_kit::health::Conditions;
use service_kit::http::{Endpoint, Limits, Routes, Server};
use service_kit::metrics_recorder;
use service_kit::program::Program;
use service_kit::shutdown::Shutdown;
use service_kit::spans::{self, Sampler, Span, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(20);

/// Asks for a path, and returns the first line of the answer.
async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    let mut answer = String::new();
    timeout(LIMIT, stream.read_to_string(&mut answer)).await.expect("it closes").expect("text");
    answer.lines().next().unwrap_or_default().to_owned()
}

fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

async fn panics() {
    panic!("a panic that the test asked for");
}

#[tokio::test]
async fn a_request_whose_handler_panics_has_a_span_that_failed_with_500() {
    let mut ended = spans::install(Sampler::default()).expect("the only test that does");
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind("test", any_port, Limits::default()).await.expect("a port is free");
    let address = server.address();
    let metrics =
        metrics_recorder::install(&Program::new("test", "unknown")).expect("the only one");
    let admin = Admin::new(metrics, Arc::new(Conditions::new()));
    let routes = Routes::new([
        Endpoint::at("/fine").get(|| async { "fine" }),
        Endpoint::at("/panic").get(panics),
    ]);
    let served = tokio::spawn(server.serve(routes, admin, Shutdown::new()));
    for (path, status, is_failure) in [("/fine", 200, false), ("/panic", 500, true)] {
        let answer = ask(address, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        let span = timeout(LIMIT, ended.recv()).await.expect("in time").expect("it is on");
        assert_eq!(span.name, format!("GET {path}"));
        assert_eq!(attribute(&span, "http.response.status_code"), Some(&Value::Number(status)));
        let failure = is_failure.then(|| Value::from(status.to_string()));
        assert_eq!(attribute(&span, "error.type"), failure.as_ref());
        assert_eq!(span.error.is_some(), is_failure);
    }
    served.abort();
}
