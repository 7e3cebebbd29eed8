//! The order flow over synchronous HTTP.
//!
//! ```text
//! client ─► order :8001 ──PUT /reservations/{id}──► inventory :8002
//!              │          ◄── reserved, or why not
//!              └──────────PUT /notifications/{id}─► notification :8003
//!              ◄── told
//!          200, when both have said yes
//! ```
//!
//! The client waits for the whole of it, so everything is about what happens when one of the three
//! is slow, full, away or killed:
//!
//! - a **deadline** travels with each call; nothing is started whose time is over ([`downstream`]);
//! - a **breaker** in front of each service fails at once while it is away ([`breaker`]);
//! - a full service **sheds**: 503 at once, and never a queue (`service_kit::http`);
//! - each step is done **once per order id**, so that every call can be repeated; what was begun for
//!   an order that does not come about is given back ([`order`], [`reservation`]).

pub mod breaker;
mod metrics;
mod wire;
mod identity;
mod call_error;
pub mod downstream;
mod failures;
mod answers;
pub mod reservation;
mod reservations;
mod inventory;
mod notification;
mod calls;
pub mod order;
mod mend;
mod flags;
mod settings;
mod app;

pub use app::App;
pub use flags::{Flags, ServiceArg};
pub use settings::Settings;
