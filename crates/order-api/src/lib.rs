//! What a client of the order flow sees, the same whichever paradigm stands behind it.
//!
//! ```text
//! POST /order ─► form, key ─► known? ─yes─► the answer of the first time
//!                               │ no
//!                               ▼
//!                     menu, checks ─► Paradigm::place ─► stored with the key ─► 200, 202, 409
//!                                                        in one commit
//! GET /orders/{id} ─► what became of it                 Orders::settle ◄── outcomes that come later
//! ```
//!
//! A client names its order with an `Idempotency-Key`, or with the `orderId` of a framed record. The
//! id of the order is a function of that name, and every step behind the front is done at most once
//! per order id; so a retry is harmless at any time: while the first try runs (409), after it (the
//! same answer), and after a crash between any two steps (what is missing is done).

pub mod args;
mod asked;
pub mod body;
mod front;
mod idempotency;
mod known;
pub mod metrics;
mod news;
mod paradigm;
mod registry_watch;
pub mod status;
pub mod stock;
mod unfinished;
mod view;

pub use asked::{check_order_id, read_json};
pub use front::{Front, routes as front_routes};
pub use idempotency::{IDEMPOTENCY_KEY_HEADER, REPLAYED_HEADER, key as idempotency_key};
pub use known::{KnownOrder, ORDERS_KNOWN_MAX, OrderStatus, Orders, Wish, outcome_unknown};
pub use news::{News, Progress};
pub use paradigm::{AnswerForm, NewOrder, Paradigm, Placed};
pub use registry_watch::watch_registry;
pub use unfinished::{Left, Rest, UNFINISHED_MAX, Unfinished};

#[cfg(test)]
mod status_tests;
