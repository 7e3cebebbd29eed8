//! Attempts at records of a trace that is sampled: kept with the turn until it is committed.
//!
//! Only records of a sampled trace cost anything, and while tracing is off none of them does. The
//! `traceparent` of a record stays as it is through retries and dead letters, byte for byte.

use pipeline::record::Offset;
use service_kit::http::trace::{TRACEPARENT, TRACESTATE, TraceContext};
use service_kit::spans;

use crate::stage::Emitted;

/// A record of a sampled trace, whose attempt has begun.
pub(crate) struct Begun {
    carried: TraceContext,
    started_ns: u64,
}

/// An attempt at such a record.
#[derive(Debug)]
pub(crate) struct AttemptSpan {
    /// What the record carries.
    pub(crate) carried: TraceContext,
    pub(crate) context: TraceContext,
    pub(crate) started_ns: u64,
    pub(crate) ended_ns: u64,
    pub(crate) from: Source,
    /// What the records carry that the stage has emitted.
    pub(crate) emitted: Vec<TraceContext>,
}

/// Where a record was read, and for the how-manieth time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) is_retry: bool,
    pub(crate) partition: i32,
    pub(crate) origin: (i32, Offset),
    pub(crate) attempt: u32,
    pub(crate) redrives: u32,
}

/// The context that headers carry, if its trace is sampled here.
fn sampled<'r>(header: impl Fn(&str) -> Option<&'r [u8]>) -> Option<TraceContext> {
    let text = |name| std::str::from_utf8(header(name)?).ok();
    let parent = text(TRACEPARENT)?;
    TraceContext::parse(parent, None).filter(TraceContext::is_taken)?;
    TraceContext::parse(parent, text(TRACESTATE))
}

impl Begun {
    /// `None` while tracing is off, and for a record of no sampled trace.
    #[inline]
    pub(crate) fn of<'r>(
        header: &dyn Fn(&str) -> Option<&'r [u8]>,
        started_ns: Option<u64>,
    ) -> Option<Self> {
        if spans::is_on() { Self::of_sampled(header, started_ns) } else { None }
    }

    fn of_sampled<'r>(
        header: &dyn Fn(&str) -> Option<&'r [u8]>,
        started_ns: Option<u64>,
    ) -> Option<Self> {
        let carried = sampled(header)?;
        Some(Self { carried, started_ns: started_ns.unwrap_or_else(spans::now_ns) })
    }

    pub(crate) fn end(self, from: Source, emitted: &[Emitted]) -> Box<AttemptSpan> {
        let Self { carried, started_ns } = self;
        let context = |emitted: &Emitted| {
            sampled(|name| {
                let named = emitted.headers.iter().rev().find(|(known, _)| *known == name);
                named.map(|(_, value)| &**value)
            })
        };
        Box::new(AttemptSpan {
            context: carried.child(),
            carried,
            started_ns,
            ended_ns: spans::now_ns(),
            from,
            emitted: emitted.iter().filter_map(context).collect(),
        })
    }
}
