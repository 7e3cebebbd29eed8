//! The schemas of `schemas/` and their records: what the programs of the order pipeline say to each other.
//!
//! The texts are built in, so no program needs a file at run time. A record maps its fields by position
//! ([`AvroRecord`], [`Fields`]); `codec` reads and writes them.
//!
//! ```
//! use codec::{decode::Decoder, encode::Encoder, resolver::SchemaResolver};
//! use order_schemas::OrderRecord;
//! use orders::Order;
//!
//! let resolver = SchemaResolver::offline();
//! resolver.insert(7, order_schemas::ORDER_V1)?;
//! let encoder = Encoder::<OrderRecord>::with_schema(order_schemas::ORDER_V1, 7)?;
//! let mut bytes = Vec::new();
//! encoder.encode_into(&mut bytes, &Order::new("o-1", "burger", 12.5));
//!
//! let order = Decoder::<OrderRecord>::new(resolver).decode(Some(&bytes))?;
//! assert_eq!((order.price, order.quantity), (12.5, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`AvroRecord`]: codec::scalar::AvroRecord
//! [`Fields`]: codec::scalar::Fields

mod schemas;
mod records;

pub use records::*;
pub use schemas::*;
