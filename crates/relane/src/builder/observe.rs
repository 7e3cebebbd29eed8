//! Serves what a pipeline tells of itself, where its program has nothing of its own for that.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use service_kit::admin_http::{self, Listen};
use service_kit::exit::AppError;
use service_kit::health::HealthSource;
use service_kit::metrics_recorder::{self, Metrics};
use service_kit::program::Program;
use tokio::runtime::Handle;

/// Which build the metrics are of.
const LIBRARY: Program = Program::new("relane", "unknown");

/// Serves metrics and health until the runtime ends, and returns where.
pub(super) fn serve(
    runtime: &Handle,
    address: SocketAddr,
    health: Arc<dyn HealthSource>,
) -> Result<SocketAddr, AppError> {
    let metrics = recorder()?;
    let served = runtime.block_on(admin_http::serve(Listen::Explicit(address), metrics, health));
    served.map_err(|error| {
        AppError::failed(error.message())
            .hint("give metrics_address another address; port 0 takes any free one")
    })
}

/// The recorder of the process: all pipelines of it share one.
fn recorder() -> Result<Metrics, AppError> {
    static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().expect("no panic while it is held");
    if let Some(metrics) = &*installed {
        return Ok(metrics.clone());
    }
    let metrics = metrics_recorder::install(&LIBRARY).map_err(|error| {
        AppError::usage(error.to_string()).hint(
            "serve the metrics with the program's own recorder, and leave metrics_address out",
        )
    })?;
    *installed = Some(metrics.clone());
    Ok(metrics)
}

#[cfg(test)]
mod tests {
    use service_kit::shutdown::Shutdown;
    use testkit::http::get;

    use super::*;
    use crate::shared::Shared;

    #[test]
    fn metrics_and_health_are_served_and_pipelines_of_a_process_share_the_recorder() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let shared = Arc::new(Shared::<()>::new(Shutdown::new(), String::new(), 1));
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let serve = |address| serve(runtime.handle(), address, Arc::clone(&shared) as _);
        let mut taken = any_port;
        for count in 1..=2 {
            taken = serve(any_port).expect("a port is free");
            metrics::counter!("clicks_consumed_total").increment(1);
            let answer = get(&taken.to_string(), "/metrics").expect("an answer");
            assert!(answer.body.contains(&format!("clicks_consumed_total {count}")), "{answer:?}");
            let ready = get(&taken.to_string(), "/readyz").expect("an answer");
            assert!(ready.status == 503 && ready.body.contains("starting"), "{ready:?}");
        }
        let error = serve(taken).expect_err("it is taken");
        assert!(error.message().contains("cannot serve metrics on"), "{}", error.message());
        assert!(error.hint_text().is_some_and(|hint| hint.contains("give metrics_address")));
    }
}
