//! Messages in: each is acknowledged when what it asks for is done and durable, or when it lies
//! safely in a retry queue or among the dead letters; and never before.

use std::fmt;
use std::sync::Arc;

use futures_util::StreamExt as _;
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions};
use lapin::types::FieldTable;
use pipeline::failure::{Failure, FailureReason};
use service_kit::exit::AppError;
use service_kit::shutdown::Shutdown;
use service_kit::spans::Span;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::failing::Failing;
use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, DECLARE_MAX, DELIVERIES_MAX, DRAIN_MAX};
use crate::link::{Link, Live, jittered};
use crate::metrics;
use crate::received::Received;

/// How the reading of a queue begins.
#[derive(Debug)]
pub enum Begun {
    /// Messages come.
    Reading(Consumer),
    /// It ended before.
    Ended(Ended),
    /// The broker's reason, or that there was no answer in time.
    Refused(String),
}

/// Begins to read a queue or a stream. A queue without a leader says nothing: the wait has a limit.
pub async fn begin(
    link: &Link,
    live: &Live,
    stop: &Shutdown,
    queue: &str,
    arguments: FieldTable,
) -> Begun {
    let options = BasicConsumeOptions::default();
    let started = live.channel.basic_consume(queue.into(), "".into(), options, arguments);
    let started = tokio::select! {
        biased;
        () = stop.requested() => return Begun::Ended(Ended::Stopped),
        () = link.is_lost(live.generation) => return Begun::Ended(Ended::ChannelLost),
        started = timeout(DECLARE_MAX, started) => started,
    };
    match started {
        Ok(Ok(consumer)) => Begun::Reading(consumer),
        Ok(Err(error)) => Begun::Refused(error.to_string()),
        Err(_elapsed) => Begun::Refused(format!("no answer within {DECLARE_MAX:?}")),
    }
}

/// What a message asks for.
pub trait Work: Send + Sync + 'static {
    /// Does it. The same message may come again, also at the same time; what was done before is
    /// not done again.
    ///
    /// # Errors
    ///
    /// As [`Trouble`] says.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped anywhere; the message comes again.
    fn work(&self, received: &Received) -> impl Future<Output = Result<Done, Trouble>> + Send;

    /// Id of what a message is about, as far as can be told.
    fn subject_id(&self, received: &Received) -> Option<String> {
        received.message_id()
    }
}

/// A message that can be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// What it asked for is done.
    Now,
    /// It was done before.
    Before,
}

/// Why what a message asks for is not done.
#[derive(Debug)]
pub enum Trouble {
    /// The message, or this attempt: retry or dead letter.
    Failed(Failure),
    /// The surroundings: the message waits in our hands.
    Away(String),
    /// Nothing can be kept any more: the service ends.
    Fatal(AppError),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => {
                write!(f, "{}: {}", failure.reason.as_str(), failure.detail)
            }
            Self::Away(reason) => f.write_str(reason),
            Self::Fatal(error) => f.write_str(error.message()),
        }
    }
}

/// A service's reading side.
#[derive(Debug)]
pub struct Consuming<W> {
    /// A connection that consumes.
    pub link: Link,
    /// What its messages share.
    pub shared: Arc<Shared<W>>,
}

/// What the messages in hand share.
#[derive(Debug)]
pub struct Shared<W> {
    /// What messages ask for.
    pub work: W,
    /// Where those go that fail.
    pub failing: Failing,
}

/// How the reading of one channel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The channel is of no use.
    ChannelLost,
    /// A stop was asked for.
    Stopped,
}

impl<W: Work> Consuming<W> {
    /// Reads until `stop`, through as many channels as it takes.
    ///
    /// # Errors
    ///
    /// If the work cannot go on: [`Trouble::Fatal`].
    pub async fn run(self, stop: Shutdown) -> Result<(), AppError> {
        loop {
            let live = tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                live = self.link.up() => live,
            };
            let Some(live) = live else { return Ok(()) };
            match self.read(&live, &stop).await? {
                Ended::ChannelLost => {
                    self.link.report_broken(live.generation);
                    self.link.is_lost(live.generation).await;
                }
                Ended::Stopped => return Ok(()),
            }
        }
    }

    async fn read(&self, live: &Live, stop: &Shutdown) -> Result<Ended, AppError> {
        let queue = self.shared.failing.queue.name.clone();
        let why = match begin(&self.link, live, stop, &queue, FieldTable::default()).await {
            Begun::Reading(consumer) => {
                return self.take_from(live, stop, &queue, consumer).await;
            }
            Begun::Ended(ended) => return Ok(ended),
            Begun::Refused(why) => why,
        };
        tracing::warn!(reason = why, queue, "the queue cannot be read");
        sleep(BACKOFF_MIN).await;
        Ok(Ended::ChannelLost)
    }

    async fn take_from(
        &self,
        live: &Live,
        stop: &Shutdown,
        queue: &str,
        mut consumer: Consumer,
    ) -> Result<Ended, AppError> {
        tracing::info!(queue, "reading");
        // As many as the broker hands out at a time: the prefetch.
        let mut in_hand: JoinSet<Result<(), AppError>> = JoinSet::new();
        loop {
            metrics::in_hand(self.shared.failing.queue.label, in_hand.len());
            tokio::select! {
                biased;
                () = stop.requested() => {
                    drain(live, &consumer, in_hand).await?;
                    return Ok(Ended::Stopped);
                }
                Some(ended) = in_hand.join_next() => settled(ended)?,
                () = self.link.is_lost(live.generation) => return Ok(Ended::ChannelLost),
                delivery = consumer.next() => match delivery {
                    Some(Ok(delivery)) => {
                        in_hand.spawn(settle(Arc::clone(&self.shared), delivery));
                    }
                    Some(Err(error)) => {
                        // A connection that is lost is reported by the link.
                        if error.is_amqp_soft_error() {
                            tracing::warn!(%error, queue, "the queue cannot be read any more");
                        }
                        return Ok(Ended::ChannelLost);
                    }
                    None => return Ok(Ended::ChannelLost),
                },
            }
        }
    }
}

