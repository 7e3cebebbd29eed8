//! Tests of the server, over real sockets and against clients that mean no good.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::*;
use crate::health::Conditions;
use crate::http::{Bytes, State};
use crate::metrics_recorder::unregistered;

const LIMIT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(150);
const BODY_BYTES_MAX: usize = 64;
const LARGE_BODY_BYTES_MAX: usize = 1 << 20;
const GET: &str = "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Echoes bodies; `/wait` waits until it is let go, `/panic` panics.
#[derive(Clone, Default)]
struct Echo {
    let_go: Arc<Notify>,
    began: Arc<Notify>,
    ended: Arc<Mutex<Vec<String>>>,
}

impl Echo {
    fn routes(self) -> Routes<()> {
        Routes::new([
            Endpoint::at("/echo").taking(BODY_BYTES_MAX).get(echo).post(echo),
            Endpoint::at("/wait").taking(BODY_BYTES_MAX).post(echo),
            Endpoint::at("/panic").taking(BODY_BYTES_MAX).post(echo),
            Endpoint::at("/large").taking(LARGE_BODY_BYTES_MAX).post(echo),
            Endpoint::at("/large/{what}").taking(LARGE_BODY_BYTES_MAX).post(echo),
        ])
        .with_state(self)
    }
}

async fn echo(State(echo): State<Echo>, uri: axum::http::Uri, body: Bytes) -> String {
    let path = uri.path().to_owned();
    assert_ne!(path, "/panic", "a panic that the test asked for");
    if path.ends_with("/wait") {
        echo.began.notify_one();
        echo.let_go.notified().await;
    }
    echo.ended.lock().unwrap().push(path);
    format!("echo:{}", String::from_utf8_lossy(&body))
}

struct Running {
    address: SocketAddr,
    echo: Echo,
    stop: Shutdown,
    served: tokio::task::JoinHandle<()>,
}

fn limits() -> Limits {
    Limits { connections_max: 8, in_flight_max: 1, ..Limits::default() }
}

async fn started(limits: Limits) -> Running {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind("echo", any_port, limits).await.unwrap();
    let (address, echo, stop) = (server.address(), Echo::default(), Shutdown::new());
    let admin = Admin::new(unregistered().1, Arc::new(Conditions::new()));
    let served = tokio::spawn(server.serve(echo.clone().routes(), admin, stop.clone()));
    Running { address, echo, stop, served }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and reads until the server closes.
    async fn exchange(&self, bytes: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        rest_of(&mut stream).await
    }
}

async fn rest_of(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("it closes").unwrap();
    String::from_utf8(answer).unwrap()
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_request_is_answered_under_the_callers_request_id() {
    let server = started(limits()).await;
    let request = post("/echo", "hi").replace("Host: x", "Host: x\r\nX-Request-Id: r-1");
    let answer = server.exchange(&request).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("echo:hi"), "{answer}");
    assert!(answer.contains("x-request-id: r-1"), "{answer}");
}

#[tokio::test]
async fn headers_that_trickle_in_are_answered_408_and_cut_off() {
    let server = started(Limits { header_read_timeout: SHORT, ..limits() }).await;
    let answer = server.exchange("GET /echo HTTP/1.1\r\nHost: ").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    let silent = server.exchange("").await;
    assert_eq!(silent, "", "one that says nothing is told nothing");
}

