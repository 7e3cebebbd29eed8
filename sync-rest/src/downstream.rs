//! A service that this one asks: one client with its connections, one breaker, one deadline.
//!
//! | what happens | trouble | was anything begun there? |
//! |---|---|---|
//! | the breaker is open, the time is over before the call | as it opened, or none | no |
//! | nobody listens | away | no |
//! | it answers 503: it sheds load | overloaded | no |
//! | it answers 421: it has another store than the one that was met | away | no |
//! | the connection breaks under the call, or it answers 5xx | away | perhaps |
//! | it does not answer in time | slow | perhaps |
//!
//! Every call is a PUT or a DELETE of something named by its order id, so that it can be repeated
//! without harm. It is repeated once, and only after a connection that broke: where nobody
//! listens or an answer is late, another try only adds load.

mod failures;
mod traced;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Method, Url};
use serde_json::Value;
use service_kit::http::trace::{TRACEPARENT, TRACESTATE, TraceContext};
use service_kit::http::{DEADLINE_HEADER, REQUEST_ID_HEADER, RequestContext};
use service_kit::shutdown::Shutdown;
use service_kit::spans::{Kind, Span};
use service_kit::unavailable::{Reporter, Thing, of_process};

use crate::breaker::{Breaker, Ticket, Trouble};
use crate::call_error::merged;
pub use crate::call_error::{Begun, CallError};
use crate::identity::{Met, STORE_HEADER};
use crate::metrics::{self, CallResult};
use crate::wire::ATTEMPT_HEADER;

/// Longest time to get a connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Idle connections that are kept for the next calls.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// How long they are kept; shorter than the server keeps them.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Tries of one call.
const TRIES_MAX: u32 = 2;
/// When to come again if the service that is away did not say.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Time between two looks for a service that was not reachable.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for the answer.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// The services that are asked.
const fn thing(name: &'static str) -> Thing {
    match name.as_bytes() {
        b"inventory" => Thing { label: "inventory", name: "the inventory service" },
        _ => Thing { label: "notification", name: "the notification service" },
    }
}

/// A service to ask.
#[derive(Debug)]
pub struct Downstream {
    name: &'static str,
    base: Url,
    client: reqwest::Client,
    breaker: Mutex<Breaker>,
    met: Met,
    /// A late answer is held against the service only if it was given so long; else a client with
    /// tiny deadlines could open the breaker for everybody.
    fair_time: Duration,
    /// Nobody listened when it was called last.
    is_unreachable: AtomicBool,
    reporter: Reporter,
}

/// What is asked: a PUT or a DELETE, which can be repeated without harm.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// How.
    pub method: Method,
    /// What.
    pub path: String,
    /// Number of the attempt at the order, where it matters.
    pub attempt: Option<u64>,
    /// With what.
    pub body: Option<&'a Value>,
    /// Whether the breaker has a say in it.
    pub breaker: BreakerUse,
}

/// Whether the breaker has a say in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerUse {
    /// It is asked, and learns from the result.
    Asked,
    /// It is passed by: for cleaning up, which is rare, and cheaper to answer than what the
    /// breaker protects, so that its success says little.
    Bypassed,
}

/// An answer: that of a well service, whatever it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Body; null where there is none, or none that is JSON.
    pub body: Value,
    /// Name of the store that it answers from, where it says so.
    pub store_name: Option<String>,
}

