//! One request and its answer: a layer of axum around each path. What the layers of tower and
//! tower-http do not do, or do otherwise, is told in [`http`](super).

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::BytesMut;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::limits::permits_for;
use super::metric_names::{
    CUT_OFF, ELSEWHERE, IN_FLIGHT, OneMore, REQUEST_SECONDS, REQUESTS, SHED, SHED_SECONDS,
};
use super::problem::Problem;
use super::request::{REQUEST_ID_HEADER, RequestContext};
use super::routes::{Endpoint, takes};
use super::server::Serving;
use crate::spans::{Kind, Span};

/// When to come again after having been turned away: long enough for a wave to pass.
const SHED_RETRY_AFTER: Duration = Duration::from_secs(1);

/// When the first byte of a request came.
#[derive(Debug, Clone, Copy)]
pub(super) struct BeganAt(pub(super) Instant);

/// One path of a server, or all that it does not have.
#[derive(Debug)]
pub(super) struct Place {
    serving: Arc<Serving>,
    /// Label of metrics.
    route: &'static str,
    methods: String,
    body_bytes_max: usize,
}

impl Place {
    /// A path.
    pub(super) fn of(serving: &Arc<Serving>, endpoint: &Endpoint) -> Arc<Self> {
        let (serving, methods) = (Arc::clone(serving), endpoint.methods.clone());
        let (route, body_bytes_max) = (endpoint.path, endpoint.body_bytes_max);
        Arc::new(Self { serving, route, methods, body_bytes_max })
    }

    /// All other paths.
    pub(super) fn elsewhere(serving: &Arc<Serving>) -> Arc<Self> {
        let serving = Arc::clone(serving);
        Arc::new(Self { serving, route: ELSEWHERE, methods: String::new(), body_bytes_max: 0 })
    }
}

/// Answers one request, and counts it.
pub(super) async fn exchange(
    State(place): State<Arc<Place>>,
    request: Request,
    next: Next,
) -> Response {
    let began_at = request.extensions().get().map_or_else(Instant::now, |BeganAt(at)| *at);
    let context = RequestContext::read(request.headers(), began_at);
    let request_id =
        context.as_ref().ok().map(|context| HeaderValue::from_str(&context.request_id));
    let mut reply = match context {
        // The path is not there, or takes no such method: the routes have the answer.
        _ if !takes(&place.methods, request.method()) => next.run(request).await,
        Ok(context) => place.admit(request, next, context).await,
        Err(problem) => closing(problem.into_response()),
    };
    if let Some(Ok(request_id)) = request_id {
        reply.headers_mut().insert(REQUEST_ID_HEADER, request_id);
    }
    let status = reply.status().as_str().to_owned();
    let (service, route) = (place.serving.name, place.route);
    metrics::counter!(REQUESTS, "service" => service, "route" => route, "status" => status)
        .increment(1);
    metrics::histogram!(REQUEST_SECONDS, "service" => service, "route" => route)
        .record(began_at.elapsed().as_secs_f64());
    reply
}

