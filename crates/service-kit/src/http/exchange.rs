//! One request and its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::Reply;
use super::endpoint::Found;
use super::limits::permits_for;
use super::metric_names::{CUT_OFF, IN_FLIGHT, REQUEST_SECONDS, REQUESTS, SHED, SHED_SECONDS};
use super::problem::Problem;
use super::request::{Handler, HttpRequest, REQUEST_ID_HEADER, RequestContext};
use super::server::Serving;

/// When to come again after having been turned away: long enough for a wave to pass.
const SHED_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Whether the connection can be used for another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    KeepAlive,
    Close,
}

impl<H: Handler> Serving<H> {
    /// Answers one request whose first byte came at `began_at`.
    pub(super) async fn exchange(
        self: Arc<Self>,
        request: Request<Incoming>,
        began_at: Instant,
    ) -> Response<Full<Bytes>> {
        if let Some(reply) = self.admin.answer(request.method(), request.uri().path()) {
            return reply.map(Full::new);
        }
        let endpoints = self.handler.endpoints();
        let found = Found::among(endpoints, request.method(), request.uri().path());
        let context = RequestContext::read(request.headers(), began_at);
        let request_id = match &context {
            Ok(context) => HeaderValue::from_str(&context.request_id).ok(),
            Err(_) => None,
        };
        let then = if request.body().is_end_stream() { Then::KeepAlive } else { Then::Close };
        let (mut reply, then) = match (found, context) {
            (Found::NoSuchPath, _) => (Problem::no_such_path(endpoints).reply(), then),
            (Found::NoSuchMethod(known), _) => {
                (Problem::no_such_method(request.method(), known.methods), then)
            }
            (Found::Endpoint(endpoint), Ok(context)) => {
                self.admit(request, endpoint.body_bytes_max, context).await
            }
            (Found::Endpoint(_), Err(problem)) => (problem.reply(), Then::Close),
        };
        if let Some(request_id) = request_id {
            reply.headers_mut().insert(REQUEST_ID_HEADER, request_id);
        }
        if then == Then::Close {
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let status = reply.status().as_str().to_owned();
        let seconds = began_at.elapsed().as_secs_f64();
        let (service, route) = (self.name, found.name());
        metrics::counter!(REQUESTS, "service" => service, "route" => route, "status" => status)
            .increment(1);
        metrics::histogram!(REQUEST_SECONDS, "service" => service, "route" => route)
            .record(seconds);
        reply.map(Full::new)
    }

    /// Turns the request away if too many are worked on, and reads its body otherwise. The body is
    /// read outside the number of those worked on: a client that sends slowly keeps nobody away.
    async fn admit(
        self: &Arc<Self>,
        request: Request<Incoming>,
        body_bytes_max: usize,
        context: RequestContext,
    ) -> (Reply, Then) {
        if self.in_flight.available_permits() == 0 {
            return (self.shed(&context), Then::KeepAlive);
        }
        let (head, body) = request.into_parts();
        let (body, room) = match self.read_body(body, &head.headers, body_bytes_max).await {
            Ok(read) => read,
            Err(NotTaken::NoRoom) => return (self.shed(&context), Then::Close),
            Err(NotTaken::Refused(problem)) => return (problem.reply(), Then::Close),
        };
        let Ok(permit) = Arc::clone(&self.in_flight).try_acquire_owned() else {
            return (self.shed(&context), Then::KeepAlive);
        };
        if context.is_over(Instant::now()) {
            return (deadline_over().reply(), Then::KeepAlive);
        }
        let request = HttpRequest {
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            method: head.method,
            headers: head.headers,
            body,
            context,
        };
        (self.work(request, (permit, room)).await, Then::KeepAlive)
    }

    /// Runs the handler in a task of its own, which holds its place until it is done.
    async fn work(
        self: &Arc<Self>,
        request: HttpRequest,
        place: (OwnedSemaphorePermit, Room),
    ) -> Reply {
        let gauge = metrics::gauge!(IN_FLIGHT, "service" => self.name);
        let context = &request.context;
        let span = tracing::info_span!(
            "request",
            service = self.name,
            request_id = context.request_id,
            trace_id = %context.trace.trace_id(),
            span_id = %context.trace.span_id(),
        );
        let serving = Arc::clone(self);
        let task = async move {
            gauge.increment(1);
            let _done = Decrement(gauge);
            let (method, path) = (request.method.clone(), request.path.clone());
            let received_at = request.context.received_at;
            let reply = serving.handler.handle(request).await;
            drop(place);
            let status = reply.status().as_u16();
            let elapsed_ms = u64::try_from(received_at.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::debug!(%method, path, status, elapsed_ms, "answered");
            reply
        };
        tokio::spawn(task.instrument(span)).await.unwrap_or_else(|error| {
            tracing::error!(%error, service = self.name, "a request was not worked on to its end");
            internal().reply()
        })
    }

    fn shed(&self, context: &RequestContext) -> Reply {
        let reply = full().reply();
        metrics::counter!(SHED, "service" => self.name).increment(1);
        metrics::histogram!(SHED_SECONDS, "service" => self.name)
            .record(context.received_at.elapsed().as_secs_f64());
        reply
    }

    async fn read_body(
        &self,
        body: Incoming,
        headers: &HeaderMap,
        bytes_max: usize,
    ) -> Result<(Bytes, Room), NotTaken> {
        let refused = |reason, problem| Err(NotTaken::Refused(self.cut_off(reason, problem)));
        let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let declared = declared.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        if declared > bytes_max as u64 {
            return refused("body-too-large", too_large(bytes_max));
        }
        let whole = collect(body, bytes_max, &self.large_bodies);
        match timeout(self.limits.body_read_timeout, whole).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(NotRead::TooLarge)) => refused("body-too-large", too_large(bytes_max)),
            Ok(Err(NotRead::NoRoom)) => Err(NotTaken::NoRoom),
            Ok(Err(NotRead::Broken(detail))) => Err(NotTaken::Refused(broken_body(&detail))),
            Err(_elapsed) => refused("body-timeout", timed_out("the body did not come in time")),
        }
    }

