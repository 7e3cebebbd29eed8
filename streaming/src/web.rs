//! What the pipelines tell over HTTP, besides metrics and health.

use std::sync::{Arc, Mutex, PoisonError};

use order_api::stock;
use orders::Menu;
use service_kit::http::header::CONTENT_TYPE;
use service_kit::http::{Endpoint, Handler, HeaderValue, HttpRequest, Problem, Reply, Response};

use crate::report::Report;
use crate::stock::StockLevels;
use crate::tally::Tally;

/// The last look at what a pipeline's lanes know; a fraction of a second old.
#[derive(Debug, Default)]
pub(crate) struct Board<T>(Arc<Mutex<T>>);

impl<T> Clone for Board<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Board<T> {
    pub(crate) fn put(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    pub(crate) fn get(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers for inventory.
pub(crate) struct InventoryWeb {
    pub(crate) board: Board<StockLevels>,
    pub(crate) menu: Menu,
}

/// Answers for analytics.
pub(crate) struct AnalyticsWeb {
    pub(crate) board: Board<Tally>,
}

/// Answers for notification, which has only metrics and health.
pub(crate) struct NoWeb;

impl Handler for InventoryWeb {
    fn endpoints(&self) -> &[Endpoint] {
        &stock::ENDPOINTS
    }

    async fn handle(&self, request: HttpRequest) -> Reply {
        let levels = || Ok(self.board.get().levels(&self.menu));
        stock::answer(&request.path, levels).unwrap_or_else(|| Problem::no_such_path(&[]).reply())
    }
}

impl Handler for AnalyticsWeb {
    fn endpoints(&self) -> &[Endpoint] {
        const ANALYTICS: [Endpoint; 1] = [Endpoint::get("/analytics")];
        &ANALYTICS
    }

    async fn handle(&self, _request: HttpRequest) -> Reply {
        let report = Report::of(&self.board.get());
        let text = serde_json::to_string(&report).unwrap_or_else(|error| format!("\"{error}\""));
        let mut reply = Response::new((text + "\n").into());
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        reply
    }
}

impl Handler for NoWeb {
    fn endpoints(&self) -> &[Endpoint] {
        &[]
    }

    async fn handle(&self, _request: HttpRequest) -> Reply {
        Problem::no_such_path(&[]).reply()
    }
}