/// The connection cannot be used for another request.
fn closing(mut reply: Response) -> Response {
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

impl Place {
    /// Turns the request away if too many are worked on, and reads its body otherwise. The body is
    /// read outside the number of those worked on: a client that sends slowly keeps nobody away.
    async fn admit(&self, request: Request, next: Next, context: RequestContext) -> Response {
        let serving = &self.serving;
        if serving.in_flight.available_permits() == 0 {
            return serving.shed(&context);
        }
        let (head, body) = request.into_parts();
        let (body, room) = match serving.read_body(body, self.body_bytes_max).await {
            Ok(read) => read,
            Err(not_read) => return serving.refuse(&not_read, self.body_bytes_max, &context),
        };
        let Ok(permit) = Arc::clone(&serving.in_flight).try_acquire_owned() else {
            return serving.shed(&context);
        };
        if context.is_over(Instant::now()) {
            return deadline_over().into_response();
        }
        let span = span(head.method.as_str(), self.route, &context);
        let mut request = Request::from_parts(head, Body::from(body));
        // It is read, and was not too long for its path.
        DefaultBodyLimit::disable().apply(&mut request);
        serving.work(request, next, (context, span), (permit, room)).await
    }
}

impl Serving {
    /// Runs what answers in a task of its own, which holds its place until it is done.
    async fn work(
        &self,
        mut request: Request,
        next: Next,
        (context, of_trace): (RequestContext, Option<Span>),
        place: (OwnedSemaphorePermit, Room),
    ) -> Response {
        let gauge = metrics::gauge!(IN_FLIGHT, "service" => self.name);
        let span = tracing::info_span!(
            "request",
            service = self.name,
            request_id = context.request_id,
            trace_id = %context.trace.trace_id(),
            span_id = %context.trace.span_id(),
        );
        let received_at = context.received_at;
        request.extensions_mut().insert(context);
        let task = async move {
            let _worked_on = OneMore::of(gauge);
            let of_trace = Unanswered(of_trace);
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let reply = next.run(request).await;
            drop(place);
            let status = reply.status().as_u16();
            let elapsed_ms = u64::try_from(received_at.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::debug!(%method, path, status, elapsed_ms, "answered");
            of_trace.answered(reply.status());
            reply
        };
        tokio::spawn(task.instrument(span)).await.unwrap_or_else(|error| {
            tracing::error!(%error, service = self.name, "a request was not worked on to its end");
            internal().into_response()
        })
    }

    fn shed(&self, context: &RequestContext) -> Response {
        metrics::counter!(SHED, "service" => self.name).increment(1);
        metrics::histogram!(SHED_SECONDS, "service" => self.name)
            .record(context.received_at.elapsed().as_secs_f64());
        full().into_response()
    }

    async fn read_body(&self, body: Body, bytes_max: usize) -> Result<(Bytes, Room), NotRead> {
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(NotRead::TooLarge);
        }
        let whole = collect(Limited::new(body, bytes_max), &self.large_bodies);
        timeout(self.limits.body_read_timeout, whole).await.unwrap_or(Err(NotRead::TooSlow))
    }

    /// The answer to one whose body could not be read.
    fn refuse(&self, why: &NotRead, bytes_max: usize, context: &RequestContext) -> Response {
        let (reason, problem) = match why {
            NotRead::NoRoom => return closing(self.shed(context)),
            NotRead::Broken(detail) => return closing(broken_body(detail).into_response()),
            NotRead::TooLarge => ("body-too-large", too_large(bytes_max)),
            NotRead::TooSlow => ("body-timeout", timed_out("the body did not come in time")),
        };
        metrics::counter!(CUT_OFF, "service" => self.name, "reason" => reason).increment(1);
        closing(problem.into_response())
    }
}

/// The span of a request that is worked on; `None` while spans of its trace are not recorded.
fn span(method: &str, route: &'static str, context: &RequestContext) -> Option<Span> {
    let span = Span::begin(Kind::Server, &context.trace, || format!("{method} {route}"))?;
    Some(span.with("http.request.method", method.to_owned()).with("http.route", route))
}

/// The span of a request that has no answer yet. A panic answers it with 500, and ends the span as well.
struct Unanswered(Option<Span>);

impl Unanswered {
    fn answered(mut self, status: StatusCode) {
        self.end(status);
    }

    fn end(&mut self, status: StatusCode) {
        let Some(mut span) = self.0.take() else { return };
        span.note_status(status.as_u16(), status.is_server_error());
        span.end();
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.end(StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
}

/// A large body's share of the memory for all of them.
type Room = Option<OwnedSemaphorePermit>;

/// Why a request has no body to work on.
enum NotRead {
    TooLarge,
    TooSlow,
    NoRoom,
    Broken(String),
}

/// Reads a body. The part of it that makes it large takes its memory as it comes, so that a client
/// that only says it will send much takes none.
async fn collect(
    mut body: Limited<Body>,
    large_bodies: &Arc<Semaphore>,
) -> Result<(Bytes, Room), NotRead> {
    let (mut whole, mut room) = (BytesMut::new(), Room::None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
            true => NotRead::TooLarge,
            false => NotRead::Broken(error.to_string()),
        })?;
        // Trailers are of no use to anybody here.
        let Ok(data) = frame.into_data() else { continue };
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
