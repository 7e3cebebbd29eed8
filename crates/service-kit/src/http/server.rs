//! The accept loop, and an orderly stop.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connection;
use super::limits::{Limits, body_permits};
use super::metric_names;
use super::metric_names::{CONNECTIONS, CONNECTIONS_OPENED, CUT_OFF};
use super::problem::Problem;
use super::request::Handler;
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
pub(super) struct Serving<H> {
    pub(super) name: &'static str,
    pub(super) limits: Limits,
    pub(super) handler: H,
    pub(super) admin: Admin,
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
    pub async fn serve<H: Handler>(self, handler: H, admin: Admin, stop: Shutdown) {
        let Self { listener, address, name, limits } = self;
        metric_names::start(name, handler.endpoints());
        announce(&format!("listening on http://{address}"), name);
        let in_flight = Arc::new(Semaphore::new(limits.in_flight_max));
        let large_bodies = Arc::new(Semaphore::new(body_permits(limits.large_bodies_bytes_max)));
        let serving = Serving { name, limits, handler, admin, in_flight, large_bodies, stop };
        let serving = Arc::new(serving);
        let mut connections = JoinSet::new();
        accept_loop(listener, &serving, &mut connections).await;
        let drained = timeout(limits.drain_timeout, drain(&serving, &mut connections)).await;
        if drained.is_err() {
            let connections = connections.len();
            tracing::warn!(service = name, connections, "stopped before all was answered");
        }
    }
}

async fn accept_loop<H: Handler>(
    listener: TcpListener,
    serving: &Arc<Serving<H>>,
    connections: &mut JoinSet<()>,
) {
    let open = Arc::new(AtomicUsize::new(0));
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
        if open.load(Ordering::Relaxed) >= serving.limits.connections_max {
            refuse(stream, serving.name, &refusals);
            continue;
        }
        let counted = Counted::new(Arc::clone(&open), serving.name);
        let serving = Arc::clone(serving);
        connections.spawn(async move {
            connection::serve(stream, serving, Arc::clone(&counted.open)).await;
            drop(counted);
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

/// Waits until all connections are closed and all handlers have ended; those whose clients have
/// gone hold a permit and no connection.
async fn drain<H>(serving: &Serving<H>, connections: &mut JoinSet<()>) {
    let began_at = Instant::now();
    while connections.join_next().await.is_some() {}
    let all = u32::try_from(serving.limits.in_flight_max).unwrap_or(u32::MAX);
    // The semaphore is never closed.
    let _ = serving.in_flight.acquire_many(all).await;
    let elapsed_ms = u64::try_from(began_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(service = serving.name, elapsed_ms, "everything begun is answered");
}

/// One of the open connections.
struct Counted {
    open: Arc<AtomicUsize>,
    gauge: metrics::Gauge,
}

impl Counted {
    fn new(open: Arc<AtomicUsize>, service: &'static str) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        let gauge = metrics::gauge!(CONNECTIONS, "service" => service);
        gauge.increment(1);
        metrics::counter!(CONNECTIONS_OPENED, "service" => service).increment(1);
        Self { open, gauge }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.gauge.decrement(1);
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
