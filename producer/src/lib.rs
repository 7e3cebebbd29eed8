//! Sends orders to Kafka: generated ones, or those of a CSV or JSON Lines file.
//!
//! ```text
//! generate ──┐                                            ┌─► acknowledged
//!            ├─► Source ─► pace ─► encode ─► Publisher ───┤
//! import  ───┘      │                                     └─► failed
//!                   └─► rejected rows
//! ```
//!
//! A row is rejected only if it cannot be turned into an Avro `Order`: a column is missing, the
//! price is not a number, the text is not UTF-8, the row is broken, or too large for the importer, the
//! client or the broker. A row is one order or one rejected row. Whether an order makes sense (an empty product, a negative price) is the consumer's business: such orders are
//! sent, and end in its dead-letter queue as `invalid`.
//!
//! Every order that was taken is acknowledged or counted as failed before [`send::send_all`] returns.

pub mod app;
pub mod console;
pub mod generate;
pub mod import;
pub mod pace;
mod progress;
pub mod report;
pub mod send;
pub mod settings;
pub mod source;
