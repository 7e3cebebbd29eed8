//! The admin server: `/metrics`, `/livez`, `/readyz`.
//!
//! It has its own accept loop because it must stay answerable under abuse: headers that trickle in
//! are cut off, bodies are ignored, connections are few and short.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::exit::AppError;
use crate::health::{HealthReport, HealthSource};
use crate::metrics_recorder::Metrics;

/// How long a client may take to send its request line and headers.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one connection may last, slow readers included.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections served at a time; the next one waits in the backlog of the socket.
const CONNECTIONS_MAX: usize = 64;
/// Pause after a failed accept (no file descriptors left), so that the loop does not spin.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// How many ports after the default one are tried when it is taken.
const PORTS_TRIED_MAX: u16 = 100;

const TEXT_METRICS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Where to listen, and what to do if the port is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// The user asked for this address: if it is taken, that is an error.
    Explicit(SocketAddr),
    /// The program's default: if it is taken, the next free port is used.
    Default(SocketAddr),
}

/// Starts the admin server on the current tokio runtime and returns the address it is bound to.
///
/// The address is announced as `metrics listening on http://ADDR`: logged at info, or written to
/// stderr directly if logs of that level are filtered out.
///
/// # Errors
///
/// Fails (exit code 1) if the address cannot be bound.
pub async fn serve(
    listen: Listen,
    metrics: Metrics,
    health: Arc<dyn HealthSource>,
) -> Result<SocketAddr, AppError> {
    let listener = bind(listen).await?;
    let address = listener
        .local_addr()
        .map_err(|error| AppError::failed(format!("the metrics address is unknown: {error}")))?;
    let state = Arc::new(State { metrics, health });
    tokio::spawn(accept_loop(listener, state, CONNECTIONS_MAX));
    announce(address);
    Ok(address)
}

fn announce(address: SocketAddr) {
    if tracing::enabled!(tracing::Level::INFO) {
        tracing::info!("metrics listening on http://{address}");
    } else {
        // A closed stderr is no reason to fail.
        let _ = io::Write::write_all(
            &mut io::stderr(),
            format!("metrics listening on http://{address}\n").as_bytes(),
        );
    }
}

async fn bind(listen: Listen) -> Result<TcpListener, AppError> {
    let address = match listen {
        Listen::Explicit(address) => {
            return TcpListener::bind(address)
                .await
                .map_err(|error| cannot_listen(address, &error));
        }
        Listen::Default(address) => address,
    };
    let mut candidate = address;
    for step in 0..PORTS_TRIED_MAX {
        candidate.set_port(address.port().saturating_add(step));
        match TcpListener::bind(candidate).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(cannot_listen(candidate, &error)),
        }
    }
    let in_use = io::Error::from(io::ErrorKind::AddrInUse);
    Err(cannot_listen(address, &in_use))
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> AppError {
    AppError::failed(format!("cannot serve metrics on {address}: {error}"))
        .hint("choose another address with --metrics-addr HOST:PORT; port 0 takes any free one")
}

struct State {
    metrics: Metrics,
    health: Arc<dyn HealthSource>,
}

async fn accept_loop(listener: TcpListener, state: Arc<State>, connections_max: usize) {
    let slots = Arc::new(Semaphore::new(connections_max));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return; // The semaphore is never closed.
        };
        match listener.accept().await {
            Ok((stream, _peer)) => {
                let state = Arc::clone(&state);
                tokio::spawn(async move {
                    serve_connection(stream, state).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "metrics connection not accepted");
                sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, state: Arc<State>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let response = respond(&state, request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    match timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "metrics connection failed"),
        Err(_elapsed) => tracing::debug!("metrics connection took too long"),
    }
}

fn respond(state: &State, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT_PLAIN, "GET only\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => reply(StatusCode::OK, TEXT_METRICS, state.metrics.render()),
        "/livez" => report(&state.health.live()),
        "/readyz" => report(&state.health.ready()),
        "/" => reply(StatusCode::OK, TEXT_PLAIN, "/metrics\n/livez\n/readyz\n".into()),
        _ => reply(StatusCode::NOT_FOUND, TEXT_PLAIN, "see /metrics, /livez, /readyz\n".into()),
    }
}

fn report(health: &HealthReport) -> Response<Full<Bytes>> {
    let (status, word) = if health.is_ok() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "failing")
    };
    let body = serde_json::json!({ "status": word, "reasons": health.reasons });
    reply(status, JSON, format!("{body}\n"))
}

fn reply(status: StatusCode, content_type: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
#[path = "admin_http_tests.rs"]
mod tests;
