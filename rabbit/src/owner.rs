//! Whose the state of a service is: the name of a store, and waiting for it.
//!
//! Stock, and the notes of who was told, are true only where one service keeps them. The lock of
//! the file admits one process at a time; the broker remembers which file it is. So a second
//! service either waits for the same file, or is refused.

use std::time::Duration;

use order_store::{Store, StoreError, Table};
use service_kit::admin_http::Admin;
use service_kit::health::{HealthReport, HealthSource};
use service_kit::http::{Problem, Routes, Server, StatusCode};
use service_kit::shutdown::Shutdown;
use tokio::time::sleep;

use crate::limits::STANDBY_LOOK_EVERY;

/// The name of the store, made at random with it.
const NAMES: Table = Table::named("store.name");
const NAME: &str = "name";

/// When to ask a standby again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The name of a store, by which the broker knows it.
///
/// # Errors
///
/// If the store fails.
pub(crate) async fn name_of(store: &Store) -> Result<String, StoreError> {
    let made = format!("{:032x}", rand::random::<u128>());
    let step = move |rows: &order_store::Rows<'_>| {
        if let Some(known) = rows.get::<String>(NAMES, NAME)? {
            return Ok(known);
        }
        rows.put(NAMES, NAME, &made)?;
        Ok(made)
    };
    store.change(step).await
}

/// Opens a store when the process that works with it has ended. Until then requests are answered
/// by `waiting`. `None` if a stop comes first.
///
/// # Errors
///
/// If the store cannot be opened for another reason.
pub(crate) async fn wait_for(
    open: impl Fn() -> Result<Store, StoreError>,
    (server, waiting): (Server, Routes),
    admin: Admin,
    stop: &Shutdown,
) -> Result<Option<Store>, StoreError> {
    let is_over = Shutdown::new();
    let answering = tokio::spawn(server.serve(waiting, admin, is_over.clone()));
    let opened = loop {
        match open() {
            Err(StoreError::InUse { .. }) => {}
            opened => break opened.map(Some),
        }
        tokio::select! {
            () = stop.requested() => break Ok(None),
            () = sleep(STANDBY_LOOK_EVERY) => {}
        }
    };
    is_over.request();
    // It has a limit of its own for what it has begun; a panic of it has nothing to add.
    let _ = answering.await;
    opened
}

/// The paths of a service, as it answers them while it waits.
pub(crate) fn waiting<S: Clone + Send + Sync + 'static>(of_service: Routes<S>) -> Routes {
    of_service.answered_by(standby)
}

async fn standby() -> Problem {
    let detail = "another instance is active; this one takes over when that one ends";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Problem::new(status, "standby", "This instance is on standby", detail).retry_after(RETRY_AFTER)
}

/// Alive and not ready.
pub(crate) struct WaitingHealth {
    /// The folder that is waited for.
    pub(crate) folder: String,
}

impl HealthSource for WaitingHealth {
    fn live(&self) -> HealthReport {
        HealthReport::default()
    }

    fn ready(&self) -> HealthReport {
        let detail = format!("another instance uses {}", self.folder);
        HealthReport::of_troubles([("standby", Some(detail))])
    }
}
