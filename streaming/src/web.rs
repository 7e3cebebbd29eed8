//! What the pipelines tell over HTTP, besides metrics and health.

use std::sync::{Arc, Mutex, PoisonError};

use orders::Menu;
use serde::Serialize;
use service_kit::http::header::CONTENT_TYPE;
use service_kit::http::{
    Handler, HeaderValue, HttpRequest, Method, Problem, Reply, Response, Route,
};

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
    fn route(&self, _method: &Method, path: &str) -> Route {
        route(path, "/stock")
    }

    async fn handle(&self, request: HttpRequest) -> Reply {
        get(&request, "/stock", || self.board.get().levels(&self.menu))
    }
}

impl Handler for AnalyticsWeb {
    fn route(&self, _method: &Method, path: &str) -> Route {
        route(path, "/analytics")
    }

    async fn handle(&self, request: HttpRequest) -> Reply {
        get(&request, "/analytics", || Report::of(&self.board.get()))
    }
}

impl Handler for NoWeb {
    fn route(&self, _method: &Method, _path: &str) -> Route {
        Route { name: "other", body_bytes_max: 0 }
    }

    async fn handle(&self, _request: HttpRequest) -> Reply {
        Problem::no_such_path("/health, /livez, /readyz, /metrics").reply()
    }
}

fn route(path: &str, known: &'static str) -> Route {
    Route { name: if path == known { known } else { "other" }, body_bytes_max: 0 }
}

fn get<T: Serialize>(request: &HttpRequest, known: &str, value: impl FnOnce() -> T) -> Reply {
    if request.path != known {
        return Problem::no_such_path(&format!("GET {known}")).reply();
    }
    if request.method != Method::GET {
        return Problem::no_such_method(&request.method, "GET");
    }
    let text = serde_json::to_string(&value()).unwrap_or_else(|error| format!("\"{error}\""));
    let mut reply = Response::new((text + "\n").into());
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}
