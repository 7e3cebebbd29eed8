//! Tells the spans of a turn that is committed. What is not committed has not happened, and has no span.

use service_kit::http::trace::TraceContext;
use service_kit::spans::{self, Messaging, Span};

use crate::lane::attempt_span::{AttemptSpan, Source};
use crate::lane::outbound::{Destination, OutboundRecord};
use crate::lane::processor::Processor;
use crate::lane::turn::Turn;
use crate::settings::Topics;
use crate::stage::Stage;

/// As the semantic conventions call it.
const SYSTEM: &str = "kafka";

/// What spans say of the pipeline.
struct Names<'a> {
    topics: &'a Topics,
    group: &'a str,
    now_ns: u64,
}

impl<S: Stage> Processor<S> {
    /// Tells the spans of a turn that is committed.
    pub(crate) fn tell_spans(&mut self, topics: &Topics) {
        if !spans::is_on() {
            return;
        }
        let names = Names { topics, group: &self.group, now_ns: spans::now_ns() };
        let Turn { attempts, outbound, traced, .. } = &mut self.turn;
        spans::note_dropped(std::mem::take(traced).saturating_sub(spans::QUEUE_MAX));
        for attempt in attempts.drain(..) {
            names.tell_emitted(&attempt);
            names.attempt(&attempt, "succeeded").record();
        }
        for forward in outbound.iter_mut() {
            if let Some(attempt) = forward.attempt.take() {
                names.tell_failed(&attempt, forward);
            }
        }
    }
}

impl Names<'_> {
    fn attempt(&self, attempt: &AttemptSpan, outcome: &'static str) -> Span {
        let Source { is_retry, partition, origin, attempt: number, redrives } = attempt.from;
        let topics = self.topics;
        let destination = if is_retry { &topics.retry } else { &topics.main };
        let from = Messaging { system: SYSTEM, destination };
        let AttemptSpan { started_ns, ended_ns, context, carried, .. } = attempt;
        let mut span = spans::processing(*started_ns, context, carried, from)
            .with("messaging.destination.partition.id", partition.to_string())
            .with("messaging.consumer.group.name", self.group.to_owned())
            .with("relane.origin", format!("{}/{}/{}", topics.main, origin.0, origin.1))
            .with("relane.attempt", i64::from(number))
            .with("relane.redrives", i64::from(redrives))
            .with("relane.outcome", outcome);
        if !is_retry {
            span.note("messaging.kafka.offset", origin.1.0);
        }
        span.ended_ns = *ended_ns;
        span
    }

    fn tell_failed(&self, attempt: &AttemptSpan, forward: &OutboundRecord) {
        let (destination, outcome) = match forward.destination {
            Destination::DeadLetter => (&self.topics.dead_letter, "dead-lettered"),
            _ => (&self.topics.retry, "retried"),
        };
        let mut span = self.attempt(attempt, outcome);
        if let Some(failure) = &forward.failure {
            let reason = failure.reason.as_str().to_owned();
            span.fail(reason.clone(), format!("{}: {reason}", failure.class().as_str()));
        }
        span.record();
        let sent = attempt.context.child();
        self.tell_sent(attempt, &sent, destination);
    }

    fn tell_emitted(&self, attempt: &AttemptSpan) {
        let Some(topic) = &self.topics.output else { return };
        for carried in &attempt.emitted {
            self.tell_sent(attempt, &carried.clone().below(&attempt.context), topic);
        }
    }

    fn tell_sent(&self, attempt: &AttemptSpan, context: &TraceContext, destination: &str) {
        let to = Messaging { system: SYSTEM, destination };
        let partition = attempt.from.partition.to_string();
        let mut span = spans::sent_since(attempt.ended_ns, context, to)
            .with("messaging.destination.partition.id", partition);
        span.ended_ns = self.now_ns;
        span.record();
    }
}
