//! HTTP for the public: a server that stays answerable under abuse.
//!
//! ```text
//! socket ─► connection ─► exchange ─────────────► Handler (the program's)
//!           cap, header    /health /livez /readyz /metrics from memory
//!           and idle time  unknown? 404, 405 · full? 503 at once · body limit 413 · body time 408 · deadline 504
//! ```
//!
//! hyper reads and writes the messages. What it leaves to its user stands here: how long a client
//! may take for each part, how many may come, and what happens to those beyond.
//!
//! | who | is answered |
//! |---|---|
//! | asks for a path that is in no table | 404, before a body is read |
//! | asks with a method that the path does not take | 405 and `Allow`, before a body is read |
//! | takes longer than [`Limits::header_read_timeout`] for its request line and headers | 408, closed |
//! | takes longer than [`Limits::body_read_timeout`] for its body | 408, closed |
//! | sends more than [`Endpoint::body_bytes_max`] | 413, closed |
//! | comes while [`Limits::in_flight_max`] requests are worked on | 503 and `Retry-After`, at once |
//! | comes while [`Limits::connections_max`] are connected | 503 and `Retry-After`, closed |
//! | says nothing, or takes nothing, for [`Limits::idle_timeout`] | closed |
//!
//! A request that was admitted is worked on to its end, also when its client has gone: what it
//! began in other services is never left half done for a lost connection.

mod args;
mod connection;
mod endpoint;
mod exchange;
mod limits;
mod metric_names;
pub mod problem;
mod request;
mod server;
pub mod trace;

pub use args::HttpArgs;
pub(crate) use connection::linger;
pub use endpoint::Endpoint;
pub use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
pub use hyper::{Method, Response, StatusCode};
pub use limits::Limits;
pub use metric_names::REQUESTS;
pub use problem::Problem;
pub use request::{DEADLINE_HEADER, Handler, HttpRequest, REQUEST_ID_HEADER, RequestContext};
pub use server::Server;
pub use trace::TraceContext;

/// An answer whose body is in memory.
pub type Reply = Response<bytes::Bytes>;
