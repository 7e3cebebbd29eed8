//! The thread that sends spans. The program never waits for it, but for a moment at its end.

use std::sync::mpsc as blocking;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use service_kit::exit::AppError;
use service_kit::program::Program;
use service_kit::spans::{self, DROPPED, Ended, Span};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use crate::args::TraceSettings;
use crate::limits::{
    ANSWER_BYTES_MAX, ANSWER_MAX, ATTEMPTS_MAX, BATCH_MAX, CONNECT_MAX, FLUSH_MAX, GATHER_MAX,
    RETRY_WAIT,
};
use crate::request::{body, rejected, resource};

/// Spans that a collector has taken.
pub const EXPORTED: &str = "trace_spans_exported_total";

/// Asks for what is there to be sent at once, and is told when it was.
type Flush = blocking::SyncSender<()>;

/// Spans are sent while this lives. Where it ends, what is left is sent, in half a second at most, and the log is told how many
/// spans no collector has taken, if there are any.
#[must_use = "the last spans are sent when it ends"]
#[derive(Debug)]
pub struct Exporting(mpsc::Sender<Flush>);

impl Drop for Exporting {
    fn drop(&mut self) {
        let (done, is_done) = blocking::sync_channel(1);
        let is_asked = self.0.try_send(done).is_ok();
        // A collector that does not answer by then gets no more.
        let is_late = is_asked && is_done.recv_timeout(FLUSH_MAX).is_err();
        let dropped = spans::dropped_so_far();
        if dropped > 0 {
            tracing::warn!("{dropped} spans were dropped: too many at once, or not taken");
        }
        if is_late {
            tracing::warn!("the last spans were not taken within {FLUSH_MAX:?}");
        }
    }
}

/// Switches tracing on for this process, if there are settings for it.
///
/// # Errors
///
/// Fails if the system lacks what TLS needs, or cannot start a thread. That a collector is not there is no error.
pub fn start(
    program: &Program,
    settings: Option<TraceSettings>,
) -> Result<Option<Exporting>, AppError> {
    let Some(settings) = settings else { return Ok(None) };
    let failed = |error: &dyn std::fmt::Display| AppError::failed(format!("tracing: {error}"));
    let client = Client::builder()
        .user_agent(format!("{}/{}", program.name, program.version))
        .no_proxy()
        .redirect(Policy::none()) // the headers may hold a login
        .connect_timeout(CONNECT_MAX)
        .timeout(ANSWER_MAX)
        .default_headers(settings.headers.clone())
        .build()
        .map_err(|error| failed(&error))?;
    let Some(ended) = spans::install(settings.sampler) else { return Ok(None) };
    metrics::describe_counter!(EXPORTED, "spans that the collector of traces has taken");
    metrics::describe_counter!(DROPPED, "spans that no collector of traces has taken, by reason");
    metrics::counter!(EXPORTED).increment(0);
    for reason in ["queue-full", "not-taken", "refused"] {
        metrics::counter!(DROPPED, "reason" => reason).increment(0);
    }
    tracing::info!(endpoint = settings.shown, "traces are sent");
    let (flushes, flush) = mpsc::channel(1);
    let exporter = Exporter {
        resource: resource(program, settings.service_name.as_deref()),
        program: *program,
        settings,
        client,
        ended,
        flush,
        is_away: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(&error))?;
    std::thread::Builder::new()
        .name("otlp".to_owned())
        .spawn(move || runtime.block_on(exporter.run()))
        .map_err(|error| failed(&error))?;
    Ok(Some(Exporting(flushes)))
}

struct Exporter {
    settings: TraceSettings,
    program: Program,
    resource: serde_json::Value,
    client: Client,
    ended: Ended,
    flush: mpsc::Receiver<Flush>,
    /// The log was told that no spans are taken.
    is_away: bool,
}

/// Why spans were not taken.
enum NotTaken {
    /// The same request may be taken later.
    Yet(String),
    /// It will not.
    Ever(String),
}

