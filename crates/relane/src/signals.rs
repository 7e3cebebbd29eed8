//! Signals that end a pipeline.

use std::sync::OnceLock;

use service_kit::shutdown::Shutdown;

use crate::error::Error;

/// Signals are watched once in a process.
pub(crate) fn on_signals() -> Result<Shutdown, Error> {
    static SIGNALS: OnceLock<Shutdown> = OnceLock::new();
    if let Some(stop) = SIGNALS.get() {
        return Ok(stop.clone());
    }
    let stop = Shutdown::on_signals().map_err(|error| Error::failed(&error))?;
    Ok(SIGNALS.get_or_init(|| stop).clone())
}
