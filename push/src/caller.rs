//! Calls: one client with its connections, one limit on each call.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use codec::registry::root_cause;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Client, Response, StatusCode, Url};
use service_kit::clock::now_ms;
use tokio::time::timeout;

use crate::metrics::{self, Came};
use crate::verdict::{Answer, Speaks, Verdict, judge, shown_address, title};

/// Longest body of an answer that is read: for the title of a problem, and so that the connection can be used again.
/// A connection with more is closed.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024;

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
    /// Records of a call, where calls have several.
    pub(crate) batch_max: Option<usize>,
}

/// What came back: whether it was an answer, and what is to be made of it where it is about one record.
#[derive(Debug)]
pub(crate) struct Called {
    /// The status, if there was one.
    pub(crate) status: Option<StatusCode>,
    /// The body, if all of it was read.
    pub(crate) body: Vec<u8>,
    /// What it says of all records of the call.
    pub(crate) verdict: Verdict,
}

/// Calls one address.
#[derive(Debug)]
pub(crate) struct Caller {
    client: Client,
    url: Url,
    shown: String,
    common: HeaderMap,
    /// Longest wait for an answer: shorter than the handler's time, so that push can say that the service is to blame.
    answer_max: Duration,
    answer_body_max: Duration,
    /// When the log was told of a login, and of an address, that is wrong.
    told_at_ms: [AtomicI64; 2],
}

impl Caller {
    /// A client; connects when it is first used.
    ///
    /// # Errors
    ///
    /// If no client can be made: the system lacks what TLS needs.
    pub(crate) fn new(place: &Place) -> Result<Self, reqwest::Error> {
        // Of several records one call may be followed by one of each record.
        let answer_max = match place.batch_max {
            None => place.handler_timeout * 9 / 10,
            Some(_) => place.handler_timeout * 2 / 5,
        };
        let mut client = Client::builder()
            .user_agent(concat!("push/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_MAX.min(answer_max / 2))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .pool_idle_timeout(IDLE_MAX);
        if let Some(authorities) = &place.authorities {
            client = client.tls_certs_only(authorities.clone());
        }
        Ok(Self {
            client: client.build()?,
            shown: shown_address(&place.url),
            url: place.url.clone(),
            common: place.common.clone(),
            answer_max,
            answer_body_max: ANSWER_BODY_MAX.min(place.handler_timeout / 20),
            told_at_ms: [AtomicI64::new(NEVER), AtomicI64::new(NEVER)],
        })
    }

    /// The address for messages: without a query, which may hold a key.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// The address.
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// Posts a body, and reads so much of the answer's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes its connection. The service may have taken the body by then.
    pub(crate) async fn post(&self, headers: HeaderMap, body: Bytes, answer_max: usize) -> Called {
        let began_at = Instant::now();
        let mut all = self.common.clone();
        all.extend(headers);
        let request = self.client.post(self.url.clone()).headers(all).body(body);
        let (came, called) = match timeout(self.answer_max, request.send()).await {
            Ok(Ok(response)) => {
                let took = began_at.elapsed();
                let called = self.answered(response, answer_max).await;
                metrics::called(Came::of(&called.verdict), took);
                return called;
            }
            Ok(Err(error)) if error.is_connect() => {
                let why = root_cause(&error);
                let detail = format!("no connection to {}: {why}", self.shown);
                (Came::NoConnection, Verdict::Unreachable { detail })
            }
            Ok(Err(error)) => (Came::NoAnswer, no_answer(broken_off(&root_cause(&error)))),
            Err(_elapsed) => {
                (Came::NoAnswer, no_answer(format!("{NO_ANSWER} within {:?}", self.answer_max)))
            }
        };
        metrics::called(came, began_at.elapsed());
        Called { status: None, body: Vec::new(), verdict: called }
    }

    async fn answered(&self, mut response: Response, answer_max: usize) -> Called {
        let mut body = Vec::new();
        // What breaks off here, or is too long, closes the connection and changes nothing: the status has come.
        let reading = read(&mut response, &mut body, answer_max);
        if timeout(self.answer_body_max, reading).await != Ok(true) {
            body.clear();
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let status = response.status();
        let answer = Answer {
            status,
            retry_after: header(RETRY_AFTER),
            location: header(LOCATION),
            title: title(&body),
        };
        self.tell_setting(status);
        let verdict = judge(&answer, &self.url, SystemTime::now());
        Called { status: Some(status), body, verdict }
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
}

/// Reads the body of an answer; whether all of it was read.
async fn read(response: &mut Response, body: &mut Vec<u8>, bytes_max: usize) -> bool {
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= bytes_max => {
                body.extend_from_slice(&chunk);
            }
            Ok(None) => return true,
            Ok(Some(_)) | Err(_) => return false,
        }
    }
}

/// How details begin that say that there was none.
pub(crate) const NO_ANSWER: &str = "no answer";

/// What hyper says of a connection that ends before an answer has begun.
const CLOSED: &str = "connection closed before message completed";

/// Why a call that was sent had no answer, in words.
fn broken_off(why: &str) -> String {
    match why {
        CLOSED => format!("{NO_ANSWER}: the connection was closed"),
        why => format!("{NO_ANSWER}: {why}"),
    }
}

/// No answer says nothing of the record, as little as a 503 does.
const fn no_answer(detail: String) -> Verdict {
    Verdict::Unavailable { detail, speaks: Speaks::OfItself, wait: None }
}