impl Exporter {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let asked = tokio::select! {
                asked = self.flush.recv() => match asked {
                    Some(asked) => Some(asked),
                    None => return,
                },
                _ = self.ended.recv_many(&mut batch, BATCH_MAX) => self.gather(&mut batch).await,
            };
            let Some(asked) = asked else {
                self.send(&mut batch).await;
                continue;
            };
            while let Ok(span) = self.ended.try_recv() {
                batch.push(span);
                if batch.len() >= BATCH_MAX {
                    self.send_once(&mut batch).await;
                }
            }
            self.send_once(&mut batch).await;
            // Who asked may have gone.
            let _ = asked.send(());
        }
    }

    /// Fills a batch, for a while; ends early where somebody wants it sent.
    async fn gather(&mut self, batch: &mut Vec<Span>) -> Option<Flush> {
        let until = Instant::now() + GATHER_MAX;
        while batch.len() < BATCH_MAX {
            let room = BATCH_MAX - batch.len();
            tokio::select! {
                asked = self.flush.recv() => return asked,
                more = timeout_at(until, self.ended.recv_many(batch, room)) => {
                    if more.is_err() {
                        break;
                    }
                }
            }
        }
        None
    }

    /// Sends a batch, with further attempts; drops it after the last one, or where the program ends.
    async fn send(&mut self, batch: &mut Vec<Span>) {
        let mut wait = RETRY_WAIT;
        for attempt in 1.. {
            let why = match self.post(batch).await {
                Ok(()) => break,
                Err(NotTaken::Ever(why)) => return self.drop_all(batch, &why),
                Err(NotTaken::Yet(why)) => why,
            };
            self.note_away(&why);
            if attempt >= ATTEMPTS_MAX || self.is_asked_within(wait).await {
                return self.drop_all(batch, &why);
            }
            wait *= 2;
        }
        self.taken(batch);
    }

    /// Sends a batch at the end of the program.
    async fn send_once(&mut self, batch: &mut Vec<Span>) {
        if batch.is_empty() {
            return;
        }
        match self.post(batch).await {
            Ok(()) => self.taken(batch),
            Err(NotTaken::Yet(why) | NotTaken::Ever(why)) => self.drop_all(batch, &why),
        }
    }

    /// Waits before the next attempt; whether the program ends meanwhile, and its end is answered.
    async fn is_asked_within(&mut self, wait: Duration) -> bool {
        tokio::select! {
            () = sleep(wait) => false,
            asked = self.flush.recv() => {
                if let Some(asked) = asked {
                    let _ = asked.send(());
                }
                true
            }
        }
    }

    async fn post(&self, batch: &[Span]) -> Result<(), NotTaken> {
        let body = body(&self.resource, &self.program, batch);
        let request = self.client.post(self.settings.url.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(|error| NotTaken::Yet(words(error)))?;
        let status = response.status();
        if status.is_success() {
            // More than were sent is no number to count with.
            let refused = rejected(&read(response).await).min(batch.len() as u64);
            spans::note_dropped_for("refused", refused);
            metrics::counter!(EXPORTED).increment((batch.len() as u64).saturating_sub(refused));
            return Ok(());
        }
        let why = format!("it answered {status}");
        // As the protocol says.
        Err(match status.as_u16() {
            429 | 502 | 503 | 504 => NotTaken::Yet(why),
            _ => NotTaken::Ever(why),
        })
    }

    fn taken(&mut self, batch: &mut Vec<Span>) {
        if std::mem::take(&mut self.is_away) {
            tracing::info!(endpoint = self.settings.shown, "traces are taken again");
        }
        batch.clear();
    }

    fn drop_all(&mut self, batch: &mut Vec<Span>, why: &str) {
        self.note_away(why);
        spans::note_dropped_for("not-taken", batch.len() as u64);
        batch.clear();
    }

    /// Says once that spans are not taken, until they are again.
    fn note_away(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.is_away, true) {
            let endpoint = self.settings.shown.as_str();
            tracing::warn!(
                endpoint,
                reason,
                "traces are not taken, and dropped; nothing else is held up"
            );
        }
    }
}

/// The beginning of an answer; what cannot be read says nothing.
async fn read(mut response: Response) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Ok(Some(part)) = response.chunk().await {
        whole.extend_from_slice(&part);
        if whole.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    whole
}

/// The innermost cause, without the address.
fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
