//! The service that is called: one client with its connections, one limit on each call.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use codec::registry::root_cause;
use relane::{HandleError, Handler, ReasonName, Record};
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url};
use service_kit::clock::now_ms;
use tokio::time::timeout;

use crate::body::Body;
use crate::headers;
use crate::metrics::{self, Came};
use crate::verdict::{Answer, Speaks, Verdict, judge, shown_address};

/// Largest body that is sent; a larger record is refused.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Why a record is refused whose body is larger.
const BODY_TOO_LARGE: ReasonName = ReasonName::of("body-too-large");

/// Longest body of an answer that is read: for the title of a problem, and so that the connection can be used again.
/// A connection with more is closed.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Longest wait for it. The status has decided by then.
const ANSWER_BODY_MAX: Duration = Duration::from_secs(1);

/// Longest time to get a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Idle connections that are kept for the next calls.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// How long they are kept: shorter than servers keep them, since a call on one that is being closed has no answer.
/// Gunicorn keeps them for 2 s, Node and Uvicorn for 5.
const IDLE_MAX: Duration = Duration::from_millis(1500);

/// Time between two lines of the log that say that the service does not take what push is set to.
const TELL_EVERY_MS: i64 = 60_000;

/// A time that was not yet.
const NEVER: i64 = i64::MIN;

/// What is needed to call a service.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) url: Url,
    /// Sent with each call: logins, and what a file says.
    pub(crate) common: HeaderMap,
    /// Whom alone its certificate may be signed by; those of the system where there are none.
    pub(crate) authorities: Option<Vec<Certificate>>,
    /// How long the handler of an attempt may take.
    pub(crate) handler_timeout: Duration,
    /// Attempts at a record.
    pub(crate) attempts_max: u32,
}

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    client: Client,
    url: Url,
    shown: String,
    common: HeaderMap,
    /// Longest wait for an answer: shorter than the handler's time, so that push can say that the service is to blame.
    answer_max: Duration,
    answer_body_max: Duration,
    attempts_max: u32,
    /// When a record was answered well or refused last, in epoch milliseconds.
    worked_at_ms: AtomicI64,
    /// When the log was told of a login, and of an address, that is wrong.
    told_at_ms: [AtomicI64; 2],
}

impl Service {
    /// A client; connects when it is first used.
    ///
    /// # Errors
    ///
    /// If no client can be made: the system lacks what TLS needs.
    pub(crate) fn new(place: Place) -> Result<Self, reqwest::Error> {
        let Place { url, common, authorities, handler_timeout, attempts_max } = place;
        let answer_max = handler_timeout * 9 / 10;
        let mut client = Client::builder()
            .user_agent(concat!("push/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_MAX.min(answer_max / 2))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .pool_idle_timeout(IDLE_MAX);
        if let Some(authorities) = authorities {
            client = client.tls_certs_only(authorities);
        }
        Ok(Self {
            client: client.build()?,
            shown: shown_address(&url),
            url,
            common,
            answer_max,
            answer_body_max: ANSWER_BODY_MAX.min(handler_timeout / 20),
            attempts_max,
            worked_at_ms: AtomicI64::new(NEVER),
            told_at_ms: [AtomicI64::new(NEVER), AtomicI64::new(NEVER)],
        })
    }

    /// The address for messages: without a query, which may hold a key.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    fn request(&self, record: &Record<Body>) -> RequestBuilder {
        let mut all = self.common.clone();
        all.extend(headers::of(record));
        self.client.post(self.url.clone()).headers(all).body(record.value.bytes.clone())
    }

    async fn call(&self, record: &Record<Body>) -> Result<Verdict, HandleError> {
        let began_at = Instant::now();
        let answered = timeout(self.answer_max, self.request(record).send()).await;
        let response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_connect() => {
                metrics::called(Came::NoConnection, began_at.elapsed());
                let why = root_cause(&error);
                return Err(HandleError::away(format!("no connection to {}: {why}", self.shown)));
            }
            Ok(Err(error)) => {
                metrics::called(Came::NoAnswer, began_at.elapsed());
                return Ok(no_answer(format!("nothing: {}", root_cause(&error))));
            }
            Err(_elapsed) => {
                metrics::called(Came::NoAnswer, began_at.elapsed());
                return Ok(no_answer(format!("nothing within {:?}", self.answer_max)));
            }
        };
        let took = began_at.elapsed();
        let verdict = self.verdict(response).await;
        metrics::called(
            match verdict {
                Verdict::Done => Came::Done,
                Verdict::Refused { .. } => Came::Refused,
                Verdict::Unavailable { .. } => Came::Unavailable,
            },
            took,
        );
        Ok(verdict)
    }

