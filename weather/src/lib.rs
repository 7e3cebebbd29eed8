//! Weather reports through two brokers into two stores, with the same counts in both.
//!
//! ```text
//!             HTTP            gRPC               ┌─► topic message ─► kafka-consumer ──► Redis
//! client ──► api (8080) ──► publisher (50051) ──┤        both confirmed
//!                 client ──► publisher (8081) ──┘─► queue message ─► rabbit-consumer ─► Valkey
//! ```
//!
//! A report is answered when both brokers have confirmed it. Each consumer counts it and remembers its id in one step
//! of its store, and commits or acknowledges after that; so what comes twice is counted once. Modules stand in reading
//! order.

mod limits;
mod country;
mod kind;
mod report;
mod record;
mod place;
mod metrics;
mod store;
mod request;
mod publish;
mod grpc;
mod web;
mod counting;
mod shown;
mod status;
mod flags;
mod settings;
mod app;

pub use app::run;
pub use country::Country;
pub use flags::{Cli, Command, Flags};
pub use kind::Kind;
pub use place::Brand;
pub use record::{WEATHER_V1, WeatherReport};
pub use report::{Broken, Report, check_message_id};
pub use settings::{Services, Settings};
