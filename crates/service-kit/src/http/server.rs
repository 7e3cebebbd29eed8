//! The accept loop, and an orderly stop.
//!
//! It stays own: `axum::serve` has no most number of connections, no answer to those beyond it, and
//! no end to waiting for those that are open when it is asked to stop.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connection;
use super::exchange::{Place, exchange};
use super::limits::{Limits, body_permits};
use super::metric_names;
use super::metric_names::{CONNECTIONS, CONNECTIONS_OPENED, CUT_OFF, OneMore};
use super::problem::Problem;
use super::routes::{Endpoint, Routes};
use crate::admin_http::{Admin, announce};
use crate::exit::AppError;
use crate::open_files;
use crate::shutdown::Shutdown;

/// Pause after a failed accept (no file descriptors left), so that the loop does not spin.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Connections beyond the cap that are told so at a time; those beyond are closed without a word.
const REFUSALS_MAX: usize = 64;

/// When to come again after there was no room for a connection.
const REFUSAL_RETRY_AFTER: Duration = Duration::from_secs(1);

/// A bound address that is not served yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    name: &'static str,
    limits: Limits,
}

/// What the tasks of a server share.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) name: &'static str,
    pub(super) limits: Limits,
    /// One permit for each connection that may come.
    connections: Arc<Semaphore>,
    pub(super) in_flight: Arc<Semaphore>,
    pub(super) large_bodies: Arc<Semaphore>,
    pub(super) stop: Shutdown,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.name).field("address", &self.address).finish()
    }
}

impl Server {
    /// Binds `address`; port 0 takes any free one. `name` is the service's label in metrics.
    ///
    /// # Errors
    ///
    /// Fails (exit code 1) if the address cannot be bound: clients look for the service there, so
    /// no other port is tried.
    pub async fn bind(
        name: &'static str,
        address: SocketAddr,
        limits: Limits,
    ) -> Result<Self, AppError> {
        let cannot = |error: io::Error| {
            AppError::failed(format!("cannot serve {name} on {address}: {error}"))
                .hint("choose another address with --listen HOST:PORT; port 0 takes any free one")
        };
        open_files::raise_limit();
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Self { listener, address, name, limits })
    }

    /// The address, with the port that was chosen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same address once more, for a program that answers something else until it can begin.
    ///
    /// # Errors
    ///
    /// Fails (exit code 1) if the system has no room for another handle.
    pub fn twin(&self) -> Result<Self, AppError> {
        let Self { address, name, limits, .. } = *self;
        let cannot =
            |error: io::Error| AppError::failed(format!("cannot serve {name} twice: {error}"));
        let handle = self.listener.as_fd().try_clone_to_owned().map_err(cannot)?;
        let listener = TcpListener::from_std(handle.into()).map_err(cannot)?;
        Ok(Self { listener, address, name, limits })
    }

    /// Serves until `stop` is requested, then takes no more connections and returns when what was
    /// begun is answered, or after [`Limits::drain_timeout`]. The address is announced as
    /// `listening on http://ADDR`.
    pub async fn serve(self, routes: Routes, admin: Admin, stop: Shutdown) {
        let Self { listener, address, name, limits } = self;
        metric_names::start(name, &routes);
        announce(&format!("listening on http://{address}"), name);
        let permits = |count| Arc::new(Semaphore::new(count));
        let serving = Arc::new(Serving {
            name,
            limits,
            connections: permits(limits.connections_max),
            in_flight: permits(limits.in_flight_max),
            large_bodies: permits(body_permits(limits.large_bodies_bytes_max)),
            stop,
        });
        let router = serving.router(&routes, Arc::new(admin));
        let mut connections = JoinSet::new();
        accept_loop(listener, &serving, &router, &mut connections).await;
        let drained = timeout(limits.drain_timeout, drain(&serving, &mut connections)).await;
        if drained.is_err() {
            let connections = connections.len();
            tracing::warn!(service = name, connections, "stopped before all was answered");
        }
    }
}

impl Serving {
    /// The paths of the program with the server's work around each, and those about the process
    /// with none: they answer from memory, also when nothing else does.
    fn router(self: &Arc<Self>, routes: &Routes, admin: Arc<Admin>) -> Router {
        let around = |place| from_fn_with_state(place, exchange);
        let route = |router: Router, endpoint: &Endpoint| {
            let handlers = endpoint.handlers().layer(around(Place::of(self, endpoint)));
            router.route(endpoint.path(), handlers)
        };
        let elsewhere = routes.elsewhere().layer(around(Place::elsewhere(self)));
        let about_process = Router::from(admin.routes());
        routes.iter().fold(about_process, route).fallback_service(elsewhere)
    }

    /// How long a connection may be silent, as many as there are now.
    pub(super) fn idle_timeout(&self) -> Duration {
        let free = self.connections.available_permits();
        self.limits.idle_timeout_at(self.limits.connections_max.saturating_sub(free))
    }
}

async fn accept_loop(
    listener: TcpListener,
    serving: &Arc<Serving>,
    router: &Router,
    connections: &mut JoinSet<()>,
) {
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    loop {
        let accepted = tokio::select! {
            biased;
            () = serving.stop.requested() => return,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let stream = match accepted {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                tracing::warn!(%error, service = serving.name, "connection not accepted");
                sleep(ACCEPT_RETRY_DELAY).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&serving.connections).try_acquire_owned() else {
            refuse(stream, serving.name, &refusals);
            continue;
        };
        metrics::counter!(CONNECTIONS_OPENED, "service" => serving.name).increment(1);
        let open = OneMore::of(metrics::gauge!(CONNECTIONS, "service" => serving.name));
        let (serving, router) = (Arc::clone(serving), router.clone());
        connections.spawn(async move {
            connection::serve(stream, router, serving).await;
            drop((permit, open));
        });
    }
}

fn refuse(stream: TcpStream, service: &'static str, refusals: &Arc<Semaphore>) {
    metrics::counter!(CUT_OFF, "service" => service, "reason" => "connections-max").increment(1);
    let Ok(permit) = Arc::clone(refusals).try_acquire_owned() else { return };
    let detail = "as many clients are connected as this service takes; come again later";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let problem = Problem::new(status, "too-many-connections", "The service is full", detail)
        .retry_after(REFUSAL_RETRY_AFTER);
    tokio::spawn(async move {
        connection::refuse(stream, problem).await;
        drop(permit);
    });
}

/// Waits until all connections are closed and all work has ended; those whose clients have
/// gone hold a permit and no connection.
async fn drain(serving: &Serving, connections: &mut JoinSet<()>) {
    let began_at = Instant::now();
    while connections.join_next().await.is_some() {}
    let all = u32::try_from(serving.limits.in_flight_max).unwrap_or(u32::MAX);
    // The semaphore is never closed.
    let _ = serving.in_flight.acquire_many(all).await;
    let elapsed_ms = u64::try_from(began_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(service = serving.name, elapsed_ms, "everything begun is answered");
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