    async fn verdict(&self, mut response: Response) -> Verdict {
        let mut body = Vec::new();
        // What breaks off here, or is too long, closes the connection and changes nothing: the status has come.
        let is_whole = timeout(self.answer_body_max, read(&mut response, &mut body)).await;
        let body = if is_whole == Ok(true) { &body[..] } else { &[] };
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let answer = Answer {
            status: response.status(),
            retry_after: header(RETRY_AFTER),
            location: header(LOCATION),
            body,
        };
        self.tell_setting(answer.status);
        judge(&answer, &self.url, SystemTime::now())
    }

    /// Says in the log that it is push that is set wrong, and no record: now and then, and whatever becomes of the record.
    fn tell_setting(&self, status: StatusCode) {
        let (kind, words) = match status.as_u16() {
            401 | 403 | 407 => (
                0,
                "the service refuses push's login; check --token-file, --basic-file or --header-file",
            ),
            300..=399 => {
                (1, "the service redirects, and redirects are not followed; give --to where it is")
            }
            _ => return,
        };
        let (now_ms, told) = (now_ms(), &self.told_at_ms[kind]);
        let before = told.load(Ordering::Relaxed);
        let is_due = before == NEVER || now_ms - before >= TELL_EVERY_MS;
        let order = Ordering::Relaxed;
        if is_due && told.compare_exchange(before, now_ms, order, order).is_ok() {
            tracing::error!(service = self.shown, status = status.as_u16(), "{words}");
        }
    }

    /// What a record comes to whose attempt was answered so.
    fn outcome(&self, record: &Record<Body>, verdict: Verdict) -> Result<(), HandleError> {
        match verdict {
            Verdict::Done => {
                self.worked_at_ms.fetch_max(now_ms(), Ordering::Relaxed);
                Ok(())
            }
            Verdict::Refused { reason, detail } => {
                self.worked_at_ms.fetch_max(now_ms(), Ordering::Relaxed);
                Err(HandleError::permanent(reason, detail))
            }
            Verdict::Unavailable { detail, speaks: Speaks::OfItself, .. }
                if self.is_the_service(record) =>
            {
                let service = &self.shown;
                Err(HandleError::away(format!("{service} accepts no records: {detail}")))
            }
            Verdict::Unavailable { detail, wait, .. } => {
                let detail = format!("{} answered: {detail}", self.shown);
                Err(HandleError::unavailable_for(wait.unwrap_or_default(), detail))
            }
        }
    }

    /// Whether it is the service and not this record that is to blame, where that decides whether the record is given
    /// up: the service has taken no record at all since this one failed first.
    fn is_the_service(&self, record: &Record<Body>) -> bool {
        let is_last = record.attempt >= self.attempts_max;
        let since = record.failing_since_ms().filter(|_| is_last);
        since.is_some_and(|since| self.worked_at_ms.load(Ordering::Relaxed) < since)
    }
}

impl Handler<Body> for Service {
    async fn handle(&self, record: Record<Body>) -> Result<(), HandleError> {
        let bytes = record.value.bytes.len();
        if bytes > BODY_BYTES_MAX {
            let detail = format!("a body of {bytes} bytes is above the limit of {BODY_BYTES_MAX}");
            return Err(HandleError::permanent(BODY_TOO_LARGE, detail));
        }
        let verdict = self.call(&record).await?;
        self.outcome(&record, verdict)
    }
}

/// Reads the body of an answer; whether all of it was read.
async fn read(response: &mut Response, body: &mut Vec<u8>) -> bool {
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => {
                body.extend_from_slice(&chunk);
            }
            Ok(None) => return true,
            Ok(Some(_)) | Err(_) => return false,
        }
    }
}

/// No answer says nothing of the record, as little as a 503 does.
const fn no_answer(detail: String) -> Verdict {
    Verdict::Unavailable { detail, speaks: Speaks::OfItself, wait: None }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