    fn cut_off(&self, reason: &'static str, problem: Problem) -> Problem {
        metrics::counter!(CUT_OFF, "service" => self.name, "reason" => reason).increment(1);
        problem
    }
}

struct Decrement(metrics::Gauge);

impl Drop for Decrement {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// A large body's share of the memory for all of them.
type Room = Option<OwnedSemaphorePermit>;

/// Why a request has no body to work on.
enum NotTaken {
    NoRoom,
    Refused(Problem),
}

enum NotRead {
    TooLarge,
    NoRoom,
    Broken(String),
}

/// Reads a body. The part of it that makes it large takes its memory as it comes, so that a client
/// that only says it will send much takes none.
async fn collect(
    mut body: Incoming,
    bytes_max: usize,
    large_bodies: &Arc<Semaphore>,
) -> Result<(Bytes, Room), NotRead> {
    let (mut whole, mut room) = (BytesMut::new(), Room::None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| NotRead::Broken(error.to_string()))?;
        // Trailers are of no use to anybody here.
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > bytes_max - whole.len() {
            return Err(NotRead::TooLarge);
        }
        let has = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let lacks = permits_for(whole.len() + data.len()).saturating_sub(has);
        let more = u32::try_from(lacks).map_err(|_| NotRead::TooLarge)?;
        if more > 0 {
            let more = Arc::clone(large_bodies).try_acquire_many_owned(more);
            let more = more.map_err(|_| NotRead::NoRoom)?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
        }
        whole.extend_from_slice(&data);
    }
    Ok((whole.freeze(), room))
}

/// The client took too long; says for what.
pub(super) fn timed_out(detail: &str) -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "request-timeout",
        "The request came too slowly",
        detail,
    )
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("a body of this path has at most {bytes_max} bytes; send less");
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    Problem::new(status, "body-too-large", "The body is too large", detail)
}

fn broken_body(detail: &str) -> Problem {
    let detail = format!("the body ended before it was complete: {detail}");
    Problem::new(StatusCode::BAD_REQUEST, "broken-body", "The body is not complete", detail)
}

fn full() -> Problem {
    let detail = "as many requests are being worked on as this service takes; nothing was done for this one, send it again later";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "The service is full", detail)
        .retry_after(SHED_RETRY_AFTER)
}

fn deadline_over() -> Problem {
    let detail = "the deadline had passed before the work began; nothing was done";
    let status = StatusCode::GATEWAY_TIMEOUT;
    Problem::new(status, "deadline-exceeded", "The deadline has passed", detail)
}

fn internal() -> Problem {
    let detail = "the service failed; its log has the reason under the request's id";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The service failed", detail)
}
