//! One connection: how long its client may take for what, and how it ends.
//!
//! It stays own: a layer sees a request when its head is complete, and hyper's own header timeout
//! closes without an answer and also counts the silence between two requests.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};
use tokio_util::io::InspectReader;

use super::exchange::BeganAt;
use super::metric_names::CUT_OFF;
use super::problem::Problem;
use super::server::Serving;

/// Longest request line with headers; hyper answers 431 beyond it.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How often a silent connection looks whether connections have become scarce.
const IDLE_LOOK_EVERY: Duration = Duration::from_secs(1);

/// After the last answer, what the client still sends is read and forgotten for this long and this
/// much: a socket that is closed over unread bytes resets, and the client may lose the answer.
const LINGER_MAX: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 4 << 20;

/// What a client is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Connected, and has sent nothing yet.
    Silent { since: Instant },
    /// Has sent a part of a request's head.
    Head { since: Instant },
    /// Waits for an answer, or sends a body; other limits hold.
    Busy,
    /// Is sent an answer, or says nothing.
    Idle { since: Instant },
}

/// Follows what the client of one connection does.
#[derive(Debug)]
struct Watch {
    phase: Mutex<Phase>,
    serving: Arc<Serving>,
}

impl Watch {
    fn new(serving: Arc<Serving>) -> Self {
        Self { phase: Mutex::new(Phase::Silent { since: Instant::now() }), serving }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes_came(&self) {
        let mut phase = self.phase();
        *phase = match *phase {
            Phase::Silent { since } => Phase::Head { since },
            Phase::Idle { .. } => Phase::Head { since: Instant::now() },
            going_on => going_on,
        };
    }

    /// A head is complete: says when its first byte came.
    fn request_came(&self) -> Instant {
        let before = std::mem::replace(&mut *self.phase(), Phase::Busy);
        match before {
            Phase::Head { since } => since,
            // It came with the last read of the request before it.
            Phase::Silent { .. } | Phase::Idle { .. } | Phase::Busy => Instant::now(),
        }
    }

    /// The answer is handed over.
    fn answered(&self) {
        *self.phase() = Phase::Idle { since: Instant::now() };
    }

    /// When the client has taken too long, as things stand.
    fn overdue_at(&self) -> Option<Instant> {
        match *self.phase() {
            Phase::Silent { since } | Phase::Head { since } => {
                Some(since + self.serving.limits.header_read_timeout)
            }
            Phase::Busy => None,
            Phase::Idle { since } => Some(since + self.serving.idle_timeout()),
        }
    }
}

/// How a connection came to its end.
#[derive(Debug)]
enum End {
    /// Both sides are done, or one has broken off.
    Done(Result<(), hyper::Error>),
    /// The client took too long for this.
    Overdue(Phase),
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, router: Router, serving: Arc<Serving>) {
    let service_name = serving.name;
    // Answers are small and wanted now; without it, an old socket just has them later.
    let _ = stream.set_nodelay(true);
    let stop = serving.stop.clone();
    let watch = Arc::new(Watch::new(serving));
    let read_watch = Arc::clone(&watch);
    let watched = InspectReader::new(stream, move |bytes: &[u8]| {
        if !bytes.is_empty() {
            read_watch.bytes_came();
        }
    });
    let io = TokioIo::new(watched);
    let (router, exchange_watch) = (TowerToHyperService::new(router), Arc::clone(&watch));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(BeganAt(exchange_watch.request_came()));
        let (answer, watch) = (router.call(request), Arc::clone(&exchange_watch));
        Box::pin(async move {
            let answer = answer.await;
            watch.answered();
            answer
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(io, service);

    let mut stop_requested = std::pin::pin!(stop.requested());
    let mut is_stopping = false;
    let mut alarm = std::pin::pin!(sleep_until((Instant::now() + IDLE_LOOK_EVERY).into()));
    let end = poll_fn(|context| {
        // Everything that changes the phase happens inside this poll, so the alarm is never late.
        if !is_stopping && stop_requested.as_mut().poll(context).is_ready() {
            is_stopping = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        if let Poll::Ready(result) = connection.poll_without_shutdown(context) {
            return Poll::Ready(End::Done(result));
        }
        loop {
            let now = Instant::now();
            let overdue_at = watch.overdue_at();
            if overdue_at.is_some_and(|at| at <= now) {
                return Poll::Ready(End::Overdue(*watch.phase()));
            }
            let latest = now + IDLE_LOOK_EVERY;
            let look_at = overdue_at.map_or(latest, |at| at.min(latest));
            alarm.as_mut().reset(look_at.into());
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
    let stream = connection.into_parts().io.into_inner().into_inner();
    finish(stream, end, service_name).await;
}

async fn finish(mut stream: TcpStream, end: End, service: &'static str) {
    let reason = match end {
        End::Done(Ok(())) => None,
        End::Done(Err(error)) => {
            tracing::debug!(%error, service, "connection failed");
            None
        }
        End::Overdue(Phase::Head { .. }) => {
            let detail = "the request line and headers did not come in time";
            let answer = raw_answer(&super::exchange::timed_out(detail));
            // The client may be gone: then there is nobody to tell.
            let _ = timeout(LINGER_MAX, stream.write_all(&answer)).await;
            Some("header-timeout")
        }
        End::Overdue(Phase::Silent { .. }) => Some("silent"),
        End::Overdue(Phase::Idle { .. } | Phase::Busy) => Some("idle"),
    };
    if let Some(reason) = reason {
        metrics::counter!(CUT_OFF, "service" => service, "reason" => reason).increment(1);
    }
    if reason.is_none_or(|reason| reason == "header-timeout") {
        linger(stream).await;
    }
}

/// Answers one that is beyond the cap, and closes.
pub(super) async fn refuse(mut stream: TcpStream, problem: Problem) {
    let answer = raw_answer(&problem);
    if let Ok(Ok(())) = timeout(LINGER_MAX, stream.write_all(&answer)).await {
        linger(stream).await;
    }
}

/// Ends the answer, then reads on for a moment, so that the client can read it.
pub(crate) async fn linger(mut stream: TcpStream) {
    let read_rest = async {
        stream.shutdown().await?;
        let mut forgotten = [0; 4096];
        let mut bytes_read = 0;
        while bytes_read < LINGER_BYTES_MAX {
            match stream.read(&mut forgotten).await? {
                0 => break,
                n => bytes_read += n,
            }
        }
        io::Result::Ok(())
    };
    // Whatever goes wrong here, the connection is over.
    let _ = timeout(LINGER_MAX, read_rest).await;
}

/// An answer where hyper has no request to answer.
fn raw_answer(problem: &Problem) -> Vec<u8> {
    let reply = problem.reply();
    let mut text = format!("HTTP/1.1 {}\r\nconnection: close\r\n", reply.status());
    for (name, value) in reply.headers() {
        text.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n", reply.body().len()));
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(reply.body());
    bytes
}