/// Finishes what is in hand, as far as the time allows.
async fn drain(
    live: &Live,
    consumer: &Consumer,
    mut in_hand: JoinSet<Result<(), AppError>>,
) -> Result<(), AppError> {
    let cancelled = live.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
    let all = async {
        // A channel that is lost hands out nothing more either.
        let _ = cancelled.await;
        while let Some(ended) = in_hand.join_next().await {
            settled(ended)?;
        }
        Ok(())
    };
    match timeout(DRAIN_MAX, all).await {
        Ok(result) => result,
        Err(_elapsed) => {
            tracing::warn!("stopped with unfinished messages; they stay in their queue");
            Ok(())
        }
    }
}

fn settled(ended: Result<Result<(), AppError>, tokio::task::JoinError>) -> Result<(), AppError> {
    match ended {
        Ok(result) => result,
        // The message stays unacknowledged; the broker hands it out again with the next channel,
        // and gives it up after its delivery limit.
        Err(error) => {
            tracing::error!(%error, "a message made the service panic");
            Ok(())
        }
    }
}

/// Does what a message asks for, and acknowledges it.
async fn settle<W: Work>(shared: Arc<Shared<W>>, delivery: Delivery) -> Result<(), AppError> {
    let received = Received::of(&delivery);
    let failing = &shared.failing;
    let result = if received.deliveries_before() >= DELIVERIES_MAX {
        let detail = format!("it was delivered {DELIVERIES_MAX} times and never acknowledged");
        let failure = received.failure(FailureReason::Handler, detail);
        let subject_id = shared.work.subject_id(&received);
        failing.dead_letter(&received, &failure, subject_id).await;
        "dead-lettered"
    } else {
        let span = received.processing(&failing.queue.name);
        let attempted = attempt(&shared, &received).await;
        end(span, &attempted);
        match attempted {
            Ok(Done::Now) => "done",
            Ok(Done::Before) => "duplicate",
            Err(Fault::Fatal(error)) => return Err(error),
            Err(Fault::Message(failure)) => {
                let subject_id = shared.work.subject_id(&received);
                failing.send_away(&received, &failure, subject_id).await
            }
        }
    };
    match delivery.acker.ack(BasicAckOptions::default()).await {
        Ok(_) => metrics::delivery(failing.queue.label, result),
        // Its channel is lost; the message comes again, and is found to be done.
        Err(error) => tracing::debug!(%error, "a message could not be acknowledged"),
    }
    Ok(())
}

/// Ends the span of an attempt. Where its message is sent then, is a span of its own.
fn end(span: Option<Span>, attempted: &Result<Done, Fault>) {
    let Some(mut span) = span else { return };
    match attempted {
        Ok(Done::Now) => span.note("relane.outcome", "succeeded"),
        Ok(Done::Before) => span.note("relane.outcome", "duplicate"),
        Err(Fault::Fatal(_)) => span.fail("fatal", "the service ends"),
        Err(Fault::Message(failure)) => {
            let reason = failure.reason.as_str().to_owned();
            span.fail(reason.clone(), format!("{}: {reason}", failure.class().as_str()));
        }
    }
    span.end();
}

/// What ends the attempts at a message in hand.
enum Fault {
    Message(Failure),
    Fatal(AppError),
}

/// Tries until the surroundings are there.
async fn attempt<W: Work>(shared: &Shared<W>, received: &Received) -> Result<Done, Fault> {
    let mut wait = BACKOFF_MIN;
    loop {
        match shared.work.work(received).await {
            Ok(done) => return Ok(done),
            Err(Trouble::Failed(failure)) => return Err(Fault::Message(failure)),
            Err(Trouble::Fatal(error)) => return Err(Fault::Fatal(error)),
            Err(Trouble::Away(why)) => {
                tracing::warn!(
                    reason = why,
                    queue = shared.failing.queue.label,
                    "a message is not processed yet"
                );
                sleep(jittered(wait)).await;
                wait = (wait * 2).min(BACKOFF_MAX);
            }
        }
    }
}
