//! Tests a handler or a stage without a broker: with the feature `testing`, for `[dev-dependencies]`.
//!
//! The lane is the real one, from joining the group to the commit. What is a model is Kafka, and the clock: it moves
//! only when a test moves it, so that a retry after an hour is tested at once. Nothing here is random.
//!
//! ```
//! use std::time::Duration;
//!
//! use relane::testing::{self, Route};
//! use relane::{HandleError, Pipeline, ReasonName, Record, payload};
//!
//! const BUSY: ReasonName = ReasonName::of("busy");
//! const NO_URL: ReasonName = ReasonName::of("no-url");
//!
//! async fn index(click: Record<Option<Box<[u8]>>>) -> Result<(), HandleError> {
//!     match click.value.as_deref() {
//!         Some(b"") | None => Err(HandleError::permanent(NO_URL, "a click has an address")),
//!         Some(_) if click.attempt == 1 => Err(HandleError::transient(BUSY, "try later")),
//!         Some(_) => Ok(()),
//!     }
//! }
//!
//! let settings = Pipeline::builder("clicks", testing::kafka()).retries(3, [Duration::from_secs(60)]);
//! let mut pipeline = testing::with_handler(settings, payload::raw(), index)?;
//! let (good, empty) = (pipeline.send("ann", "/tea"), pipeline.send("bob", ""));
//! pipeline.settle()?;
//! assert_eq!(pipeline.route(good).due_in(), Some(Duration::from_secs(60)));
//! assert_eq!(pipeline.route(empty).failure().map(|failure| &*failure.reason), Some("no-url"));
//! pipeline.advance(Duration::from_secs(60))?;
//! assert_eq!(pipeline.route(good), Route::Settled { attempts: 2 });
//! # Ok::<(), relane::Error>(())
//! ```
//!
//! Handlers run on a tokio runtime whose clock is the test's, too: `tokio::time::sleep` takes no real time. What works
//! on another thread (`spawn_blocking`, a socket) does take some, and the test's clock may be past the
//! handler's timeout by then: let handlers call a stand-in. Tests are plain functions: a pipeline here does not run
//! inside another runtime.
//!
//! | what happens | how a test has it happen |
//! |---|---|
//! | a record comes | [`send`](TestPipeline::send), [`send_record`](TestPipeline::send_record) |
//! | time passes | [`settle`](TestPipeline::settle), [`advance`](TestPipeline::advance) |
//! | a partition goes to another instance | [`rebalance`](TestPipeline::rebalance) |
//! | the program is stopped and starts again | [`restart`](TestPipeline::restart) |
//! | it dies | [`crash`](TestPipeline::crash) |
//! | a commit fails | [`fail_commits`](TestPipeline::fail_commits) |
//! | brokers answer nothing | [`stop_brokers`](TestPipeline::stop_brokers), [`start_brokers`](TestPipeline::start_brokers) |
//! | what a handler calls is unavailable | the handler says so ([`HandleError::unavailable`](crate::HandleError::unavailable)) |

mod bench;
mod pipeline;
mod route;

use std::sync::Arc;

use codec::resolver::SchemaResolver;

pub use self::bench::CommitFailure;
pub use self::pipeline::TestPipeline;
pub use self::route::{Coordinates, FailureNote, Route, TestRecord};
use crate::builder::Builder;
use crate::error::Error;
use crate::handler::{Handler, HandlerStage};
use crate::kafka::Kafka;
use crate::payload::Payload;
use crate::settings::EngineSettings;
use crate::stage::Stage;

/// Stands for the brokers that a builder asks for; nothing is connected.
///
/// # Panics
///
/// Panics where the environment has credentials for Kafka that cannot be used.
#[must_use]
pub fn kafka() -> Kafka {
    Kafka::new("model:9092", []).expect("a name without settings is accepted")
}

/// Starts a pipeline with a handler. Its settings are those of the builder, but for `lanes` (each instance has
/// one), and for the spread of the waits before retries: here a wait is as long as it is said to be.
///
/// # Errors
///
/// Fails for settings that do not fit together, and for a payload with schemas: there is no registry.
pub fn with_handler<P, H>(
    builder: Builder,
    payload: P,
    handler: H,
) -> Result<TestPipeline<impl Stage>, Error>
where
    P: Payload,
    H: Handler<P::Value>,
{
    if payload.has_schemas() {
        return Err(Error::setting("there is no schema registry in a test: use raw bytes or JSON"));
    }
    let handler = Arc::new(handler);
    with_stage(builder.settings()?, move || {
        HandlerStage::new(&payload, &SchemaResolver::offline(), Arc::clone(&handler))
    })
}

/// Starts a pipeline with a stage, of which each instance gets one of its own. What the settings say of topics holds:
/// with a state topic the state is written there, and read back.
///
/// # Errors
///
/// Fails where the pipeline ends before it has its partitions.
pub fn with_stage<S: Stage>(
    settings: EngineSettings,
    make_stage: impl FnMut() -> S + 'static,
) -> Result<TestPipeline<S>, Error> {
    TestPipeline::start(settings, Box::new(make_stage))
}