#[tokio::test]
async fn a_body_that_trickles_in_is_answered_408_and_keeps_nobody_away() {
    let server = started(Limits { body_read_timeout: SHORT, ..limits() }).await;
    let mut slow = server.connect().await;
    let request = post("/echo", "0123456789");
    slow.write_all(&request.as_bytes()[..request.len() - 1]).await.unwrap();
    assert!(server.exchange(GET).await.starts_with("HTTP/1.1 200"), "in_flight_max is 1");
    let answer = rest_of(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_413_also_to_a_client_that_sends_on() {
    let server = started(limits()).await;
    let large = "x".repeat(1 << 20);
    for request in [
        post("/echo", &large),
        format!(
            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n{large}\r\n0\r\n\r\n"
        ),
    ] {
        let answer = server.exchange(&request).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    let fits = "x".repeat(BODY_BYTES_MAX);
    assert!(server.exchange(&post("/echo", &fits)).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_unknown_path_is_404_and_an_unknown_method_405_whatever_the_body() {
    let server = started(limits()).await;
    let mut busy = server.connect().await;
    busy.write_all(post("/wait", "").as_bytes()).await.unwrap();
    timeout(LIMIT, server.echo.began.notified()).await.unwrap();
    let large = "x".repeat(1 << 20);
    for (path, body) in [("/echo/", ""), ("/nothing", "hi"), ("/echo/x", &large), ("/", &large)] {
        let answer = server.exchange(&post(path, body)).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(answer.contains("GET, POST /echo"), "{path}: {answer}");
        let chunked = format!(
            "PUT {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n{large}"
        );
        assert!(server.exchange(&chunked).await.starts_with("HTTP/1.1 404"), "{path}");
    }
    for (request, allowed) in [
        (post("/echo", &large).replace("POST", "PUT"), "GET, POST"),
        (post("/large", "").replace("POST", "DELETE"), "POST"),
        (GET.replace("/echo", "/wait"), "POST"),
        (post("/metrics", &large), "GET, HEAD"),
    ] {
        let answer = server.exchange(&request).await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
        assert!(answer.contains(&format!("allow: {allowed}\r\n")), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    server.echo.let_go.notify_one();
    assert!(rest_of(&mut busy).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn one_request_too_many_is_turned_away_at_once_and_health_still_answers() {
    let server = started(limits()).await;
    let mut first = server.connect().await;
    first.write_all(post("/wait", "").as_bytes()).await.unwrap();
    timeout(LIMIT, server.echo.began.notified()).await.unwrap();
    let shed = server.exchange(&post("/echo", "hi")).await;
    assert!(shed.starts_with("HTTP/1.1 503") && shed.contains("retry-after: 1"), "{shed}");
    let health = GET.replace("/echo", "/health");
    assert!(server.exchange(&health).await.starts_with("HTTP/1.1 200"));
    server.echo.let_go.notify_one();
    assert!(rest_of(&mut first).await.starts_with("HTTP/1.1 200"));
    assert!(server.exchange(GET).await.starts_with("HTTP/1.1 200"), "there is room again");
}

#[tokio::test]
async fn large_bodies_have_so_much_memory_and_no_more_and_small_ones_need_none_of_it() {
    let bounds = Limits { large_bodies_bytes_max: LARGE_BODY_BYTES_MAX, ..limits() };
    let server = started(Limits { in_flight_max: 8, ..bounds }).await;
    let whole = "x".repeat(LARGE_BODY_BYTES_MAX);
    let mut idle = server.connect().await;
    let request = post("/large", &whole);
    idle.write_all(&request.as_bytes()[..request.len() - whole.len()]).await.unwrap();
    let answer = server.exchange(&request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "what is only announced takes no room: {answer}");

    let mut first = server.connect().await;
    first.write_all(post("/large/wait", &whole).as_bytes()).await.unwrap();
    timeout(LIMIT, server.echo.began.notified()).await.unwrap();
    let unknown = "POST /large HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let half = &whole[..LARGE_BODY_BYTES_MAX / 2];
    let chunked = format!("{unknown}{:x}\r\n{half}\r\n0\r\n\r\n", half.len());
    for refused in [post("/large", half), chunked] {
        let answer = server.exchange(&refused).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("retry-after: 1"), "{answer}");
    }
    assert!(server.exchange(&post("/echo", "small")).await.starts_with("HTTP/1.1 200"));
    server.echo.let_go.notify_one();
    let mut head = [0; 12];
    first.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    drop(first);
    assert!(server.exchange(&request).await.starts_with("HTTP/1.1 200"), "there is room again");
}

#[tokio::test]
async fn a_connection_beyond_the_cap_is_answered_503_and_idle_ones_make_room() {
    let server = started(Limits { connections_max: 2, ..limits() }).await;
    let keep_alive = GET.replace("close", "keep-alive");
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        stream.write_all(keep_alive.as_bytes()).await.unwrap();
        let mut answer = [0; 64];
        let n = timeout(LIMIT, stream.read(&mut answer)).await.unwrap().unwrap();
        assert!(answer[..n].starts_with(b"HTTP/1.1 200"));
        open.push(stream);
    }
    let refused = server.exchange(GET).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    let makes_room = async { while !server.exchange(GET).await.starts_with("HTTP/1.1 200") {} };
    timeout(LIMIT, makes_room).await.expect("well before the idle timeout of a minute");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = started(Limits { idle_timeout: SHORT, ..limits() }).await;
    let answer = server.exchange(&GET.replace("close", "keep-alive")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn what_was_begun_for_a_client_that_has_gone_is_done_to_its_end() {
    let server = started(limits()).await;
    let mut client = server.connect().await;
    client.write_all(post("/wait", "").as_bytes()).await.unwrap();
    timeout(LIMIT, server.echo.began.notified()).await.unwrap();
    drop(client);
    server.echo.let_go.notify_one();
    server.stop.request();
    timeout(LIMIT, server.served).await.expect("it stops").unwrap();
    assert_eq!(*server.echo.ended.lock().unwrap(), ["/wait"]);
}

#[tokio::test]
async fn a_stop_waits_for_what_was_begun_and_takes_nothing_new() {
    let server = started(limits()).await;
    let mut client = server.connect().await;
    client.write_all(post("/wait", "").as_bytes()).await.unwrap();
    timeout(LIMIT, server.echo.began.notified()).await.unwrap();
    server.stop.request();
    let is_refused = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, is_refused).await.expect("the listener closes");
    assert!(!server.served.is_finished());
    server.echo.let_go.notify_one();
    assert!(rest_of(&mut client).await.starts_with("HTTP/1.1 200"));
    timeout(LIMIT, server.served).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let server = started(Limits { drain_timeout: SHORT, ..limits() }).await;
    let mut client = server.connect().await;
    client.write_all(post("/wait", "").as_bytes()).await.unwrap();
    timeout(LIMIT, server.echo.began.notified()).await.unwrap();
    server.stop.request();
    timeout(LIMIT, server.served).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn a_panic_is_answered_500_and_gives_its_place_back() {
    let server = started(limits()).await;
    for _ in 0..2 {
        let answer = server.exchange(&post("/panic", "")).await;
        assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    }
}

#[tokio::test]
async fn nothing_is_begun_when_the_callers_time_is_over() {
    let server = started(limits()).await;
    let request = post("/echo", "").replace("Host: x", "Host: x\r\nX-Deadline-Ms: 0");
    let answer = server.exchange(&request).await;
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("deadline-exceeded"), "{answer}");
    assert!(server.echo.ended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_turn() {
    let server = started(limits()).await;
    let first = post("/echo", "1").replace("Connection: close\r\n", "");
    let answers = server.exchange(&(first + &post("/echo", "2"))).await;
    let (one, two) = (answers.find("echo:1"), answers.find("echo:2"));
    assert!(one.is_some() && two.is_some() && one < two, "{answers}");
}
