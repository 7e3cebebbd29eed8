//! Sends spans to a collector: OTLP over HTTP as JSON, off until an endpoint is set.
//!
//! ```text
//! spans::Span::end ─► queue of 2,048 ─► thread "otlp" ─► POST ENDPOINT/v1/traces
//!                        └ full: dropped, counted   └ not taken: tried again, then dropped, counted
//! ```
//!
//! The exporter is own: `opentelemetry-otlp` brings some thirty crates, tonic among them also where
//! JSON is sent, into each program and the demo; a sampled record costs its SDK allocations before it is
//! known whether its turn commits; and what is sent is one shape of JSON. Every collector takes that
//! form on its port 4318. A collector that is away, slow or wrong costs the program nothing but spans.

mod args;
mod export;
mod limits;
mod request;

pub use args::{TraceArgs, TraceSettings};
pub use export::{EXPORTED, Exporting, start};