impl Downstream {
    /// One at this address, with the store that it was `met` with; `fair_time` is how long it may
    /// take before it counts as slow.
    ///
    /// # Errors
    ///
    /// If no client can be made: the system lacks what TLS needs.
    pub(crate) fn new(
        name: &'static str,
        base: Url,
        met: Met,
        fair_time: Duration,
    ) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .build()?;
        let reporter = of_process().reporter(thing(name), name);
        let (breaker, is_unreachable) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self { name, base, client, breaker, met, fair_time, is_unreachable, reporter })
    }

    /// What is wrong with it, while its breaker is not closed.
    pub fn trouble(&self) -> Option<Trouble> {
        self.breaker().trouble()
    }

    /// Fails as a call would while the breaker is open, and asks nobody.
    ///
    /// # Errors
    ///
    /// As [`Downstream::call`].
    pub fn check(&self) -> Result<(), CallError> {
        let now = Instant::now();
        let mut breaker = self.breaker();
        match breaker.admit(now) {
            Ok(ticket) => {
                breaker.forget(ticket, now);
                Ok(())
            }
            Err(open) => Err(self.refused(open)),
        }
    }

    /// Learns which store it has, once: from then on it is asked only as the owner of this one.
    ///
    /// # Errors
    ///
    /// As [`Downstream::call`]; nothing was begun.
    pub(crate) async fn meet(&self, path: &str, context: &RequestContext) -> Result<(), CallError> {
        if self.met.name().is_some() {
            return Ok(());
        }
        let _one = self.met.meeting.lock().await;
        if self.met.name().is_some() {
            return Ok(());
        }
        let (method, path, breaker) = (Method::GET, path.to_owned(), BreakerUse::Asked);
        let call = Call { method, path, attempt: None, body: None, breaker };
        let answer = self.call(&call, context).await;
        let answer = answer.map_err(|error| CallError { begun: Begun::Nothing, ..error })?;
        // One of an earlier version does not say.
        let Some(name) = answer.store_name else { return Ok(()) };
        let kept = self.met.keep(&name).await;
        kept.map_err(|error| self.away(Begun::Nothing, format!("it cannot be stored: {error}")))
    }

    /// Calls it, within the deadline of `context`, which travels along.
    ///
    /// # Errors
    ///
    /// If there was no answer, or one that says that the service is not well.
    pub async fn call(
        &self,
        call: &Call<'_>,
        context: &RequestContext,
    ) -> Result<Answer, CallError> {
        let mut last = None;
        for _ in 0..TRIES_MAX {
            let began_at = Instant::now();
            let result = self.try_once(call, context).await;
            metrics::called(self.name, CallResult::of(&result), began_at.elapsed());
            match result {
                Ok(answer) => return Ok(answer),
                Err(Failed { error, is_repeatable: true }) => last = Some(error),
                Err(Failed { error, .. }) => return Err(merged(last, error)),
            }
        }
        Err(last.expect("each try gave an answer or an error"))
    }

    async fn try_once(&self, call: &Call<'_>, context: &RequestContext) -> Result<Answer, Failed> {
        let now = Instant::now();
        let left = context.left(now);
        if left.is_some_and(|left| left.is_zero()) {
            return Err(self.overdue_before().into());
        }
        let ticket = match call.breaker {
            BreakerUse::Asked => {
                Some(self.breaker().admit(now).map_err(|open| self.refused(open))?)
            }
            BreakerUse::Bypassed => None,
        };
        let trace = context.trace.child();
        let span = Span::begin(Kind::Client, &trace, || call.method.to_string());
        let request = self.request(call, (context, &trace), left);
        let sent = match left {
            Some(left) => tokio::time::timeout(left, self.send(request)).await.ok(),
            None => Some(self.send(request).await),
        };
        if let Some(span) = span {
            let answer = sent.as_ref().and_then(|sent| sent.as_ref().ok());
            let status = answer.map(|response| response.answer.status);
            traced::end(span, self.name, &call.method, status);
        }
        let result = match sent {
            Some(sent) => sent.and_then(|response| self.judge(response, left)),
            None => Err(self.overdue(left.unwrap_or_default()).into()),
        };
        let Some(ticket) = ticket else { return result };
        match &result {
            Ok(_) => self.report(ticket, Ok(())),
            Err(Failed { error: CallError { trouble: Some(trouble), .. }, .. }) => {
                self.report(ticket, Err(*trouble));
            }
            Err(_) => self.breaker().forget(ticket, Instant::now()),
        }
        result
    }

    fn request(
        &self,
        call: &Call<'_>,
        (context, trace): (&RequestContext, &TraceContext),
        left: Option<Duration>,
    ) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&call.path);
        let mut request = self.client.request(call.method.clone(), url);
        request = request.header(REQUEST_ID_HEADER, &context.request_id);
        request = request.header(TRACEPARENT, trace.traceparent());
        if let Some(state) = trace.tracestate() {
            request = request.header(TRACESTATE, state);
        }
        if let Some(left) = left {
            request = request.header(DEADLINE_HEADER, left.as_millis().to_string());
        }
        if let Some(name) = self.met.name() {
            request = request.header(STORE_HEADER, name);
        }
        if let Some(attempt) = call.attempt {
            request = request.header(ATTEMPT_HEADER, attempt);
        }
        match &call.body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Failed> {
        let mut response = request.send().await.map_err(|error| self.not_sent(&error))?;
        self.is_unreachable.store(false, Ordering::Relaxed);
        let retry_after = response
            .headers()
            .get(reqwest::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map_or(RETRY_AFTER, Duration::from_secs);
        let store_name = response.headers().get(STORE_HEADER);
        let store_name = store_name.and_then(|name| Some(name.to_str().ok()?.to_owned()));
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.not_sent(&error))? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                let detail = format!("its answer is longer than {ANSWER_BYTES_MAX} bytes");
                return Err(self.away(Begun::Perhaps, detail).into());
            }
            bytes.extend_from_slice(&chunk);
        }
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Response { answer: Answer { status, body, store_name }, retry_after })
    }

    /// Tells an answer from the confession that there is none.
    fn judge(&self, response: Response, left: Option<Duration>) -> Result<Answer, Failed> {
        let Response { answer, retry_after } = response;
        let error = match answer.status {
            503 => {
                let detail = "it answered 503: it is overloaded or not ready";
                let full = self.error(Some(Trouble::Full), Begun::Nothing, detail.to_owned());
                CallError { retry_after, ..full }
            }
            504 => {
                let detail = "the deadline passed there".to_owned();
                CallError {
                    is_overdue: true,
                    ..self.error(self.slow_if_fair(left), Begun::Perhaps, detail)
                }
            }
            421 => {
                let detail = "another instance with another store answers: all instances must \
                              share one --data-dir (--standby); if the former store is lost, \
                              start order once with --accept-other-stores";
                tracing::error!(service = self.name, "{detail}");
                self.away(Begun::Nothing, detail.to_owned())
            }
            status @ 500.. => self.away(Begun::Perhaps, format!("it answered {status}")),
            _ => return Ok(answer),
        };
        Err(error.into())
    }

    fn report(&self, ticket: Ticket, result: Result<(), Trouble>) {
        let mut breaker = self.breaker();
        let before = breaker.trouble();
        breaker.report(ticket, result, Instant::now());
        let after = breaker.trouble();
        if before != after {
            self.tell(after);
        }
    }

    /// Called while the breaker is held, so that what is told comes in the order of its changes.
    fn tell(&self, trouble: Option<Trouble>) {
        metrics::breaker(self.name, trouble.is_some());
        let why =
            |trouble: Trouble| format!("{}: it was {} a moment ago", self.base, trouble.word());
        self.reporter.note(trouble.map(why));
    }

    /// While nobody listens there, looks every second whether somebody does: orders may go to other
    /// instances until this one is ready. That a service is quick again only orders show.
    pub(crate) async fn look_for(&self, stop: Shutdown) {
        while !stop.is_requested() {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.requested() => return,
            }
            if !self.is_unreachable.load(Ordering::Relaxed) || self.trouble().is_none() {
                continue;
            }
            let mut url = self.base.clone();
            url.set_path("/livez");
            let answer = self.client.get(url).timeout(LOOK_MAX).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                self.is_unreachable.store(false, Ordering::Relaxed);
                let mut breaker = self.breaker();
                breaker.close();
                self.tell(None);
            }
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Response {
    answer: Answer,
    retry_after: Duration,
}

struct Failed {
    error: CallError,
    is_repeatable: bool,
}

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self { error, is_repeatable: false }
    }
}

impl CallResult {
    fn of(result: &Result<Answer, Failed>) -> Self {
        match result {
            Ok(_) => Self::Answered,
            Err(Failed { error, .. }) if error.is_overdue => Self::Overdue,
            Err(Failed { error, .. }) => error.trouble.map_or(Self::Overdue, Self::Trouble),
        }
    }
}
