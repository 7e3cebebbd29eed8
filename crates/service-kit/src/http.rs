//! HTTP for the public: a server that stays answerable under abuse.
//!
//! ```text
//! socket ─► connection ─► axum's router ─► exchange ─────────────────► Routes (the program's)
//!           cap, header    404, 405         full? 503 at once · body limit 413
//!           and idle time  /health …        body time 408 · deadline 504
//! ```
//!
//! hyper reads and writes the messages, axum routes them to the program's functions. What both leave
//! to their user stands here: how long a client may take for each part, how many may come, and what
//! happens to those beyond.
//!
//! | who | is answered |
//! |---|---|
//! | asks for a path that is in no table | 404, before a body is read |
//! | asks with a method that the path does not take | 405 and `Allow`, before a body is read |
//! | takes longer than [`Limits::header_read_timeout`] for its request line and headers | 408, closed |
//! | takes longer than [`Limits::body_read_timeout`] for its body | 408, closed |
//! | sends more than its path takes ([`Endpoint::taking`]) | 413, closed |
//! | comes while [`Limits::in_flight_max`] requests are worked on | 503 and `Retry-After`, at once |
//! | comes while [`Limits::connections_max`] are connected | 503 and `Retry-After`, closed |
//! | says nothing, or takes nothing, for [`Limits::idle_timeout`] | closed |
//!
//! A request that was admitted is worked on to its end, also when its client has gone: what it
//! began in other services is never left half done for a lost connection.
//!
//! Why not a layer of tower or tower-http around each path:
//!
//! | layer | what it does not do |
//! |---|---|
//! | `Timeout` | it drops the work half-way; a deadline here only keeps work from being begun |
//! | `RequestBodyTimeout` | it counts from one part of a body to the next, so a body that trickles never ends |
//! | `RequestBodyLimit` | it answers in plain text; the `Limited` body that it is made of is used |
//! | `ConcurrencyLimit`, `LoadShed` | a place is given back when the client goes, though the work goes on |
//! | `CatchPanic` | the task that outlives its client ends a panic as well, and says so in the log |
//! | `SetRequestId` | it takes any id that is sent |
//! | `Trace` | its span ends with the connection, not with the work |

mod args;
mod connection;
mod exchange;
mod json_line;
mod limits;
mod metric_names;
pub mod problem;
mod request;
mod routes;
mod server;
pub mod trace;

pub use args::HttpArgs;
pub use axum::body::Bytes;
pub use axum::extract::{Extension, Request, State};
pub use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
pub use axum::http::{Method, StatusCode};
pub use axum::middleware::{Next, from_fn_with_state};
pub use axum::response::{IntoResponse, Response};
pub(crate) use connection::linger;
pub use json_line::JsonLine;
pub use limits::Limits;
pub use metric_names::REQUESTS;
pub use problem::Problem;
pub use request::{DEADLINE_HEADER, REQUEST_ID_HEADER, RequestContext};
pub use routes::{Endpoint, PathEnd, Routes};
pub use server::Server;
pub use trace::TraceContext;
