//! The admin server: `/metrics`, `/livez`, `/readyz`, `/health`.
//!
//! It has its own accept loop because it must stay answerable under abuse: headers that trickle in
//! are cut off, bodies are ignored, connections are few and short.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::exit::AppError;
use crate::health::{HealthReport, HealthSource};
use crate::http::{Endpoint, IntoResponse, JsonLine, Response, Routes, linger};
use crate::metrics_recorder::Metrics;
use crate::output::note;

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

/// Where programs serve their metrics when nothing else is said. A program whose own port is taken
/// leaves those of the others alone: one of them may start later.
const PORTS_OF_PROGRAMS: [(&str, u16); 5] = [
    ("consumer", 9464),
    ("producer", 9465),
    ("push", 9466),
    ("weather kafka-consumer", 9467),
    ("weather rabbit-consumer", 9468),
];

/// The paths that are answered.
pub(crate) const PATHS: [&str; 4] = ["/metrics", "/livez", "/readyz", "/health"];

/// Form of `/metrics`.
const TEXT_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where to listen, and what to do if the port is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// The user asked for this address: if it is taken, that is an error.
    Explicit(SocketAddr),
    /// The program's default: if it is taken, the next free port is used.
    Default(SocketAddr),
}

impl Listen {
    /// The default of a program: its own port on this machine alone.
    ///
    /// # Panics
    ///
    /// Panics if the program has none.
    #[must_use]
    pub fn default_of(program: &str) -> Self {
        let port = PORTS_OF_PROGRAMS.iter().find(|(name, _)| *name == program);
        let (_, port) = port.expect("the program has a port of its own");
        Self::Default(SocketAddr::from(([127, 0, 0, 1], *port)))
    }
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
    let admin = Arc::new(Admin::new(metrics, health));
    tokio::spawn(accept_loop(listener, admin, CONNECTIONS_MAX));
    announce(&format!("metrics listening on http://{address}"), "metrics");
    Ok(address)
}

/// Says where something listens, also when logs of that level are filtered out.
pub fn announce(text: &str, service: &'static str) {
    if tracing::enabled!(tracing::Level::INFO) {
        tracing::info!(service, "{text}");
    } else {
        note(text);
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
    for port in ports_from(address.port()) {
        let candidate = SocketAddr::new(address.ip(), port);
        match TcpListener::bind(candidate).await {
            Ok(listener) => {
                if port != address.port() {
                    let own = address.port();
                    tracing::info!(
                        "port {own} is taken, perhaps by another instance: using {port}"
                    );
                }
                return Ok(listener);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(cannot_listen(candidate, &error)),
        }
    }
    let in_use = io::Error::from(io::ErrorKind::AddrInUse);
    Err(cannot_listen(address, &in_use))
}

/// The ports that are tried, beginning with the program's own.
fn ports_from(own: u16) -> impl Iterator<Item = u16> {
    let is_free_for_all = |port: &u16| PORTS_OF_PROGRAMS.iter().all(|(_, of)| of != port);
    std::iter::once(own).chain(
        (1..PORTS_TRIED_MAX).filter_map(move |step| own.checked_add(step)).filter(is_free_for_all),
    )
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> AppError {
    AppError::failed(format!("cannot serve metrics on {address}: {error}"))
        .hint("choose another address with --metrics-addr HOST:PORT; port 0 takes any free one")
}

/// Answers what is asked about the process itself. Everything comes from memory.
#[derive(Clone)]
pub struct Admin {
    metrics: Metrics,
    health: Arc<dyn HealthSource>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

async fn accept_loop(listener: TcpListener, admin: Arc<Admin>, connections_max: usize) {
    let slots = Arc::new(Semaphore::new(connections_max));
    let index = Endpoint::at("/").read(async || PATHS.join("\n") + "\n");
    let routes = admin.routes().and(Routes::new([index]));
    let router = Router::from(routes).fallback_service(Routes::new([]).elsewhere());
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return; // The semaphore is never closed.
        };
        match listener.accept().await {
            Ok((stream, _peer)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    serve_connection(stream, router).await;
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

async fn serve_connection(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(CONNECTION_TIMEOUT, connection.without_shutdown()).await {
        Ok(Ok(parts)) => linger(parts.io.into_inner()).await,
        Ok(Err(error)) => tracing::debug!(%error, "metrics connection failed"),
        Err(_elapsed) => tracing::debug!("metrics connection took too long"),
    }
}

impl Admin {
    /// Answers from these sources.
    #[must_use]
    pub fn new(metrics: Metrics, health: Arc<dyn HealthSource>) -> Self {
        Self { metrics, health }
    }

    /// `/metrics`, `/livez`, `/readyz` and `/health`.
    pub(crate) fn routes(self: &Arc<Self>) -> Routes {
        let [metrics, live, ready, health] = PATHS.map(Endpoint::at);
        Routes::new([
            metrics.read(async |State(admin): State<Arc<Self>>| admin.metrics()),
            live.read(async |State(admin): State<Arc<Self>>| report(&admin.health.live())),
            ready.read(async |State(admin): State<Arc<Self>>| report(&admin.health.ready())),
            health.read(async |State(admin): State<Arc<Self>>| admin.overview()),
        ])
        .with_state(Arc::clone(self))
    }

    fn metrics(&self) -> impl IntoResponse + use<> {
        ([(CONTENT_TYPE, TEXT_METRICS)], self.metrics.render())
    }

    /// One answer for people: 200 while the process lives; what it waits for makes it `degraded`.
    fn overview(&self) -> Response {
        let (live, ready) = (self.health.live(), self.health.ready());
        if !live.is_ok() {
            return answer(StatusCode::SERVICE_UNAVAILABLE, "failing", &live);
        }
        answer(StatusCode::OK, if ready.is_ok() { "ok" } else { "degraded" }, &ready)
    }
}

fn report(health: &HealthReport) -> Response {
    if health.is_ok() {
        answer(StatusCode::OK, "ok", health)
    } else {
        answer(StatusCode::SERVICE_UNAVAILABLE, "failing", health)
    }
}

fn answer(status: StatusCode, word: &str, health: &HealthReport) -> Response {
    let body = serde_json::json!({ "status": word, "reasons": health.reasons });
    (status, JsonLine(body)).into_response()
}

#[cfg(test)]
#[path = "admin_http_tests.rs"]
mod tests;
